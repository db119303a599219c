//! Calls and casts: requests as futures.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::time::Sleep;

use super::message::{self, Message};
use super::node::{Asked, Node, Requested};
use super::parcel::Parcel;
use super::traits::Payload;
use crate::error::call::{CallError, CodecError, NoError};
use crate::router::{CallKey, Expired, Outcome, Waited};
use crate::wire::budget::Budget;
use crate::wire::codec;
use crate::wire::ids::Destination;

/// A call in the making or under way: a future of the handler's answer.
///
/// Nothing is sent before the first poll. The future owns all it needs and may be spawned, joined and selected on. It
/// ends exactly once, at the latest 50 ms after its deadline: 5 s unless the method or [`timeout`](Self::timeout) says
/// otherwise, and never later than the deadline of the message whose handler makes the call.
///
/// # Cancellation
/// Dropping it takes the call back: unsent, nothing happened; queued, it never runs; running, the handler is told
/// (`ctx.cancelled()`) and its answer is discarded.
///
/// # Panics
/// It must be polled within a tokio runtime that has its clock enabled.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<T, E = NoError> {
    request: Request,
    answer: PhantomData<fn() -> (T, E)>,
}

/// A cast in the making: a future that is done when the message was taken into the sending window.
///
/// Messages of one process arrive at one incarnation of an actor in the order of their first polls. Where the actor's
/// mailbox has no room for this process, the future waits for it, 5 s unless [`timeout`](Self::timeout) says otherwise;
/// [`try_send`](Self::try_send) does not wait. Done does not mean handled: a cast has no outcome.
///
/// # Cancellation
/// Dropping it before it is done takes it back: nothing was sent.
#[must_use = "a cast is sent when it is awaited"]
pub struct Cast {
    request: Request,
}

/// Why a message was not sent at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// The actor's mailbox has no room for this process now.
    #[error("the mailbox is full")]
    Full,
    /// It could not be sent at all.
    #[error(transparent)]
    Failed(#[from] CallError),
}

/// A monitor: a future of the one [`Down`](crate::Down) of an actor's present incarnation.
#[must_use = "a monitor does nothing unless it is awaited"]
pub struct Monitor {
    request: Request,
}

/// What calls, casts and monitors have in common.
struct Request {
    to: Destination,
    state: State,
}

enum State {
    Unsent(Message),
    /// Under way, with a timer of its own where the process has no clock.
    Sent {
        call: CallKey,
        clock: Option<Pin<Box<Sleep>>>,
    },
    Done,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Call,
    Cast,
}

impl<T, E> Call<T, E> {
    pub(crate) fn new(to: Destination, message: Message) -> Self {
        Self { request: Request { to, state: State::Unsent(message) }, answer: PhantomData }
    }

    /// Sets how long the call may take from its first poll on, in place of the method's own time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.set_timeout(Some(timeout));
        self
    }

    /// Lets the call take as long as it takes.
    pub fn no_timeout(mut self) -> Self {
        self.request.set_timeout(None);
        self
    }

    /// The same request, to be sent without a wait for its outcome.
    pub(crate) fn into_cast(self) -> Cast {
        Cast { request: self.request }
    }
}

impl<T: Payload, E: Payload> Future for Call<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Most calls are polled twice, the second time here: what they find is moved as little as possible.
        if let State::Sent { call, clock: None } = self.request.state {
            let mut outcome = None;
            ready!(Node::here().poll_into(call, cx, &mut outcome));
            self.request.state = State::Done;
            return outcome.map_or(Poll::Pending, |outcome| Poll::Ready(answer(outcome)));
        }
        match ready!(self.request.poll(Kind::Call, cx)) {
            Ok(Waited::Ended(outcome)) => Poll::Ready(answer(outcome)),
            Ok(Waited::Admitted) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.widen())),
        }
    }
}

impl Cast {
    pub(crate) fn new(to: Destination, message: Message) -> Self {
        Self { request: Request { to, state: State::Unsent(message) } }
    }

