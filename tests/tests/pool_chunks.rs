//! Tasks that travel to a worker together: what is promised of each task holds for them.

mod pools;
mod processes;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use procession::prelude::*;
use procession::{Chunk, StartError, TaskOptions, task, task_context};
use tempfile::TempDir;

use pools::{Fate, Place, end, meets, pid, square};
use processes::{Probe, ProbeApi, probe, system, within};

procession::test_workers!();

/// Leaves its number where it is found though its worker dies: in a file of the worker's own, by one write.
#[task]
fn leaves(folder: PathBuf, number: u64) -> u64 {
    let file = folder.join(std::process::id().to_string());
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).expect("a file");
    file.write_all(&number.to_le_bytes()).expect("a whole write");
    number
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum What {
    Returns,
    Panics,
    /// Runs until the file is there.
    Blocks,
    /// Runs until it is told that nobody wants it.
    Listens,
}

#[task]
fn does(what: What, file: PathBuf, number: u64) -> u64 {
    match what {
        What::Returns => {}
        What::Panics => panic!("number {number} panics"),
        What::Blocks => wait_for(|| file.exists()),
        What::Listens => {
            let context = task_context().expect("a worker runs this");
            fs::write(&file, "it runs").expect("a file");
            wait_for(|| context.is_cancelled());
        }
    }
    number
}

#[task]
fn echoes(bytes: Vec<u8>, times: usize) -> Vec<u8> {
    bytes.repeat(times)
}

#[task]
async fn awaits(number: u64) -> u64 {
    tokio::task::yield_now().await;
    number
}

/// Has the worker keep an address: with one in its arguments a task would travel alone.
#[task]
fn keeps(probe: Address<Probe>) -> Result<(), Failure> {
    procession::keep_state(probe);
    Ok(())
}

/// Sends a note, or ends its worker.
#[task]
async fn notes_or_dies(number: u64, dies: bool) {
    if dies {
        std::process::abort();
    }
    let probe = procession::with_state(|probe: &mut Address<Probe>| *probe).expect("it is kept");
    probe.note(number.to_string()).await.expect("a probe");
}

fn wait_for(there: impl Fn() -> bool) {
    while !there() {
        std::thread::yield_now();
    }
}

/// How often each number was left.
fn left(folder: &Path) -> HashMap<u64, usize> {
    let mut left = HashMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let bytes = fs::read(entry.expect("a file").path()).expect("bytes");
        for number in bytes.chunks(8) {
            *left.entry(u64::from_le_bytes(number.try_into().expect("whole numbers"))).or_default() += 1;
        }
    }
    left
}

async fn with_chunks(workers: usize, chunk: impl Into<Chunk>) -> (Place, TaskPool) {
    let place = Place::new().await;
    let pool = within(place.sup.task_pool("pool", PoolSpec::new(workers).chunk(chunk))).await.expect("a pool");
    (place, pool)
}

/// Submits tasks that then travel together.
fn together<R>(pool: &TaskPool, submit: impl FnOnce() -> R) -> R {
    pool.pause();
    let submitted = submit();
    pool.resume();
    submitted
}

#[tokio::test]
async fn results_are_in_order_whatever_the_chunk() {
    let many = 20_000 / system::SLOWER.min(10);
    for chunk in [Chunk::Auto, Chunk::Fixed(1), Chunk::Fixed(7), Chunk::Fixed(1000), Chunk::Fixed(usize::MAX)] {
        let (place, pool) = with_chunks(2, chunk).await;
        let squares = within(pool.map(square, 0..many)).await.expect("all are done");
        assert!(squares.iter().zip(0..).all(|(square, n)| *square == n * n) && squares.len() as u64 == many);
        assert_eq!(within(pool.map(awaits, 0..500)).await.expect("all are done"), (0..500).collect::<Vec<_>>());
        let insights = within(pool.insights()).await;
        assert_eq!(insights.workers.iter().map(|worker| worker.tasks).sum::<u64>(), many + 500, "{chunk:?}");
        let report = end(place, pool).await;
        assert_eq!((report.submitted, report.done), (many + 500, many + 500));
    }
}

