//! Actors on threads of this process, and the timers and hooks that every actor has.

mod processes;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Event, ExitCause, TaskHandle};

use processes::{PATIENCE, Probe, ProbeApi, begin, end, event, probe, start, within};

procession::test_workers!();

/// Neither `Send` nor `Sync`, like a handle of a native library.
#[derive(Actor)]
#[actor(shutdown = "300ms")]
struct Native {
    handle: *const u8,
    shared: Rc<RefCell<Vec<String>>>,
    thread: std::thread::ThreadId,
    probe: Address<Probe>,
}

#[handlers]
impl Native {
    #[init]
    fn new(probe: Address<Probe>) -> Self {
        Self { handle: std::ptr::null(), shared: Rc::default(), thread: std::thread::current().id(), probe }
    }

    #[call]
    fn push(&self, text: String) -> usize {
        assert!(self.handle.is_null());
        assert_eq!(std::thread::current().id(), self.thread, "every handler runs on the thread that built the actor");
        self.shared.borrow_mut().push(text);
        self.shared.borrow().len()
    }

    /// Holds an `Rc` across an await, and shares it with a task beside the handlers.
    #[call]
    async fn share(&self, ctx: &Context<Self>) -> usize {
        let shared = self.shared.clone();
        ctx.spawn({
            let shared = shared.clone();
            async move { shared.borrow_mut().push("from beside".to_owned()) }
        });
        tokio::task::yield_now().await;
        shared.borrow().len()
    }

    /// Blocks its thread until the file is there.
    #[call(timeout = "30s")]
    fn block(&self, file: std::path::PathBuf) {
        let _ = self.probe.note("blocking".to_owned()).try_send();
        while !file.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[call]
    fn boom(&self) {
        panic!("on purpose");
    }

    #[call]
    fn name(&self, ctx: &Context<Self>) -> (String, u32) {
        (ctx.name().to_owned(), ctx.incarnation())
    }

    #[stop]
    async fn last(&mut self, reason: StopReason) {
        let _ = self.probe.note(format!("{reason:?}")).await;
    }
}

async fn natives(sup: &Supervisor, probe: Address<Probe>) -> [Address<Native>; 2] {
    [
        within(sup.spawn_local::<Native>("here", probe)).await.expect("a start"),
        within(sup.spawn::<Native>("there", probe)).await.expect("a start"),
    ]
}

#[tokio::test]
async fn an_actor_that_is_neither_send_nor_sync_lives_on_one_thread() {
    let sup = start().await;
    let probe = probe(&sup).await;
    for native in natives(&sup, probe).await {
        for n in 1..=10 {
            assert_eq!(within(native.push(n.to_string())).await, Ok(n));
        }
        assert_eq!(within(native.share()).await, Ok(11));
    }
    end(sup).await;
}

#[tokio::test]
async fn a_local_handler_that_blocks_stalls_nobody_else() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let [here, there] = natives(&sup, probe).await;
    let other = within(sup.spawn_local::<Native>("other", probe)).await.expect("a start");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("go");
    let blocked = begin(here.block(file.clone()));
    within(probe.noted("blocking".to_owned(), 1)).await.expect("it blocks");
    for native in [there, other] {
        assert_eq!(within(native.push("text".to_owned())).await, Ok(1));
    }
    // The mailbox takes messages meanwhile, and calls end by their deadlines.
    let queued = begin(here.push("queued".to_owned()));
    let error = within(here.push("late".to_owned()).timeout(Duration::from_millis(100))).await.expect_err("it blocks");
    assert!(matches!(error, CallError::TimedOut { executed: Executed::No, .. }), "{error}");
    std::fs::write(&file, "").expect("a file");
    assert_eq!(within(blocked).await, Ok(()));
    assert_eq!(within(queued).await, Ok(1));
    end(sup).await;
}

