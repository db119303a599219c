//! Requests that futures of this process wait for.
//!
//! A future finds the outcome of its request under the request's own key, so that nothing else is kept for it, and is woken
//! when that is there.

use std::fmt;
use std::mem;
use std::task::Waker;
use std::time::Instant;

use super::calls::Found;
use super::record::{CallKey, Message, Origin, Outcome, Token};
use super::router::Router;
use crate::wire::ids::Destination;

/// What a future that waits for a request finds.
#[derive(Debug)]
pub(crate) enum Waited {
    /// A cast was taken into the sending window.
    Admitted,
    Ended(Outcome),
}

/// Who waits for a request, if anybody does.
///
/// A waker may hold anything, and must never be dropped within the router.
#[derive(Default)]
pub(super) struct Waiting(Option<Waker>);

impl Waiting {
    #[inline]
    pub(super) fn take(&mut self) -> Option<Waker> {
        self.0.take()
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiting({})", self.0.is_some())
    }
}

impl Router {
    /// Takes a request for a future, which finds by the key what becomes of it.
    #[inline]
    pub(crate) fn request(
        &mut self,
        to: Destination,
        reply: bool,
        deadline: Option<Instant>,
        caused_by: Option<CallKey>,
        message: Message,
    ) -> CallKey {
        self.accept(Origin::Future, to, reply, deadline, caused_by, message)
    }

    /// Asks, for a future, when the actor's present incarnation ends.
    pub(crate) fn request_monitor(&mut self, to: &Destination) -> CallKey {
        self.watch(Origin::Future, None, to)
    }

    /// What the future of a request has waited for, once it is there; to be asked no more then.
    pub(crate) fn fetch(&mut self, call: CallKey) -> Option<Waited> {
        let mut outcome = None;
        let is_there = self.fetch_into(call, &mut outcome);
        is_there.then(|| outcome.map_or(Waited::Admitted, Waited::Ended))
    }

    /// The same: whether it is there, and the outcome, if it is one, which is moved no more than once.
    #[inline]
    pub(crate) fn fetch_into(&mut self, call: CallKey, into: &mut Option<Outcome>) -> bool {
        if self.calls.take_ended(call, into) {
            return true;
        }
        if self.calls.get(call).is_some_and(|record| record.origin == Origin::Future) {
            return false;
        }
        // Of a cast nothing more is told, and its record may be gone.
        *into = self.early.remove(&call);
        true
    }

    /// Says who is to be woken when the future of a request finds something; gives back whom it need not wake any more.
    #[inline]
    pub(crate) fn set_waker(&mut self, call: CallKey, waker: &Waker) -> Option<Waker> {
        let waiting = &mut self.calls.get_mut(call)?.waiting.0;
        match waiting {
            Some(known) if known.will_wake(waker) => None,
            _ => waiting.replace(waker.clone()),
        }
    }

    /// Says who is to be woken for a new request of a future, unless what it would wait for is there already; whether it waits.
    #[inline]
    pub(crate) fn await_with(&mut self, call: CallKey, waker: &Waker) -> bool {
        let record = self.calls.get_mut(call).filter(|record| record.origin == Origin::Future);
        record.map(|record| record.waiting.0 = Some(waker.clone())).is_some()
    }

    /// The future of a request is gone, and the request is taken back.
    pub(crate) fn abandon(&mut self, call: CallKey) -> Option<Waker> {
        let (waker, outcome) = match self.calls.find(call) {
            Found::Ended(outcome) => (None, Some(outcome)),
            Found::Open(record) => (record.waiting.take(), self.early.remove(&call)),
            Found::Nothing => (None, self.early.remove(&call)),
        };
        if let Some(outcome) = outcome {
            self.let_go(outcome.handles());
        }
        self.cancel(call);
        waker
    }

    /// Whether a future waits for the request.
    pub(crate) fn is_awaited(&self, call: CallKey) -> bool {
        self.calls.get(call).is_some_and(|record| record.origin == Origin::Future)
    }

    /// What its waiter in this process is called, where that is no future.
    pub(crate) fn token_of(&self, call: CallKey) -> Option<Token> {
        match self.calls.get(call)?.origin {
            Origin::Local(token) => Some(token),
            _ => None,
        }
    }

    /// The most requests for which futures may wait.
    pub(crate) fn most_awaited(&self) -> usize {
        self.calls.places()
    }

    /// Whether somebody is to be woken.
    #[inline]
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Who is to be woken; `other` is for those that come next.
    #[inline]
    pub(crate) fn swap_woken(&mut self, other: &mut Vec<Waker>) {
        mem::swap(&mut self.woken, other);
    }

    /// A future's request has ended though its record has not: whoever has it will still speak of it.
    pub(super) fn end_early(&mut self, call: CallKey, outcome: Outcome) {
        self.wake(call);
        self.early.insert(call, outcome);
    }

    /// The future of the request finds something now.
    #[inline]
    pub(super) fn wake(&mut self, call: CallKey) {
        if let Some(record) = self.calls.get_mut(call) {
            self.woken.extend(record.waiting.take());
        }
    }
}
