//! How handlers run: in order, one at a time, taken back, deferred, failing, restarted.

mod processes;

use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{CallError, Event, ExitCause};

use processes::{Probe, ProbeApi, begin, end, event, poll_once, probe, quiet, start, system, within};

procession::test_workers!();

#[derive(Actor)]
struct Clerk {
    probe: Address<Probe>,
    inside: u32,
    most: u32,
    kept: Vec<Reply<String>>,
    total: i64,
}

/// Tells the probe when it is dropped.
struct Tell(Address<Probe>, &'static str);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.note(self.1.to_owned()).try_send();
    }
}

#[handlers]
impl Clerk {
    #[init]
    async fn new(probe: Address<Probe>, total: i64, ctx: &Context<Self>) -> Self {
        let _ = probe.pass(format!("birth {}", ctx.incarnation())).await;
        Self { probe, inside: 0, most: 0, kept: Vec::new(), total }
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    async fn note(&self, text: String) {
        let _ = self.probe.note(text).await;
    }

    #[cast]
    async fn post(&self, text: String) {
        let _ = self.probe.note(text).await;
    }

    /// Makes its requests in one order and polls them in another.
    #[call]
    async fn dictate(&self, to: Address<Clerk>) {
        let texts = ["one", "two", "three", "four"];
        let mut requests: Vec<_> = texts.iter().map(|text| Box::pin(to.note((*text).to_owned()))).collect();
        for at in [2, 0, 3, 1] {
            assert!(poll_once(requests[at].as_mut()).is_pending());
        }
        for request in requests {
            let _ = request.await;
        }
    }

    /// Counts how many handlers are inside at once.
    #[call]
    async fn enter(&mut self) -> u32 {
        self.inside += 1;
        self.most = self.most.max(self.inside);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.inside -= 1;
        self.most
    }

    #[call]
    async fn wait(&self, gate: String) {
        let _ = self.probe.pass(gate).no_timeout().await;
    }

    /// Waits until its caller has gone, then goes on.
    #[call]
    async fn linger(&self, ctx: &Context<Self>) {
        let _tell = Tell(self.probe, "over");
        let _ = self.probe.note("lingering".to_owned()).await;
        ctx.cancelled().await;
        let _ = self.probe.note("caller gone".to_owned()).await;
        tokio::task::yield_now().await;
        let _ = self.probe.note("finished".to_owned()).await;
    }

    /// The same, but the handler is dropped.
    #[call(cancel = "drop")]
    async fn depend(&self) {
        let _tell = Tell(self.probe, "over");
        let _ = self.probe.note("depending".to_owned()).await;
        std::future::pending::<()>().await;
    }

    /// Computes until its caller has gone.
    #[call(timeout = "1h")]
    fn compute(&self, ctx: &Context<Self>) {
        let _ = self.probe.note("computing".to_owned()).try_send();
        // What is sent leaves the process between polls only, so the note is one of the handler's end.
        while !ctx.is_cancelled() {
            std::hint::spin_loop();
        }
        let _ = self.probe.note("stopped computing".to_owned()).try_send();
    }

    #[call]
    fn keep(&mut self, reply: Reply<String>) {
        self.kept.push(reply);
    }

    #[cast]
    fn release(&mut self, text: String) {
        for reply in self.kept.drain(..) {
            reply.send(text.clone());
        }
    }

    /// Answers from beside the handlers, when the gate is open.
    #[call]
    fn aside(&self, ctx: &Context<Self>, gate: String, reply: Reply<String>) {
        let probe = self.probe;
        ctx.spawn(async move {
            let _ = probe.pass(gate.clone()).await;
            reply.send(format!("past {gate}"));
        });
    }

    /// Answers from another thread.
    #[call]
    fn elsewhere(&self, ctx: &Context<Self>, reply: Reply<String>) {
        drop(ctx.spawn_blocking(move || reply.send("from a thread".to_owned())));
    }

    #[call]
    fn both(&self, fail: bool, reply: Reply<u32, String>) {
        if fail { reply.fail("no".to_owned()) } else { reply.send(7) }
    }

    #[cast]
    fn spill(&mut self, what: String) -> Result<(), procession::Failure> {
        what.parse::<u32>().map_err(|error| procession::Failure::from(error).context("the cast"))?;
        Ok(())
    }

    #[call]
    fn stumble(&self, ctx: &Context<Self>) {
        ctx.spawn(async { panic!("beside the handlers") });
    }

    #[call]
    fn add(&mut self, by: i64) -> i64 {
        self.total += by;
        self.total
    }

    #[call]
    fn incarnation(&self, ctx: &Context<Self>) -> u32 {
        ctx.incarnation()
    }

    #[call]
    fn boom(&self) {
        panic!("on purpose");
    }

    #[cast]
    fn silent_boom(&self) {
        panic!("on purpose");
    }

    /// Leaves a task behind that tells when it is dropped.
    #[call]
    async fn leave_task(&self, ctx: &Context<Self>) {
        let tell = Tell(self.probe, "task over");
        ctx.spawn(async move {
            let _tell = tell;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
    }

    #[cast]
    fn finish(&self, ctx: &Context<Self>) {
        ctx.stop();
    }
}

async fn open_births(probe: &Address<Probe>) {
    for incarnation in 1..=3 {
        within(probe.open(format!("birth {incarnation}"))).await.expect("an open gate");
    }
}

async fn clerk(sup: &Supervisor, name: &str, probe: Address<Probe>) -> Address<Clerk> {
    open_births(&probe).await;
    within(sup.spawn::<Clerk>(name, (probe, 100))).await.expect("a start")
}

/// What was noted, without the gates.
async fn noted(probe: &Address<Probe>) -> Vec<String> {
    let notes = within(probe.notes()).await.expect("notes");
    notes.into_iter().filter(|note| !note.starts_with("at ")).collect()
}

async fn seen(probe: &Address<Probe>, text: &str) {
    within(probe.noted(text.to_owned(), 1)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
}

#[tokio::test]
async fn messages_arrive_in_the_order_of_their_first_polls() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let (mut one, mut two) = (Box::pin(clerk.note("one".into())), Box::pin(clerk.post("two".into())));
    let (mut three, mut four) = (Box::pin(clerk.note("three".into())), Box::pin(clerk.post("four".into())));
    let _ = poll_once(four.as_mut());
    let _ = poll_once(one.as_mut());
    let _ = poll_once(two.as_mut());
    let _ = poll_once(three.as_mut());
    within(three).await.expect("an answer");
    within(one).await.expect("an answer");
    assert_eq!(noted(&probe).await, ["four", "one", "two", "three"]);
    end(sup).await;
}

#[tokio::test]
async fn messages_between_workers_arrive_in_the_order_of_their_first_polls() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let (one, two) = (clerk(&sup, "one", probe).await, clerk(&sup, "two", probe).await);
    within(one.dictate(two)).await.expect("an answer");
    assert_eq!(noted(&probe).await, ["three", "one", "four", "two"]);
    end(sup).await;
}

#[tokio::test]
async fn thousands_of_casts_and_the_call_behind_them_keep_their_order() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    for n in 0..2000 {
        within(clerk.post(n.to_string())).await.expect("a cast");
    }
    within(clerk.note("last".to_owned()).timeout(Duration::from_secs(25))).await.expect("an answer");
    let expected: Vec<_> = (0..2000).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(noted(&probe).await, expected);
    end(sup).await;
}

#[tokio::test]
async fn one_handler_runs_at_a_time_also_where_it_awaits() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let calls: Vec<_> = (0..20).map(|_| tokio::spawn(clerk.enter())).collect();
    for call in calls {
        assert_eq!(within(call).await.expect("no panic"), Ok(1));
    }
    end(sup).await;
}

