//! Workers that end while much is on its way, and pools that are ended while their workers end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use procession::prelude::*;
use procession::{TaskError, task};
use serde::{Serialize, Serializer};
use tempfile::TempDir;

use super::fuse::{DEATHS, End, Fuse, Stage};
use super::pools::{Place, end, square};
use super::processes::{self, within};
use super::system;

/// Nearly as much as a frame may have: far more than any buffer between two processes.
const MUCH: usize = 15 << 20;

/// Much, and a note of the process that has written it to a frame, but not yet to its supervisor.
#[derive(Clone, Debug, serde::Deserialize)]
struct Noted {
    bytes: Bytes,
    note: PathBuf,
}

impl Serialize for Noted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = (&self.bytes, &self.note).serialize(serializer);
        if self.bytes.len() == MUCH {
            std::fs::write(&self.note, std::process::id().to_string()).expect("a note");
        }
        written
    }
}

#[task]
fn makes(note: PathBuf) -> Noted {
    Noted { bytes: vec![7; MUCH].into(), note }
}

/// Its runtime has one thread, so nothing is read while the test does not await.
#[tokio::test]
async fn a_worker_that_is_killed_half_way_through_a_large_result_takes_that_task_alone() {
    let (place, pool) = Place::with_pool(2).await;
    let folder = TempDir::new().expect("a folder");
    for round in 0..5 {
        let note = folder.path().join(round.to_string());
        let mut large = processes::begin(pool.submit(makes, note.clone()));
        let others: Vec<_> = (0..20).map(|n| pool.submit(square, n)).collect();
        // The task is on its way; until its result is being written nothing else is of interest.
        while !note.exists() {
            assert!(processes::poll_once(large.as_mut()).is_pending(), "it cannot have been read");
            tokio::task::yield_now().await;
        }
        let pid = loop {
            if let Ok(pid) = std::fs::read_to_string(&note).expect("a note").parse() {
                break pid;
            }
        };
        // Nobody reads; a part of it stands in the stream.
        std::thread::sleep(Duration::from_millis(5));
        system::kill(pid);
        match within(large).await {
            Err(TaskError::Died { exit, executed: Executed::Maybe, .. }) => assert_eq!(exit.pid, pid),
            other => panic!("{:?}", other.map(|noted| noted.bytes.len())),
        }
        for (n, task) in others.into_iter().enumerate() {
            assert_eq!(within(task).await, Ok((n * n) as u64));
        }
    }
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.workers_lost), (5, 5), "{report}");
}

#[task]
fn counts(bytes: Bytes) -> usize {
    bytes.len()
}

#[tokio::test]
async fn a_worker_that_is_killed_half_way_through_a_large_argument_loses_nothing_that_was_not_begun() {
    let (place, pool) = Place::with_pool(1).await;
    for _ in 0..5 {
        let pid = within(pool.submit(super::pools::pid, ())).await.expect("a pid");
        // It takes in what the stream holds, and no more.
        system::freeze(pid);
        let mut large = processes::begin(pool.submit(counts, Bytes::from(vec![7; MUCH])));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(10) {
            assert!(processes::poll_once(large.as_mut()).is_pending(), "nobody can have read it");
            tokio::task::yield_now().await;
        }
        system::kill(pid);
        assert_eq!(within(large).await, Ok(MUCH), "it was not begun: the next worker runs it");
    }
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.workers_lost, report.done), (0, 5, 10), "{report}");
}

#[task]
fn ends(fuse: Fuse) {
    fuse.burns(Stage::Run).expect("no error");
}

/// How a pool is ended.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Finish,
    Drain,
    Kill,
    Drop,
    Shutdown,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_ended_while_its_workers_crash_ends_and_each_task_with_it() {
    for (round, ending) in [Ending::Finish, Ending::Drain, Ending::Kill, Ending::Drop, Ending::Shutdown]
        .into_iter()
        .flat_map(|ending| std::iter::repeat_n(ending, 4))
        .enumerate()
    {
        let (place, pool) = Place::with_pool(3).await;
        let fate = |n: usize| if n.is_multiple_of(4) { DEATHS[(n / 4 + round) % DEATHS.len()] } else { End::Error };
        let tasks: Vec<_> = (0..24)
            .map(|n| {
                let at = if fate(n) == End::Error { Stage::Never } else { Stage::Run };
                pool.submit(ends, Fuse::new(at, fate(n)))
            })
            .collect();
        // Each time at another moment.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        match ending {
            Ending::Finish => drop(within(pool.finish()).await),
            Ending::Drain => drop(within(pool.drain(Duration::from_secs(5))).await),
            Ending::Kill => drop(within(pool.kill()).await),
            Ending::Drop => drop(pool),
            Ending::Shutdown => within(place.sup.shutdown()).await.expect("an orderly end"),
        }
        for (n, task) in tasks.into_iter().enumerate() {
            let outcome = within(task).await;
            let told = match &outcome {
                Ok(()) => fate(n) == End::Error,
                Err(TaskError::Died { exit, .. }) => fate(n).is_told_by(&exit.cause),
                Err(TaskError::Cancelled { .. } | TaskError::Killed { .. }) => !matches!(ending, Ending::Finish),
                Err(_) => false,
            };
            assert!(told, "{ending:?} of round {round}, task {n}: {outcome:?}");
        }
        place.end().await;
    }
}
