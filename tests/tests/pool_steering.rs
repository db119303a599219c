//! Pools that are steered while they run: their size, their order, their pauses.

mod pools;
mod processes;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use procession::prelude::*;
use procession::{Event, StartError, TaskOptions, task};

use pools::{Place, computes, end, passes, pid, square};
use processes::{Probe, ProbeApi, event, probe, system, within};

procession::test_workers!();

/// Says which one it is.
#[task]
async fn notes(probe: Address<Probe>, text: String) {
    probe.note(text).await.expect("a probe");
}

/// A pool of one worker that holds a task at a gate.
async fn held() -> (Place, TaskPool, Address<Probe>, procession::Submitted<Result<String, CallError>>) {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let held = pool.submit(passes, (probe, "gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("it runs");
    (place, pool, probe, held)
}

#[tokio::test]
async fn a_pool_grows_and_shrinks_while_it_runs_and_loses_nothing() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let tasks = |gate: &'static str, count| -> Vec<_> {
        (0..count).map(|_| pool.submit(passes, (probe, gate.to_owned()))).collect()
    };
    let first = tasks("first", 4);
    within(pool.resize(4)).await.expect("a size");
    assert_eq!(pool.size(), 4);
    within(probe.noted("at first".to_owned(), 4)).await.expect("all four run at once");
    within(pool.resize(2)).await.expect("a size");
    within(probe.open("first".to_owned())).await.expect("a probe");
    for task in first {
        assert_eq!(within(task).await, Ok(Ok("first".to_owned())), "what runs in those that leave is finished");
    }
    let second = tasks("second", 3);
    within(probe.noted("at second".to_owned(), 2)).await.expect("two are left");
    within(probe.open("second".to_owned())).await.expect("a probe");
    for task in second {
        assert_eq!(within(task).await, Ok(Ok("second".to_owned())));
    }
    assert!(matches!(within(pool.resize(0)).await, Err(StartError::BadSpec(_))));
    let report = end(place, pool).await;
    assert_eq!((report.done, report.workers_lost), (7, 0));
}

#[tokio::test]
async fn the_more_urgent_tasks_are_begun_first_and_the_others_are_not_forgotten() {
    let (place, pool, probe, held) = held().await;
    let urgent = pool.with(TaskOptions::new().priority(9)).expect("good options");
    let note = |pool: &TaskPool, text: String| pool.submit(notes, (probe, text));
    // The first of them is in the worker already.
    let low: Vec<_> = (0..5).map(|n| note(&pool, format!("low {n}"))).collect();
    let high: Vec<_> = (0..20).map(|n| note(&urgent, format!("high {n}"))).collect();
    within(probe.open("gate".to_owned())).await.expect("a probe");
    within(held).await.expect("it ends").expect("a probe");
    for task in low.into_iter().chain(high) {
        within(task).await.expect("it is done");
    }
    within(probe.noted("high 19".to_owned(), 1)).await.expect("it was noted");
    within(probe.noted("low 4".to_owned(), 1)).await.expect("it was noted");
    let order: Vec<_> =
        within(probe.notes()).await.expect("notes").into_iter().filter(|note| !note.starts_with("at")).collect();
    let place_of = |text: &str| order.iter().position(|note| note == text).expect("it was noted");
    assert!(place_of("high 5") < place_of("low 2"), "{order:?}");
    assert!(place_of("low 1") < place_of("high 19"), "no one starves: {order:?}");
    end(place, pool).await;
}

#[tokio::test]
async fn a_paused_pool_takes_tasks_and_begins_them_when_it_goes_on() {
    let (place, pool, probe, held) = held().await;
    let before: Vec<_> = (0..3).map(|n| pool.submit(notes, (probe, format!("before {n}")))).collect();
    pool.pause();
    let after: Vec<_> = (0..3).map(|n| pool.submit(notes, (probe, format!("after {n}")))).collect();
    within(probe.open("gate".to_owned())).await.expect("a probe");
    within(held).await.expect("it ends").expect("a probe");
    // Whatever it had begun would be known by the time that this is.
    let workers = within(pool.workers()).await;
    assert_eq!((workers[0].outstanding, pool.queued()), (0, 6));
    assert!(within(probe.notes()).await.expect("notes").iter().all(|note| note.starts_with("at")));
    pool.resume();
    for task in before.into_iter().chain(after) {
        within(task).await.expect("it is done");
    }
    end(place, pool).await;
}

