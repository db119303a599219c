//! What tasks of a pool may take: time, cancels, another try.

mod pools;
mod processes;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{BadOptions, Event, Limit, Limits, PoolSpec, StartError, TaskOptions, task, task_context};
use tempfile::TempDir;

use pools::{Fate, Place, computes, end, meets, passes, pid, square};
use processes::{Probe, ProbeApi, event, probe, system, within};

procession::test_workers!();

const SHORT: Duration = Duration::from_millis(100);

/// Says that it is there, and never ends.
#[task]
async fn hangs(probe: Address<Probe>) {
    probe.note("hanging".to_owned()).await.expect("a probe");
    // Not on this thread, or the note would not get out.
    let _ = tokio::task::spawn_blocking(spins_for_ever).await;
}

#[task]
fn spins_for_ever() {
    loop {
        std::hint::spin_loop();
    }
}

#[task]
fn spins(time: Duration) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    true
}

/// Whether it was overdue at its begin, and whether there was time left; then, the same once it was told.
#[task]
async fn hears_of_its_soft_timeout() -> (bool, bool, bool, bool) {
    let context = task_context().expect("a worker runs this");
    let left = |time: Option<Duration>| time.is_some_and(|time| !time.is_zero());
    let before = (context.is_overdue(), left(context.time_left()));
    context.overdue().await;
    (before.0, before.1, context.is_overdue(), left(context.time_left()))
}

/// Ends its process, but for the third time: each run leaves a file.
#[task(idempotent)]
fn dies_twice(folder: PathBuf) -> usize {
    dies(&folder, 2)
}

#[task(idempotent)]
fn dies_once(folder: PathBuf) -> usize {
    dies(&folder, 1)
}

#[task]
fn dies_once_and_may_not(folder: PathBuf) -> usize {
    dies(&folder, 1)
}

fn dies(folder: &PathBuf, times: usize) -> usize {
    let runs = fs::read_dir(folder).expect("a folder").count();
    fs::write(folder.join(runs.to_string()), "").expect("a file");
    if runs < times {
        std::process::abort();
    }
    runs
}

#[task]
fn allocates(bytes: usize) -> usize {
    let zeros = vec![1_u8; bytes];
    zeros.iter().map(|&byte| usize::from(byte)).sum()
}

async fn with(spec: PoolSpec) -> (Place, TaskPool) {
    let place = Place::new().await;
    let pool = within(place.sup.task_pool("pool", spec)).await.expect("a pool");
    (place, pool)
}

#[tokio::test]
async fn a_spec_that_makes_no_sense_is_refused_before_any_process_starts() {
    let mut place = Place::new().await;
    let second = Duration::from_secs(1);
    for (spec, why) in [
        (PoolSpec::new(0), "would have no worker"),
        (PoolSpec::new(1).recycle_after(0), "recycled after 0"),
        (PoolSpec::new(1).recycle_age(Duration::ZERO), "recycled after 0"),
        (PoolSpec::new(1).recycle_memory(0), "recycled after 0"),
        (PoolSpec::new(1).recycle_after(9).recycle_jitter(1.5), "from 0 to 1"),
        (PoolSpec::new(1).recycle_after(9).recycle_jitter(f64::NAN), "from 0 to 1"),
        (PoolSpec::new(1).task_timeout(Duration::ZERO), "timeout of 0"),
        (PoolSpec::new(1).soft_timeout(Duration::ZERO), "timeout of 0"),
        (PoolSpec::new(1).soft_timeout(second).task_timeout(second), "must be the shorter one"),
        (PoolSpec::new(1).idle_timeout(Duration::ZERO, 1), "idle timeout of 0"),
        (PoolSpec::new(1).init_timeout(Duration::ZERO), "init timeout"),
        (PoolSpec::new(1).spares(usize::MAX), "spare workers"),
        (PoolSpec::new(1).starts_at_once(0), "0 at once"),
        (PoolSpec::new(1).limits(Limits::new().memory(1)), "limits of pool"),
    ] {
        let told = format!("{spec:?}");
        let Err(StartError::BadSpec(said)) = within(place.sup.task_pool("pool", spec)).await else {
            panic!("it started: {told}")
        };
        assert!(said.contains(why) && said.contains("pool"), "{said}");
    }
    let none = tokio::time::timeout(Duration::ZERO, place.events.next()).await;
    assert!(none.is_err(), "nothing has happened: {none:?}");
    place.end().await;
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let (place, pool) = Place::with_pool(1).await;
    let refused = |options| pool.with(options).map(drop);
    assert_eq!(refused(TaskOptions::new().timeout(Duration::ZERO)), Err(BadOptions::NoTime));
    let both = TaskOptions::new().soft_timeout(2 * SHORT).timeout(SHORT);
    assert_eq!(refused(both), Err(BadOptions::SoftAfterHard { soft: 2 * SHORT, timeout: SHORT }));
    end(place, pool).await;
}

