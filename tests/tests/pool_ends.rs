//! How pools begin and end: with a worker or a reason, and with a report and no process.

mod pools;
mod processes;

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use procession::prelude::*;
use procession::{Event, StartError, WorkerState};
use tempfile::TempDir;

use pools::{Fate, Place, computes, end, meets, passes, square};
use processes::{ProbeApi, event, probe, system, within};

procession::test_workers!();

#[tokio::test]
async fn finish_runs_all_that_was_taken_and_takes_no_more() {
    let (place, pool) = Place::with_pool(2).await;
    let probe = probe(&place.sup).await;
    let first = pool.submit(passes, (probe, "gate".to_owned()));
    let rest: Vec<_> = (0..1000).map(|n| pool.submit(square, n)).collect();
    let finishing = processes::begin(pool.finish());
    let Err(TaskError::Closed { why, .. }) = within(pool.submit(square, 1)).await else { panic!("it was taken") };
    assert_eq!(why, "it was told to finish");
    within(probe.open("gate".to_owned())).await.expect("a probe");
    let report = within(finishing).await;
    assert_eq!((report.submitted, report.done), (1001, 1001));
    assert_eq!(within(first).await, Ok(Ok("gate".to_owned())));
    for (n, task) in rest.into_iter().enumerate() {
        assert_eq!(within(task).await, Ok((n * n) as u64));
    }
    assert_eq!(pool.workers().await, [], "no worker is left");
    end(place, pool).await;
}

#[tokio::test]
async fn drain_finishes_what_runs_and_cancels_what_is_queued() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let running = pool.submit(passes, (probe, "gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("it runs");
    let queued: Vec<_> = (0..100).map(|n| pool.submit(square, n)).collect();
    let draining = processes::begin(pool.drain(processes::PATIENCE));
    within(probe.open("gate".to_owned())).await.expect("a probe");
    let report = within(draining).await;
    assert_eq!(within(running).await, Ok(Ok("gate".to_owned())));
    let mut cancelled = 0;
    for task in queued {
        cancelled += u64::from(matches!(within(task).await, Err(TaskError::Cancelled { .. })));
    }
    // The worker may have had one ahead.
    assert!(cancelled >= 98, "{cancelled}");
    assert_eq!((report.cancelled, report.done), (cancelled, 101 - cancelled));
    place.end().await;
}

#[tokio::test]
async fn what_still_runs_when_a_drain_is_over_is_killed() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let running = pool.submit(computes, probe);
    within(probe.noted("computing".to_owned(), 1)).await.expect("it runs");
    let report = within(pool.drain(Duration::from_millis(50))).await;
    assert_eq!(report.killed, 1, "{report}");
    assert!(matches!(within(running).await, Err(TaskError::Killed { .. })));
    place.end().await;
}

#[tokio::test]
async fn kill_ends_everything_at_once() {
    let (place, pool) = Place::with_pool(2).await;
    let probe = probe(&place.sup).await;
    let running: Vec<_> = (0..2).map(|_| pool.submit(computes, probe)).collect();
    within(probe.noted("computing".to_owned(), 2)).await.expect("they run");
    let queued: Vec<_> = (0..100).map(|n| pool.submit(square, n)).collect();
    let report = within(pool.kill()).await;
    assert_eq!(report.cancelled + report.killed, 102, "{report}");
    for task in running {
        assert!(matches!(within(task).await, Err(TaskError::Killed { .. })));
    }
    for task in queued {
        assert!(matches!(within(task).await, Err(TaskError::Killed { .. } | TaskError::Cancelled { .. })));
    }
    place.end().await;
}

#[tokio::test]
async fn a_pool_that_is_dropped_ends_its_tasks_and_its_processes() {
    let (place, pool) = Place::with_pool(2).await;
    let probe = probe(&place.sup).await;
    let pids: Vec<_> = pool.workers().await.into_iter().filter_map(|worker| worker.pid).collect();
    let running = pool.submit(computes, probe);
    within(probe.noted("computing".to_owned(), 1)).await.expect("it runs");
    drop(pool);
    assert!(matches!(within(running).await, Err(TaskError::Killed { .. })));
    // It ends by itself; the supervisor's end waits for it.
    place.end().await;
    assert_eq!(system::left_of(pids), []);
}

