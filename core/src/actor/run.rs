//! The loop that runs an actor on its thread: one handler at a time.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use tokio::time::MissedTickBehavior;

use super::address::Address;
use super::context::{Context, Shared, Stop};
use super::incoming::{AnswerSlot, Incoming};
use super::leaving;
use super::message::{self, Current};
use super::node::{LocalEnd, Node, hold_taken};
use super::parcel::Parcel;
use super::stopwatch::Stopwatch;
use super::traits::{Handlers, Method};
use crate::error::call::{CallError, Panic};
use crate::error::exit::StopReason;
use crate::error::start::StartFailure;
use crate::router::{CallKey, EntryKey, Handles, Outcome, Router, Taken, TakenCast};
use crate::wire::ids::Destination;

/// Messages handled in a row before other tasks of the thread have a turn.
const BATCH: u32 = 64;
/// Casts that are taken together.
const CASTS: usize = 32;

/// Everything that an actor needs to run on the present thread.
pub(crate) struct Hosting {
    pub(crate) to: Destination,
    /// Where names are looked up.
    pub(crate) registry: Option<Destination>,
    pub(crate) entry: EntryKey,
    pub(crate) end: Arc<LocalEnd>,
    pub(crate) name: String,
    pub(crate) incarnation: u32,
    /// The process of its supervisor.
    pub(crate) parent: u32,
    pub(crate) stop: Stop,
    /// The encoded init argument.
    pub(crate) init: Parcel,
    /// Called once when the actor is ready.
    pub(crate) ready: Box<dyn FnOnce()>,
    pub(crate) turn: Box<dyn Turn>,
}

/// What happens around each handler, beside the handler.
pub(crate) trait Turn {
    /// Whether the handler of this call may start, which it does at once then: not where the call was taken back.
    fn begins(&self, seq: u64) -> bool;
    /// The handler of this message starts.
    fn started(&self, seq: u64, method: u16, now: Instant);
    /// It has ended.
    fn finished(&self, seq: u64);
    /// Does something to the router and passes on what that comes to, which is something in any case if it `speaks`, and what
    /// the handler has sent. `act` says whether the next handler starts at once. False where what was passed on may be lost: no
    /// handler starts before it is [safe](Self::poll_safe).
    fn pass(&self, now: Instant, speaks: bool, act: &mut dyn FnMut(&mut Router) -> bool) -> bool;
    /// Whether nothing was sent since the last [pass](Self::pass), so that the next handler may start without one.
    fn is_quiet(&self, now: Instant) -> bool;
    /// Ready when all that was passed on is heard, even if this process ended then.
    fn poll_safe(&self, cx: &mut TaskContext<'_>) -> Poll<()>;
    /// The handler waits for something: what was passed on need not wait as well.
    fn paused(&self);
}

/// A [`Turn`] in a process that keeps no journal.
#[derive(Debug)]
pub(crate) struct NoTurn;

impl Turn for NoTurn {
    fn begins(&self, _: u64) -> bool {
        true
    }
    fn started(&self, _: u64, _: u16, _: Instant) {}
    fn finished(&self, _: u64) {}
    fn pass(&self, now: Instant, _: bool, act: &mut dyn FnMut(&mut Router) -> bool) -> bool {
        Node::here().at(now, act);
        true
    }
    fn is_quiet(&self, _: Instant) -> bool {
        false
    }
    fn poll_safe(&self, _: &mut TaskContext<'_>) -> Poll<()> {
        Poll::Ready(())
    }
    fn paused(&self) {}
}

/// How an actor's loop ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It never was ready.
    StartFailed(StartFailure),
    /// In order.
    Stopped(StopReason),
    /// By a panic of a handler.
    Panicked(Panic),
}

