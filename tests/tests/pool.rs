//! Task pools: functions that run in other processes, each to exactly one end.

mod pools;
mod processes;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use procession::prelude::*;
use procession::{CodecError, EncodeError, Event, ExitCause, Panic, TryMapError, task, task_context};
use tempfile::TempDir;

use pools::{Fate, Place, computes, end, meets, passes, pid, square};
use processes::system::{self, Death};
use processes::{ProbeApi, event, probe, within};

procession::test_workers!();

#[task]
fn refuses(n: u64, unwanted: u64) -> u64 {
    assert_ne!(n, unwanted, "{n} is not wanted");
    n
}

/// Leaves a line in a file: what was run is known though the worker dies.
#[task]
fn leaves_a_line(file: PathBuf, number: u64) -> u64 {
    append(&file, number);
    number
}

/// Computes until the file is there.
#[task]
fn blocks(file: PathBuf) {
    while !file.exists() {
        std::hint::spin_loop();
    }
}

#[task]
fn worker() -> Option<String> {
    task_context().map(|context| context.worker().to_owned())
}

#[task]
async fn sums(a: u8, b: u16, c: u32, d: Vec<u64>, e: Option<u64>) -> u64 {
    tokio::task::yield_now().await;
    u64::from(a) + u64::from(b) + u64::from(c) + d.iter().sum::<u64>() + e.unwrap_or(0)
}

#[task]
fn halves(n: u64) -> Result<u64, String> {
    if n.is_multiple_of(2) { Ok(n / 2) } else { Err(format!("{n} is odd")) }
}

#[task]
fn reverses(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

#[task]
fn makes(bytes: usize) -> Vec<u8> {
    vec![7; bytes]
}

/// Each process has a file of its own: where appending is to look for the end and then to write there, as in Wine, two that
/// append to one may write the same place.
fn append(file: &Path, number: u64) {
    let file = file.with_extension(std::process::id().to_string());
    let mut file = OpenOptions::new().append(true).create(true).open(file).expect("a file");
    file.write_all(format!("{number}\n").as_bytes()).expect("a line");
}

/// How often each number stands in the files of all processes.
fn lines(file: &Path) -> HashMap<u64, usize> {
    let mut lines = HashMap::new();
    for entry in fs::read_dir(file.parent().expect("a folder")).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.file_stem() != file.file_name() {
            continue;
        }
        for line in fs::read_to_string(path).expect("text").lines() {
            *lines.entry(line.parse().expect("a number")).or_default() += 1;
        }
    }
    lines
}

#[tokio::test]
async fn a_map_keeps_the_order_of_its_input() {
    let (place, pool) = Place::with_pool(2).await;
    let squares = within(pool.map(square, 0..10_000)).await.expect("all are done");
    assert_eq!(squares, (0..10_000).map(|n| n * n).collect::<Vec<_>>());
    assert_eq!(within(pool.map(square, [])).await.expect("nothing to do"), []);
    let report = end(place, pool).await;
    assert_eq!((report.submitted, report.done, report.workers_lost), (10_000, 10_000, 0));
    assert!(report.is_success());
}

#[tokio::test]
async fn results_are_there_as_soon_as_each_is_done() {
    let (place, pool) = Place::with_pool(2).await;
    let probe = probe(&place.sup).await;
    let mut results = pool.map_unordered(passes, [(probe, "late".to_owned()), (probe, "early".to_owned())]);
    within(probe.open("early".to_owned())).await.expect("a probe");
    assert_eq!(within(results.next()).await, Some((1, Ok(Ok("early".to_owned())))));
    within(probe.open("late".to_owned())).await.expect("a probe");
    assert_eq!(within(results.next()).await, Some((0, Ok(Ok("late".to_owned())))));
    assert_eq!(within(results.next()).await, None);
    end(place, pool).await;
}

#[tokio::test]
async fn an_outcome_tells_the_task_its_duration_and_its_worker() {
    let (place, pool) = Place::with_pool(1).await;
    let pid = within(pool.submit(pid, ())).await.expect("a pid");
    let mut outcomes = pool.outcomes(square, [3, 4]);
    for index in 0..2 {
        let completion = within(outcomes.next()).await.expect("a completion");
        assert_eq!((completion.index, &completion.name[..]), (index, "pool::pools::square"));
        assert_eq!(completion.outcome, Ok((index + 3) * (index + 3)));
        let worker = completion.worker.expect("one ran it");
        assert_eq!((&worker.name[..], worker.pid), ("pool#1", pid));
        assert!(completion.duration < processes::PATIENCE);
    }
    end(place, pool).await;
}