    /// Sets how long the cast may wait for room.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.set_timeout(Some(timeout));
        self
    }

    /// Lets the cast wait for room for as long as it takes.
    pub fn no_timeout(mut self) -> Self {
        self.request.set_timeout(None);
        self
    }

    /// Where it goes and what it says, for whoever sends it by other means; nothing if it was sent.
    pub(crate) fn into_unsent(mut self) -> Option<(Destination, Message)> {
        match std::mem::replace(&mut self.request.state, State::Done) {
            State::Unsent(message) => Some((self.request.to, message)),
            sent => {
                self.request.state = sent;
                None
            }
        }
    }

    /// The name of its method.
    pub(crate) fn method(&self) -> &'static str {
        match &self.request.state {
            State::Unsent(message) => message.name,
            _ => "",
        }
    }

    /// Sends the message if there is room for it, from what this process knows, and never waits.
    ///
    /// # Errors
    /// [`TrySendError::Full`] where there is none, and what else keeps it from being sent.
    pub fn try_send(mut self) -> Result<(), TrySendError> {
        let State::Unsent(message) = std::mem::replace(&mut self.request.state, State::Done) else { return Ok(()) };
        let mut content = message.into_parts()?;
        let _keeper = content.make_bare();
        let node = Node::here();
        let to = self.request.to;
        let caused_by = message::current().and_then(|current| current.call);
        if caused_by.is_none() && node.cast_now(&to, &mut content) {
            return Ok(());
        }
        if !node.with(|router| router.has_room(&to, content.len())) {
            return Err(TrySendError::Full);
        }
        let asked = Asked { to, reply: false, timeout: None, inherited: None, caused_by };
        match node.request(asked, content, std::task::Waker::noop()) {
            Requested::Done(Waited::Admitted) => Ok(()),
            Requested::Done(Waited::Ended(outcome)) => Err(TrySendError::Failed(failure(outcome))),
            // Another thread took the room in between.
            Requested::Waits { call, .. } => {
                node.abandon(call);
                Err(TrySendError::Full)
            }
        }
    }
}

impl Future for Cast {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match ready!(self.request.poll(Kind::Cast, cx)) {
            Ok(Waited::Admitted) => Poll::Ready(Ok(())),
            Ok(Waited::Ended(outcome)) => Poll::Ready(Err(failure(outcome))),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Monitor {
    pub(crate) fn new(to: Destination) -> Self {
        let call = Node::here().monitor(&to);
        Self { request: Request { to, state: State::Sent { call, clock: None } } }
    }
}

impl Future for Monitor {
    type Output = crate::error::exit::Down;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match ready!(self.request.poll(Kind::Call, cx)) {
            Ok(Waited::Ended(outcome)) => Poll::Ready(down(outcome)),
            _ => Poll::Pending,
        }
    }
}

impl Request {
    fn set_timeout(&mut self, timeout: Option<Duration>) {
        if let State::Unsent(message) = &mut self.state {
            message.timeout = timeout;
        }
    }

    fn poll(&mut self, kind: Kind, cx: &mut Context<'_>) -> Poll<Result<Waited, CallError<NoError>>> {
        if let State::Unsent(_) = self.state {
            if let Some(waited) = self.send(kind, cx)? {
                return Poll::Ready(Ok(waited));
            }
            if let State::Sent { clock: None, .. } = self.state {
                return Poll::Pending;
            }
        }
        let State::Sent { call, clock } = &mut self.state else {
            panic!("a request was polled after it had ended");
        };
        let node = Node::here();
        loop {
            if let Poll::Ready(waited) = node.poll(*call, cx) {
                self.state = State::Done;
                return Poll::Ready(Ok(waited));
            }
            let Some(sleep) = clock else { return Poll::Pending };
            ready!(sleep.as_mut().poll(cx));
            match node.with(|router| router.expire(*call)) {
                // The outcome is there now.
                Expired::Ended => *clock = None,
                Expired::Later(at) => sleep.as_mut().reset(at.into()),
            }
        }
    }

