//! The message that an actor handles now, and the calls that it answers later: whose cancel reaches whom.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::router::{CallKey, OwnMap};
use crate::shm::journal::Journal;
use crate::shm::progress::Progress;

/// No call: no key of one is zero.
const NONE: CallKey = 0;

/// What is known of the messages whose handlers have been started.
///
/// A token is made when somebody asks for it: most messages end before anybody does, and cost no lock.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// The call that is handled, or the last one that was; none for a cast. Set by the actor's thread.
    call: AtomicU64,
    /// The call whose caller has gone while it was handled.
    cancelled: AtomicU64,
    /// Whether there are early ones.
    has_early: AtomicBool,
    /// Whether there is a token for the present call. Set by the actor's thread.
    has_token: AtomicBool,
    tokens: Mutex<Tokens>,
    /// Where a worker sees that its supervisor wants the present message no more, though its thread computes and hears nothing.
    journal: Option<Arc<Journal>>,
}

/// Tells whether the caller of a message has gone.
#[derive(Clone, Debug)]
pub(crate) struct Cancellation {
    token: CancellationToken,
    /// Where that is seen before it is heard, and of which message.
    seen: Option<(Arc<Journal>, u64)>,
}

impl Cancellation {
    /// Whether it has, as far as is known: also on a thread that computes.
    pub(crate) fn is_cancelled(&self) -> bool {
        let is_seen = |(journal, seq): &(Arc<Journal>, u64)| journal.is_told_of(*seq);
        if !self.token.is_cancelled() && self.seen.as_ref().is_some_and(is_seen) {
            self.token.cancel();
        }
        self.token.is_cancelled()
    }

    /// Completes when it has.
    pub(crate) fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        self.token.clone().cancelled_owned()
    }
}

#[derive(Debug, Default)]
struct Tokens {
    token: Option<CancellationToken>,
    /// Calls whose callers have gone while another one was handled: the one that has been taken next may be among them.
    early: Vec<CallKey>,
    /// The last call that has got its answer while it was handled.
    answered: CallKey,
    /// Calls whose handlers have ended without an answer, where somebody waits for their cancel.
    deferred: OwnMap<CallKey, CancellationToken>,
}

impl Running {
    /// Those of a worker.
    pub(crate) fn of_worker(journal: Arc<Journal>) -> Self {
        Self { journal: Some(journal), ..Self::default() }
    }

    /// The handler of a message starts.
    #[inline]
    pub(crate) fn enter(&self, call: Option<CallKey>) {
        if self.has_token.load(Ordering::Relaxed) {
            let mut tokens = self.tokens();
            let before = self.call.load(Ordering::Relaxed);
            let token = tokens.token.take().filter(|_| before != NONE && before != tokens.answered);
            tokens.deferred.extend(token.map(|token| (before, token)));
            self.has_token.store(false, Ordering::Relaxed);
        }
        let call = call.unwrap_or(NONE);
        if self.has_early.load(Ordering::Acquire) {
            let mut tokens = self.tokens();
            if tokens.early.contains(&call) {
                self.cancelled.store(call, Ordering::Release);
            }
            // The others have ended, or nobody waits for their cancel.
            tokens.early.clear();
            self.has_early.store(false, Ordering::Release);
        }
        self.call.store(call, Ordering::Release);
    }

    /// The call that is handled will have its answer when its handler has ended.
    #[inline]
    pub(crate) fn ends(&self, call: CallKey) {
        // Nobody else makes a token.
        if self.has_token.load(Ordering::Relaxed) {
            self.leave(call);
        }
    }

    /// The call has its answer: a cancel that comes now finds nobody.
    pub(crate) fn leave(&self, call: CallKey) {
        let mut tokens = self.tokens();
        if self.call.load(Ordering::Acquire) == call {
            tokens.answered = call;
        } else {
            tokens.deferred.remove(&call);
        }
    }

    /// The caller has gone.
    pub(crate) fn cancel(&self, call: CallKey) {
        let mut tokens = self.tokens();
        if self.call.load(Ordering::Acquire) == call {
            if tokens.answered != call {
                self.cancelled.store(call, Ordering::Release);
                tokens.token.iter().for_each(CancellationToken::cancel);
            }
        } else if let Some(token) = tokens.deferred.get(&call) {
            token.cancel();
        } else {
            tokens.early.push(call);
            self.has_early.store(true, Ordering::Release);
        }
    }

    /// Whether the caller of the message that is handled has gone.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.look();
        self.is_gone(|| self.tokens().early.clone())
    }

    /// Hears what the supervisor has left to be seen of the message that is handled.
    fn look(&self) {
        let call = self.call.load(Ordering::Relaxed);
        if call != NONE && self.journal.as_ref().is_some_and(|journal| journal.is_told()) {
            self.cancel(call);
        }
    }

    fn is_gone(&self, early: impl FnOnce() -> Vec<CallKey>) -> bool {
        let call = self.call.load(Ordering::Relaxed);
        call != NONE
            && (self.cancelled.load(Ordering::Acquire) == call
                || self.has_early.load(Ordering::Acquire) && early().contains(&call))
    }

    /// What tells when that caller goes.
    pub(crate) fn cancellation(&self) -> Cancellation {
        let seen = self.journal.as_ref().map(|journal| (journal.clone(), journal.started()));
        Cancellation { token: self.token(), seen }
    }

    fn token(&self) -> CancellationToken {
        self.look();
        let mut tokens = self.tokens();
        self.has_token.store(true, Ordering::Relaxed);
        let is_gone = self.is_gone(|| tokens.early.clone());
        let token = tokens.token.get_or_insert_with(CancellationToken::new);
        if is_gone {
            token.cancel();
        }
        token.clone()
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_reaches_whoever_asked_before_it_and_whoever_asks_after_it() {
        let running = Running::default();
        running.enter(Some(1));
        let before = running.token();
        running.cancel(3);
        assert!(!before.is_cancelled() && !running.is_cancelled());
        running.cancel(1);
        assert!(before.is_cancelled() && running.is_cancelled() && running.token().is_cancelled());
        running.enter(Some(2));
        assert!(!running.is_cancelled() && !running.token().is_cancelled());
    }

    #[test]
    fn a_cancel_that_comes_before_the_handler_is_started_counts() {
        let running = Running::default();
        running.enter(Some(1));
        running.cancel(2);
        assert!(!running.is_cancelled());
        // Of one that was answered long ago.
        running.cancel(3);
        running.enter(Some(2));
        running.cancel(4);
        assert!(running.is_cancelled() && running.token().is_cancelled());
        running.enter(Some(5));
        assert!(!running.is_cancelled() && !running.token().is_cancelled());
    }

    #[test]
    fn a_cancel_reaches_a_call_that_is_answered_later_until_it_is() {
        let running = Running::default();
        running.enter(Some(1));
        let first = running.token();
        running.enter(Some(2));
        let second = running.token();
        running.enter(None);
        running.leave(2);
        running.cancel(1);
        running.cancel(2);
        assert!(first.is_cancelled() && !second.is_cancelled());
    }

    #[test]
    fn what_has_an_answer_is_not_cancelled_any_more() {
        let running = Running::default();
        running.enter(Some(1));
        let token = running.token();
        running.leave(1);
        running.cancel(1);
        assert!(!token.is_cancelled());
        running.enter(None);
        running.cancel(1);
        assert!(!token.is_cancelled());
    }
}
