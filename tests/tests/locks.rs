//! Locks that processes share: fair, free at once when their holder ends, and closed to a holder that is none any more.

mod processes;

// The root of a test crate is not a `mod.rs`: its parts say where they are.
#[path = "locks/deadlocks.rs"]
mod deadlocks;
#[path = "locks/ends.rs"]
mod ends;
#[path = "locks/frozen.rs"]
mod frozen;
#[path = "locks/handles.rs"]
mod handles;
#[path = "locks/kinds.rs"]
mod kinds;
#[path = "locks/lines.rs"]
mod lines;
#[path = "locks/nested.rs"]
mod nested;
#[path = "locks/releases.rs"]
mod releases;
#[path = "locks/speed.rs"]
mod speed;

use std::time::Duration;

use procession::prelude::*;
use procession::sync::{LockError, Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

procession::test_workers!();

/// Holds a mutex for as long as it is told to.
#[derive(Actor)]
#[actor(restart = "permanent", mailbox = 64)]
struct Holder {
    mutex: Mutex<u64>,
    guard: Option<MutexGuard<u64>>,
}

/// What a holder was told with its grant.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Taken {
    token: u64,
    value: u64,
    poison: Option<String>,
}

#[handlers]
impl Holder {
    #[init]
    fn new(mutex: Mutex<u64>) -> Self {
        Self { mutex, guard: None }
    }

    #[call(timeout = "60s")]
    async fn take(&mut self, lease: Option<Duration>) -> Result<Taken, LockError> {
        let wait = self.mutex.lock();
        let guard = match lease {
            Some(lease) => wait.lease(lease).await?,
            None => wait.await?,
        };
        Ok(self.keep(guard))
    }

    #[call]
    async fn attempt(&mut self) -> Result<Taken, LockError> {
        let guard = self.mutex.try_lock().await?;
        Ok(self.keep(guard))
    }

    #[call]
    async fn add(&mut self, by: u64) {
        if let Some(guard) = &mut self.guard {
            **guard += by;
        }
    }

    #[call]
    async fn give(&mut self) -> Result<(), LockError> {
        match self.guard.take() {
            Some(guard) => guard.release().await,
            None => Ok(()),
        }
    }

    #[call]
    fn release(&mut self) {
        self.guard = None;
    }

    #[cast]
    async fn panic_with_it(&mut self) {
        let guard = self.guard.take();
        panic!("on purpose, with {guard:?}");
    }

    #[cast]
    fn finish(&self, ctx: &Context<Self>) {
        ctx.stop();
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }
}

impl Holder {
    fn keep(&mut self, guard: MutexGuard<u64>) -> Taken {
        let poison = guard.poisoned_by().map(ToString::to_string);
        let taken = Taken { token: guard.token().number(), value: *guard, poison };
        self.guard = Some(guard);
        taken
    }
}