    /// Sends it; what became of it, if that is known at once.
    fn send(&mut self, kind: Kind, cx: &mut Context<'_>) -> Result<Option<Waited>, CallError<NoError>> {
        let State::Unsent(unsent) = &mut self.state else { return Ok(None) };
        let current = message::current();
        let timeout = unsent.timeout;
        let inherited = current.and_then(|current| current.deadline).filter(|_| kind == Kind::Call);
        let parts = unsent.take_parts();
        self.state = State::Done;
        let mut message = parts?;
        // What holds the handles until the router does.
        let _keeper = message.make_bare();
        let caused_by = current.and_then(|current| current.call);
        let to = self.to;
        if kind == Kind::Cast && caused_by.is_none() && Node::here().cast_now(&to, &mut message) {
            return Ok(Some(Waited::Admitted));
        }
        // Seen here, since an init, a tick and a stop are no messages that anyone on the way could know of.
        if kind == Kind::Call
            && let Some(path) = message::self_call(&to)
        {
            return Err(CallError::WouldDeadlock { path });
        }
        let asked = Asked { to, reply: kind == Kind::Call, timeout, inherited, caused_by };
        match Node::here().request(asked, message, cx.waker()) {
            Requested::Done(waited) => Ok(Some(waited)),
            Requested::Waits { call, deadline, has_clock } => {
                let sleep = |at: Instant| Box::pin(tokio::time::sleep_until(at.into()));
                self.state = State::Sent { call, clock: deadline.filter(|_| !has_clock).map(sleep) };
                Ok(None)
            }
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let State::Sent { call, .. } = self.state {
            Node::here().abandon(call);
        }
    }
}

/// A call's outcome as its caller's types.
pub(crate) fn answer<T: Payload, E: Payload>(outcome: Outcome) -> Result<T, CallError<E>> {
    // As opening it below does, but out of where it lies: what is moved through each error's type costs as much as the rest.
    if let Outcome::Value(bytes, _) = &outcome
        && let Some(value) = codec::from_octets(bytes)
    {
        return Ok(value);
    }
    let undecodable = |error| CallError::Codec(CodecError::Reply { error });
    match outcome {
        Outcome::Value(bytes, handles) => Parcel { bytes, handles }.open().map_err(undecodable),
        Outcome::HandlerError(bytes, handles) => match (Parcel { bytes, handles }).open() {
            Ok(error) => Err(CallError::Handler(error)),
            Err(error) => Err(undecodable(error)),
        },
        other => Err(failure(other).widen()),
    }
}

/// A failed outcome as an error.
pub(crate) fn failure(outcome: Outcome) -> CallError<NoError> {
    match outcome {
        Outcome::Failed(error) | Outcome::Fatal(error) => error,
        Outcome::FailedElsewhere(bytes) => codec::decode(&bytes, Budget::default())
            .unwrap_or_else(|error| CallError::Codec(CodecError::Reply { error })),
        // A cast has no value and a call no Down; a peer that sends one has answered nothing.
        Outcome::Value(..) | Outcome::HandlerError(..) | Outcome::Down(_) | Outcome::DownElsewhere(_) => {
            CallError::NoReply
        }
    }
}

pub(crate) fn down(outcome: Outcome) -> crate::error::exit::Down {
    use crate::error::call::NotDelivered;
    use crate::error::exit::{Down, DownReason};
    let lost =
        || Down { name: String::new(), incarnation: 0, reason: DownReason::NotDelivered(NotDelivered::Disconnected) };
    match outcome {
        Outcome::Down(down) => *down,
        Outcome::DownElsewhere(bytes) => codec::decode(&bytes, Budget::default()).unwrap_or_else(|_| lost()),
        _ => lost(),
    }
}

impl<T, E> fmt::Debug for Call<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.describe("Call", f)
    }
}

impl fmt::Debug for Cast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.describe("Cast", f)
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.describe("Monitor", f)
    }
}

impl Request {
    fn describe(&self, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Unsent(message) => return write!(f, "{what}({}, unsent)", message.name),
            State::Sent { .. } => "under way",
            State::Done => "done",
        };
        write!(f, "{what}({state})")
    }
}