#[tokio::test]
async fn calls_made_while_an_actor_restarts_wait_in_order_for_the_next_incarnation() {
    let sup = start().await;
    let probe = probe(&sup).await;
    within(probe.open("birth 1".to_owned())).await.expect("an open gate");
    let clerk = within(sup.spawn::<Clerk>("clerk", (probe, 100))).await.expect("a start");
    let first = system::living(within(clerk.pid()).await.expect("a pid"));
    first.kill();
    seen(&probe, "at birth 2").await;
    let calls: Vec<_> = (0..20).map(|n| begin(clerk.note(n.to_string()))).collect();
    within(probe.open("birth 2".to_owned())).await.expect("an open gate");
    for call in calls {
        assert_eq!(within(call).await, Ok(()));
    }
    assert_eq!(noted(&probe).await, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_ne!(within(clerk.pid()).await, Ok(first.pid));
    end(sup).await;
}

#[tokio::test]
async fn a_call_that_waits_for_a_restart_ends_by_its_deadline() {
    let sup = start().await;
    let probe = probe(&sup).await;
    within(probe.open("birth 1".to_owned())).await.expect("an open gate");
    let clerk = within(sup.spawn::<Clerk>("clerk", (probe, 100))).await.expect("a start");
    system::kill(within(clerk.pid()).await.expect("a pid"));
    seen(&probe, "at birth 2").await;
    let began = Instant::now();
    let error = within(clerk.pid().timeout(Duration::from_millis(200))).await.expect_err("nobody is ready");
    println!("ended after {:?}", began.elapsed());
    assert_eq!(error, CallError::TimedOut { executed: Executed::No, doing: None });
    // What was given up does not run later.
    within(probe.open("birth 2".to_owned())).await.expect("an open gate");
    assert!(within(clerk.pid()).await.is_ok());
    end(sup).await;
}

#[tokio::test]
async fn a_restart_builds_the_actor_from_its_arguments_anew() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    assert_eq!(within(clerk.add(11)).await, Ok(111));
    assert!(matches!(within(clerk.boom()).await, Err(CallError::Panicked(_))));
    assert_eq!(within(clerk.add(1)).await, Ok(101));
    assert_eq!(within(clerk.incarnation()).await, Ok(2));
    end(sup).await;
}

