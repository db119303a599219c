//! What each kind of lock does between processes.

use std::time::Duration;

use procession::prelude::*;
use procession::sync::{
    Barrier, BarrierBreach, Condition, Event, LockError, LockKind, Mutex, MutexGuard, RwLock, Semaphore,
};

use super::processes::{end, start, system, within};

/// Does one thing with each kind of lock.
#[derive(Actor)]
struct Guest {
    barrier: Barrier,
    event: Event,
    semaphore: Semaphore,
    rwlock: RwLock<String>,
    queue: Condition<Vec<u32>>,
}

#[handlers]
impl Guest {
    #[init]
    fn new(
        barrier: Barrier,
        event: Event,
        semaphore: Semaphore,
        rwlock: RwLock<String>,
        queue: Condition<Vec<u32>>,
    ) -> Self {
        Self { barrier, event, semaphore, rwlock, queue }
    }

    #[call(timeout = "30s")]
    async fn meet(&self) -> Result<bool, LockError> {
        Ok(self.barrier.wait().await?.is_leader())
    }

    #[call(timeout = "30s")]
    async fn hear(&self) -> Result<(), LockError> {
        self.event.wait().await
    }

    #[call(timeout = "30s")]
    async fn use_permits(&self, permits: u32) -> Result<u64, LockError> {
        let permit = self.semaphore.acquire_many(permits).await?;
        let token = permit.token().number();
        permit.release().await?;
        Ok(token)
    }

    #[call(timeout = "30s")]
    async fn append(&self, text: String) -> Result<(), LockError> {
        let mut guard = self.rwlock.write().await?;
        guard.push_str(&text);
        guard.release().await
    }

    #[call(timeout = "30s")]
    async fn read(&self) -> Result<String, LockError> {
        Ok(self.rwlock.read().await?.clone())
    }

    /// Takes one out of the queue that the condition's mutex carries.
    #[call(timeout = "30s")]
    async fn take_one(&self) -> Result<u32, LockError> {
        let guard = self.queue.mutex().lock().await?;
        let mut guard = self.queue.wait_while(guard, |queue| queue.is_empty()).await?;
        let one = guard.remove(0);
        guard.release().await?;
        Ok(one)
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }
}

struct Party {
    sup: Supervisor,
    barrier: Barrier,
    event: Event,
    semaphore: Semaphore,
    rwlock: RwLock<String>,
    queue: Condition<Vec<u32>>,
    guests: Vec<Address<Guest>>,
}

async fn party(guests: usize) -> Party {
    let sup = start().await;
    let barrier = within(sup.barrier("barrier", 3)).await.unwrap();
    let event = within(sup.event("event")).await.unwrap();
    let semaphore = within(sup.semaphore("semaphore", 4)).await.unwrap();
    let rwlock = within(sup.rwlock_with("text", String::new())).await.unwrap();
    let mutex = within(sup.mutex_with("queue", Vec::<u32>::new())).await.unwrap();
    let queue = within(sup.condition(&mutex)).await.unwrap();
    let mut party = Party { sup, barrier, event, semaphore, rwlock, queue, guests: Vec::new() };
    for number in 0..guests {
        let Party { barrier, event, semaphore, rwlock, queue, .. } = &party;
        let locks = (barrier.clone(), event.clone(), semaphore.clone(), rwlock.clone(), queue.clone());
        let guest = within(party.sup.spawn::<Guest>(format!("guest {number}"), locks)).await.unwrap();
        party.guests.push(guest);
    }
    party
}

