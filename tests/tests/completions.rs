//! Completions: success and failure reach a handler the same way, whatever it does.

mod processes;

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use procession::prelude::*;
use procession::{Event, TaskId, task};

use processes::{Probe, ProbeApi, end, event, probe, start, within};

procession::test_workers!();

#[task]
fn square(n: u64) -> u64 {
    match n {
        13 => panic!("13 is not wanted"),
        666 => std::process::exit(6),
        n => n * n,
    }
}

/// What a handler does at the completion of this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Habit {
    Good,
    /// Panics, before it has taken note.
    PanicsAt(u64),
    /// Blocks its thread until the probe's gate is open.
    BlocksAt(u64),
    /// Submits another task, to the pool of this name.
    SubmitsMore,
    /// Finishes the pool of this name and waits for that.
    FinishesAt(u64),
}

/// The pools that handlers reach into: a pool is no message.
static POOLS: LazyLock<Mutex<Vec<TaskPool>>> = LazyLock::new(Mutex::default);

fn pool_named(name: &str) -> TaskPool {
    let pools = POOLS.lock().expect("no test panics with it");
    pools.iter().find(|pool| pool.name() == name).expect("it is there").clone()
}

fn remember(pool: &TaskPool) {
    POOLS.lock().expect("no test panics with it").push(pool.clone());
}

fn forget(name: &str) {
    POOLS.lock().expect("no test panics with it").retain(|pool| pool.name() != name);
}

/// Tells the probe of each completion.
#[derive(Actor)]
#[actor(mailbox = 8)]
struct Handler {
    probe: Address<Probe>,
    habit: Habit,
    pool: String,
}

#[handlers]
impl Handler {
    #[init]
    fn new(probe: Address<Probe>, habit: Habit, pool: String) -> Self {
        Self { probe, habit, pool }
    }

    #[cast]
    async fn done(&mut self, ctx: &Context<Self>, completion: Completion<u64>) {
        let index = completion.outcome.as_ref().copied().unwrap_or(0);
        match self.habit {
            Habit::PanicsAt(at) if index == at => panic!("at {at}"),
            Habit::BlocksAt(at) if index == at => {
                self.probe.note("blocking".to_owned()).no_timeout().await.expect("a probe");
                let probe = self.probe;
                let (sender, opened) = std::sync::mpsc::channel();
                // On a runtime of its own, since this handler's thread does nothing but wait.
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let passed = runtime.expect("a runtime").block_on(probe.pass("handler".to_owned()).no_timeout());
                    sender.send(passed)
                });
                opened.recv().expect("an answer").expect("a probe");
            }
            Habit::SubmitsMore if index < 1 << 16 && index > 1 => {
                let me = ctx.address();
                pool_named(&self.pool).submit(square, index).completed_to(&me, |me, done| me.done(done));
            }
            Habit::FinishesAt(at) if index == at => {
                let report = pool_named(&self.pool).finish().await;
                self.probe.note(format!("finished after {}", report.submitted)).no_timeout().await.expect("a probe");
            }
            _ => {}
        }
        let said = match completion.outcome {
            Ok(square) => format!("{square}"),
            Err(TaskError::Panicked(panic)) => panic.message,
            Err(TaskError::Died { .. }) => "died".to_owned(),
            Err(error) => error.to_string(),
        };
        self.probe.note(said).no_timeout().await.expect("a probe");
    }
}

struct Place {
    sup: Supervisor,
    pool: TaskPool,
    probe: Address<Probe>,
}

impl Place {
    async fn new(pool: &str) -> Self {
        let sup = start().await;
        let probe = probe(&sup).await;
        let pool = within(sup.task_pool(pool, 2)).await.expect("a pool");
        remember(&pool);
        Self { sup, pool, probe }
    }

    async fn handler(&self, name: &str, habit: Habit) -> Address<Handler> {
        let args = (self.probe, habit, self.pool.name().to_owned());
        within(self.sup.spawn_local::<Handler>(name, args)).await.expect("a handler")
    }

    async fn notes(&self) -> Vec<String> {
        within(self.probe.notes()).await.expect("a probe")
    }

    async fn end(self) -> PoolReport {
        forget(self.pool.name());
        let report = within(self.pool.finish()).await;
        end(self.sup).await;
        report
    }
}

fn sorted(mut notes: Vec<String>) -> Vec<String> {
    notes.sort_by_key(|note| (note.parse::<u64>().unwrap_or(u64::MAX), note.clone()));
    notes
}

fn squares(of: impl Iterator<Item = u64>) -> Vec<String> {
    of.map(|n| (n * n).to_string()).collect()
}