/// Builds the actor and runs it to its end. Needs a `LocalSet`.
pub(crate) async fn run<A: Handlers>(hosting: Hosting) -> Ended {
    let Hosting { to, registry, entry, end, name, incarnation, parent, stop, init, ready, turn } = hosting;
    message::settle(to, incarnation, &name);
    let shared = Rc::new(Shared { name, incarnation, parent, registry, stop: stop.clone(), end: end.clone() });
    let ctx = Context::<A>::new(Address::new(to), shared.clone());
    let args: A::Init = match init.open() {
        Ok(args) => args,
        Err(error) => return Ended::StartFailed(StartFailure::Arguments(error.to_string())),
    };
    drop(init);
    let mut actor = match caught(handling(Current::default(), A::init(args, &ctx))).await {
        Ok(Ok(actor)) => actor,
        Ok(Err(failure)) => return Ended::StartFailed(StartFailure::Init(failure.to_string())),
        Err(message) => return Ended::StartFailed(StartFailure::Panicked(message)),
    };
    ready();
    let slot = AnswerSlot::new(end.clone());
    let mut runner = Runner {
        entry,
        end,
        stop,
        turn,
        ctx,
        slot,
        watch: Stopwatch::new(Instant::now()),
        due: None,
        casts: VecDeque::new(),
    };
    let ended = runner.serve(&mut actor).await;
    if let Ended::Stopped(reason) = ended
        && let Err(message) = caught(handling(Current::default(), actor.stop(&runner.ctx, reason))).await
    {
        runner.end.close();
        return Ended::Panicked(Panic { message, at: "the stop hook".to_owned() });
    }
    runner.end.close();
    let (dropped, left) = leaving::collect(|| catch_unwind(AssertUnwindSafe(|| drop(actor))));
    if let Err(message) = dropped {
        return Ended::Panicked(Panic { message: text_of(&*message), at: "the actor's drop".to_owned() });
    }
    if let Ended::Stopped(_) = ended {
        // A supervisor that the actor had ends as the actor does, within the same grace.
        leaving::end_in_order(left).await;
    } else {
        left.into_iter().for_each(|leaving| (leaving.at_once)());
    }
    ended
}

struct Runner<A: Handlers> {
    entry: EntryKey,
    end: Arc<LocalEnd>,
    stop: Stop,
    turn: Box<dyn Turn>,
    ctx: Context<A>,
    slot: Rc<AnswerSlot>,
    watch: Stopwatch,
    /// The message that is handled, or is to be handled next: it is moved as little as possible.
    due: Option<Taken>,
    /// Casts that come before it, and that nobody is told of before all of them have ended.
    casts: VecDeque<TakenCast>,
}

enum Next {
    Stop(StopReason),
    Tick(usize),
    Message,
}

