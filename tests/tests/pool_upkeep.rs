//! Workers of a pool that are begun, replaced, put to rest and ended: none of it is a failure of theirs.

mod pools;
mod processes;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use procession::prelude::*;
use procession::{Event, Events, Failure, PoolSpec, StartError, WorkerState, keep_state, take_state, task, with_state};
use tempfile::TempDir;

use pools::{Fate, Place, end, meets, passes, pid, square};
use processes::{Probe, ProbeApi, event, probe, system, within};

procession::test_workers!();

async fn with(spec: PoolSpec) -> (Place, TaskPool) {
    let place = Place::new().await;
    let pool = within(place.sup.task_pool("pool", spec)).await.expect("a pool");
    (place, pool)
}

/// What was told up to now.
async fn told(events: &mut Events) -> Vec<Event> {
    let mut told = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        told.push(event.expect("no event is missed"));
    }
    told
}

#[tokio::test]
async fn one_worker_that_is_recycled_after_two_tasks_makes_five_pids_and_ten_results() {
    let (mut place, pool) = with(PoolSpec::new(1).recycle_after(2)).await;
    let pids = within(pool.map(pid, std::iter::repeat_n((), 10))).await.expect("ten results");
    assert_eq!(pids.len(), 10);
    assert_eq!(pids.iter().collect::<HashSet<_>>().len(), 5, "{pids:?}");
    assert!(pids.chunks(2).all(|pair| pair[0] == pair[1]), "{pids:?}");
    let report = within(pool.finish()).await;
    assert_eq!((report.done, report.workers_lost, report.start_failures), (10, 0, 0));
    assert!((4..=5).contains(&report.recycled), "{report}");
    let told = told(&mut place.events).await;
    let recycled = told.iter().filter(|event| matches!(event, Event::Recycled { .. })).count() as u64;
    assert!((4..=5).contains(&recycled), "{told:?}");
    for event in told {
        match event {
            Event::Recycled { child, why } => assert!(child == "pool#1" && why == "it has run 2 tasks", "{why}"),
            Event::Exited { exit, .. } => assert!(exit.is_orderly(), "{exit}"),
            Event::Started { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    place.end().await;
}

#[tokio::test]
async fn an_old_worker_is_recycled_after_the_task_that_it_runs() {
    let (mut place, pool) = with(PoolSpec::new(1).recycle_age(Duration::from_millis(50))).await;
    let probe = probe(&place.sup).await;
    let before = within(pool.submit(pid, ())).await.expect("a pid");
    let running = pool.submit(passes, (probe, "gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("it runs");
    event(&mut place.events, |event| matches!(event, Event::Recycled { .. })).await;
    within(probe.open("gate".to_owned())).await.expect("a probe");
    assert_eq!(within(running).await, Ok(Ok("gate".to_owned())), "it is finished first");
    assert_ne!(within(pool.submit(pid, ())).await, Ok(before));
    assert_eq!(end(place, pool).await.workers_lost, 0);
}

/// Keeps so many bytes for ever.
#[task]
fn leaks(bytes: usize) -> u32 {
    std::mem::forget(vec![1_u8; bytes]);
    std::process::id()
}

#[tokio::test]
async fn a_worker_that_has_grown_is_recycled_and_one_that_has_not_stays() {
    let (mut place, pool) = with(PoolSpec::new(1).recycle_memory(256 << 20)).await;
    let first = within(pool.submit(leaks, 1 << 10)).await.expect("a pid");
    assert_eq!(within(pool.submit(leaks, 1 << 10)).await, Ok(first));
    assert_eq!(within(pool.submit(leaks, 300 << 20)).await, Ok(first));
    let told = event(&mut place.events, |event| matches!(event, Event::Recycled { .. })).await;
    assert!(matches!(&told, Event::Recycled { why, .. } if why.contains("bytes of memory")), "{told:?}");
    assert_ne!(within(pool.submit(pid, ())).await, Ok(first));
    let report = end(place, pool).await;
    assert_eq!((report.recycled, report.workers_lost), (1, 0));
}

struct Greeting(String);

#[task]
fn prepares(greeting: String) -> Result<(), Failure> {
    keep_state(Greeting(greeting));
    Ok(())
}

#[task]
fn greets(name: String) -> Option<String> {
    with_state(|Greeting(greeting)| format!("{greeting}, {name}"))
}

/// Leaves what is kept in a file of its own.
#[task]
async fn leaves(folder: PathBuf) -> Result<(), Failure> {
    let Greeting(greeting) = take_state().ok_or_else(|| Failure::new("nothing is kept"))?;
    fs::write(folder.join(std::process::id().to_string()), greeting)?;
    Ok(())
}

/// Notes that it is there, and fails where the file is.
#[task]
async fn fails_where(file: PathBuf, probe: Address<Probe>) -> Result<(), Failure> {
    probe.note("init".to_owned()).await?;
    if file.exists() { Err(Failure::new("the file is there")) } else { Ok(()) }
}

#[task]
fn panics() -> Result<(), Failure> {
    panic!("on purpose")
}

#[task]
async fn never_ends() -> Result<(), Failure> {
    std::future::pending().await
}

#[tokio::test]
async fn each_worker_is_prepared_before_its_tasks_and_ends_with_its_exit_hook() {
    let folder = TempDir::new().expect("a folder");
    let spec =
        PoolSpec::new(2).init(prepares, "hello".to_owned()).exit(leaves, folder.path().to_owned()).recycle_after(5);
    let (place, pool) = with(spec).await;
    let greetings = within(pool.map(greets, (0..40).map(|n| n.to_string()))).await.expect("all are done");
    for (n, greeting) in greetings.into_iter().enumerate() {
        assert_eq!(greeting, Some(format!("hello, {n}")));
    }
    let report = end(place, pool).await;
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.len() as u64 >= report.recycled.max(8) && report.recycled >= 6, "{} after {report}", left.len());
    for file in left {
        assert_eq!(fs::read_to_string(file.expect("a file").path()).expect("a text"), "hello");
    }
}

#[tokio::test]
async fn a_pool_whose_init_hook_fails_does_not_start_and_says_why() {
    let place = Place::new().await;
    let failed = within(place.sup.task_pool("pool", PoolSpec::new(2).init(panics, ()))).await.expect_err("it fails");
    let said = failed.to_string();
    assert!(said.contains("pool#") && said.contains("the init hook failed") && said.contains("on purpose"), "{said}");
    let endless = PoolSpec::new(1).init(never_ends, ()).init_timeout(Duration::from_millis(200));
    let failed = within(place.sup.task_pool("pool", endless)).await.expect_err("it takes too long");
    assert!(matches!(failed, StartError::TimedOut { .. }), "{failed}");
    let closure = |_: u8| Ok(());
    let failed = within(place.sup.task_pool("pool", PoolSpec::new(1).init(closure, 1))).await.expect_err("no task");
    assert!(matches!(&failed, StartError::BadSpec(why) if why.contains("#[procession::task]")), "{failed}");
    place.end().await;
}

#[tokio::test]
async fn a_pool_whose_init_hook_fails_later_ends_in_bounded_time_with_every_task_told_why() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("file");
    let mut place = Place::new().await;
    let probe = probe(&place.sup).await;
    let spec = PoolSpec::new(2).init(fails_where, (file.clone(), probe));
    let pool = within(place.sup.task_pool("pool", spec)).await.expect("a pool");
    within(probe.noted("init".to_owned(), 2)).await.expect("both begin");
    within(pool.map(square, 0..10)).await.expect("all are done");
    fs::write(&file, "").expect("a file");
    let last: Vec<_> = (0..2).map(|_| pool.submit(meets, Fate::Exit(0))).collect();
    let tasks: Vec<_> = (0..50).map(|n| pool.submit(square, n)).collect();
    for task in last {
        assert!(matches!(within(task).await, Err(TaskError::Died { .. } | TaskError::NoWorkers { .. })));
    }
    let mut told = 0;
    for task in tasks {
        if let Err(error) = within(task).await {
            assert!(
                matches!(&error, TaskError::NoWorkers { cause, .. } if cause.contains("the file is there")),
                "{error}"
            );
            told += 1;
        }
    }
    assert!(told > 0);
    event(&mut place.events, |event| matches!(event, Event::PoolGaveUp { .. })).await;
    within(pool.finish()).await;
    place.end().await;
}

/// Notes that its worker starts, and waits at a gate of its own.
#[task]
async fn starts_when_it_may(probe: Address<Probe>) -> Result<(), Failure> {
    probe.note("starting".to_owned()).await?;
    probe.pass("start".to_owned()).no_timeout().await?;
    probe.note("started".to_owned()).await?;
    Ok(())
}

#[tokio::test]
async fn as_many_workers_are_started_at_once_as_may_be() {
    for (at_once, spec) in [(2, PoolSpec::new(5).starts_at_once(2)), (5, PoolSpec::new(5))] {
        let place = Place::new().await;
        let probe = probe(&place.sup).await;
        let (sup, spec) = (place.sup.clone(), spec.init(starts_when_it_may, probe));
        let mut starting = processes::begin(async move { sup.task_pool("pool", spec).await });
        within(async {
            tokio::select! {
                _ = &mut starting => panic!("nobody may be ready"),
                noted = probe.noted("starting".to_owned(), at_once) => noted.expect("a probe"),
            }
        })
        .await;
        within(probe.open("start".to_owned())).await.expect("a probe");
        let pool = within(starting).await.expect("a pool");
        within(probe.noted("started".to_owned(), 5)).await.expect("all are started");
        let mut running = 0_usize;
        for note in within(probe.notes()).await.expect("notes") {
            match &note[..] {
                "starting" => running += 1,
                "started" => running -= 1,
                _ => {}
            }
            assert!(running <= at_once, "{running} at once");
        }
        end(place, pool).await;
    }
}

#[tokio::test]
async fn an_exit_hook_that_fails_is_an_event() {
    let folder = TempDir::new().expect("a folder");
    let (mut place, pool) = with(PoolSpec::new(1).exit(leaves, folder.path().to_owned())).await;
    assert_eq!(within(pool.submit(square, 3)).await, Ok(9));
    within(pool.finish()).await;
    let told = event(&mut place.events, |event| matches!(event, Event::CastFailed { .. })).await;
    let Event::CastFailed { actor, method, error } = told else { unreachable!("it was asked for") };
    assert_eq!((&actor[..], &method[..], &error[..]), ("pool#1", "the exit hook", "nothing is kept"));
    place.end().await;
}

#[tokio::test]
async fn workers_without_work_end_and_come_back_when_there_is_some() {
    let (place, pool) = with(PoolSpec::new(3).idle_timeout(Duration::from_millis(50), 1)).await;
    let probe = probe(&place.sup).await;
    let at_rest = || async {
        loop {
            let workers = pool.workers().await;
            if workers.iter().filter(|worker| worker.state == WorkerState::Resting).count() == 2 {
                return workers.into_iter().filter_map(|worker| worker.pid).collect::<Vec<_>>();
            }
            tokio::task::yield_now().await;
        }
    };
    let awake = within(at_rest()).await;
    assert_eq!(awake.len(), 1);
    let running: Vec<_> = (0..3).map(|_| pool.submit(passes, (probe, "gate".to_owned()))).collect();
    within(probe.noted("at gate".to_owned(), 3)).await.expect("all three are there");
    within(probe.open("gate".to_owned())).await.expect("a probe");
    for task in running {
        assert_eq!(within(task).await, Ok(Ok("gate".to_owned())));
    }
    within(at_rest()).await;
    let report = end(place, pool).await;
    assert_eq!((report.done, report.workers_lost, report.recycled), (3, 0, 0));
}

#[tokio::test]
async fn a_spare_runs_the_next_task_before_the_dead_worker_is_back() {
    let (mut place, pool) = with(PoolSpec::new(1).spares(1)).await;
    for _ in 0..2 {
        event(&mut place.events, |event| matches!(event, Event::Started { .. })).await;
    }
    let before: Vec<_> = pool.workers().await.into_iter().filter_map(|worker| worker.pid).collect();
    let active = within(pool.submit(pid, ())).await.expect("a pid");
    assert!(before.contains(&active));
    system::kill(active);
    event(&mut place.events, |event| matches!(event, Event::Exited { .. })).await;
    let next = within(pool.submit(pid, ())).await.expect("a pid");
    assert!(before.contains(&next) && next != active, "{next} of {before:?}");
    end(place, pool).await;
}