#[tokio::test]
async fn a_local_actor_that_panics_is_restarted_and_its_address_stays_good() {
    let sup = start().await;
    let probe = probe(&sup).await;
    for native in natives(&sup, probe).await {
        let (name, _) = within(native.name()).await.expect("a name");
        assert_eq!(within(native.push("one".to_owned())).await, Ok(1));
        assert!(matches!(within(native.boom()).await, Err(CallError::Panicked(_))));
        assert_eq!(within(native.name()).await, Ok((name, 2)));
        assert_eq!(within(native.push("one".to_owned())).await, Ok(1));
    }
    end(sup).await;
}

#[tokio::test]
async fn a_local_actor_that_does_not_stop_in_time_is_left_behind_and_said_to_be_killed() {
    let sup = start().await;
    let mut events = sup.events();
    let probe = probe(&sup).await;
    let [here, _] = natives(&sup, probe).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("go");
    let blocked = begin(here.block(file.clone()));
    within(probe.noted("blocking".to_owned(), 1)).await.expect("it blocks");
    assert_eq!(within(sup.stop("here")).await.expect("it was there").cause, ExitCause::Killed);
    event(&mut events, |event| *event == Event::Killed { child: "here".to_owned() }).await;
    let error = within(blocked).await.expect_err("it was left behind");
    assert!(matches!(error, CallError::Died { executed: Executed::Maybe, .. }), "{error}");
    std::fs::write(&file, "").expect("a file");
    end(sup).await;
}

#[tokio::test]
async fn the_stop_hook_runs_once_with_its_reason_wherever_the_actor_is() {
    let sup = start().await;
    let probe = probe(&sup).await;
    natives(&sup, probe).await;
    within(sup.stop("here")).await.expect("it was there");
    within(sup.stop("there")).await.expect("it was there");
    assert_eq!(within(probe.notes()).await, Ok(vec!["Shutdown".to_owned(), "Shutdown".to_owned()]));
    end(sup).await;
}

// Timers.

#[derive(Actor)]
struct Clock {
    probe: Address<Probe>,
    ticks: u32,
    alarm: Option<TaskHandle>,
    ticking: bool,
    overlaps: u32,
}

#[handlers]
impl Clock {
    #[init]
    fn new(probe: Address<Probe>) -> Self {
        Self { probe, ticks: 0, alarm: None, ticking: false, overlaps: 0 }
    }

    #[tick(every = "5ms")]
    async fn beat(&mut self) -> Result<(), std::fmt::Error> {
        self.overlaps += u32::from(std::mem::replace(&mut self.ticking, true));
        tokio::task::yield_now().await;
        self.ticks += 1;
        let _ = self.probe.note("tick".to_owned()).await;
        self.ticking = false;
        if self.ticks == 3 { Err(std::fmt::Error) } else { Ok(()) }
    }

    #[call]
    async fn ticks(&mut self) -> (u32, u32) {
        self.overlaps += u32::from(std::mem::replace(&mut self.ticking, true));
        tokio::task::yield_now().await;
        self.ticking = false;
        (self.ticks, self.overlaps)
    }

    #[call]
    fn wake_after(&mut self, ctx: &Context<Self>, ms: u64) {
        let after = Duration::from_millis(ms);
        self.alarm = Some(ctx.send_after(after, |me| me.ring("alarm".to_owned())));
    }

    #[call]
    fn hush(&mut self) -> bool {
        self.alarm.take().map(|alarm| alarm.cancel()).is_some()
    }

    #[cast]
    async fn ring(&mut self, text: String) {
        let _ = self.probe.note(text).await;
    }
}

async fn clocks(sup: &Supervisor, probe: Address<Probe>) -> [Address<Clock>; 2] {
    [
        within(sup.spawn_local::<Clock>("here", probe)).await.expect("a start"),
        within(sup.spawn::<Clock>("there", probe)).await.expect("a start"),
    ]
}