#[tokio::test]
async fn a_panic_of_a_cast_ends_the_incarnation_too() {
    let sup = start().await;
    let mut events = sup.events();
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    within(clerk.silent_boom()).await.expect("a cast");
    let exited = event(&mut events, |event| matches!(event, Event::Exited { .. })).await;
    let Event::Exited { child, exit } = exited else { unreachable!() };
    assert_eq!(child, "clerk");
    assert_eq!(exit.cause, ExitCause::Panicked("Clerk::silent_boom panicked: on purpose".to_owned()));
    assert_eq!(within(clerk.incarnation()).await, Ok(2));
    end(sup).await;
}

#[tokio::test]
async fn an_end_is_followed_by_a_restart_as_the_spec_says() {
    for (restart, after_panic, after_finish) in
        [(Restart::Permanent, true, true), (Restart::Transient, true, false), (Restart::Temporary, false, false)]
    {
        for (panics, restarts) in [(true, after_panic), (false, after_finish)] {
            let sup = start().await;
            let probe = probe(&sup).await;
            open_births(&probe).await;
            let spec = ChildSpec::<Clerk>::new("clerk", (probe, 1)).restart(restart);
            let clerk = within(sup.start_child(spec)).await.expect("a start");
            let mut events = sup.events();
            within(if panics { clerk.silent_boom() } else { clerk.finish() }).await.expect("a cast");
            let next = event(&mut events, |event| matches!(event, Event::Started { .. } | Event::Ended { .. })).await;
            assert_eq!(matches!(next, Event::Started { .. }), restarts, "{restart:?}, panics: {panics}: {next:?}");
            end(sup).await;
        }
    }
}

// Taking calls back.

#[tokio::test]
async fn a_call_that_is_dropped_in_the_queue_never_runs() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let running = begin(clerk.wait("gate".to_owned()));
    seen(&probe, "at gate").await;
    let dropped: Vec<_> = (0..10).map(|n| begin(clerk.note(format!("dropped {n}")))).collect();
    let kept = begin(clerk.note("kept".to_owned()));
    drop(dropped);
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    within(running).await.expect("an answer");
    within(kept).await.expect("an answer");
    assert_eq!(noted(&probe).await, ["kept"]);
    end(sup).await;
}

