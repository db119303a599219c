//! Tasks at which their worker ends, submitted by the program or by the handler of a completion.

use std::sync::Mutex;

use procession::prelude::*;
use procession::{CodecError, Event, Panic, TaskError, task};

use super::fuse::{Burnt, DEATHS, End, Fuse, IN_WORKER, Lit, Stage, WORDS};
use super::pools::{Place, end, pid, square};
use super::processes::{Probe, ProbeApi, event, probe, within};

#[task]
fn carries(lit: Lit) -> Burnt {
    lit.0.burns(Stage::Run).expect(WORDS);
    Burnt(lit.0)
}

/// What keeps the other worker busy all the while.
#[task]
async fn holds(probe: Address<Probe>) -> u32 {
    probe.pass("gate".to_owned()).no_timeout().await.expect("a probe");
    std::process::id()
}

/// A stage, what happens at it, and how the task ended by which it was brought there.
type Cell = (Stage, End, Result<Burnt, TaskError>);

/// What must be said of it.
fn assert_told(at: Stage, end: End, outcome: &Result<Burnt, TaskError>) {
    let told = match outcome {
        Ok(burnt) => at == Stage::Never && burnt.0.at == at,
        Err(TaskError::Died { exit, executed, .. }) => {
            *executed == Executed::Maybe && DEATHS.contains(&end) && end.is_told_by(&exit.cause)
        }
        Err(TaskError::Panicked(Panic { message, .. })) => end == End::Panic && message.contains(WORDS),
        Err(TaskError::Codec(error)) => {
            let named = match error {
                CodecError::Arguments { .. } => Stage::EncodeArguments,
                CodecError::Request { .. } => Stage::DecodeArguments,
                CodecError::Answer { .. } => Stage::EncodeResult,
                CodecError::Reply { .. } => Stage::DecodeResult,
                _ => Stage::Never,
            };
            end == End::Error && named == at && error.to_string().contains(WORDS)
        }
        Err(_) => false,
    };
    assert!(told, "{end:?} in {at:?} was told as {outcome:?}");
}

/// All that can happen in a worker.
fn cells() -> impl Iterator<Item = (Stage, End)> {
    let ends = [End::Panic].into_iter().chain(DEATHS);
    ends.flat_map(|end| IN_WORKER.map(|at| (at, end)))
}

#[tokio::test]
async fn wherever_a_worker_of_a_pool_ends_it_is_told_as_it_was_and_no_other_task_is_touched() {
    let (mut place, pool) = Place::with_pool(2).await;
    let probe = probe(&place.sup).await;
    let held = pool.submit(holds, probe);
    within(probe.noted("at gate".to_owned(), 1)).await.expect("it runs");
    let mut dead = 0;
    for (at, how) in cells() {
        let before: Vec<_> = (0..5).map(|n| pool.submit(square, n)).collect();
        let carries = pool.submit(carries, Lit(Fuse::new(at, how)));
        let after: Vec<_> = (5..10).map(|n| pool.submit(square, n)).collect();
        assert_told(at, how, &within(carries).await);
        for (n, task) in before.into_iter().chain(after).enumerate() {
            assert_eq!(within(task).await, Ok((n * n) as u64), "beside {how:?} in {at:?}");
        }
        if how != End::Panic {
            dead += 1;
            event(&mut place.events, |event| matches!(event, Event::Exited { .. })).await;
        }
    }
    within(probe.open("gate".to_owned())).await.expect("a probe");
    within(held).await.expect("it ran beside all of them");
    within(pool.submit(pid, ())).await.expect("the pool is usable");
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.workers_lost, report.failed), (dead, dead, 3), "{report}");
}

/// The pool that the handler reaches into: a pool is no message.
static POOL: Mutex<Option<TaskPool>> = Mutex::new(None);

/// Submits a task when another one has ended, and says how that ended.
#[derive(Actor, Default)]
#[actor(mailbox = 64)]
struct Submitter {
    ended: Vec<Cell>,
    awaited: Option<(usize, Reply<usize>)>,
}

#[handlers]
impl Submitter {
    #[cast]
    async fn done(&mut self, before: Completion<Burnt>, next: Fuse) {
        before.outcome.expect("nothing happens to the first");
        let pool = POOL.lock().expect("no test panics with it").clone().expect("a pool");
        let ended = pool.submit(carries, Lit(next)).await;
        self.ended.push((next.at, next.end, ended));
        if let Some((_, reply)) = self.awaited.take_if(|(many, _)| *many == self.ended.len()) {
            reply.send(self.ended.len());
        }
    }

    /// Answered when so many have ended.
    #[call(timeout = "60s")]
    fn all(&mut self, many: usize, reply: Reply<usize>) {
        if self.ended.len() == many {
            return reply.send(many);
        }
        self.awaited = Some((many, reply));
    }

    #[call]
    fn check(&mut self) {
        for (at, end, outcome) in self.ended.drain(..) {
            assert_told(at, end, &outcome);
        }
    }
}

#[tokio::test]
async fn it_is_the_same_for_tasks_that_are_submitted_and_awaited_inside_a_completion_handler() {
    let (place, pool) = Place::with_pool(2).await;
    *POOL.lock().expect("no test panics with it") = Some(pool.clone());
    let submitter = within(place.sup.spawn_local::<Submitter>("submitter", ())).await.expect("an actor");
    for (at, end) in cells() {
        let next = Fuse::new(at, end);
        pool.submit(carries, Lit(Fuse::none()))
            .completed_to(&submitter, move |submitter, done| submitter.done(done, next));
    }
    let many = cells().count();
    assert_eq!(submitter.all(many).await, Ok(many));
    assert_eq!(within(submitter.check()).await, Ok(()));
    assert_eq!(within(pool.submit(square, 9)).await, Ok(81));
    *POOL.lock().expect("no test panics with it") = None;
    let report = end(place, pool).await;
    let dead = (DEATHS.len() * IN_WORKER.len()) as u64;
    assert_eq!((report.lost, report.workers_lost), (dead, dead), "{report}");
}

