//! The message that an actor handles now, and the calls that it answers later: whose cancel reaches whom.

use tokio_util::sync::CancellationToken;

use crate::router::{CallKey, Outcome, OwnMap};

/// What is known of the messages whose handlers have been started.
///
/// A token is made when somebody asks for it: most messages end before anybody does.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// The call that is handled, or the last one that was; none for a cast.
    call: Option<CallKey>,
    /// Whether that call has no answer yet.
    is_open: bool,
    is_cancelled: bool,
    token: Option<CancellationToken>,
    /// What the handler has answered, until it has ended.
    answer: Option<Outcome>,
    /// Calls whose handlers have ended without an answer, where somebody waits for their cancel.
    deferred: OwnMap<CallKey, CancellationToken>,
}

impl Running {
    /// The handler of a message starts.
    pub(crate) fn enter(&mut self, call: Option<CallKey>) {
        let token = self.token.take();
        if let (Some(before), Some(token), true) = (self.call, token, self.is_open) {
            self.deferred.insert(before, token);
        }
        (self.call, self.is_open, self.is_cancelled, self.answer) = (call, call.is_some(), false, None);
    }

    /// The call has its answer: a cancel that comes now finds nobody.
    pub(crate) fn leave(&mut self, call: CallKey) {
        if self.call == Some(call) {
            self.is_open = false;
        } else if !self.deferred.is_empty() {
            self.deferred.remove(&call);
        }
    }

    /// The handler that runs has answered its call. Given back where another one runs by now.
    pub(crate) fn answer(&mut self, call: CallKey, outcome: Outcome) -> Result<(), Outcome> {
        if self.call != Some(call) || !self.is_open {
            return Err(outcome);
        }
        self.is_open = false;
        self.answer = Some(outcome);
        Ok(())
    }

    /// What the handler that has ended has answered.
    pub(crate) fn take_answer(&mut self) -> Option<Outcome> {
        self.answer.take()
    }

    /// The caller has gone.
    pub(crate) fn cancel(&mut self, call: CallKey) {
        if self.call == Some(call) {
            if self.is_open {
                self.is_cancelled = true;
                self.token.iter().for_each(CancellationToken::cancel);
            }
        } else if let Some(token) = self.deferred.get(&call) {
            token.cancel();
        }
    }

    /// Whether the caller of the message that is handled has gone.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    /// What fires when that caller goes.
    pub(crate) fn token(&mut self) -> CancellationToken {
        let token = self.token.get_or_insert_with(CancellationToken::new);
        if self.is_cancelled {
            token.cancel();
        }
        token.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_reaches_whoever_asked_before_it_and_whoever_asks_after_it() {
        let mut running = Running::default();
        running.enter(Some(1));
        let before = running.token();
        running.cancel(2);
        assert!(!before.is_cancelled() && !running.is_cancelled());
        running.cancel(1);
        assert!(before.is_cancelled() && running.is_cancelled() && running.token().is_cancelled());
        running.enter(Some(2));
        assert!(!running.is_cancelled() && !running.token().is_cancelled());
    }

    #[test]
    fn a_cancel_reaches_a_call_that_is_answered_later_until_it_is() {
        let mut running = Running::default();
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
        let mut running = Running::default();
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