#[tokio::test]
async fn a_paused_pool_that_is_to_finish_goes_on_by_itself() {
    let (place, pool) = Place::with_pool(1).await;
    pool.pause();
    let task = pool.submit(square, 3);
    let report = end(place, pool).await;
    assert_eq!(within(task).await, Ok(9));
    assert_eq!(report.done, 1);
}

#[tokio::test]
async fn a_pool_that_is_dropped_resolves_all_that_waits_paused_or_not() {
    for paused in [false, true] {
        let (place, pool, _, held) = held().await;
        if paused {
            pool.pause();
        }
        let urgent = pool.with(TaskOptions::new().priority(9)).expect("good options");
        let tasks: Vec<_> = (0..10).flat_map(|n| [pool.submit(square, n), urgent.submit(square, n)]).collect();
        let mut progress = pool.progress(processes::PATIENCE);
        within(progress.next()).await.expect("it is told at once");
        drop((pool, urgent));
        assert!(matches!(within(held).await, Err(TaskError::Killed { .. })));
        for task in tasks {
            let ended = within(task).await;
            assert!(matches!(ended, Err(TaskError::Killed { .. } | TaskError::Cancelled { .. })), "{ended:?}");
        }
        let last = within(progress.next()).await.expect("the end is told");
        assert_eq!((last.done, last.failed, last.running, last.queued), (0, 21, 0, 0));
        assert_eq!(within(progress.next()).await, None);
        place.end().await;
    }
}

#[tokio::test]
async fn a_stream_of_an_endless_input_keeps_its_bound_and_frees_the_pool_when_it_is_dropped() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let pulled = Rc::new(Cell::new(0));
    let counted = pulled.clone();
    let input = std::iter::from_fn(move || {
        counted.set(counted.get() + 1);
        Some(probe)
    });
    let mut outcomes = pool.outcomes(computes, input).in_flight(5);
    let begun = processes::poll_once(std::pin::pin!(outcomes.next()));
    assert!(begun.is_pending());
    within(probe.noted("computing".to_owned(), 1)).await.expect("it runs");
    assert_eq!(pulled.get(), 5);
    drop(outcomes);
    // The one that runs hears that nobody wants it, and the others were never begun.
    assert_eq!(within(pool.submit(square, 4)).await, Ok(16));
    let report = end(place, pool).await;
    assert_eq!((report.submitted, report.done, report.cancelled), (6, 2, 4), "{report}");
}

#[derive(Actor, Default)]
struct Shard {
    seen: Vec<u32>,
}

#[handlers]
impl Shard {
    #[call]
    fn pid(&mut self, key: u32) -> u32 {
        self.seen.push(key);
        std::process::id()
    }
}

#[tokio::test]
async fn keyed_calls_survive_a_resize_and_few_keys_move() {
    let place = Place::new().await;
    let fleet = within(place.sup.pool::<Shard>("fleet", 3, ())).await.expect("a fleet");
    let homes = async || {
        let mut homes = HashMap::new();
        for key in 0..60_u32 {
            homes.insert(key, within(fleet.ctl().key(&key).pid(key)).await.expect("a pid"));
        }
        homes
    };
    let three = homes().await;
    assert_eq!(three.values().collect::<HashSet<_>>().len(), 3);
    within(fleet.ctl().resize(4)).await.expect("a size");
    let four = homes().await;
    let moved: HashSet<_> = three.keys().filter(|key| three[key] != four[key]).map(|key| four[key]).collect();
    assert_eq!(moved.len(), 1, "keys move to the new one only");
    assert_eq!(within(fleet.ctl().broadcast().pid(0)).await.len(), 4);
    within(fleet.ctl().resize(3)).await.expect("a size");
    assert_eq!(homes().await, three);
    assert_eq!(within(fleet.ctl().broadcast().pid(0)).await.len(), 3);
    within(fleet.ctl().finish()).await;
    place.end().await;
}

#[tokio::test]
async fn of_a_hundred_tasks_only_the_one_whose_worker_is_killed_fails() {
    let (place, pool) = Place::with_pool(3).await;
    let probe = probe(&place.sup).await;
    let first = pool.submit(holds, (probe, 0));
    within(probe.noted("holding 0".to_owned(), 1)).await.expect("it runs");
    let rest: Vec<_> = (1..100).map(|n| pool.submit(square, n)).collect();
    let notes = within(probe.notes()).await.expect("notes");
    let victim = notes.iter().find_map(|note| note.strip_prefix("pid ")).expect("it told its pid");
    system::kill(victim.parse().expect("a pid"));
    assert!(matches!(within(first).await, Err(TaskError::Died { executed: Executed::Maybe, .. })));
    for (n, task) in (1..100).zip(rest) {
        assert_eq!(within(task).await, Ok(n * n));
    }
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.done), (1, 99));
}