#[tokio::test]
async fn a_task_that_cannot_be_written_or_read_fails_alone_and_its_worker_lives() {
    let (place, pool) = Place::with_pool(1).await;
    let before = within(pool.submit(pid, ())).await;
    let stages = [Stage::EncodeArguments, Stage::DecodeArguments, Stage::EncodeResult, Stage::DecodeResult];
    for at in stages {
        let tasks = [Stage::Never, at, Stage::Never].map(|at| Lit(Fuse::new(at, End::Error)));
        let outcomes = match within(pool.map(carries, tasks)).await {
            Err(failed) => failed.outcomes,
            Ok(values) => panic!("none failed of {values:?}"),
        };
        let ended: Vec<_> = tasks.iter().map(|lit| lit.0).zip(outcomes).collect();
        assert_eq!(ended.len(), 3);
        for (fuse, outcome) in &ended {
            assert_told(fuse.at, fuse.end, outcome);
        }
    }
    assert_eq!(within(pool.submit(pid, ())).await, before);
    assert_eq!(end(place, pool).await.workers_lost, 0);
}

#[tokio::test]
async fn a_result_whose_reading_panics_panics_where_it_is_awaited_and_nowhere_else() {
    let (place, pool) = Place::with_pool(1).await;
    let awaited = tokio::spawn(pool.submit(carries, Lit(Fuse::new(Stage::DecodeResult, End::Panic))));
    assert!(within(awaited).await.expect_err("it panics").is_panic());
    let awaited = tokio::spawn({
        let pool = pool.clone();
        async move { pool.map(carries, [Lit(Fuse::new(Stage::DecodeResult, End::Panic))]).await }
    });
    assert!(within(awaited).await.expect_err("it panics").is_panic());
    assert_eq!(within(pool.submit(square, 9)).await, Ok(81));
    assert_eq!(end(place, pool).await.workers_lost, 0);
}

#[tokio::test]
async fn what_was_done_counts_though_its_worker_ends_at_the_next_task() {
    let (place, pool) = Place::with_pool(1).await;
    for round in 0..4 {
        for how in DEATHS {
            let before: Vec<_> = (0..30).map(|n| pool.submit(square, n)).collect();
            let large = pool.submit(makes, 1 << (16 + round));
            let last = pool.submit(carries, Lit(Fuse::new(Stage::Run, how)));
            assert_told(Stage::Run, how, &within(last).await);
            for (n, task) in before.into_iter().enumerate() {
                assert_eq!(within(task).await, Ok((n * n) as u64), "before {how:?}");
            }
            assert_eq!(within(large).await.map(|bytes| bytes.len()), Ok(1 << (16 + round)));
        }
    }
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.done), (20, 20 * 31), "{report}");
}

#[task]
fn makes(bytes: usize) -> Vec<u8> {
    vec![7; bytes]
}

/// Handles completions in a process of its own, which may end at one.
#[derive(Actor)]
#[actor(restart = "permanent", mailbox = 64)]
struct Fragile {
    probe: Address<Probe>,
}

#[handlers]
impl Fragile {
    #[init]
    fn new(probe: Address<Probe>) -> Self {
        Self { probe }
    }

    #[cast]
    async fn done(&mut self, completion: Completion<u64>, fuse: Fuse) {
        let value = completion.outcome.expect("squares are done");
        self.probe.note(format!("handling {value}")).await.expect("a probe");
        // It has been heard before this goes on.
        self.probe.notes().await.expect("a probe");
        fuse.burns(Stage::Run).expect("no error");
        self.probe.note(format!("handled {value}")).await.expect("a probe");
    }
}

#[tokio::test]
async fn a_completion_handler_that_ends_at_a_completion_loses_that_one_and_stops_neither_pool_nor_others() {
    let (mut place, pool) = Place::with_pool(2).await;
    let probe = probe(&place.sup).await;
    let fragile = within(place.sup.spawn::<Fragile>("fragile", probe)).await.expect("an actor");
    let completed = |n: u64, fuse: Fuse| {
        pool.submit(square, n).completed_to(&fragile, move |fragile, done| fragile.done(done, fuse));
    };
    for (n, how) in (0..).map(|n| 2 * n).zip([End::Panic].into_iter().chain(DEATHS)) {
        completed(n, Fuse::new(Stage::Run, how));
        completed(n + 1, Fuse::none());
        within(probe.noted(format!("handled {}", (n + 1) * (n + 1)), 1)).await.expect("the next one is handled");
        let lost = event(&mut place.events, |event| matches!(event, Event::CompletionsLost { .. })).await;
        assert!(matches!(lost, Event::CompletionsLost { count: 1, .. }), "{how:?}: {lost:?}");
        assert_eq!(within(pool.submit(square, 9)).await, Ok(81), "after {how:?}");
        let notes = within(probe.notes()).await.expect("notes");
        let times = |note: String| notes.iter().filter(|noted| **noted == note).count();
        assert_eq!((times(format!("handling {}", n * n)), times(format!("handled {}", n * n))), (1, 0), "{how:?}");
    }
    let report = end(place, pool).await;
    assert_eq!((report.lost, report.workers_lost, report.done), (0, 0, report.submitted), "{report}");
}