impl<A: Handlers> Runner<A> {
    async fn serve(&mut self, actor: &mut A) -> Ended {
        let mut ticks: Vec<_> = A::TICKS
            .iter()
            .map(|tick| {
                let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + tick.every, tick.every);
                interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
                interval
            })
            .collect();
        let mut in_a_row = 0;
        loop {
            // Casts that were taken early are overtaken by a stop as if they had not been.
            let is_next = self.due.is_some() || (!self.casts.is_empty() && self.stop.asked().is_none());
            let present = if is_next { Next::Message } else { self.next(&mut ticks).await };
            in_a_row += 1;
            match present {
                Next::Stop(reason) => return Ended::Stopped(reason),
                Next::Tick(index) => {
                    let ended = self.tick(actor, index).await;
                    if !self.turn.pass(Instant::now(), false, &mut |_| false) {
                        poll_fn(|cx| self.turn.poll_safe(cx)).await;
                    }
                    if let Err(panic) = ended {
                        return Ended::Panicked(panic);
                    }
                }
                Next::Message => {
                    let go_on = ticks.is_empty() && in_a_row < BATCH;
                    let handled = match self.casts.is_empty() {
                        true => self.message(actor, go_on).await,
                        false => {
                            in_a_row += self.casts.len() as u32;
                            self.take_turns(actor, go_on).await
                        }
                    };
                    if let Err(panic) = handled {
                        return Ended::Panicked(panic);
                    }
                }
            }
            if in_a_row >= BATCH && self.due.is_none() && self.casts.is_empty() {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// What to do next: a stop overtakes the queue, a due timer overtakes messages.
    async fn next(&mut self, ticks: &mut [tokio::time::Interval]) -> Next {
        let node = Node::here();
        let Self { entry, end, stop, watch, due, .. } = self;
        let mut stopped = pin!(stop.wait());
        let mut woken = pin!(end.wake.notified());
        poll_fn(|cx| {
            if stop.asked().is_some()
                && let Poll::Ready(reason) = stopped.as_mut().poll(cx)
            {
                return Poll::Ready(Next::Stop(reason));
            }
            for (index, tick) in ticks.iter_mut().enumerate() {
                if tick.poll_tick(cx).is_ready() {
                    return Poll::Ready(Next::Tick(index));
                }
            }
            loop {
                let ran = watch.rest(Instant::now());
                node.at(watch.at(), |router| {
                    ran.into_iter().for_each(|ran| router.observe(*entry, ran));
                    router.take_into(*entry, due);
                });
                if let Some(taken) = due {
                    hold_taken(taken);
                    return Poll::Ready(Next::Message);
                }
                // Registered before the last look, so that a message in between is not overlooked.
                if woken.as_mut().poll(cx).is_pending() {
                    break;
                }
                woken.set(end.wake.notified());
            }
            stopped.as_mut().poll(cx).map(Next::Stop)
        })
        .await
    }

    /// Handles the message that is due; what is to be handled after it is due then, if `go_on` and if that is known already.
    async fn message(&mut self, actor: &mut A, go_on: bool) -> Result<(), Panic> {
        let Some(taken) = &mut self.due else { return Ok(()) };
        if taken.reply && !self.turn.begins(taken.seq) {
            return self.forgo(go_on).await;
        }
        let (seq, method, key) = (taken.seq, taken.message.method, taken.call);
        let payload = Parcel { bytes: taken.message.take_payload(), handles: mem::take(&mut taken.message.handles) };
        let call = taken.reply.then_some(key);
        // The deadline of a cast was for its room in the mailbox, which it has got.
        let current = Current { call: Some(key), deadline: taken.deadline.filter(|_| taken.reply) };
        let (result, has_waited) = self.handle(actor, seq, method, payload, current, call).await;
        let go_on = go_on && result.is_ok() && self.stop.asked().is_none();
        let ran = self.watch.handled(has_waited || !go_on, Instant::now);
        let (entry, slot, due, casts) = (self.entry, &self.slot, &mut self.due, &mut self.casts);
        let is_safe = self.turn.pass(self.watch.at(), call.is_some(), &mut |router| {
            if let Some(taken) = due {
                if taken.reply {
                    slot.deliver(router, taken.call);
                }
                if let Err(panic) = &result {
                    router.answer(taken.call, Outcome::Fatal(CallError::Panicked(panic.clone())));
                }
                ran.into_iter().for_each(|ran| router.observe(entry, ran));
                router.finish(entry, taken);
            }
            *due = None;
            if go_on {
                take_next(router, entry, due, casts);
            }
            due.is_some() || !casts.is_empty()
        });
        self.turn.finished(seq);
        self.passed(is_safe).await;
        result
    }

    /// Leaves the message that is due, which was taken back.
    async fn forgo(&mut self, go_on: bool) -> Result<(), Panic> {
        let go_on = go_on && self.stop.asked().is_none();
        let Some(taken) = self.due.take() else { return Ok(()) };
        let (entry, due, casts) = (self.entry, &mut self.due, &mut self.casts);
        let is_safe = self.turn.pass(self.watch.at(), true, &mut |router| {
            router.forgo(entry, &taken);
            if go_on {
                take_next(router, entry, due, casts);
            }
            due.is_some() || !casts.is_empty()
        });
        // What it refers to is let go of outside the router.
        drop(taken);
        self.passed(is_safe).await;
        Ok(())
    }

    /// Handles the casts that are there, or those before the first one that takes its time or says something.
    async fn take_turns(&mut self, actor: &mut A, go_on: bool) -> Result<(), Panic> {
        let (mut handled, mut ran, mut last) = (0, None, 0);
        let mut result = Ok(());
        while let Some(TakenCast { key, seq, method, payload }) = self.casts.pop_front() {
            let payload = Parcel { bytes: payload, handles: Handles::none() };
            let current = Current { call: Some(key), deadline: None };
            let has_waited;
            (result, has_waited) = self.handle(actor, seq, method, payload, current, None).await;
            handled += 1;
            last = seq;
            let is_over = has_waited || result.is_err() || self.casts.is_empty() || self.stop.asked().is_some();
            let took = self.watch.handled(is_over, Instant::now);
            ran = took.or(ran);
            if is_over || !self.turn.is_quiet(self.watch.at()) {
                break;
            }
            self.turn.finished(seq);
        }
        let go_on = go_on && result.is_ok() && self.stop.asked().is_none();
        let (entry, due, casts) = (self.entry, &mut self.due, &mut self.casts);
        let is_safe = self.turn.pass(self.watch.at(), false, &mut |router| {
            ran.into_iter().for_each(|ran| router.observe(entry, ran));
            router.finish_casts(entry, handled);
            if go_on && casts.is_empty() {
                take_next(router, entry, due, casts);
            }
            go_on && (due.is_some() || !casts.is_empty())
        });
        self.turn.finished(last);
        self.passed(is_safe).await;
        result
    }

    /// What was passed on need not be lost before the next handler starts.
    async fn passed(&mut self, is_safe: bool) {
        if !is_safe {
            poll_fn(|cx| self.turn.poll_safe(cx)).await;
        }
        if let Some(taken) = &mut self.due {
            hold_taken(taken);
        }
    }

    /// Runs the handler of a message, and says whether it was not over at once.
    #[inline]
    async fn handle(
        &mut self,
        actor: &mut A,
        seq: u64,
        method: u16,
        payload: Parcel,
        current: Current,
        call: Option<CallKey>,
    ) -> (Result<(), Panic>, bool) {
        let about = A::METHODS.get(usize::from(method));
        self.end.enter(call);
        self.turn.started(seq, method, self.watch.at());
        let mut incoming = Incoming::new(method, about, payload, call, &self.slot);
        let ctx = &self.ctx;
        let at_once =
            catch_unwind(AssertUnwindSafe(|| message::enter(current, || actor.handle_now(ctx, &mut incoming))));
        let (result, has_waited) = match at_once {
            Ok(true) => (Ok(()), false),
            Ok(false) => self.wait(actor.handle(ctx, incoming), current, about).await,
            Err(panic) => {
                incoming.give_up();
                (Err(text_of(&*panic)), false)
            }
        };
        let result = result.map_err(|message| {
            let name = about.map_or("an unknown method", |method| method.name);
            Panic { message, at: format!("{}::{name}", A::NAME) }
        });
        (result, has_waited)
    }

    /// Awaits a handler; whether it was not over at once.
    async fn wait(
        &self,
        handler: impl Future<Output = ()>,
        current: Current,
        about: Option<&Method>,
    ) -> (Result<(), String>, bool) {
        let mut handler = pin!(handler);
        let mut has_waited = false;
        let mut poll = |cx: &mut TaskContext<'_>| {
            let polled = unless_panicked(|| message::enter(current, || handler.as_mut().poll(cx)));
            if polled.is_pending() {
                has_waited = true;
                self.turn.paused();
            }
            polled
        };
        let result = if about.is_some_and(|method| method.cancel_drops) {
            let mut cancelled = pin!(self.end.cancellation().cancelled());
            poll_fn(|cx| if cancelled.as_mut().poll(cx).is_ready() { Poll::Ready(Ok(())) } else { poll(cx) }).await
        } else {
            poll_fn(poll).await
        };
        (result, has_waited)
    }

    async fn tick(&mut self, actor: &mut A, index: usize) -> Result<(), Panic> {
        let name = A::TICKS[index].name;
        match caught(handling(Current::default(), actor.tick(&self.ctx, index))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                self.end.cast_failed(name, failure.to_string());
                Ok(())
            }
            Err(message) => Err(Panic { message, at: format!("{}::{name}", A::NAME) }),
        }
    }
}

/// What is to be handled next: casts that need nothing around each, or a message.
fn take_next(router: &mut Router, entry: EntryKey, due: &mut Option<Taken>, casts: &mut VecDeque<TakenCast>) {
    router.take_casts(entry, CASTS, casts);
    if casts.is_empty() {
        router.take_into(entry, due);
    }
}

/// Awaits a future of user code as the handler of `current`.
async fn handling<F: Future>(current: Current, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| message::enter(current, || future.as_mut().poll(cx))).await
}

/// Awaits a future of user code; a panic is its message.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(|cx| unless_panicked(|| future.as_mut().poll(cx))).await
}

/// Polls user code; a panic is its message.
fn unless_panicked<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, String>> {
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(text_of(&*panic))),
    }
}

/// A panic's message.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
