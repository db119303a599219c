//! What a worker has finished before its death is heard, exactly, though nothing is written for each result.

mod processes;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Call, CallError, Executed, NoError};
use serde::{Deserialize, Serialize};

use processes::system;
use processes::{begin, end, poll_once, start, within};

procession::test_workers!();

/// How a worker dies in the middle of a handler.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Fate {
    /// It does not: somebody kills it from outside.
    Killed,
    Abort,
    Exit,
    Panic,
}

/// Says in a file which handler it has started, which outlives it.
#[derive(Actor)]
#[actor(restart = "temporary")]
struct Worker {
    started: File,
    fate: Fate,
    /// The handler that it meets its fate in.
    last: u64,
    /// How long its answers are.
    size: usize,
}

#[handlers]
impl Worker {
    #[init]
    fn new(path: PathBuf, fate: Fate, last: u64, size: usize) -> Result<Self, std::io::Error> {
        Ok(Self { started: File::create(path)?, fate, last, size })
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    fn finish(&mut self, number: u64) -> (u64, String) {
        // In one write, so that it is there or not.
        let told = self.started.seek(SeekFrom::Start(0)).and_then(|_| self.started.write_all(&number.to_le_bytes()));
        told.expect("the file takes it");
        if number == self.last {
            match self.fate {
                Fate::Killed => {}
                Fate::Abort => std::process::abort(),
                Fate::Exit => std::process::exit(3),
                Fate::Panic => panic!("as it should"),
            }
        }
        (number, "x".repeat(self.size * (number % 7) as usize))
    }

    #[call]
    fn compute_until(&self, path: PathBuf) {
        while !path.exists() {
            std::hint::spin_loop();
        }
    }
}

/// The number of the last handler that was started, from 1 on.
fn last_started(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("the worker has made it");
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

type Finished = Result<(u64, String), CallError<NoError>>;

/// Each handler that was started has ended before the next one was: so all but the last one's results are there.
#[track_caller]
fn assert_no_result_is_lost(results: &[Finished], started: u64, size: usize) {
    for (number, result) in (1..).zip(results) {
        match result {
            Ok((answered, text)) => {
                assert_eq!((*answered, text.len()), (number, size * (number % 7) as usize));
                assert!(number <= started, "{number} was answered and {started} was the last one that was started");
            }
            Err(CallError::Died { executed, .. }) => {
                assert!(number >= started, "the result of {number} is lost, and {started} was started after it");
                // The journal is written before the handler has control.
                assert!(number <= started + 1 || *executed == Executed::No, "{number} after {started}: {executed:?}");
            }
            // That of the handler itself.
            Err(CallError::Panicked(_)) => assert_eq!(number, started),
            // It had not even found room in the mailbox.
            Err(CallError::NotDelivered(_)) => assert!(number > started),
            Err(error) => panic!("{number}: {error}"),
        }
    }
}

/// A number that differs from run to run.
fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() % below
}

/// A call that was sent.
enum Asked {
    Waiting(Pin<Box<Call<(u64, String)>>>),
    /// The worker had ended before.
    Ended(Finished),
}

fn ask(worker: &Address<Worker>, number: u64) -> Asked {
    let mut call = Box::pin(worker.finish(number).no_timeout());
    match poll_once(call.as_mut()) {
        Poll::Pending => Asked::Waiting(call),
        Poll::Ready(result) => Asked::Ended(result),
    }
}

async fn die_once(sup: &Supervisor, path: &Path, fate: Fate, calls: u64, size: usize) {
    let last = 1 + random(calls);
    // A name of its own: who has panicked may not have ended yet.
    let name = path.file_name().expect("a name").to_string_lossy();
    let worker = within(sup.spawn::<Worker>(name, (path.to_owned(), fate, last, size))).await.expect("a worker");
    let pid = within(worker.pid()).await.expect("its pid");
    let calling: Vec<_> = (1..=calls).map(|number| ask(&worker, number)).collect();
    let killer = matches!(fate, Fate::Killed).then(|| {
        std::thread::spawn(move || {
            // At any point of its work, which is all it has to do with time.
            let until = Instant::now() + Duration::from_micros(random(5000));
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            system::kill(pid);
        })
    });
    let mut results = Vec::new();
    for asked in calling {
        results.push(match asked {
            Asked::Waiting(call) => within(call).await,
            Asked::Ended(result) => result,
        });
    }
    if let Some(killer) = killer {
        killer.join().expect("it kills");
        within(worker.ctl().monitor()).await;
    }
    assert_no_result_is_lost(&results, last_started(path), size);
}

#[tokio::test]
async fn a_worker_that_dies_anywhere_has_lost_no_result_of_a_handler_that_had_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let sup = start().await;
    for round in 0..40 {
        let fate = [Fate::Killed, Fate::Abort, Fate::Killed, Fate::Exit, Fate::Panic][round % 5];
        // Small ones, some that fill the outbox, and some that are written past it.
        let size = [0, 16, 3000, 40_000][round / 2 % 4];
        die_once(&sup, &folder.path().join(format!("{round}")), fate, if size > 100 { 100 } else { 2000 }, size).await;
    }
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_where_the_supervisor_reads_on_other_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let sup = start().await;
    for round in 0..20 {
        let fate = [Fate::Killed, Fate::Abort][round % 2];
        die_once(&sup, &folder.path().join(format!("{round}")), fate, 3000, 8).await;
    }
    end(sup).await;
}

#[tokio::test]
async fn results_survive_a_worker_whose_supervisor_did_not_read_while_it_lived() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("started");
    let sup = start().await;
    for size in [1, 3000, 100_000] {
        let worker =
            within(sup.spawn::<Worker>("worker", (path.clone(), Fate::Abort, 40, size))).await.expect("a worker");
        // So that it has a window of many messages.
        for _ in 0..300 {
            within(worker.pid()).await.expect("its pid");
        }
        let pid = within(worker.pid()).await.expect("its pid");
        let calling: Vec<_> = (1..=60).map(|number| begin(worker.finish(number).no_timeout())).collect();
        tokio::task::yield_now().await;
        // This thread is the only one that could read; the worker ends, or waits until somebody reads.
        let (mut before, mut same) = (0, 0);
        while system::is_alive(pid) && same < 50 {
            std::thread::sleep(Duration::from_millis(2));
            let now = fs::read(&path).map_or(0, |bytes| bytes.try_into().map_or(0, u64::from_le_bytes));
            same = if now == before { same + 1 } else { 0 };
            before = now;
        }
        system::kill_if_there(pid);
        let mut results = Vec::new();
        for call in calling {
            results.push(within(call).await);
        }
        assert_no_result_is_lost(&results, last_started(&path), size);
    }
    end(sup).await;
}

#[tokio::test]
async fn a_result_does_not_wait_for_a_handler_that_computes_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let sup = start().await;
    let worker = (folder.path().join("started"), Fate::Killed, 0, 0);
    let worker = within(sup.spawn::<Worker>("worker", worker)).await.expect("a worker");
    for round in 0..20 {
        let path = folder.path().join(format!("go on {round}"));
        // Handled in a row: the worker has the second one when it ends the first.
        let first = begin(worker.finish(1));
        let second = begin(worker.finish(2));
        let computing = begin(worker.compute_until(path.clone()));
        within(first).await.expect("its result");
        within(second).await.expect("its result, while the other computes");
        File::create(path).expect("a file");
        within(computing).await.expect("its end");
    }
    end(sup).await;
}