#[tokio::test]
async fn a_task_over_its_timeout_ends_with_its_worker_and_touches_nobody_else() {
    let (mut place, pool) = Place::with_pool(2).await;
    let probe = probe(&place.sup).await;
    let sibling = pool.submit(passes, (probe, "gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("it runs");
    let limited = pool.with(TaskOptions::new().timeout(3 * SHORT)).expect("good options");
    let late = limited.submit(spins_for_ever, ());
    let behind: Vec<_> = (0..20).map(|n| pool.submit(square, n)).collect();
    let Err(TaskError::TimedOut { task, ran }) = within(late).await else { panic!("it ended otherwise") };
    assert!(task.ends_with("spins_for_ever") && ran >= 3 * SHORT, "{task} ran for {ran:?}");
    let told = event(&mut place.events, |event| matches!(event, Event::TaskKilled { .. })).await;
    let Event::TaskKilled { pool: name, late: true, ran, .. } = told else { panic!("{told:?}") };
    assert!(name == "pool" && ran >= 3 * SHORT, "{ran:?}");
    for (n, task) in behind.into_iter().enumerate() {
        assert_eq!(within(task).await, Ok((n * n) as u64));
    }
    within(probe.open("gate".to_owned())).await.expect("a probe");
    assert_eq!(within(sibling).await, Ok(Ok("gate".to_owned())));
    let report = end(place, pool).await;
    assert_eq!((report.timed_out, report.workers_killed, report.workers_lost, report.done), (1, 1, 0, 21));
}

#[tokio::test]
async fn the_timeout_counts_from_the_start_of_execution() {
    let (place, pool) = with(PoolSpec::new(1).task_timeout(10 * SHORT)).await;
    // Each waits for all those before it, longer than it may run.
    let done = within(pool.map(spins, [2 * SHORT; 8])).await.expect("each was quick enough");
    assert_eq!(done, [true; 8]);
    assert_eq!(end(place, pool).await.workers_killed, 0);
}

#[tokio::test]
async fn times_without_end_are_taken_as_such() {
    let ever = Duration::MAX;
    let spec = PoolSpec::new(1).task_timeout(ever).cancel_grace(ever).idle_timeout(ever, 0).recycle_age(ever);
    let (place, pool) = with(spec).await;
    let probe = probe(&place.sup).await;
    assert_eq!(within(pool.submit(square, 3)).await, Ok(9));
    let told = pool.submit(computes, probe);
    within(probe.noted("computing".to_owned(), 1)).await.expect("it runs");
    told.cancel();
    assert_eq!(within(told).await, Ok(true));
    end(place, pool).await;
}

#[tokio::test]
async fn a_frozen_worker_is_killed_for_its_late_task_and_what_waits_in_it_is_run() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    within(pool.map(square, 0..5000)).await.expect("all are done");
    let frozen = within(pool.submit(pid, ())).await.expect("a pid");
    let limited = pool.with(TaskOptions::new().timeout(5 * SHORT)).expect("good options");
    let late = limited.submit(hangs, probe);
    within(probe.noted("hanging".to_owned(), 1)).await.expect("it runs");
    system::freeze(frozen);
    let behind: Vec<_> = (0..50).map(|n| pool.submit(square, n)).collect();
    assert!(matches!(within(late).await, Err(TaskError::TimedOut { .. })));
    for (n, task) in (0..).zip(behind) {
        assert_eq!(within(task).await, Ok(n * n));
    }
    assert_eq!(end(place, pool).await.workers_killed, 1);
}

#[tokio::test]
async fn a_soft_timeout_is_told_to_the_task_which_goes_on() {
    let (place, pool) = with(PoolSpec::new(1).soft_timeout(5 * SHORT)).await;
    assert_eq!(within(pool.submit(hears_of_its_soft_timeout, ())).await, Ok((false, true, true, false)));
    let report = end(place, pool).await;
    assert_eq!((report.done, report.workers_killed), (1, 0));
}

#[tokio::test]
async fn a_running_task_that_does_not_hear_its_cancel_is_killed_after_the_grace() {
    let (mut place, pool) = with(PoolSpec::new(1).cancel_grace(SHORT)).await;
    let probe = probe(&place.sup).await;
    let before = within(pool.submit(pid, ())).await.expect("a pid");
    let deaf = pool.submit(hangs, probe);
    within(probe.noted("hanging".to_owned(), 1)).await.expect("it runs");
    let behind: Vec<_> = (0..10).map(|n| pool.submit(square, n)).collect();
    deaf.cancel();
    assert!(matches!(within(deaf).await, Err(TaskError::Aborted { .. })));
    event(&mut place.events, |event| matches!(event, Event::TaskKilled { late: false, .. })).await;
    for (n, task) in behind.into_iter().enumerate() {
        assert_eq!(within(task).await, Ok((n * n) as u64));
    }
    assert_ne!(within(pool.submit(pid, ())).await, Ok(before));
    let report = end(place, pool).await;
    assert_eq!((report.aborted, report.workers_killed, report.workers_lost), (1, 1, 0));
}

#[tokio::test]
async fn a_task_that_hears_its_cancel_has_its_value_and_its_worker_lives() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let running = pool.submit(computes, probe);
    within(probe.noted("computing".to_owned(), 1)).await.expect("it runs");
    running.cancel();
    assert_eq!(within(running).await, Ok(true));
    assert_eq!(end(place, pool).await.workers_killed, 0);
}