/// Tells its pid, and that it is there, and waits for ever.
#[task]
async fn holds(probe: Address<Probe>, number: u64) {
    probe.note(format!("pid {}", std::process::id())).await.expect("a probe");
    probe.note(format!("holding {number}")).await.expect("a probe");
    std::future::pending().await
}

/// Kills the next in the ring, which may be the worker itself, unless that has ended.
#[task]
fn kills_the_next(ring: Vec<u32>) -> bool {
    let own = ring.iter().position(|&pid| pid == std::process::id());
    let victim = ring[own.map_or(0, |own| (own + 1) % ring.len())];
    let was_there = system::kill_if_there(victim);
    while victim == std::process::id() {
        std::hint::spin_loop();
    }
    was_there
}

#[tokio::test]
async fn workers_that_kill_each_other_leave_every_task_an_end_and_the_pool_usable() {
    for size in [1, 2, 5, 13] {
        let (mut place, pool) = Place::with_pool(size).await;
        for _ in 0..size {
            event(&mut place.events, |event| matches!(event, Event::Started { .. })).await;
        }
        for _ in 0..3 {
            let ring: Vec<_> = pool.workers().await.into_iter().filter_map(|worker| worker.pid).collect();
            if ring.is_empty() {
                continue;
            }
            let tasks: Vec<_> = (0..2 * size).map(|_| pool.submit(kills_the_next, ring.clone())).collect();
            for task in tasks {
                let ended = within(task).await;
                assert!(matches!(ended, Ok(_) | Err(TaskError::Died { .. })), "{ended:?}");
            }
        }
        let squares = within(pool.map(square, 0..200)).await.expect("the pool is usable");
        assert_eq!(squares, (0..200).map(|n| n * n).collect::<Vec<_>>());
        within(pool.submit(pid, ())).await.expect("a pid");
        let report = end(place, pool).await;
        assert!(report.workers_lost > 0 && report.done + report.lost == report.submitted, "{size}: {report}");
    }
}

#[tokio::test]
async fn whatever_is_done_to_a_pool_at_once_each_task_ends_once_and_only_the_killed_are_lost() {
    const TASKS: u64 = 6000;
    let place = Place::new().await;
    let spec = PoolSpec::new(3)
        .recycle_after(40)
        .spares(1)
        .idle_timeout(Duration::from_millis(20), 1)
        .task_timeout(processes::PATIENCE)
        .cancel_grace(Duration::ZERO);
    let pool = within(place.sup.task_pool("pool", spec)).await.expect("a pool");
    let mut outcomes = pool.outcomes(square, 0..TASKS).in_flight(300);
    let (mut ended, mut killed, mut lost) = (HashSet::new(), HashSet::new(), 0);
    while let Some(completion) = within(outcomes.next()).await {
        assert!(ended.insert(completion.index), "{} ended twice", completion.task);
        match completion.outcome {
            Ok(square) => assert_eq!(square, completion.index.pow(2)),
            Err(TaskError::Died { exit, .. }) if killed.contains(&exit.pid) => lost += 1,
            Err(error) => panic!("{}: {error}", completion.task),
        }
        match ended.len() % 400 {
            50 => within(pool.resize(1 + ended.len() % 5)).await.expect("a size"),
            100 | 300 => {
                let mut workers = pool.workers().await.into_iter().filter_map(|worker| worker.pid);
                if let Some(pid) = workers.rfind(|pid| !killed.contains(pid))
                    && system::kill_if_there(pid)
                {
                    killed.insert(pid);
                }
            }
            150 => {
                pool.pause();
                within(pool.resize(4)).await.expect("a size");
                pool.resume();
            }
            200 => pool.submit(square, 1).abort(),
            _ => {}
        }
    }
    assert_eq!(ended.len() as u64, TASKS);
    assert!(killed.len() >= 10 && lost <= killed.len(), "{lost} of {}", killed.len());
    let report = within(pool.finish()).await;
    assert!(report.recycled > 50 && report.lost == lost as u64, "{report}");
    assert!(report.workers_lost <= killed.len() as u64, "{report} after {} kills", killed.len());
    place.end().await;
}
