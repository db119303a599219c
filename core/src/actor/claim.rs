//! A call whose answer must not be lost.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::call::answer;
use super::message::{self, Message};
use super::node::{Node, Sink};
use super::parcel::Parcel;
use super::traits::Payload;
use crate::error::call::{CallError, Executed, NoError};
use crate::router::{CallKey, Outcome, Router};
use crate::wire::ids::Destination;

/// A call to a service whose answer gives something: a grant, an item. It gets to whoever awaits it, or it is given back.
///
/// Nothing is sent before the first poll. It has no deadline unless one is set, or the message whose handler makes it has
/// one.
///
/// # Cancellation
/// Dropping it asks the service to take the call back. An answer that is under way then, or has come and was not looked at,
/// goes to the function that gives it back.
#[must_use = "nothing is asked for before this is awaited"]
pub(crate) struct Claim<T, E = NoError> {
    state: State,
    answer: PhantomData<fn() -> (T, E)>,
}

/// Gives back what an answer gave.
type GiveBack = Box<dyn FnOnce(Parcel) + Send>;

enum State {
    Unsent {
        to: Destination,
        message: Message,
        timeout: Option<Duration>,
        give_back: GiveBack,
    },
    /// The sleep is for a process that has no thread for a clock.
    Sent {
        slot: Arc<Slot>,
        call: CallKey,
        sleep: Option<Pin<Box<Sleep>>>,
    },
    Done,
}

/// Where the answer arrives.
struct Slot {
    waiting: Mutex<Waiting>,
    /// Whether its time is over.
    is_due: AtomicBool,
}

enum Waiting {
    /// Somebody polls.
    For(Option<Waker>, GiveBack),
    Answered(Outcome, GiveBack),
    /// Nobody does any more; the answer is still to come.
    Left(GiveBack),
    Over,
}

impl<T, E> Claim<T, E> {
    /// A claim at a service. `give_back` is given an answer that nobody takes; it must not block.
    pub(crate) fn new(to: Destination, message: Message, give_back: impl FnOnce(Parcel) + Send + 'static) -> Self {
        let give_back = Box::new(give_back);
        Self { state: State::Unsent { to, message, timeout: None, give_back }, answer: PhantomData }
    }

    /// Sets how long it may take from the first poll on.
    pub(crate) fn timeout(mut self, after: Duration) -> Self {
        if let State::Unsent { timeout, .. } = &mut self.state {
            *timeout = Some(after);
        }
        self
    }

    fn send(&mut self) -> Result<(), CallError<NoError>> {
        let State::Unsent { to, message, timeout, give_back } = std::mem::replace(&mut self.state, State::Done) else {
            return Ok(());
        };
        let current = message::current();
        let own = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let deadline = [own, current.and_then(|current| current.deadline)].into_iter().flatten().min();
        let mut message = message.into_parts()?;
        // What holds the handles until the router does.
        let _keeper = message.make_bare();
        let slot =
            Arc::new(Slot { waiting: Mutex::new(Waiting::For(None, give_back)), is_due: AtomicBool::new(false) });
        // The deadline is kept here alone: on the way it would end the call while its answer gives something.
        let caused_by = current.and_then(|current| current.call);
        let submit = |router: &mut Router, token| router.submit(token, to, true, None, caused_by, message);
        let (call, has_clock) = Node::here().submit_until(slot.clone(), deadline, submit);
        let sleep = deadline.filter(|_| !has_clock).map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        self.state = State::Sent { slot, call, sleep };
        Ok(())
    }
}

impl<T: Payload, E: Payload> Future for Claim<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Unsent { .. } = self.state
            && let Err(error) = self.send()
        {
            return Poll::Ready(Err(error.widen()));
        }
        let State::Sent { slot, call, sleep } = &mut self.state else {
            panic!("a claim was polled after it had ended");
        };
        if let Poll::Ready(outcome) = slot.poll(cx) {
            self.state = State::Done;
            return Poll::Ready(answer(outcome));
        }
        let is_late = sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if is_late || slot.is_due.load(Ordering::Acquire) {
            slot.leave(*call);
            self.state = State::Done;
            // Whatever it comes to is given back.
            return Poll::Ready(Err(CallError::TimedOut { executed: Executed::No, doing: None }));
        }
        Poll::Pending
    }
}

impl<T, E> Drop for Claim<T, E> {
    fn drop(&mut self) {
        if let State::Sent { slot, call, .. } = &self.state {
            slot.leave(*call);
        }
    }
}

impl Slot {
    fn poll(&self, cx: &Context<'_>) -> Poll<Outcome> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *waiting, Waiting::Over) {
            Waiting::Answered(outcome, _) => Poll::Ready(outcome),
            Waiting::For(_, give_back) => {
                *waiting = Waiting::For(Some(cx.waker().clone()), give_back);
                Poll::Pending
            }
            // Not polled any more.
            other @ (Waiting::Left(_) | Waiting::Over) => {
                *waiting = other;
                Poll::Pending
            }
        }
    }

    /// Nobody takes the answer any more.
    fn leave(&self, call: CallKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *waiting, Waiting::Over) {
            Waiting::Answered(outcome, give_back) => {
                drop(waiting);
                returned(outcome, give_back);
            }
            Waiting::For(_, give_back) => {
                *waiting = Waiting::Left(give_back);
                drop(waiting);
                Node::here().with(|router| router.take_back(call, true));
            }
            other => *waiting = other,
        }
    }
}

impl Sink for Slot {
    fn ended(&self, _: u64, outcome: Outcome) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *waiting, Waiting::Over) {
            Waiting::For(waker, give_back) => {
                *waiting = Waiting::Answered(outcome, give_back);
                drop(waiting);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Waiting::Left(give_back) => {
                drop(waiting);
                returned(outcome, give_back);
            }
            other => *waiting = other,
        }
    }

    fn due(&self, _: u64) {
        self.is_due.store(true, Ordering::Release);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waker = if let Waiting::For(waker, _) = &*waiting { waker.clone() } else { None };
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn returned(outcome: Outcome, give_back: GiveBack) {
    if let Outcome::Value(bytes, handles) = outcome {
        give_back(Parcel { bytes, handles });
    }
}

/// Sends a service a message that nobody waits for, from where nothing can be awaited, such as a drop. It waits for room by
/// itself; where there is room it has left this process when this returns, and counts even if the process ends at once.
pub(crate) fn send_on(to: Destination, message: Message) {
    if let Ok(message) = message.into_parts() {
        Node::here().tell(to, message);
    }
}

impl<T, E> fmt::Debug for Claim<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Unsent { .. } => "Claim(not sent)",
            State::Sent { .. } => "Claim(under way)",
            State::Done => "Claim(ended)",
        })
    }
}