#[tokio::test]
async fn an_abort_kills_what_runs_and_never_what_another_task_runs_in() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let innocent = pool.submit(passes, (probe, "gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("it runs");
    // In the worker behind it, or in the queue: neither is begun.
    let waiting: Vec<_> = (0..5).map(|_| pool.submit(hangs, probe)).collect();
    waiting.iter().for_each(procession::Submitted::abort);
    for task in waiting {
        assert!(matches!(within(task).await, Err(TaskError::Cancelled { .. })));
    }
    within(probe.open("gate".to_owned())).await.expect("a probe");
    assert_eq!(within(innocent).await, Ok(Ok("gate".to_owned())));
    let running = pool.submit(hangs, probe);
    within(probe.noted("hanging".to_owned(), 1)).await.expect("it runs");
    running.abort();
    assert!(matches!(within(running).await, Err(TaskError::Aborted { .. })));
    let report = end(place, pool).await;
    assert_eq!((report.cancelled, report.aborted, report.workers_killed), (5, 1, 1));
}

#[tokio::test]
async fn an_idempotent_task_is_begun_again_and_another_is_not() {
    let (place, pool) = Place::with_pool(1).await;
    let folder = || TempDir::new().expect("a folder");
    let (one, two, three, four, five) = (folder(), folder(), folder(), folder(), folder());
    assert_eq!(within(pool.submit(dies_once, one.path().to_owned())).await, Ok(1));
    let never = pool.with(TaskOptions::new().retries(0)).expect("good options");
    assert!(matches!(within(never.submit(dies_once, two.path().to_owned())).await, Err(TaskError::Died { .. })));
    let lost = within(pool.submit(dies_once_and_may_not, three.path().to_owned())).await;
    assert!(matches!(lost, Err(TaskError::Died { executed: Executed::Maybe, .. })), "{lost:?}");
    let allowed = pool.with(TaskOptions::new().idempotent()).expect("good options");
    assert_eq!(within(allowed.submit(dies_once_and_may_not, four.path().to_owned())).await, Ok(1));
    let often = pool.with(TaskOptions::new().retries(100)).expect("good options");
    let worst = within(often.submit(dies_twice, five.path().to_owned())).await;
    assert!(matches!(worst, Err(TaskError::Quarantined { attempts: 2, .. })), "{worst:?}");
    assert_eq!(fs::read_dir(five.path()).expect("a folder").count(), 2);
    let report = end(place, pool).await;
    assert_eq!((report.done, report.lost, report.retried, report.workers_lost), (2, 3, 3, 6));
}

#[tokio::test]
async fn the_workers_of_a_pool_are_held_to_its_limits() {
    let (place, pool) = with(PoolSpec::new(1).limits(Limits::new().memory(256 << 20))).await;
    assert_eq!(within(pool.submit(allocates, 1 << 20)).await, Ok(1 << 20));
    let is_enforced = !system::unenforced_limits().contains(&Limit::Memory);
    let beyond = within(pool.submit(allocates, 1 << 30)).await;
    assert!(
        if is_enforced { matches!(beyond, Err(TaskError::Died { .. })) } else { beyond == Ok(1 << 30) },
        "{beyond:?}"
    );
    assert_eq!(within(pool.submit(allocates, 1 << 20)).await, Ok(1 << 20), "the next one is held to it, and works");
    assert_eq!(end(place, pool).await.lost, u64::from(is_enforced));
}

#[tokio::test]
async fn a_task_that_dies_by_itself_before_its_timeout_is_a_death() {
    let (place, pool) = with(PoolSpec::new(1).task_timeout(processes::PATIENCE)).await;
    assert!(matches!(within(pool.submit(meets, Fate::Killed)).await, Err(TaskError::Died { .. })));
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.timed_out, report.workers_lost), (1, 0, 1));
}