#[tokio::test]
async fn a_chunk_of_nothing_is_refused_before_a_process_starts() {
    let place = Place::new().await;
    let refused = within(place.sup.task_pool("pool", PoolSpec::new(2).chunk(0))).await.expect_err("it makes no sense");
    let StartError::BadSpec(why) = refused else { panic!("{refused}") };
    assert!(why.contains("the pool pool") && why.contains("chunk of 0"), "{why}");
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_takes_one_task_with_it_at_most_and_every_task_runs_once() {
    const TASKS: u64 = 60_000;
    for chunk in [Chunk::Auto, Chunk::Fixed(100)] {
        let (place, pool) = with_chunks(3, chunk).await;
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().to_owned();
        let mut outcomes = pool.outcomes(leaves, (0..TASKS).map(|n| (path.clone(), n)));
        let mut ended = HashMap::new();
        // Held, so that nobody else gets the id of one.
        let mut killed = HashMap::new();
        let mut random = 11_u64;
        while let Some(completion) = within(outcomes.next()).await {
            if ended.len() % 300 == 299 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let workers = pool.workers().await.into_iter().filter_map(|worker| worker.pid);
                let alive: Vec<_> = workers.filter(|pid| !killed.contains_key(pid)).collect();
                if let Some(&pid) = alive.get((random >> 33) as usize % alive.len().max(1)) {
                    let process = system::living(pid);
                    process.kill();
                    killed.insert(pid, process);
                }
            }
            assert!(ended.insert(completion.index, completion.outcome).is_none(), "{} ended twice", completion.task);
        }
        assert_eq!(ended.len() as u64, TASKS);
        assert!(killed.len() > 50, "only {} were killed", killed.len());
        let left = left(&path);
        let mut died = 0;
        for (index, outcome) in &ended {
            let times = left.get(index).copied().unwrap_or(0);
            match outcome {
                Ok(value) => assert!(value == index && times == 1, "{index} ran {times} times"),
                Err(TaskError::Died { executed: Executed::Maybe, .. }) => {
                    died += 1;
                    assert!(times <= 1, "{index} ran {times} times");
                }
                Err(error) => panic!("{index}: {error}"),
            }
        }
        assert!(died <= killed.len(), "{died} tasks died with {} workers", killed.len());
        let report = end(place, pool).await;
        assert_eq!((report.done + report.lost, report.lost), (TASKS, died as u64));
    }
}

#[tokio::test]
async fn whatever_a_task_in_a_chunk_does_to_its_worker_the_others_have_their_results() {
    let (place, pool) = with_chunks(1, 9).await;
    for fate in [Fate::Exit(0), Fate::Exit(3), Fate::Abort, Fate::Fault, Fate::Killed] {
        let before = within(pool.submit(pid, ())).await.expect("a pid");
        let fates = (0..9).map(|n| if n == 4 { fate } else { Fate::Survive });
        let failed = within(pool.map(meets, fates)).await.expect_err("one dies");
        let failures: Vec<_> = failed.failures().collect();
        let [(4, TaskError::Died { exit, executed: Executed::Maybe, .. })] = &failures[..] else {
            panic!("{fate:?}: {failures:?}")
        };
        assert_eq!(exit.pid, before);
    }
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.done, report.workers_lost), (5, 45, 5));
}

