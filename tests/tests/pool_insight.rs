//! What a pool tells of itself while it runs, and pools within pools.

mod pools;
mod processes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{PoolProgress, TaskOptions, WorkerOutput, task};

use pools::{Fate, Place, end, meets, passes, pid, square};
use processes::{ProbeApi, probe, within};

procession::test_workers!();

#[task]
fn spins(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

#[tokio::test]
async fn progress_is_told_from_the_first_task_to_the_end_of_the_pool() {
    let (place, pool) = Place::with_pool(2).await;
    let probe = probe(&place.sup).await;
    let mut progress = pool.progress(Duration::from_millis(5)).total(104);
    let first = within(progress.next()).await.expect("it is told at once");
    assert_eq!((first.done, first.failed, first.running, first.queued, first.left), (0, 0, 0, 0, None));
    let held: Vec<_> = (0..3).map(|_| pool.submit(passes, (probe, "gate".to_owned()))).collect();
    within(probe.noted("at gate".to_owned(), 2)).await.expect("both run");
    let until = async |progress: &mut procession::ProgressStream, wanted: fn(&PoolProgress) -> bool| loop {
        let told = within(progress.next()).await.expect("it is not over");
        if wanted(&told) {
            return told;
        }
    };
    until(&mut progress, |told| told.running + told.queued == 3 && told.running >= 2).await;
    within(probe.open("gate".to_owned())).await.expect("a probe");
    for task in held {
        within(task).await.expect("it ends").expect("a probe");
    }
    assert!(within(pool.submit(meets, Fate::Killed)).await.is_err());
    within(pool.map(square, 0..50)).await.expect("all are done");
    let half = until(&mut progress, |told| told.done == 53).await;
    assert!(half.failed == 1 && half.rate > 0.0, "{half:?}");
    // Half of them are left, at a rate that is known.
    let (seconds, left) = (50.0 / half.rate, half.left.expect("it is known").as_secs_f64());
    assert!((seconds - left).abs() < 0.01 * seconds, "{half:?}");
    within(pool.map(square, 0..50)).await.expect("all are done");
    let report = end(place, pool).await;
    let mut last = half;
    while let Some(told) = within(progress.next()).await {
        last = told;
    }
    assert_eq!((last.done, last.failed, last.running, last.queued), (report.done, 1, 0, 0));
    assert_eq!(last.left, Some(Duration::ZERO));
}

#[tokio::test]
async fn insights_tell_what_workers_spent_their_time_on_and_the_slowest_tasks() {
    let (place, pool) = Place::with_pool(1).await;
    let long = Duration::from_millis(60);
    let described = pool.with(TaskOptions::new().described(format!("{long:?}"))).expect("good options");
    within(pool.map(spins, [Duration::from_millis(5); 20])).await.expect("all are done");
    within(described.submit(spins, long)).await.expect("it is done");
    let died = within(pool.submit(pid, ())).await.expect("a pid");
    processes::system::kill(died);
    let next = within(pool.submit(pid, ())).await;
    // The kill may have hit it.
    assert!(next.is_ok_and(|pid| pid != died) || within(pool.submit(pid, ())).await.is_ok());
    let insights = within(pool.insights()).await;
    let [worker] = &insights.workers[..] else { panic!("{insights:?}") };
    assert_eq!((&worker.name[..], worker.starts), ("pool#1", 2));
    assert!((23..=24).contains(&worker.tasks), "{worker:?}");
    assert!(worker.working >= 20 * Duration::from_millis(5) + long, "{worker:?}");
    assert!(worker.start_up > Duration::ZERO && worker.waiting > Duration::ZERO, "{worker:?}");
    assert!(worker.memory.is_some_and(|bytes| bytes > 100 << 10), "{worker:?}");
    assert_eq!(insights.slowest.len(), 10);
    let slowest = insights.slowest.iter().find(|slow| slow.description.is_some()).expect("it is among them");
    assert!(slowest.duration >= long && slowest.name.ends_with("spins"), "{slowest:?}");
    assert_eq!(slowest.description.as_deref(), Some("60ms"));
    assert_eq!(slowest.worker.as_ref().map(|worker| worker.pid), Some(died));
    assert!(insights.slowest.is_sorted_by(|one, other| one.duration >= other.duration));
    end(place, pool).await;
}

/// How deep pools within pools may be, from here on: each level has one task, which has a pool of its own.
#[task]
async fn nests(most: u32) -> Result<u32, String> {
    if most == 0 {
        return Ok(0);
    }
    let silent = WorkerOutput::To(Arc::new(|_| ()));
    let sup = Supervisor::builder().output(silent).start().await.map_err(|error| error.to_string())?;
    let deeper = match sup.task_pool("inner", 1).await {
        Ok(pool) => pool.submit(nests, most - 1).await.unwrap_or_else(|error| Err(error.to_string())),
        Err(error) => Err(error.to_string()),
    };
    sup.shutdown().await.map_err(|error| error.to_string())?;
    Ok(deeper? + 1)
}

#[tokio::test]
async fn pools_nest_and_a_pool_too_deep_is_a_named_error() {
    let (place, pool) = Place::with_pool(1).await;
    assert_eq!(within(pool.submit(nests, 2)).await, Ok(Ok(2)));
    let Ok(Err(said)) = within(pool.submit(nests, 20)).await else { panic!("there is no end to it") };
    assert!(said.contains("8 processes below the root: the limit is 7"), "{said}");
    assert_eq!(end(place, pool).await.workers_lost, 0);
}
