//! Who waits for each other is told who waits for whom.

use std::time::Instant;

use procession::prelude::*;
use procession::sync::{DeadlockStep, LockError, Mutex, MutexGuard, Wanted};

use super::processes::{end, start, within};

/// Takes locks, and calls another that does.
#[derive(Actor)]
struct Taker {
    locks: Vec<Mutex>,
    held: Vec<MutexGuard>,
    other: Option<Address<Taker>>,
}

#[handlers]
impl Taker {
    #[init]
    fn new(locks: Vec<Mutex>) -> Self {
        Self { locks, held: Vec::new(), other: None }
    }

    #[call]
    fn meet(&mut self, other: Address<Taker>) {
        self.other = Some(other);
    }

    #[call(timeout = "30s")]
    async fn take(&mut self, lock: usize) -> Result<(), LockError> {
        let guard = self.locks[lock].lock().await;
        match guard {
            Ok(guard) => {
                self.held.push(guard);
                Ok(())
            }
            Err(error) => {
                // What a victim does: it gives way.
                self.held.clear();
                Err(error)
            }
        }
    }

    #[call(timeout = "30s")]
    async fn ask_other(&mut self, lock: usize) -> Result<(), LockError> {
        let other = self.other.expect("they have met");
        match other.take(lock).timeout(std::time::Duration::from_secs(30)).await {
            Ok(()) => Ok(()),
            Err(CallError::Handler(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    #[call]
    fn drop_all(&mut self) {
        self.held.clear();
    }
}

async fn takers(sup: &Supervisor) -> (Address<Taker>, Address<Taker>) {
    let locks = vec![within(sup.mutex("left")).await.unwrap(), within(sup.mutex("right")).await.unwrap()];
    let one = within(sup.spawn::<Taker>("one", locks.clone())).await.unwrap();
    let two = within(sup.spawn::<Taker>("two", locks)).await.unwrap();
    within(one.meet(two)).await.unwrap();
    (one, two)
}

fn step(who: &str, wants: Wanted, of: &str) -> DeadlockStep {
    DeadlockStep { who: who.to_owned(), wants, of: of.to_owned() }
}

fn lock(name: &str) -> Wanted {
    Wanted::Lock(name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_locks_taken_crosswise_are_told_within_100_ms() {
    let sup = start().await;
    let (one, two) = takers(&sup).await;
    let mut times = Vec::new();
    for _ in 0..20 {
        within(one.take(0)).await.unwrap();
        within(two.take(1)).await.unwrap();
        let first = tokio::spawn(one.take(1));
        while within(sup.locks()).await.unwrap()[1].waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        let error = within(two.take(0)).await.unwrap_err();
        times.push(began.elapsed());
        let CallError::Handler(LockError::Deadlock { cycle }) = error else { panic!("{error}") };
        assert_eq!(cycle, [step("two", lock("left"), "one"), step("one", lock("right"), "two")]);
        within(first).await.unwrap().unwrap();
        within(one.drop_all()).await.unwrap();
    }
    times.sort();
    println!("two locks: told after {:?} to {:?}", times[0], times[19]);
    assert!(times[10].as_millis() <= 100, "{times:?}");
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_calls_one_who_waits_for_its_lock_is_found() {
    let sup = start().await;
    let (one, _two) = takers(&sup).await;
    within(one.take(0)).await.unwrap();
    let began = Instant::now();
    let error = within(one.ask_other(0)).await.unwrap_err();
    println!("a lock and a call: told after {:?}", began.elapsed());
    let CallError::Handler(LockError::Deadlock { cycle }) = error else { panic!("{error}") };
    let [first, second] = &cycle[..] else { panic!("{cycle:?}") };
    assert_eq!(*first, step("two", lock("left"), "one"));
    assert!(matches!(&second.wants, Wanted::Answer(method) if method.contains("take")), "{second}");
    assert_eq!((second.who.as_str(), second.of.as_str()), ("one", "two"));
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_one_that_gets_its_lock_is_no_deadlock() {
    let sup = start().await;
    let (one, two) = takers(&sup).await;
    for _ in 0..10 {
        within(one.take(0)).await.unwrap();
        // The other lock is held by the main program, which lets go after some scans.
        let right = within(sup.mutex("right")).await.unwrap();
        let guard = within(right.lock()).await.unwrap();
        let asked = tokio::spawn(one.ask_other(1));
        while within(sup.locks()).await.unwrap()[1].waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        let waits = tokio::spawn(right.lock().timeout(std::time::Duration::from_millis(150)));
        assert_eq!(within(waits).await.unwrap().unwrap_err(), LockError::TimedOut);
        drop(guard);
        within(asked).await.unwrap().unwrap();
        within(one.drop_all()).await.unwrap();
        within(two.drop_all()).await.unwrap();
    }
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_locks_twice_is_told_and_keeps_what_it_has() {
    let sup = start().await;
    let mutex = within(sup.mutex("m")).await.unwrap();
    let guard = within(mutex.lock()).await.unwrap();
    let error = within(mutex.lock()).await.unwrap_err();
    assert_eq!(error.to_string(), "deadlock: the main program waits for the lock m, which the main program holds");
    within(guard.release()).await.unwrap();
    end(sup).await;
}