#[tokio::test]
async fn a_running_handler_whose_caller_has_gone_is_told_and_runs_to_its_end() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let call = begin(clerk.linger());
    seen(&probe, "lingering").await;
    drop(call);
    seen(&probe, "over").await;
    assert_eq!(noted(&probe).await, ["lingering", "caller gone", "finished", "over"]);
    assert!(within(clerk.pid()).await.is_ok());
    end(sup).await;
}

#[tokio::test]
async fn a_deadline_that_passes_tells_the_running_handler_too() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let error = within(clerk.linger().timeout(Duration::from_millis(300))).await.expect_err("it lingers");
    assert!(matches!(error, CallError::TimedOut { executed: Executed::Maybe, .. }), "{error}");
    seen(&probe, "caller gone").await;
    end(sup).await;
}

#[tokio::test]
async fn a_handler_that_computes_sees_that_its_caller_has_gone() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let call = begin(clerk.compute());
    // No handler that computes can say that it has begun: its supervisor sees it in the journal.
    within(async {
        while !matches!(
            clerk.pid().timeout(Duration::from_millis(20)).await,
            Err(CallError::TimedOut { doing: Some(doing), .. }) if doing.starts_with("compute")
        ) {}
    })
    .await;
    drop(call);
    seen(&probe, "stopped computing").await;
    assert!(within(clerk.pid()).await.is_ok());
    end(sup).await;
}

#[tokio::test]
async fn a_handler_that_depends_on_its_caller_is_dropped_with_it() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let pid = within(clerk.pid()).await;
    let call = begin(clerk.depend());
    seen(&probe, "depending").await;
    drop(call);
    seen(&probe, "over").await;
    assert_eq!(within(clerk.pid()).await, pid);
    end(sup).await;
}

/// Calls a clerk for its own caller.
#[derive(Actor, Default)]
struct Visitor;

#[handlers]
impl Visitor {
    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    async fn linger(&self, at: Address<Clerk>) {
        let _ = at.linger().await;
    }
}

#[tokio::test]
async fn a_call_from_a_worker_is_taken_back_when_that_worker_dies() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let visitor = within(sup.spawn::<Visitor>("visitor", ())).await.expect("a start");
    let pid = within(visitor.pid()).await.expect("a pid");
    let call = begin(visitor.linger(clerk));
    seen(&probe, "lingering").await;
    system::kill(pid);
    seen(&probe, "caller gone").await;
    assert!(matches!(within(call).await, Err(CallError::Died { executed: Executed::Maybe, .. })));
    end(sup).await;
}

// Deferred answers.

#[tokio::test]
async fn a_kept_reply_is_answered_by_a_later_message() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let kept: Vec<_> = (0..3).map(|_| begin(clerk.keep())).collect();
    assert!(within(clerk.pid()).await.is_ok());
    within(clerk.release("now".to_owned())).await.expect("a cast");
    for kept in kept {
        assert_eq!(within(kept).await.as_deref(), Ok("now"));
    }
    end(sup).await;
}

#[tokio::test]
async fn a_reply_is_answered_beside_the_handlers_while_they_go_on() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let (one, two) = (begin(clerk.aside("one".to_owned())), begin(clerk.aside("two".to_owned())));
    seen(&probe, "at one").await;
    seen(&probe, "at two").await;
    assert!(within(clerk.pid()).await.is_ok());
    within(probe.open("two".to_owned())).await.expect("an open gate");
    assert_eq!(within(two).await.as_deref(), Ok("past two"));
    within(probe.open("one".to_owned())).await.expect("an open gate");
    assert_eq!(within(one).await.as_deref(), Ok("past one"));
    end(sup).await;
}