#[tokio::test]
async fn a_tick_runs_again_and_again_between_the_other_handlers_and_its_error_is_an_event() {
    let sup = start().await;
    let probe = probe(&sup).await;
    // Either may fail first.
    let listeners = [("here", sup.events()), ("there", sup.events())];
    for (clock, (name, mut events)) in clocks(&sup, probe).await.into_iter().zip(listeners) {
        within(async { while clock.ticks().await.is_ok_and(|(ticks, _)| ticks < 10) {} }).await;
        let (_, overlaps) = within(clock.ticks()).await.expect("an answer");
        assert_eq!(overlaps, 0);
        let failed =
            event(&mut events, |event| matches!(event, Event::CastFailed { actor, .. } if actor == name)).await;
        assert!(matches!(&failed, Event::CastFailed { method, .. } if method == "beat"), "{failed:?}");
    }
    within(probe.noted("tick".to_owned(), 20)).await.expect("ticks");
    end(sup).await;
}

#[tokio::test]
async fn a_message_to_oneself_comes_after_its_delay_and_not_before() {
    let sup = start().await;
    let probe = probe(&sup).await;
    for (at, clock) in clocks(&sup, probe).await.into_iter().enumerate() {
        let began = Instant::now();
        within(clock.wake_after(100)).await.expect("an answer");
        within(probe.noted("alarm".to_owned(), at + 1)).await.expect("an alarm");
        println!("100 ms took {:?}", began.elapsed());
        assert!(began.elapsed() >= Duration::from_millis(100));
    }
    end(sup).await;
}

#[tokio::test]
async fn a_message_to_oneself_that_is_cancelled_never_comes() {
    let sup = start().await;
    let probe = probe(&sup).await;
    for clock in clocks(&sup, probe).await {
        within(clock.wake_after(50)).await.expect("an answer");
        assert_eq!(within(clock.hush()).await, Ok(true));
        // A later one comes, the earlier has had its time.
        within(clock.ring("later".to_owned())).await.expect("a cast");
        let ticks = within(clock.ticks()).await.expect("an answer").0;
        within(async { while clock.ticks().await.is_ok_and(|(now, _)| now < ticks + 20) {} }).await;
    }
    let notes = within(probe.notes()).await.expect("notes");
    assert!(!notes.contains(&"alarm".to_owned()));
    end(sup).await;
}

/// Asks itself, where no message is being handled.
#[derive(Actor)]
struct Narcissus {
    probe: Address<Probe>,
    looked: bool,
}

#[handlers]
impl Narcissus {
    #[init]
    async fn new(probe: Address<Probe>, ctx: &Context<Self>) -> Self {
        let me = ctx.address();
        let _ = probe.note(format!("init: {}", said(me.pid().await))).await;
        Self { probe, looked: false }
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[tick(every = "1ms")]
    async fn look(&mut self, ctx: &Context<Self>) {
        if !std::mem::replace(&mut self.looked, true) {
            let _ = self.probe.note(format!("tick: {}", said(ctx.address().pid().await))).await;
        }
    }

    #[stop]
    async fn last(&mut self, ctx: &Context<Self>) {
        let _ = self.probe.note(format!("stop: {}", said(ctx.address().pid().await))).await;
    }
}

fn said(answer: Result<u32, CallError>) -> String {
    answer.map_or_else(|error| error.to_string(), |_| "an answer".to_owned())
}

#[tokio::test]
async fn an_actor_that_calls_itself_in_its_init_a_tick_or_its_stop_is_told_at_once() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let began = Instant::now();
    for name in ["there", "here"] {
        let spec = match name {
            "here" => ChildSpec::<Narcissus>::local(name, probe),
            _ => ChildSpec::<Narcissus>::new(name, probe),
        };
        within(sup.start_child(spec)).await.expect("a start");
        let told = |at| format!("{at}: the call would wait for itself: {name} -> {name}");
        within(probe.noted(told("init"), 1)).await.expect("the init was told");
        within(probe.noted(told("tick"), 1)).await.expect("the tick was told");
        within(sup.stop(name)).await.expect("it was there");
        within(probe.noted(told("stop"), 1)).await.expect("the stop was told");
    }
    assert!(began.elapsed() < PATIENCE);
    end(sup).await;
}