impl Party {
    /// Until so many wait at the lock of this name.
    async fn waiting(&self, name: &str, count: usize) {
        loop {
            let locks = within(self.sup.locks()).await.unwrap();
            let lock = locks.iter().find(|lock| lock.name == name).expect("it was opened");
            if lock.waiting.len() == count {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barrier_opens_when_all_have_come_and_breaks_when_one_dies() {
    let p = party(2).await;
    for _ in 0..3 {
        let guests: Vec<_> = p.guests.iter().map(|guest| tokio::spawn(guest.meet())).collect();
        let mut leaders = u32::from(within(p.barrier.wait()).await.unwrap().is_leader());
        for guest in guests {
            leaders += u32::from(within(guest).await.unwrap().unwrap());
        }
        assert_eq!(leaders, 1);
    }
    let waits = tokio::spawn(p.guests[0].meet());
    within(p.waiting("barrier", 1)).await;
    // It does not wait now, but it takes part.
    system::kill(within(p.guests[1].pid()).await.unwrap());
    let error = within(waits).await.unwrap().unwrap_err();
    let CallError::Handler(LockError::Broken(BarrierBreach::Ended { who, .. })) = &error else { panic!("{error}") };
    assert_eq!(who, "guest 1");
    assert!(matches!(within(p.barrier.wait()).await, Err(LockError::Broken(_))), "until it is reset");
    within(p.barrier.reset()).await.unwrap();
    // One that gives up breaks it for the others.
    let waits = tokio::spawn(p.barrier.wait());
    within(p.waiting("barrier", 1)).await;
    let late = within(p.barrier.wait().timeout(Duration::from_millis(20))).await;
    assert_eq!(late.unwrap_err(), LockError::TimedOut);
    let error = within(waits).await.unwrap().unwrap_err();
    assert!(matches!(error, LockError::Broken(BarrierBreach::Left { .. })), "{error}");
    end(p.sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_wakes_all_that_wait() {
    let p = party(3).await;
    let guests: Vec<_> = p.guests.iter().map(|guest| tokio::spawn(guest.hear())).collect();
    within(p.waiting("event", 3)).await;
    assert!(!within(p.event.set()).await.unwrap());
    for guest in guests {
        within(guest).await.unwrap().unwrap();
    }
    within(p.guests[0].hear()).await.unwrap();
    assert!(within(p.event.clear()).await.unwrap());
    assert!(!within(p.event.is_set()).await.unwrap());
    let late = within(p.event.wait().timeout(Duration::from_millis(20))).await;
    assert_eq!(late, Err(LockError::TimedOut));
    end(p.sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permits_are_given_in_order_and_come_back_from_the_dead() {
    let p = party(2).await;
    let held = within(p.semaphore.acquire_many(2)).await.unwrap();
    let large = tokio::spawn(p.guests[0].use_permits(4));
    within(p.waiting("semaphore", 1)).await;
    let small = tokio::spawn(p.guests[1].use_permits(1));
    within(p.waiting("semaphore", 2)).await;
    assert_eq!(within(p.semaphore.try_acquire()).await.unwrap_err(), LockError::WouldBlock);
    drop(held);
    let (large, small) = (within(large).await.unwrap().unwrap(), within(small).await.unwrap().unwrap());
    assert!(large < small, "the small one has not overtaken the large one");
    let never = within(p.semaphore.acquire_many(5)).await.unwrap_err();
    assert_eq!(never, LockError::NeverFits { asked: 5, of: 4 });
    // Permits that a task was handed come back from there.
    let permit = within(p.semaphore.acquire_many(4)).await.unwrap();
    within(tokio::spawn(async move { drop(permit) })).await.unwrap();
    drop(within(p.semaphore.acquire_many(4)).await.unwrap());
    end(p.sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_share_and_a_writer_is_alone() {
    let p = party(2).await;
    within(p.guests[0].append("a".to_owned())).await.unwrap();
    let reads = within(p.rwlock.read()).await.unwrap();
    assert_eq!(within(p.guests[0].read()).await.unwrap(), "a", "beside another reader");
    let writes = tokio::spawn(p.guests[0].append("b".to_owned()));
    within(p.waiting("text", 1)).await;
    let later = tokio::spawn(p.guests[1].read());
    within(p.waiting("text", 2)).await;
    assert_eq!(*reads, "a");
    drop(reads);
    within(writes).await.unwrap().unwrap();
    assert_eq!(within(later).await.unwrap().unwrap(), "ab");
    let writer = within(p.rwlock.try_write()).await.unwrap();
    assert_eq!(within(p.rwlock.try_read()).await.unwrap_err(), LockError::WouldBlock);
    drop(writer);
    end(p.sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_wakes_who_waits_for_it_with_the_mutex() {
    let p = party(2).await;
    let guests: Vec<_> = p.guests.iter().map(|guest| tokio::spawn(guest.take_one())).collect();
    within(p.waiting("queue", 2)).await;
    let mutex: Mutex<Vec<u32>> = p.queue.mutex().clone();
    for item in [7, 8] {
        let mut guard: MutexGuard<Vec<u32>> = within(mutex.lock()).await.unwrap();
        guard.push(item);
        assert!(within(p.queue.notify_one()).await.unwrap());
        within(guard.release()).await.unwrap();
    }
    let mut got = Vec::new();
    for guest in guests {
        got.push(within(guest).await.unwrap().unwrap());
    }
    got.sort_unstable();
    assert_eq!(got, [7, 8]);
    assert!(!within(p.queue.notify_one()).await.unwrap());
    // A wait whose time is over has released the mutex, and one that dies has too.
    let guard = within(mutex.lock()).await.unwrap();
    let late = within(p.queue.wait(guard).timeout(Duration::from_millis(20))).await;
    assert_eq!(late.unwrap_err(), LockError::TimedOut);
    let guard = within(mutex.lock()).await.unwrap();
    // Dropped before it was polled, it only releases.
    drop(p.queue.wait(guard));
    drop(within(mutex.lock()).await.unwrap());
    let pid = within(p.guests[0].pid()).await.unwrap();
    let waits = tokio::spawn(p.guests[0].take_one());
    within(p.waiting("queue", 1)).await;
    system::kill(pid);
    assert!(within(waits).await.unwrap().is_err());
    within(p.waiting("queue", 0)).await;
    end(p.sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_stands_for_one_thing() {
    let p = party(0).await;
    let again = within(p.sup.semaphore("semaphore", 4)).await.unwrap();
    assert_eq!(again, p.semaphore);
    let other = within(p.sup.semaphore("semaphore", 5)).await.unwrap_err();
    assert_eq!(other, LockError::OtherKind { name: "semaphore".to_owned(), kind: LockKind::Semaphore { permits: 4 } });
    assert_eq!(within(p.sup.mutex("event")).await.unwrap_err().to_string(), "event is a Event");
    assert!(matches!(within(p.sup.mutex("queue")).await, Err(LockError::OtherKind { .. })), "of other data");
    assert!(matches!(within(p.sup.barrier("none", 0)).await, Err(LockError::NeverFits { .. })));
    assert_eq!(within(p.sup.event(&"x".repeat(2000))).await.unwrap_err(), LockError::TooMany);
    end(p.sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_has_ended_has_no_locks() {
    let p = party(0).await;
    let (mutex, sup) = (within(p.sup.mutex("m")).await.unwrap(), p.sup.clone());
    let guard = within(mutex.lock()).await.unwrap();
    let waits = tokio::spawn(mutex.lock());
    end(p.sup).await;
    assert_eq!(within(waits).await.unwrap().unwrap_err(), LockError::Stopped);
    assert_eq!(within(guard.release()).await.unwrap_err(), LockError::Stopped);
    assert_eq!(within(mutex.lock()).await.unwrap_err(), LockError::Stopped);
    assert_eq!(within(sup.mutex("m")).await.unwrap_err(), LockError::Stopped);
}