#[tokio::test]
async fn a_task_that_panics_fails_alone_and_its_worker_lives() {
    let (place, pool) = Place::with_pool(1).await;
    let before = within(pool.submit(pid, ())).await;
    let failed = within(pool.map(refuses, (0..9).map(|n| (n, 4)))).await.expect_err("one panics");
    let failures: Vec<_> = failed.failures().collect();
    let [(4, TaskError::Panicked(Panic { message, at }))] = &failures[..] else { panic!("{failures:?}") };
    assert!(message.contains("4 is not wanted"), "{message}");
    assert_eq!(at, "pool::refuses");
    assert_eq!(failed.outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).count(), 8);
    assert_eq!(within(pool.submit(pid, ())).await, before);
    let report = end(place, pool).await;
    assert_eq!((report.failed, report.workers_lost), (1, 0));
}

#[tokio::test]
async fn a_worker_that_dies_fails_the_task_it_ran_only_and_is_replaced() {
    let (place, pool) = Place::with_pool(1).await;
    let dead = |cause: &ExitCause, fate| match fate {
        Fate::Exit(code) => *cause == ExitCause::Code(code),
        Fate::Abort => system::is_death_by(Death::Abort, cause),
        Fate::Fault => system::is_death_by(Death::Fault, cause),
        Fate::Killed => system::is_death_by(Death::Kill, cause),
        Fate::Survive => false,
    };
    for fate in [Fate::Exit(0), Fate::Exit(3), Fate::Abort, Fate::Fault, Fate::Killed] {
        let before = within(pool.submit(pid, ())).await.expect("a pid");
        // Nobody else gets its id.
        let held = system::living(before);
        let fates = [Fate::Survive, Fate::Survive, fate, Fate::Survive, Fate::Survive];
        let failed = within(pool.map(meets, fates)).await.expect_err("one dies");
        let failures: Vec<_> = failed.failures().collect();
        let [(2, TaskError::Died { task, exit, executed: Executed::Maybe })] = &failures[..] else {
            panic!("{failures:?}")
        };
        assert_eq!((&task[..], exit.pid), ("pool::pools::meets", before));
        assert!(dead(&exit.cause, fate), "{fate:?}: {exit}");
        if let Fate::Exit(code) = fate {
            assert_eq!(exit.stderr, format!("leaving with {code}"));
            let said = failures[0].1.to_string();
            assert!(said.contains(&before.to_string()) && said.contains("leaving with"), "{said}");
        }
        assert_ne!(within(pool.submit(pid, ())).await, Ok(held.pid));
    }
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.workers_lost, report.done), (5, 5, 30));
}

