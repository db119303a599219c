//! What becomes of a lock when its holder ends.

use std::time::{Duration, Instant};

use procession::sync::{LockError, MutexGuard, PoisonCause};

use super::processes::{begin, end, start, system, within};
use super::{Holder, HolderApi};

const ROUNDS: usize = 1000;
/// Where starting a process takes long, as many as fit into this.
const ENOUGH: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_next_goes_on_within_a_second_of_the_holders_death_and_is_told() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("counter", 0_u64)).await.unwrap();
    let holder = within(sup.spawn::<Holder>("holder", mutex.clone())).await.unwrap();
    within(holder.take(None)).await.unwrap();
    within(holder.add(5)).await.unwrap();
    let next = begin(mutex.lock());
    let pid = within(holder.pid()).await.unwrap();
    let killed = Instant::now();
    system::kill(pid);
    let guard = within(next).await.unwrap();
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    let poison = guard.poisoned_by().expect("the holder died");
    assert_eq!((poison.holder(), poison.exit().map(|exit| exit.pid)), ("holder", Some(pid)), "{poison}");
    assert_eq!(*guard, 0, "what it had not released is not there");
    drop(guard);
    assert!(within(mutex.lock()).await.unwrap().poisoned_by().is_none());
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_holders_are_killed_and_no_grant_is_double() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("counter", 0_u64)).await.unwrap();
    let holder = within(sup.spawn::<Holder>("holder", mutex.clone())).await.unwrap();
    let mut times = Vec::new();
    let mut last = 0;
    let began = Instant::now();
    for round in 0..ROUNDS {
        if began.elapsed() > ENOUGH {
            break;
        }
        let taken = within(holder.take(None)).await.unwrap();
        assert!(taken.token > last, "tokens grow");
        assert_eq!(taken.value, round as u64);
        let pid = within(holder.pid()).await.unwrap();
        let next = begin(mutex.lock());
        assert!(matches!(within(mutex.try_lock()).await, Err(LockError::WouldBlock)), "it has one holder");
        let killed = Instant::now();
        system::kill(pid);
        let mut guard = within(next).await.unwrap();
        times.push(killed.elapsed());
        assert_eq!(guard.poisoned_by().and_then(|poison| poison.exit()).map(|exit| exit.pid), Some(pid));
        assert!(guard.token().number() > taken.token);
        last = guard.token().number();
        *guard += 1;
        within(guard.release()).await.unwrap();
    }
    times.sort();
    let rounds = times.len();
    let (middle, late) = (times[rounds / 2], times[rounds * 99 / 100]);
    println!("{rounds} holders killed: the next is granted the lock p50 {middle:?}, p99 {late:?} later");
    // The ids of so many dead may be those of other tests' workers by now.
    within(sup.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_panics_is_told_of_and_one_that_stops_has_released() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("counter", 7_u64)).await.unwrap();
    let process = within(sup.spawn::<Holder>("process", mutex.clone())).await.unwrap();
    let thread = within(sup.spawn_local::<Holder>("thread", mutex.clone())).await.unwrap();
    for (name, holder) in [("process", process), ("thread", thread)] {
        within(holder.take(None)).await.unwrap();
        within(holder.add(1)).await.unwrap();
        within(holder.panic_with_it()).await.unwrap();
        let guard = within(mutex.lock()).await.unwrap();
        let poison = guard.poisoned_by().expect("it panicked").clone();
        assert!(matches!(poison.cause(), PoisonCause::Panicked | PoisonCause::Ended(_)), "{poison}");
        assert_eq!((poison.holder(), *guard), (name, 7), "what a panic left half done is not there");
        drop(guard);
        // The guard was dropped before the incarnation had ended.
        while let Err(error) = within(holder.take(None)).await {
            assert!(!error.may_have_executed(), "{error}");
        }
        within(holder.finish()).await.unwrap();
        let guard = within(mutex.lock()).await.unwrap();
        let poison = guard.poisoned_by();
        assert!(poison.is_none(), "{name}: its guard was dropped in order, as all that it had: {poison:?}");
    }
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_is_dropped_by_a_panic_of_a_task_releases_and_tells() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("counter", 1_u64)).await.unwrap();
    let in_task = mutex.clone();
    let task = tokio::spawn(async move {
        let mut guard = in_task.lock().await.unwrap();
        *guard = 99;
        panic!("on purpose");
    });
    assert!(within(task).await.unwrap_err().is_panic());
    let guard = within(mutex.lock()).await.unwrap();
    assert_eq!(guard.poisoned_by().map(|poison| poison.cause().clone()), Some(PoisonCause::Panicked));
    assert_eq!(*guard, 1);
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_are_released_together_or_none_with_its_data() {
    let sup = start().await;
    let (one, two) = (within(sup.mutex_with("one", 10_i64)).await.unwrap(), sup.mutex_with("two", 0_i64));
    let two = within(two).await.unwrap();
    let both = async || (within(one.lock()).await.unwrap(), within(two.lock()).await.unwrap());
    for (stale, left) in [(false, (7, 3)), (true, (7, 3))] {
        let (mut from, mut to) = both().await;
        *from -= 3;
        *to += 3;
        if stale {
            from.renew(Duration::ZERO).await.unwrap();
        }
        let released = within(MutexGuard::release_together([from, to])).await;
        assert_eq!(released, if stale { Err(LockError::Stale) } else { Ok(()) });
        let (from, to) = both().await;
        assert_eq!((*from, *to), left);
    }
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_waiting_is_passed_over() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("counter", 0_u64)).await.unwrap();
    let guard = within(mutex.lock()).await.unwrap();
    let holder = within(sup.spawn::<Holder>("holder", mutex.clone())).await.unwrap();
    let pid = within(holder.pid()).await.unwrap();
    let dies = begin(holder.take(None));
    let waits = async |count| {
        while within(sup.locks()).await.unwrap()[0].waiting.len() != count {
            tokio::task::yield_now().await;
        }
    };
    within(waits(1)).await;
    let next = tokio::spawn(mutex.lock());
    within(waits(2)).await;
    system::kill(pid);
    assert!(within(dies).await.is_err());
    within(waits(1)).await;
    drop(guard);
    assert!(within(next).await.unwrap().unwrap().poisoned_by().is_none(), "it held nothing");
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_dropped_at_any_moment_leaks_nothing() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("counter", 0_u64)).await.unwrap();
    let holder = within(sup.spawn::<Holder>("holder", mutex.clone())).await.unwrap();
    for round in 0..200_u32 {
        // In this process and in another; unsent, waiting, granted and not looked at.
        let mut wait = Box::pin(mutex.lock());
        let mut taken = Box::pin(holder.take(None));
        for _ in 0..round % 4 {
            tokio::select! {
                biased;
                guard = &mut wait => { drop(guard.unwrap()); break }
                taken = &mut taken => { taken.unwrap(); break }
                () = tokio::task::yield_now() => {}
            }
        }
        drop((wait, taken));
        within(holder.release()).await.unwrap();
    }
    drop(within(mutex.lock()).await.unwrap());
    let locks = within(sup.locks()).await.unwrap();
    assert!(locks[0].waiting.is_empty(), "{locks:?}");
    end(sup).await;
}