#[tokio::test]
async fn success_and_failure_reach_the_handler_the_same_way() {
    let place = Place::new("same").await;
    let handler = place.handler("handler", Habit::Good).await;
    for n in [2, 13, 666, 3] {
        place.pool.submit(square, n).completed_to(&handler, |handler, done| handler.done(done));
    }
    within(place.pool.finish()).await;
    // After the finish every completion was handled.
    assert_eq!(sorted(place.notes().await), ["4", "9", "13 is not wanted", "died"]);
    assert_eq!(place.end().await.lost, 1);
}

#[tokio::test]
async fn a_completion_tells_its_task_its_duration_and_its_worker() {
    let place = Place::new("tells").await;
    #[derive(Actor)]
    struct Keeper {
        probe: Address<Probe>,
    }
    #[handlers]
    impl Keeper {
        #[init]
        fn new(probe: Address<Probe>) -> Self {
            Self { probe }
        }
        #[cast]
        async fn done(&mut self, done: Completion<u64>) {
            let worker = done.worker.map(|worker| worker.name).unwrap_or_default();
            let quick = done.duration < Duration::from_secs(5);
            self.probe.note(format!("{} {} {worker} {quick}", done.task, done.name)).await.expect("a probe");
        }
    }
    let keeper = within(place.sup.spawn::<Keeper>("keeper", place.probe)).await.expect("a keeper");
    let task = place.pool.submit(square, 2);
    let id: Option<TaskId> = task.id();
    task.completed_to(&keeper, |keeper, done| keeper.done(done));
    within(place.pool.finish()).await;
    let notes = place.notes().await;
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(note.starts_with(&format!("{} completions::square tells#", id.expect("it was taken"))), "{note}");
    assert!(note.ends_with(" true"), "{note}");
    place.end().await;
}

#[tokio::test]
async fn completions_come_in_the_order_in_which_tasks_end() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let pool = within(sup.task_pool("order", 1)).await.expect("a pool");
    let args = (probe, Habit::Good, String::new());
    let handler = within(sup.spawn_local::<Handler>("handler", args)).await.expect("a handler");
    for n in 1000..2000 {
        pool.submit(square, n).completed_to(&handler, |handler, done| handler.done(done));
    }
    within(pool.finish()).await;
    assert_eq!(within(probe.notes()).await.expect("a probe"), squares(1000..2000));
    end(sup).await;
}

#[tokio::test]
async fn a_handler_that_panics_is_told_of_and_gets_all_the_others_after_its_restart() {
    let place = Place::new("panics").await;
    let mut events = place.sup.events();
    let handler = place.handler("handler", Habit::PanicsAt(100 * 100)).await;
    for n in 1..=500 {
        let n = if n == 13 { 0 } else { n };
        place.pool.submit(square, n).completed_to(&handler, |handler, done| handler.done(done));
    }
    let lost = event(&mut events, |event| matches!(event, Event::CompletionsLost { .. })).await;
    let Event::CompletionsLost { count: 1, error, .. } = &lost else { panic!("{lost:?}") };
    assert!(error.contains("at 10000"), "{error}");
    within(place.pool.finish()).await;
    let wanted = squares((0..=500).filter(|&n| n != 100 && n != 13));
    assert_eq!(sorted(place.notes().await), wanted, "each was handled once, but the one it panicked at");
    place.end().await;
}

#[tokio::test]
async fn a_handler_that_blocks_stalls_neither_the_pool_nor_other_handlers() {
    let place = Place::new("blocks").await;
    let blocks = place.handler("blocks", Habit::BlocksAt(1)).await;
    let good = place.handler("good", Habit::Good).await;
    place.pool.submit(square, 1).completed_to(&blocks, |handler, done| handler.done(done));
    within(place.probe.noted("blocking".to_owned(), 1)).await.expect("it blocks");
    for n in 100..200 {
        place.pool.submit(square, n).completed_to(&blocks, |handler, done| handler.done(done));
        place.pool.submit(square, n).completed_to(&good, |handler, done| handler.done(done));
    }
    // Everything but the blocked handler goes on.
    within(place.probe.noted((199 * 199).to_string(), 1)).await.expect("it was handled");
    assert_eq!(within(place.pool.submit(square, 7)).await, Ok(49));
    within(place.probe.open("handler".to_owned())).await.expect("a probe");
    within(place.pool.finish()).await;
    let mut notes = place.notes().await;
    notes.retain(|note| note.parse::<u64>().is_ok_and(|n| n >= 10_000));
    assert_eq!(notes.len(), 200, "both got all of theirs");
    place.end().await;
}

#[tokio::test]
async fn a_handler_may_submit_more_from_inside() {
    let place = Place::new("more").await;
    let handler = place.handler("handler", Habit::SubmitsMore).await;
    // 2, 4, 16, 256, 65536 and no further.
    for _ in 0..50 {
        place.pool.submit(square, 2).completed_to(&handler, |handler, done| handler.done(done));
    }
    within(place.probe.noted("65536".to_owned(), 50)).await.expect("all were handled");
    assert_eq!(place.notes().await.len(), 200);
    assert_eq!(place.end().await.done, 200);
}

