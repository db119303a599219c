//! A lock that was released is released, whatever becomes of its holder then.

use procession::Executed;
use procession::prelude::*;
use procession::sync::{LockError, Mutex};

use super::processes::{end, start, system, within};

/// Ends its process as soon as it has released.
#[derive(Actor)]
#[actor(restart = "permanent", mailbox = 64)]
struct Leaver {
    mutex: Mutex<u64>,
}

#[handlers]
impl Leaver {
    #[init]
    fn new(mutex: Mutex<u64>) -> Self {
        Self { mutex }
    }

    /// Adds one, drops the guard and ends.
    #[call(timeout = "30s")]
    async fn add_and_leave(&mut self, how: u8) -> Result<(), LockError> {
        let mut guard = self.mutex.lock().await?;
        *guard += 1;
        drop(guard);
        match how {
            0 => std::process::exit(0),
            1 => std::process::abort(),
            _ => loop {
                system::kill(std::process::id());
            },
        }
    }
}

const ROUNDS: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_releases_and_ends_in_the_same_moment_has_released() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("counter", 0_u64)).await.unwrap();
    let leaver = within(sup.spawn::<Leaver>("leaver", mutex.clone())).await.unwrap();
    for round in 1..=ROUNDS.div_ceil(system::SLOWER) {
        let how = (round % 3) as u8;
        let left = within(leaver.add_and_leave(how)).await.unwrap_err();
        assert!(matches!(left, CallError::Died { executed: Executed::Maybe, .. }), "{left}");
        let guard = within(mutex.lock()).await.unwrap();
        assert!(guard.poisoned_by().is_none(), "round {round}: {:?}", guard.poisoned_by());
        assert_eq!(*guard, round, "what it had written counts");
    }
    end(sup).await;
}