/// An actor that takes its time.
#[derive(Actor, Default)]
struct Slow {
    calls: u32,
}

#[handlers]
impl Slow {
    #[call(timeout = "30s")]
    fn spins(&mut self, time: Duration) -> u32 {
        spins(time);
        self.calls += 1;
        self.calls
    }
}

#[tokio::test]
async fn a_handler_over_the_timeout_of_its_pool_ends_with_its_actor_which_is_built_anew() {
    let mut place = Place::new().await;
    let spec = PoolSpec::new(1).task_timeout(5 * SHORT);
    let fleet = within(place.sup.pool::<Slow>("fleet", spec, ())).await.expect("a fleet");
    assert_eq!(within(fleet.spins(Duration::ZERO)).await, Ok(1));
    let (late, behind) = (fleet.spins(1000 * SHORT), fleet.spins(Duration::ZERO));
    let (late, behind) = within(async { tokio::join!(late, behind) }).await;
    assert!(matches!(late, Err(CallError::TimedOut { executed: Executed::Maybe, .. })), "{late:?}");
    assert_eq!(behind, Ok(1), "it waited, and the next actor answers it");
    event(&mut place.events, |event| matches!(event, Event::TaskKilled { late: true, .. })).await;
    let report = within(fleet.ctl().finish()).await;
    assert_eq!((report.timed_out, report.workers_killed, report.done), (1, 1, 2));
    let hooks = PoolSpec::new(1).init(prepares_nothing, ());
    let refused = within(place.sup.pool::<Slow>("hooked", hooks, ())).await.map(drop);
    assert!(matches!(&refused, Err(StartError::BadSpec(why)) if why.contains("an init and a stop")), "{refused:?}");
    place.end().await;
}

#[task]
fn prepares_nothing() -> Result<(), procession::Failure> {
    Ok(())
}

#[tokio::test]
async fn however_many_tasks_are_killed_no_other_is_touched() {
    let (place, pool) = Place::with_pool(2).await;
    // Quick ones first, so that many wait in a worker behind each that is killed.
    within(pool.map(square, 0..5000)).await.expect("all are done");
    let limited = pool.with(TaskOptions::new().timeout(SHORT / 5)).expect("good options");
    let mut late = Vec::new();
    let mut quick = Vec::new();
    for n in 0..1000 {
        if n % 50 == 7 {
            late.push(limited.submit(spins_for_ever, ()));
        } else {
            quick.push((n, pool.submit(square, n)));
        }
    }
    for (n, task) in quick {
        assert_eq!(within(task).await, Ok(n * n), "task {n}");
    }
    for task in late {
        assert!(matches!(within(task).await, Err(TaskError::TimedOut { .. })));
    }
    let report = end(place, pool).await;
    assert_eq!((report.timed_out, report.workers_killed, report.workers_lost, report.lost), (20, 20, 0, 0));
    assert_eq!(report.done, 5000 + 980);
}
