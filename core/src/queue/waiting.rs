//! What is waited for at a queue.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::error::QueueError;
use super::protocol::Answer;
use crate::actor::call::Call;
use crate::actor::claim::Claim;
use crate::actor::message::{self, Message};
use crate::wire::ids::Destination;

/// A request to a queue: nothing is sent before it is polled.
///
/// It is owned and `Send`, so that it may be joined with others, raced against them and spawned. It has no deadline unless
/// one is set, or the call whose handler makes it has one. What dropping it means says the method that made it.
#[must_use = "nothing is asked for before this is awaited"]
pub struct Waiting<R> {
    state: State<R>,
    timeout: Option<Duration>,
}

type Asked<R> = Pin<Box<dyn Future<Output = R> + Send>>;

enum State<R> {
    Unsent(Box<dyn FnOnce(Option<Duration>) -> Asked<R> + Send>),
    Sent(Asked<R>),
    Done,
}

impl<R> Waiting<R> {
    pub(super) fn new<F>(ask: impl FnOnce(Option<Duration>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
    {
        Self { state: State::Unsent(Box::new(|timeout| Box::pin(ask(timeout)))), timeout: None }
    }

    /// Sets how long it may take, from the first poll on; then it ends in [`QueueError::TimedOut`].
    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }
}

impl<R> Future for Waiting<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let timeout = self.timeout;
        if let State::Unsent(_) = self.state
            && let State::Unsent(ask) = std::mem::replace(&mut self.state, State::Done)
        {
            self.state = State::Sent(ask(timeout));
        }
        let State::Sent(asked) = &mut self.state else { panic!("a request was polled after it had ended") };
        let ended = asked.as_mut().poll(cx);
        if ended.is_ready() {
            self.state = State::Done;
        }
        ended
    }
}

impl<R> fmt::Debug for Waiting<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Unsent(_) => "Waiting(not sent)",
            State::Sent(_) => "Waiting(under way)",
            State::Done => "Waiting(ended)",
        })
    }
}

/// How much of a time is left, at most that of the message that is being handled.
pub(super) fn remaining(own: Option<Duration>) -> Option<Duration> {
    let inherited = message::current().and_then(|current| current.deadline);
    let inherited = inherited.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    own.into_iter().chain(inherited).min()
}

/// Asks for something that is answered soon.
pub(super) async fn ask(to: Destination, message: Message, timeout: Option<Duration>) -> Result<Answer, QueueError> {
    let call = Call::<Answer>::new(to, message);
    Ok(match timeout {
        Some(timeout) => call.timeout(timeout).await?,
        None => call.await?,
    })
}

/// Asks for something that may take as long as it likes and gives nothing that could be lost.
pub(super) async fn wait(to: Destination, message: Message, timeout: Option<Duration>) -> Result<Answer, QueueError> {
    let claim = Claim::<Answer>::new(to, message, drop);
    Ok(match timeout {
        Some(timeout) => claim.timeout(timeout).await?,
        None => claim.await?,
    })
}

/// An answer to another question than the one that was asked.
pub(super) fn unexpected(answer: &Answer) -> QueueError {
    match answer {
        Answer::Crowded => QueueError::Crowded,
        Answer::Over => QueueError::Closed,
        _ => QueueError::Failed(crate::error::call::CallError::NoReply),
    }
}