#[tokio::test]
async fn a_reply_is_answered_from_another_thread() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    assert_eq!(within(clerk.elsewhere()).await.as_deref(), Ok("from a thread"));
    open_births(&probe).await;
    let here = within(sup.spawn_local::<Clerk>("here", (probe, 1))).await.expect("a start");
    assert_eq!(within(here.elsewhere()).await.as_deref(), Ok("from a thread"));
    end(sup).await;
}

#[tokio::test]
async fn a_reply_answers_with_a_value_or_an_error_of_its_types() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    assert_eq!(within(clerk.both(false)).await, Ok(7));
    assert_eq!(within(clerk.both(true)).await, Err(CallError::Handler("no".to_owned())));
    end(sup).await;
}

// Failures that nobody waits for.

#[tokio::test]
async fn the_error_of_a_cast_is_an_event_and_the_actor_lives() {
    let sup = start().await;
    let mut events = sup.events();
    let probe = probe(&sup).await;
    let there = clerk(&sup, "there", probe).await;
    let here = within(sup.spawn_local::<Clerk>("here", (probe, 1))).await.expect("a start");
    for (name, clerk) in [("there", there), ("here", here)] {
        let incarnation = within(clerk.incarnation()).await;
        within(clerk.spill("milk".to_owned())).await.expect("a cast");
        let failed = event(&mut events, |event| matches!(event, Event::CastFailed { .. })).await;
        let error = "the cast: invalid digit found in string".to_owned();
        assert_eq!(failed, Event::CastFailed { actor: name.to_owned(), method: "spill".to_owned(), error });
        assert_eq!(within(clerk.incarnation()).await, incarnation);
    }
    end(sup).await;
}

#[tokio::test]
async fn the_panic_of_a_task_beside_the_handlers_is_an_event_and_the_actor_lives() {
    let sup = start().await;
    let mut events = sup.events();
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    within(clerk.stumble()).await.expect("an answer");
    let failed = event(&mut events, |event| matches!(event, Event::CastFailed { .. })).await;
    let error = "panicked: beside the handlers".to_owned();
    assert_eq!(failed, Event::CastFailed { actor: "clerk".to_owned(), method: "ctx.spawn".to_owned(), error });
    assert_eq!(within(clerk.incarnation()).await, Ok(1));
    end(sup).await;
}

#[tokio::test]
async fn a_cast_of_a_worker_to_a_stopped_actor_is_a_dead_letter() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let gone = within(sup.spawn_local::<Probe>("gone", ())).await.expect("a start");
    within(sup.stop("gone")).await.expect("it was there");
    let mut events = sup.events();
    open_births(&probe).await;
    let clerk = within(sup.spawn::<Clerk>("clerk", (gone, 1))).await.expect("a start");
    within(clerk.post("lost".to_owned())).await.expect("a cast");
    let dead = event(&mut events, |event| matches!(event, Event::DeadLetters { .. })).await;
    assert!(matches!(dead, Event::DeadLetters { count: 1, .. }), "{dead:?}");
    end(sup).await;
}

#[tokio::test]
async fn a_task_beside_the_handlers_ends_with_its_actor() {
    let sup = start().await;
    let probe = probe(&sup).await;
    open_births(&probe).await;
    let spec = ChildSpec::<Clerk>::local("here", (probe, 1)).restart(Restart::Temporary);
    let here = within(sup.start_child(spec)).await.expect("a start");
    within(here.leave_task()).await.expect("an answer");
    within(here.finish()).await.expect("a cast");
    seen(&probe, "task over").await;
    end(sup).await;
}

#[tokio::test]
async fn a_handle_that_is_dropped_takes_its_processes_with_it() {
    let sup = within(quiet().start()).await.expect("a supervisor");
    let probe = probe(&sup).await;
    let clerk = clerk(&sup, "clerk", probe).await;
    let pid = within(clerk.pid()).await.expect("a pid");
    let mut monitor = std::pin::pin!(clerk.ctl().monitor());
    drop(sup);
    within(monitor.as_mut()).await;
    assert_eq!(system::left_of([pid]), []);
}
