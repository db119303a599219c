//! Requests that futures wait for, and their deadlines.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::super::clock::Clock;
use super::{Effect, Inner, Node, Sink, hold_outcome, outcome_held};
use crate::router::{CallKey, Expired, Message, Outcome, Router, Token, Waited};
use crate::wire::ids::Destination;

/// How often the clock looks at bytes for which nobody waits.
const LOOK: Duration = Duration::from_millis(1);

static CLOCK: Clock = Clock::new(|| Node::here().expire_due());

/// A request of a future.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) to: Destination,
    pub(crate) reply: bool,
    /// How long it may take from now on.
    pub(crate) timeout: Option<Duration>,
    /// The deadline of what it is made for.
    pub(crate) inherited: Option<Instant>,
    pub(crate) caused_by: Option<CallKey>,
}

/// What becomes of it.
pub(crate) enum Requested {
    /// It is over already, or, where it is a cast, admitted.
    Done(Waited),
    /// The future will be woken: by the outcome, and, unless there is no clock, by the deadline.
    Waits { call: CallKey, deadline: Option<Instant>, has_clock: bool },
}

impl Node {
    /// Makes a request, of which the future with this waker hears as from [`poll`](Self::poll).
    pub(crate) fn request(&self, asked: Asked, message: Message, waker: &Waker) -> Requested {
        let Asked { to, reply, timeout, inherited, caused_by } = asked;
        let now = Instant::now();
        let deadline = [timeout.and_then(|timeout| now.checked_add(timeout)), inherited].into_iter().flatten().min();
        let mut inner = self.lock();
        inner.router.advance(now);
        let call = inner.router.request(to, reply, deadline, caused_by, message);
        inner.react();
        if !inner.router.await_with(call, waker)
            && let Some(waited) = inner.router.fetch(call)
        {
            self.perform(inner);
            return Requested::Done(waited_held(waited));
        }
        let look_at = deadline.and_then(|at| inner.set_deadline(at, call));
        self.perform(inner);
        Requested::Waits { call, deadline, has_clock: self.has_clock(look_at) }
    }

    /// Submits a request whose outcome goes to a sink, which [hears](Sink::due) of its deadline and keeps it; whether there is a
    /// clock for that.
    pub(crate) fn submit_until(
        &self,
        sink: Arc<dyn Sink>,
        deadline: Option<Instant>,
        submit: impl FnOnce(&mut Router, Token) -> CallKey,
    ) -> (CallKey, bool) {
        let now = Instant::now();
        if deadline.is_some_and(|at| at <= now) {
            sink.due(0);
        }
        let mut inner = self.lock();
        inner.router.advance(now);
        let token = inner.sinks.insert((sink, 0));
        let call = submit(&mut inner.router, token);
        let look_at = deadline.and_then(|at| inner.set_deadline(at, call));
        self.react(inner);
        (call, self.has_clock(look_at))
    }

    /// Whether somebody looks then, if that is wanted.
    fn has_clock(&self, look_at: Option<Instant>) -> bool {
        let has_clock = look_at.is_none_or(|at| CLOCK.look_at(at));
        if !has_clock {
            self.lock().clock_at = None;
        }
        has_clock
    }

    /// Sends a cast that nothing has caused, if it is admitted at once; false where it has to be requested.
    #[inline]
    pub(crate) fn cast_now(&self, to: &Destination, message: &mut Message) -> bool {
        let mut inner = self.lock();
        let is_sent = inner.router.cast_now(to, message, Instant::now);
        if is_sent {
            self.react(inner);
        }
        is_sent
    }

    /// Asks, for a future, when an actor's present incarnation ends.
    pub(crate) fn monitor(&self, to: &Destination) -> CallKey {
        self.with(|router| router.request_monitor(to))
    }

    /// Ends the requests whose deadline has passed; says when to look again.
    fn expire_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut inner = self.lock();
        let this = &mut *inner;
        this.router.advance(now);
        while let Some(call) = this.deadlines.pop_due(now) {
            // A cast that was admitted is the mailbox's, and what has ended is only to be fetched.
            if this.router.is_awaited(call) {
                if let Expired::Later(at) = this.router.expire(call) {
                    this.deadlines.set(at, call);
                }
            } else if let Some((sink, number)) = this.router.token_of(call).and_then(|token| this.sinks.get(token)) {
                this.effects.push(Effect::Due(sink.clone(), *number));
            }
        }
        this.clock_at = this.deadlines.poll_timeout();
        let next = [this.clock_at, this.press_calm(now)].into_iter().flatten().min();
        self.react(inner);
        next
    }

    /// Lets the clock look at bytes for which nobody waits; where there is none, they go at once.
    pub(super) fn look_later(&self) {
        let now = Instant::now();
        if !CLOCK.look_at(now + LOOK) {
            let mut inner = self.lock();
            inner.press_calm(now + LOOK);
            inner.is_calm_seen = false;
            self.react(inner);
        }
    }

    /// What a future that waits finds.
    pub(crate) fn poll(&self, call: CallKey, cx: &mut Context<'_>) -> Poll<Waited> {
        let mut outcome = None;
        self.poll_into(call, cx, &mut outcome).map(|()| outcome.map_or(Waited::Admitted, Waited::Ended))
    }

    /// The same: ready when it is there, with the outcome, if it is one.
    pub(crate) fn poll_into(&self, call: CallKey, cx: &Context<'_>, into: &mut Option<Outcome>) -> Poll<()> {
        // Dropped after the lock: a waker may hold a task, and that may hold requests.
        let _old;
        let mut inner = self.lock();
        if inner.router.fetch_into(call, into) {
            drop(inner);
            into.iter_mut().for_each(hold_outcome);
            return Poll::Ready(());
        }
        _old = inner.router.set_waker(call, cx.waker());
        Poll::Pending
    }

    /// The waiting future is gone; the request is taken back.
    pub(crate) fn abandon(&self, call: CallKey) {
        let _waker;
        let mut inner = self.lock();
        inner.router.advance(Instant::now());
        _waker = inner.router.abandon(call);
        self.react(inner);
    }
}

impl Inner {
    /// Has those bytes written for which nobody waits and that have waited for others long enough; says when to look again.
    /// While there is something at each look, whoever has more of them need not wake the clock.
    fn press_calm(&mut self, now: Instant) -> Option<Instant> {
        let Self { router, calm, .. } = self;
        self.is_calm_seen &= !calm.is_empty();
        // What is younger than a look has another one before its time is over.
        calm.retain(|&link, ()| router.calm_until(link).is_some_and(|until| !router.press(link, until <= now + LOOK)));
        self.is_calm_seen.then(|| now + LOOK)
    }

    /// Sets the deadline of a request; says when the clock has to look for its sake, which it would not otherwise.
    fn set_deadline(&mut self, at: Instant, call: CallKey) -> Option<Instant> {
        let Self { router, deadlines, .. } = self;
        deadlines.sweep(router.most_awaited(), |&call| router.is_awaited(call) || router.token_of(call).is_some());
        deadlines.set(at, call);
        if self.clock_at.is_some_and(|clock| clock <= at) {
            return None;
        }
        let look_at = self.deadlines.poll_timeout().unwrap_or(at);
        self.clock_at = Some(look_at);
        Some(look_at)
    }
}

fn waited_held(waited: Waited) -> Waited {
    match waited {
        Waited::Ended(outcome) => Waited::Ended(outcome_held(outcome)),
        Waited::Admitted => Waited::Admitted,
    }
}
