//! Requests that futures wait for, and their deadlines.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::super::clock::Clock;
use super::{Inner, Node, State, Waiter, outcome_held};
use crate::router::{CallKey, Expired, Message, Outcome, Token};
use crate::wire::ids::Destination;

static CLOCK: Clock = Clock::new(|| Node::here().expire_due());

/// What a waiting future finds.
pub(crate) enum Waited {
    Admitted,
    Ended(Outcome),
}

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
    pub(crate) message: Message,
}

/// What becomes of it.
pub(crate) enum Requested {
    /// It is over already, or, where it is a cast, admitted.
    Done(Waited),
    /// The future will be woken: by the outcome, and, unless there is no clock, by the deadline.
    Waits { token: Token, call: CallKey, deadline: Option<Instant>, has_clock: bool },
}

impl Node {
    /// Makes a request, of which the future with this waker hears as from [`poll`](Self::poll).
    pub(crate) fn request(&self, asked: Asked, waker: &Waker) -> Requested {
        let Asked { to, reply, timeout, inherited, caused_by, message } = asked;
        let now = Instant::now();
        let deadline = [timeout.and_then(|timeout| now.checked_add(timeout)), inherited].into_iter().flatten().min();
        let mut inner = self.lock();
        inner.router.advance(now);
        let token =
            inner.waiters.insert(Waiter::Future { waker: None, state: State::Pending, call: 0, deadline: None });
        let call = inner.router.submit(token, to, reply, deadline, caused_by, message);
        inner.react();
        if let Some((waited, _)) = inner.waited(token, !reply) {
            self.perform(inner);
            return Requested::Done(waited_held(waited));
        }
        let timer = deadline.map(|at| inner.deadlines.set(at, token));
        if let Some(waiter) = inner.waiters.get_mut(token) {
            *waiter = Waiter::Future { waker: Some(waker.clone()), state: State::Pending, call, deadline: timer };
        }
        let look_at = inner.clock_needed(deadline);
        self.perform(inner);
        let has_clock = look_at.is_none_or(|at| CLOCK.look_at(at));
        if !has_clock {
            self.lock().clock_at = None;
        }
        Requested::Waits { token, call, deadline, has_clock }
    }

    /// Ends the requests whose deadline has passed; says when to look again.
    fn expire_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut inner = self.lock();
        let this = &mut *inner;
        this.router.advance(now);
        while let Some(token) = this.deadlines.pop_due(now) {
            let Some(Waiter::Future { state, call, deadline, .. }) = this.waiters.get_mut(token) else { continue };
            *deadline = None;
            // A cast that was admitted is the mailbox's, and what has ended is only to be fetched.
            if let State::Pending = state
                && let Expired::Later(at) = this.router.expire(*call)
            {
                *deadline = Some(this.deadlines.set(at, token));
            }
        }
        let next = this.deadlines.poll_timeout();
        this.clock_at = next;
        self.react(inner);
        next
    }

    /// What became of a submitted request; a call is not interested in its admission.
    pub(crate) fn poll(&self, token: Token, admission: bool, cx: &mut Context<'_>) -> Poll<Waited> {
        // Dropped after the lock: a waker may hold a task, and that may hold requests.
        let _old;
        let mut inner = self.lock();
        if let Some((waited, waker)) = inner.waited(token, admission) {
            _old = waker;
            return Poll::Ready(waited_held(waited));
        }
        if let Some(Waiter::Future { waker, .. }) = inner.waiters.get_mut(token)
            && !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            _old = waker.replace(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The waiting future is gone; the request is taken back.
    pub(crate) fn abandon(&self, token: Token, call: CallKey) {
        let waiter;
        let mut inner = self.lock();
        waiter = inner.take_waiter(token);
        inner.router.advance(Instant::now());
        if let Some((State::Ended(outcome), _)) = &waiter {
            inner.router.let_go(outcome.handles());
        }
        inner.router.cancel(call);
        self.react(inner);
    }
}

impl Inner {
    /// What a future has waited for, if it is there; its waiter is removed then.
    fn waited(&mut self, token: Token, admission: bool) -> Option<(Waited, Option<Waker>)> {
        match self.waiters.get(token)? {
            Waiter::Future { state: State::Ended(_), .. } => {}
            Waiter::Future { state: State::Admitted, .. } if admission => {}
            _ => return None,
        }
        let (state, waker) = self.take_waiter(token)?;
        match state {
            State::Ended(outcome) => Some((Waited::Ended(outcome), waker)),
            State::Admitted => Some((Waited::Admitted, waker)),
            State::Pending => None,
        }
    }

    /// Removes a future's waiter, with its deadline. Its waker is to be dropped outside the lock.
    fn take_waiter(&mut self, token: Token) -> Option<(State, Option<Waker>)> {
        let Some(Waiter::Future { state, waker, deadline, .. }) = self.waiters.remove(token) else { return None };
        if let Some(timer) = deadline {
            self.deadlines.take_back(timer);
        }
        Some((state, waker))
    }

    /// When the clock has to look, which it would not otherwise, for the sake of this deadline.
    fn clock_needed(&mut self, deadline: Option<Instant>) -> Option<Instant> {
        let deadline = deadline.filter(|at| self.clock_at.is_none_or(|clock| *at < clock))?;
        let at = self.deadlines.poll_timeout().unwrap_or(deadline);
        self.clock_at = Some(at);
        Some(at)
    }
}

fn waited_held(waited: Waited) -> Waited {
    match waited {
        Waited::Ended(outcome) => Waited::Ended(outcome_held(outcome)),
        Waited::Admitted => Waited::Admitted,
    }
}