#[tokio::test]
async fn a_panic_in_a_chunk_fails_its_task_and_leaves_the_worker_alive() {
    let (place, pool) = with_chunks(1, 20).await;
    let before = within(pool.submit(pid, ())).await;
    let what = |n| if n % 5 == 2 { What::Panics } else { What::Returns };
    let failed = within(pool.map(does, (0..20).map(|n| (what(n), PathBuf::new(), n)))).await.expect_err("some panic");
    for (n, outcome) in failed.outcomes.iter().enumerate() {
        match outcome {
            Ok(number) => assert!(*number == n as u64 && n % 5 != 2),
            Err(TaskError::Panicked(panic)) => assert_eq!(panic.message, format!("number {n} panics")),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(within(pool.submit(pid, ())).await, before);
    end(place, pool).await;
}

#[tokio::test]
async fn a_slow_task_in_a_chunk_holds_back_nobodys_result_and_nobodys_start() {
    let (place, pool) = with_chunks(2, 100).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("gate");
    let what = |n| if n == 30 { What::Blocks } else { What::Returns };
    let mut results = pool.map_unordered(does, (0..100).map(|n| (what(n), file.clone(), n)));
    let mut seen = Vec::new();
    while seen.len() < 99 {
        let (index, result) = within(results.next()).await.expect("there are more");
        assert_eq!(result, Ok(index as u64));
        seen.push(index);
    }
    assert!(!seen.contains(&30));
    fs::write(&file, "open").expect("a file");
    assert_eq!(within(results.next()).await, Some((30, Ok(30))));
    assert_eq!(within(results.next()).await, None);
    drop(results);
    end(place, pool).await;
}

#[tokio::test]
async fn finished_results_are_there_while_the_only_worker_is_at_a_slow_task() {
    let (place, pool) = with_chunks(1, 50).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("gate");
    let what = |n| if n == 20 { What::Blocks } else { What::Returns };
    let tasks: Vec<_> = together(&pool, || (0..50).map(|n| pool.submit(does, (what(n), file.clone(), n))).collect());
    let mut tasks = tasks.into_iter();
    for (n, task) in tasks.by_ref().take(20).enumerate() {
        assert_eq!(within(task).await, Ok(n as u64));
    }
    fs::write(&file, "open").expect("a file");
    for (task, n) in tasks.zip(20..) {
        assert_eq!(within(task).await, Ok(n));
    }
    end(place, pool).await;
}

#[tokio::test]
async fn a_cancelled_task_that_waits_in_a_chunk_never_runs_and_the_others_do() {
    let (place, pool) = with_chunks(1, 10).await;
    let folder = TempDir::new().expect("a folder");
    let (file, left_in) = (folder.path().join("gate"), TempDir::new().expect("a folder"));
    for round in 0..20 {
        let (first, others) = together(&pool, || {
            let first = pool.submit(does, (What::Blocks, file.clone(), 0));
            let other = |n| pool.submit(leaves, (left_in.path().to_owned(), round * 10 + n));
            (first, (1..10).map(other).collect::<Vec<_>>())
        });
        others[4].cancel();
        fs::write(&file, "open").expect("a file");
        assert_eq!(within(first).await, Ok(0));
        for (task, n) in others.into_iter().zip(1..) {
            match within(task).await {
                Ok(number) => assert!(number == round * 10 + n && n != 5),
                Err(error) => assert!(matches!(error, TaskError::Cancelled { .. }) && n == 5, "{n}: {error}"),
            }
        }
        fs::remove_file(&file).expect("it is there");
    }
    let left = left(left_in.path());
    assert_eq!(left.len(), 160);
    assert!(left.iter().all(|(number, times)| number % 10 != 5 && *times == 1), "{left:?}");
    end(place, pool).await;
}

#[tokio::test]
async fn a_cancel_reaches_the_task_of_a_chunk_that_runs_and_no_other() {
    let (place, pool) = with_chunks(1, 10).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("it runs");
    let what = |n| if n == 3 { What::Listens } else { What::Returns };
    let tasks: Vec<_> = together(&pool, || (0..10).map(|n| pool.submit(does, (what(n), file.clone(), n))).collect());
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    tasks[3].cancel();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(within(task).await, Ok(n as u64), "it ends as it ends, told or not");
    }
    let report = end(place, pool).await;
    assert_eq!((report.done, report.workers_killed), (10, 0));
}

#[tokio::test]
async fn a_task_of_a_chunk_that_runs_for_too_long_is_killed_alone() {
    let place = Place::new().await;
    let limit = Duration::from_millis(400);
    let spec = PoolSpec::new(1).chunk(20).task_timeout(limit);
    let pool = within(place.sup.task_pool("pool", spec)).await.expect("a pool");
    let folder = TempDir::new().expect("a folder");
    let never = folder.path().join("never");
    let left_in = TempDir::new().expect("a folder");
    let (late, others) = together(&pool, || {
        let task = |n| pool.submit(leaves, (left_in.path().to_owned(), n));
        let before: Vec<_> = (0..8).map(task).collect();
        let late = pool.submit(does, (What::Blocks, never, 0));
        (late, before.into_iter().chain((8..16).map(task)).collect::<Vec<_>>())
    });
    match within(late).await {
        Err(TaskError::TimedOut { ran, .. }) => assert!(ran >= limit, "{ran:?}"),
        other => panic!("{other:?}"),
    }
    for (n, task) in others.into_iter().enumerate() {
        assert_eq!(within(task).await, Ok(n as u64));
    }
    let left = left(left_in.path());
    assert!(left.len() == 16 && left.values().all(|times| *times == 1), "{left:?}");
    let report = end(place, pool).await;
    assert_eq!((report.done, report.timed_out, report.workers_killed), (16, 1, 1));
}

#[tokio::test]
async fn an_aborted_task_of_a_chunk_takes_nobody_with_it() {
    let (place, pool) = with_chunks(1, 10).await;
    let folder = TempDir::new().expect("a folder");
    let never = folder.path().join("never");
    let what = |n| if n == 3 { What::Blocks } else { What::Returns };
    let tasks: Vec<_> = together(&pool, || (0..10).map(|n| pool.submit(does, (what(n), never.clone(), n))).collect());
    let mut tasks = tasks.into_iter();
    for (n, task) in tasks.by_ref().take(3).enumerate() {
        assert_eq!(within(task).await, Ok(n as u64));
    }
    let stuck = tasks.next().expect("the fourth");
    stuck.abort();
    assert!(matches!(within(stuck).await, Err(TaskError::Aborted { .. } | TaskError::Cancelled { .. })));
    for (task, n) in tasks.zip(4..) {
        assert_eq!(within(task).await, Ok(n));
    }
    end(place, pool).await;
}

#[tokio::test]
async fn an_idempotent_task_that_kills_its_worker_in_a_chunk_is_begun_again() {
    let (place, pool) = with_chunks(1, 10).await;
    let again = pool.with(TaskOptions::new().idempotent().retries(1)).expect("good options");
    let fates = (0..10).map(|n| if n == 5 { Fate::Killed } else { Fate::Survive });
    let failed = within(again.map(meets, fates)).await.expect_err("it kills two");
    let failures: Vec<_> = failed.failures().collect();
    assert!(matches!(failures[..], [(5, TaskError::Quarantined { attempts: 2, .. })]), "{failures:?}");
    let report = end(place, pool).await;
    assert_eq!((report.done, report.retried, report.workers_lost), (9, 1, 2));
}

#[tokio::test]
async fn large_arguments_and_results_go_through_chunks_as_they_do_alone() {
    let (place, pool) = with_chunks(2, 30).await;
    let sizes = [0, 1, 7, 8, 9, 100, 5_000, 60_000, 66_000, 100_000];
    let inputs: Vec<_> = (0..100).map(|n| (vec![n as u8; sizes[n % 10]], 1 + n % 3)).collect();
    let results = within(pool.map(echoes, inputs.clone())).await.expect("all are done");
    for ((bytes, times), result) in inputs.iter().zip(results) {
        assert!(bytes.repeat(*times) == result);
    }
    // One that no message could carry.
    let inputs = (0..30).map(|n| (vec![n; 1 << 12], if n == 11 { 1 << 13 } else { 1 }));
    let failed = within(pool.map(echoes, inputs)).await.expect_err("one is too large");
    let failures: Vec<_> = failed.failures().collect();
    assert!(matches!(failures[..], [(11, TaskError::Codec(_))]), "{failures:?}");
    end(place, pool).await;
}

#[tokio::test]
async fn a_pool_that_pauses_takes_back_what_waits_in_chunks() {
    let (place, pool) = with_chunks(1, 10).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("it runs");
    let what = |n| if n == 0 { What::Listens } else { What::Returns };
    let tasks: Vec<_> = together(&pool, || (0..10).map(|n| pool.submit(does, (what(n), file.clone(), n))).collect());
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    pool.pause();
    // What it has done about the pause is known by the next answer.
    within(pool.workers()).await;
    let outstanding = within(pool.workers()).await[0].outstanding;
    assert_eq!((outstanding, pool.queued()), (1, 9));
    tasks[0].cancel();
    let mut tasks = tasks.into_iter();
    assert_eq!(within(tasks.next().expect("the first")).await, Ok(0));
    pool.resume();
    for (task, n) in tasks.zip(1..) {
        assert_eq!(within(task).await, Ok(n));
    }
    end(place, pool).await;
}

#[tokio::test]
async fn workers_are_recycled_between_the_tasks_of_chunks_as_between_others() {
    let place = Place::new().await;
    let spec = PoolSpec::new(2).chunk(100).recycle_after(30).recycle_jitter(0.0);
    let pool = within(place.sup.task_pool("pool", spec)).await.expect("a pool");
    let pids = within(pool.map(pid, vec![(); 600])).await.expect("all are done");
    let mut ran = HashMap::new();
    pids.into_iter().for_each(|pid| *ran.entry(pid).or_insert(0) += 1);
    assert!(ran.values().all(|&ran| ran <= 30), "{ran:?}");
    assert_eq!(end(place, pool).await.done, 600);
}

#[tokio::test]
async fn what_a_task_of_a_chunk_has_sent_is_not_lost_when_the_next_one_ends_the_worker() {
    let place = Place::new().await;
    let probe = probe(&place.sup).await;
    let spec = PoolSpec::new(1).chunk(12).init(keeps, probe);
    let pool = within(place.sup.task_pool("pool", spec)).await.expect("a pool");
    for round in 0..20 {
        let numbers = (0..12).map(|n| (round * 12 + n, n == 11));
        let failed = within(pool.map(notes_or_dies, numbers)).await.expect_err("the last one dies");
        assert!(matches!(failed.failures().collect::<Vec<_>>()[..], [(11, TaskError::Died { .. })]));
        for n in 0..11 {
            within(probe.noted((round * 12 + n).to_string(), 1)).await.expect("it was sent");
        }
    }
    end(place, pool).await;
}