#[tokio::test]
async fn a_handler_may_shut_the_pool_down_from_inside() {
    let place = Place::new("inside").await;
    let handler = place.handler("handler", Habit::FinishesAt(4)).await;
    // Far more than the handler's mailbox holds.
    place.pool.submit(square, 2).completed_to(&handler, |handler, done| handler.done(done));
    for n in 100..200 {
        place.pool.submit(square, n).completed_to(&handler, |handler, done| handler.done(done));
    }
    within(place.probe.noted("4".to_owned(), 1)).await.expect("it was handled");
    // The same end, waited for from outside: the last completion was handled.
    within(place.pool.finish()).await;
    let notes = place.notes().await;
    assert!(
        notes[0].starts_with("finished after ") || notes.iter().any(|note| note.starts_with("finished")),
        "{notes:?}"
    );
    assert_eq!(notes.len(), 102, "all others were delivered: {notes:?}");
    place.end().await;
}

#[tokio::test]
async fn completions_for_a_handler_that_is_gone_are_told_of_and_stop_nothing() {
    let place = Place::new("gone").await;
    let mut events = place.sup.events();
    let handler = place.handler("handler", Habit::Good).await;
    within(place.sup.stop("handler")).await.expect("it was there");
    for n in 0..10 {
        place.pool.submit(square, n).completed_to(&handler, |handler, done| handler.done(done));
    }
    let mut lost = 0;
    while lost < 10 {
        let event = event(&mut events, |event| matches!(event, Event::CompletionsLost { .. })).await;
        let Event::CompletionsLost { pool, count, error } = event else { unreachable!("it was asked for") };
        assert!(pool == "gone" && error.contains("stopped"), "{error}");
        lost += count;
    }
    assert_eq!(within(place.pool.submit(square, 7)).await, Ok(49));
    assert_eq!(place.end().await.done, 11);
}

#[tokio::test]
async fn a_second_consumer_is_added_without_touching_the_tasks() {
    let place = Place::new("two").await;
    let first = place.handler("first", Habit::Good).await;
    let second = place.handler("second", Habit::Good).await;
    place.pool.on_completion(&first, |handler, done| handler.done(done));
    place.pool.on_completion(&second, |handler, done| handler.done(done));
    within(place.pool.map(square, 100..200)).await.expect("all are done");
    within(place.pool.finish()).await;
    let each_twice = squares(100..200).into_iter().flat_map(|square| [square.clone(), square]).collect::<Vec<_>>();
    assert_eq!(sorted(place.notes().await), each_twice);
    place.end().await;
}

#[tokio::test]
async fn a_stream_of_completions_is_bounded_by_its_handler() {
    let place = Place::new("stream").await;
    let handler = place.handler("handler", Habit::BlocksAt(1)).await;
    let pulled = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = pulled.clone();
    let input = (1..1000).map(move |n| {
        counted.store(n, std::sync::atomic::Ordering::SeqCst);
        if n == 13 || n == 666 { 2000 } else { n }
    });
    let delivering = place.pool.outcomes(square, input).in_flight(20);
    let delivering = tokio::spawn(delivering.completed_to(&handler, |handler, done| handler.done(done)));
    within(place.probe.noted("blocking".to_owned(), 1)).await.expect("it blocks");
    // Whatever goes on meanwhile, it is no more than that.
    within(place.pool.map(square, 2000..2100)).await.expect("all are done");
    let pulled = pulled.load(std::sync::atomic::Ordering::SeqCst);
    // Others may have been quicker, and are handled: their notes are there beside the one that it blocks.
    let handled = place.notes().await.len() as u64 - 1;
    assert!(pulled <= 41 + handled, "{pulled} were pulled when {handled} completions were handled");
    within(place.probe.open("handler".to_owned())).await.expect("a probe");
    assert_eq!(within(delivering).await.expect("no panic"), Ok(999));
    assert_eq!(place.notes().await.len(), 1001);
    place.end().await;
}

#[tokio::test]
async fn what_was_not_taken_is_a_completion_too() {
    let place = Place::new("refused").await;
    let handler = place.handler("handler", Habit::Good).await;
    let closure = |n: u64| n;
    place.pool.submit(closure, 1).completed_to(&handler, |handler, done| handler.done(done));
    within(place.pool.finish()).await;
    place.pool.submit(square, 1).completed_to(&handler, |handler, done| handler.done(done));
    let closed = "the pool did not take completions::square: it was told to finish".to_owned();
    within(place.probe.noted(closed, 1)).await.expect("it was handled");
    let notes = place.notes().await;
    assert!(notes.len() == 2 && notes[0].contains("is not a task"), "{notes:?}");
    place.end().await;
}