#[tokio::test]
async fn tasks_that_wait_in_a_worker_when_it_dies_are_run_elsewhere_exactly_once() {
    let (place, pool) = Place::with_pool(1).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("lines");
    // Quick ones first, so that many wait in the worker when it dies.
    within(pool.map(square, 0..2000)).await.expect("all are done");
    for round in 0..10 {
        let before: Vec<_> = (0..20).map(|n| pool.submit(leaves_a_line, (file.clone(), round * 100 + n))).collect();
        let dies = pool.submit(meets, Fate::Killed);
        let after: Vec<_> = (20..90).map(|n| pool.submit(leaves_a_line, (file.clone(), round * 100 + n))).collect();
        assert!(matches!(within(dies).await, Err(TaskError::Died { .. })));
        for (n, task) in before.into_iter().chain(after).enumerate() {
            assert_eq!(within(task).await, Ok(round * 100 + n as u64));
        }
    }
    let lines = lines(&file);
    assert_eq!(lines.len(), 900);
    assert!(lines.values().all(|&times| times == 1), "{lines:?}");
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.workers_lost), (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_ends_exactly_once_however_many_workers_are_killed() {
    const TASKS: u64 = 20_000;
    let (place, pool) = Place::with_pool(4).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("lines");
    let mut outcomes = pool.outcomes(leaves_a_line, (0..TASKS).map(|n| (file.clone(), n)));
    let mut ended = HashMap::new();
    // Held, so that nobody else gets the id of one.
    let mut killed = HashMap::new();
    let mut random = 7_u64;
    while let Some(completion) = within(outcomes.next()).await {
        if ended.len() % 60 == 59 {
            let workers: Vec<_> = pool.workers().await.into_iter().filter_map(|worker| worker.pid).collect();
            let alive: Vec<_> = workers.into_iter().filter(|pid| !killed.contains_key(pid)).collect();
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if let Some(&pid) = alive.get((random >> 33) as usize % alive.len().max(1)) {
                let process = system::living(pid);
                process.kill();
                killed.insert(pid, process);
            }
        }
        assert!(ended.insert(completion.index, completion.outcome).is_none(), "{} ended twice", completion.task);
    }
    assert_eq!(ended.len() as u64, TASKS);
    assert!(killed.len() >= 200, "only {} were killed", killed.len());
    let lines = lines(&file);
    let mut lost = 0;
    for (index, outcome) in &ended {
        let times = lines.get(index).copied().unwrap_or(0);
        match outcome {
            Ok(number) => assert_eq!((number, times), (index, 1)),
            Err(TaskError::Died { exit, executed: Executed::Maybe, .. }) => {
                assert!(times <= 1, "task {index} ran {times} times");
                assert!(killed.contains_key(&exit.pid), "{exit}");
                lost += 1;
            }
            Err(error) => panic!("task {index}: {error}"),
        }
    }
    assert!(lost <= killed.len(), "{lost} tasks were lost to {} deaths", killed.len());
    let report = end(place, pool).await;
    assert_eq!((report.done, report.lost), (TASKS - lost as u64, lost as u64));
}

#[tokio::test]
async fn what_is_no_task_is_refused_before_anything_starts() {
    fn plain(n: u64) -> u64 {
        n
    }
    let (place, pool) = Place::with_pool(1).await;
    let closure = |n: u64| n + 1;
    let pointer: fn(u64) -> u64 = square;
    let failed = within(pool.map(plain, 0..3)).await.expect_err("no task");
    let Some(TaskError::NotATask { name }) = &failed.refused else { panic!("{failed}") };
    assert!(name.ends_with("plain"), "{name}");
    assert!(failed.outcomes.is_empty() && failed.to_string().contains("#[procession::task]"), "{failed}");
    assert!(matches!(within(pool.submit(closure, 1)).await, Err(TaskError::NotATask { .. })));
    assert!(matches!(within(pool.submit(pointer, 1)).await, Err(TaskError::NotATask { .. })));
    assert_eq!(within(pool.map_unordered(closure, 0..).next()).await, None);
    assert_eq!(end(place, pool).await.submitted, 0);
}

#[tokio::test]
async fn async_tasks_and_several_arguments_are_tasks_like_others() {
    let (place, pool) = Place::with_pool(1).await;
    assert_eq!(within(pool.submit(sums, (1, 2, 3, vec![4, 5], Some(6)))).await, Ok(21));
    let all = within(pool.map(sums, (0..5).map(|n| (n, 0, 0, vec![], None)))).await.expect("all are done");
    assert_eq!(all, [0, 1, 2, 3, 4]);
    assert_eq!(sums(1, 2, 3, vec![4], None).await, 10, "here it is a function like any other");
    end(place, pool).await;
}

#[tokio::test]
async fn an_error_that_a_function_returns_is_a_value() {
    let (place, pool) = Place::with_pool(1).await;
    let halved = within(pool.map(halves, 0..3)).await.expect("all have a value");
    assert_eq!(halved, [Ok(0), Err("1 is odd".to_owned()), Ok(1)]);
    assert_eq!(end(place, pool).await.failed, 1, "the report counts it as a failure");
}

#[tokio::test]
async fn a_try_map_gives_plain_values_or_stops_at_the_first_failure() {
    let (place, pool) = Place::with_pool(2).await;
    assert_eq!(within(pool.try_map(halves, [0, 2, 4])).await, Ok(vec![0, 1, 2]));
    // Endless: it must not wait for the rest.
    let stopped = within(pool.try_map(halves, (0..).map(|n| if n == 40 { 41 } else { 2 * n }))).await;
    assert_eq!(stopped, Err(TryMapError::Task { index: 40, error: "41 is odd".to_owned() }));
    let report = end(place, pool).await;
    assert_eq!(report.submitted, report.done + report.failed + report.cancelled, "{report}");
}

#[tokio::test]
async fn an_endless_input_is_pulled_as_it_is_needed_and_given_up_with_the_stream() {
    let (place, pool) = Place::with_pool(2).await;
    let pulled = std::rc::Rc::new(std::cell::Cell::new(0_u64));
    let counted = pulled.clone();
    let input = std::iter::from_fn(move || {
        counted.set(counted.get() + 1);
        Some(counted.get())
    });
    let mut results = pool.map_unordered(square, input).in_flight(10);
    for taken in 1..=1000 {
        let (index, result) = within(results.next()).await.expect("it is endless");
        assert_eq!(result, Ok((index as u64 + 1).pow(2)));
        assert!(pulled.get() <= taken + 10, "{} pulled after {taken} were taken", pulled.get());
    }
    drop(results);
    assert_eq!(within(pool.submit(square, 5)).await, Ok(25), "the pool is free again");
    let report = end(place, pool).await;
    assert!(report.submitted <= 1011 && report.done + report.cancelled == report.submitted, "{report}");
}

#[tokio::test]
async fn tasks_that_wait_behind_a_long_one_are_run_by_another_worker() {
    let (place, pool) = Place::with_pool(2).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("go");
    for _ in 0..5 {
        // Short ones first, so that each worker is given many at once.
        within(pool.map(square, 0..5000)).await.expect("all are done");
        let long = pool.submit(blocks, file.clone());
        let rest: Vec<_> = (0..300).map(|n| pool.submit(square, n)).collect();
        for (n, task) in rest.into_iter().enumerate() {
            assert_eq!(within(task).await, Ok((n * n) as u64));
        }
        fs::write(&file, "").expect("a file");
        assert_eq!(within(long).await, Ok(()));
        fs::remove_file(&file).expect("a file");
    }
    assert_eq!(end(place, pool).await.done, 5 * 5301);
}

#[tokio::test]
async fn a_queued_task_can_be_taken_back_and_a_running_one_is_told() {
    let (place, pool) = Place::with_pool(1).await;
    let probe = probe(&place.sup).await;
    let running = pool.submit(computes, probe);
    within(probe.noted("computing".to_owned(), 1)).await.expect("it runs");
    let queued: Vec<_> = (0..100).map(|n| pool.submit(square, n)).collect();
    for task in &queued[50..] {
        task.cancel();
    }
    running.cancel();
    assert_eq!(within(running).await, Ok(true), "it came to its end");
    for (n, task) in queued.into_iter().enumerate() {
        match within(task).await {
            Ok(square) => assert_eq!(square, (n * n) as u64),
            Err(error) => {
                assert!(matches!(error, TaskError::Cancelled { .. }) && n >= 50, "{n}: {error}");
            }
        }
    }
    assert_eq!(end(place, pool).await.cancelled, 50);
}

#[tokio::test]
async fn a_task_knows_its_worker_and_that_it_runs_in_one() {
    let (place, pool) = Place::with_pool(1).await;
    assert_eq!(worker(), None);
    assert_eq!(within(pool.submit(worker, ())).await, Ok(Some("pool#1".to_owned())));
    end(place, pool).await;
}

#[tokio::test]
async fn a_failure_that_nobody_awaits_is_an_event() {
    let (mut place, pool) = Place::with_pool(1).await;
    pool.submit(refuses, (1, 1)).detach();
    let told = event(&mut place.events, |event| matches!(event, Event::TaskFailed { .. })).await;
    let Event::TaskFailed { pool: name, task, id, error } = told else { unreachable!("it was asked for") };
    assert_eq!((&name[..], &task[..], id), ("pool", "pool::refuses", 0));
    assert!(error.contains("1 is not wanted"), "{error}");
    end(place, pool).await;
}

#[tokio::test]
async fn large_arguments_and_results_pass_and_those_beyond_a_frame_fail_alone() {
    let (place, pool) = Place::with_pool(2).await;
    for size in [1 << 20, 8 << 20] {
        let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let mut reversed = bytes.clone();
        reversed.reverse();
        assert!(within(pool.submit(reverses, bytes)).await == Ok(reversed), "{size} bytes");
    }
    let before = within(pool.map(square, 0..10)).await.expect("all are done");
    let failed = within(pool.map(reverses, [vec![1], vec![0; 17 << 20], vec![2]])).await.expect_err("one is too large");
    let [Ok(_), Err(TaskError::Codec(CodecError::Arguments { method, error })), Ok(_)] = &failed.outcomes[..] else {
        panic!("{failed}")
    };
    assert_eq!(method, "pool::reverses");
    assert!(matches!(error, EncodeError::TooLarge { .. }), "{error}");
    let failed = within(pool.map(makes, [1, 17 << 20, 2])).await.expect_err("one is too large");
    let [Ok(_), Err(TaskError::Codec(CodecError::Answer { method, .. })), Ok(_)] = &failed.outcomes[..] else {
        panic!("{failed}")
    };
    assert_eq!(method, "pool::makes");
    assert_eq!(within(pool.map(square, 0..10)).await.expect("all are done"), before);
    assert_eq!(end(place, pool).await.workers_lost, 0);
}
