//! A holder that is frozen for longer than its lease is none any more, and what it protects knows.

use std::time::Duration;

use procession::Event;
use procession::prelude::*;
use procession::sync::{Fence, FencingToken, LockError, Mutex, MutexGuard, PoisonCause};

use super::processes::{end, event, start, system, within};
use super::{Holder, HolderApi};

const ROUNDS: usize = 200;
const LEASE: Duration = Duration::from_millis(25);

/// What only a holder of the lock may write to.
#[derive(Actor)]
struct Ledger {
    fence: Fence,
    entries: Vec<u64>,
}

#[handlers]
impl Ledger {
    #[init]
    fn new(fence: Fence) -> Self {
        Self { fence, entries: Vec::new() }
    }

    #[call]
    async fn write(&mut self, token: FencingToken, entry: u64) -> Result<(), LockError> {
        self.fence.admit(token).await?;
        self.entries.push(entry);
        Ok(())
    }

    #[call]
    fn entries(&self) -> Vec<u64> {
        self.entries.clone()
    }
}

/// Writes under the lock, and may be frozen between the grant and the write.
#[derive(Actor)]
struct Writer {
    ledger: Address<Ledger>,
    mutex: Mutex<u64>,
    guard: Option<MutexGuard<u64>>,
}

#[handlers]
impl Writer {
    #[init]
    fn new(ledger: Address<Ledger>, mutex: Mutex<u64>) -> Self {
        Self { ledger, mutex, guard: None }
    }

    #[call]
    async fn take(&mut self, lease: Duration) -> Result<(), LockError> {
        self.guard = Some(self.mutex.lock().lease(lease).await?);
        Ok(())
    }

    #[call]
    async fn write(&mut self, entry: u64) -> Result<(), String> {
        let guard = self.guard.as_ref().ok_or("no grant")?;
        self.ledger.write(guard.token(), entry).await.map_err(|error| error.to_string())
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_holder_that_resumes_after_its_lease_is_refused_every_time() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("ledger", 0_u64)).await.unwrap();
    // One ledger asks the service, the other one lives beside it.
    let apart = within(sup.spawn::<Ledger>("apart", Fence::new(&mutex))).await.unwrap();
    let beside = within(sup.spawn_local::<Ledger>("beside", Fence::new(&mutex))).await.unwrap();
    let mut written = Vec::new();
    for (name, ledger) in [("far", &apart), ("near", &beside)] {
        let writer = within(sup.spawn::<Writer>(name, (*ledger, mutex.clone()))).await.unwrap();
        let pid = within(writer.pid()).await.unwrap();
        for round in 0..ROUNDS / 2 {
            within(writer.take(LEASE)).await.unwrap();
            system::freeze(pid);
            let guard = within(mutex.lock()).await.unwrap();
            assert_eq!(guard.poisoned_by().map(|poison| poison.cause().clone()), Some(PoisonCause::LeaseOver));
            within(ledger.write(guard.token(), round as u64)).await.unwrap();
            written.push(round as u64);
            system::thaw(pid);
            let refused = within(writer.write(1_000_000)).await.unwrap_err();
            assert!(refused.to_string().contains("the token is stale"), "{refused}");
            within(guard.release()).await.unwrap();
        }
    }
    let mut entries = within(apart.entries()).await.unwrap();
    entries.extend(within(beside.entries()).await.unwrap());
    assert_eq!(entries, written, "no write of a stale holder");
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_over_takes_the_data_with_it_and_a_renewed_one_does_not() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("data", 1_u64)).await.unwrap();
    let holder = within(sup.spawn::<Holder>("holder", mutex.clone())).await.unwrap();
    within(holder.take(Some(LEASE))).await.unwrap();
    within(holder.add(10)).await.unwrap();
    let guard = within(mutex.lock()).await.unwrap();
    assert_eq!(*guard, 1);
    let late = within(holder.give()).await.unwrap_err();
    assert!(matches!(late, CallError::Handler(LockError::Stale)), "{late}");
    drop(guard);
    let mut guard = within(mutex.lock().lease(LEASE)).await.unwrap();
    within(guard.renew(Duration::from_secs(60))).await.unwrap();
    let waits = tokio::spawn(mutex.lock().timeout(4 * LEASE));
    assert_eq!(within(waits).await.unwrap().unwrap_err(), LockError::TimedOut, "it is held still");
    *guard += 1;
    within(guard.release()).await.unwrap();
    assert_eq!(*within(mutex.lock()).await.unwrap(), 2);
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_dropped_after_its_lease_is_an_event() {
    let sup = start().await;
    let mut events = sup.events();
    let mutex = within(sup.mutex_with("data", 1_u64)).await.unwrap();
    let holder = within(sup.spawn::<Holder>("holder", mutex.clone())).await.unwrap();
    within(holder.take(Some(LEASE))).await.unwrap();
    drop(within(mutex.lock()).await.unwrap());
    within(holder.release()).await.unwrap();
    let told = event(&mut events, |event| matches!(event, Event::CastFailed { .. })).await;
    assert!(format!("{told:?}").contains("the token is stale, by holder"), "{told:?}");
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_fence_of_its_own_lock_only() {
    let sup = start().await;
    let (one, other) = (within(sup.mutex("one")).await.unwrap(), within(sup.rwlock("other")).await.unwrap());
    let guard = within(one.lock()).await.unwrap();
    let token = guard.token();
    within(Fence::new(&one).admit(token)).await.unwrap();
    assert_eq!(within(Fence::of_rwlock(&other).admit(token)).await, Err(LockError::Stale));
    within(guard.release()).await.unwrap();
    assert_eq!(within(Fence::new(&one).admit(token)).await, Err(LockError::Stale));
    let reader = within(other.read()).await.unwrap();
    within(Fence::of_rwlock(&other).admit(reader.token())).await.unwrap();
    end(sup).await;
}