#[tokio::test]
async fn a_supervisor_that_shuts_down_drains_its_pools_first() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let running = pool.submit(passes, (probe, "gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("it runs");
    let queued: Vec<_> = (0..10).map(|n| pool.submit(square, n)).collect();
    let sup = place.sup.clone();
    let mut ending = processes::begin(async move { sup.shutdown().await });
    // The probe is a child of the supervisor: it is there until the pool has ended.
    within(probe.open("gate".to_owned())).await.expect("a probe");
    within(ending.as_mut()).await.expect("an orderly end");
    assert_eq!(within(running).await, Ok(Ok("gate".to_owned())));
    for task in queued {
        assert!(matches!(within(task).await, Err(TaskError::Cancelled { .. }) | Ok(_)));
    }
    assert!(matches!(within(pool.submit(square, 1)).await, Err(TaskError::Closed { .. })));
    place.end().await;
}

#[tokio::test]
async fn a_size_of_none_is_refused_and_every_other_size_is_at_least_one() {
    let place = Place::new().await;
    let Err(StartError::BadSpec(why)) = within(place.sup.task_pool("none", 0)).await else { panic!("it started") };
    assert!(why.contains("none") && why.contains("LeaveOne"), "{why}");
    let pool = within(place.sup.task_pool("some", PoolSize::LeaveOne)).await.expect("a pool");
    assert!(pool.size() >= 1);
    assert_eq!(within(pool.map(square, 0..3)).await.expect("all are done"), [0, 1, 4]);
    end(place, pool).await;
}

#[tokio::test]
async fn a_pool_whose_workers_cannot_start_says_why() {
    let sup = processes::quiet().program(system::FOREIGN[0]).start().await.expect("a supervisor");
    let error = within(sup.task_pool("pool", 3)).await.expect_err("no worker starts");
    let said = error.to_string();
    assert!(said.contains("pool#") && said.contains(&format!("exited with code {}", system::FOREIGN_CODE)), "{said}");
    processes::end(sup).await;
}

#[tokio::test]
async fn a_pool_that_can_keep_no_worker_ends_its_tasks_with_the_cause() {
    // The program is there for the first workers and gone for those that replace them.
    let folder = TempDir::new().expect("a folder");
    let program = folder.path().join("program");
    fs::copy(std::env::current_exe().expect("a path"), &program).expect("a copy");
    let sup = processes::quiet().program(&program).start().await.expect("a supervisor");
    let mut place = Place { events: sup.events(), sup };
    let pool = within(place.sup.task_pool("pool", 2)).await.expect("a pool");
    within(pool.map(square, 0..100)).await.expect("all are done");
    // A program that runs has a name on every system; not everywhere can it lose it.
    fs::rename(&program, folder.path().join("elsewhere")).expect("it is there");
    let last: Vec<_> = (0..2).map(|_| pool.submit(meets, Fate::Killed)).collect();
    let tasks: Vec<_> = (0..100).map(|n| pool.submit(square, n)).collect();
    for task in last {
        assert!(matches!(within(task).await, Err(TaskError::Died { .. } | TaskError::NoWorkers { .. })));
    }
    let mut none = 0;
    for (n, task) in tasks.into_iter().enumerate() {
        match within(task).await {
            Ok(square) => assert_eq!(square, (n * n) as u64),
            Err(TaskError::NoWorkers { cause, .. }) => {
                assert!(cause.contains("pool#"), "{cause}");
                none += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(none > 0);
    event(&mut place.events, |event| matches!(event, Event::PoolGaveUp { .. })).await;
    let report = within(pool.finish()).await;
    assert!(report.gave_up.is_some() && report.no_workers >= none, "{report}");
    assert!(matches!(within(pool.submit(square, 1)).await, Err(TaskError::Closed { .. })));
    place.end().await;
}

#[tokio::test]
async fn the_workers_of_a_pool_are_named_and_told() {
    let (mut place, pool) = Place::with_pool(3).await;
    for _ in 0..3 {
        event(&mut place.events, |event| matches!(event, Event::Started { .. })).await;
    }
    let workers = pool.workers().await;
    let names: Vec<_> = workers.iter().map(|worker| &worker.name[..]).collect();
    assert_eq!(names, ["pool#1", "pool#2", "pool#3"]);
    let pids: HashSet<_> = workers.iter().filter_map(|worker| worker.pid).collect();
    assert_eq!(pids.len(), 3);
    assert!(workers.iter().all(|worker| worker.state == WorkerState::Ready && worker.incarnation == 1));
    let dead = workers[1].pid.expect("it is ready");
    system::kill(dead);
    let wanted = |event: &Event| matches!(event, Event::Started { child, .. } if child == "pool#2");
    event(&mut place.events, wanted).await;
    let workers = pool.workers().await;
    assert_eq!((workers[1].incarnation, workers[1].pid == Some(dead)), (2, false));
    assert_eq!(end(place, pool).await.workers_lost, 1);
}
