//! Calls and casts through a pool of actors.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::calls::Calls;
use super::ended::{Ended, How, Receiver};
use super::handle::Handle;
use super::inbox::{Arrival, Job, NewTasks, NotTaken, Shared};
use super::options::bounded;
use super::task::{Cancel, Ending, TaskId, Terms};
use super::worker::WorkerId;
use crate::actor::call::answer;
use crate::actor::message::{self, Message};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::call::{CallError, Executed, NoError, NotDelivered};
use crate::error::exit::{Exit, ExitCause};
use crate::event::{self, Event};
use crate::router::Outcome;

/// A call through a pool: a future of the answer of the worker that gets it.
///
/// Like [`Call`](crate::Call): nothing is sent before the first poll, it ends exactly once, and in 5 s unless the method
/// or [`timeout`](Self::timeout) says otherwise, which counts the time in the pool's queue.
///
/// # Cancellation
/// Dropping it takes the call back: queued, it never runs; running, the handler is told.
///
/// # Panics
/// It must be polled within a tokio runtime that has its clock enabled.
#[must_use = "a call is sent when it is awaited"]
pub struct PoolCall<T, E = NoError> {
    state: State,
    answer: PhantomData<fn() -> (T, E)>,
}

/// A cast through a pool: a future that is done when the message is in the pool's queue, for which it waits where that
/// is full. One that is lost with its worker, or with the pool, is a [`DeadLetters`](crate::Event::DeadLetters) event.
///
/// # Cancellation
/// Dropping it before it is done takes it back.
#[must_use = "a cast is sent when it is awaited"]
pub struct PoolCast {
    sendings: Vec<Sending>,
    room: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
}

/// A call to all workers of a pool: a future of what each of them answers, by the worker's name.
///
/// # Cancellation
/// As for a [`PoolCall`].
#[must_use = "a call is sent when it is awaited"]
pub struct Gather<T, E = NoError> {
    workers: Vec<(String, Gathered<T, E>)>,
}

enum Gathered<T, E> {
    Open(PoolCall<T, E>),
    Ended(Result<T, CallError<E>>),
    Taken,
}

/// A message on its way into a pool.
pub(super) struct Sending {
    handle: Arc<Handle>,
    to: To,
    message: Message,
}

/// Which worker of a pool is to handle a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    Any,
    Worker(WorkerId),
    /// The one that the key belongs to when it is queued.
    Key(u64),
}

enum State {
    Unsent(Box<Sending>),
    Sent { handle: Arc<Handle>, slot: Arc<Slot>, id: TaskId, deadline: Option<Instant>, sleep: Option<Pin<Box<Sleep>>> },
    Done,
}

impl Sending {
    pub(super) fn new(handle: Arc<Handle>, to: To, message: Message) -> Self {
        Self { handle, to, message }
    }

    fn send(
        self,
        deadline: Option<Instant>,
        receiver: Arc<dyn Receiver>,
    ) -> Result<(Arc<Handle>, TaskId), CallError<NoError>> {
        let name = self.message.name;
        let mut terms = Terms { hard: self.handle.shared.defaults.timeout.map(bounded), ..Terms::default() };
        match self.to {
            To::Any => {}
            To::Worker(worker) => terms.worker = Some(worker),
            To::Key(key) => terms.key = Some(key),
        }
        let message = self.message.into_parts()?;
        let job = Job {
            name,
            method: message.method,
            caused_by: message::current().and_then(|current| current.call),
            terms,
            deadline,
            receiver,
            description: None,
            also: None,
        };
        let call = Parcel { bytes: message.payload, handles: message.handles };
        match self.handle.shared.submit(Arc::new(job), NewTasks { index: 0, calls: Calls::one(call) }) {
            Ok(id) => Ok((self.handle, id)),
            Err(NotTaken::Closed(_)) => Err(CallError::NotDelivered(NotDelivered::Stopped)),
            Err(NotTaken::Full) => Err(CallError::NotDelivered(NotDelivered::TooMany)),
        }
    }
}

impl<T, E> PoolCall<T, E> {
    pub(super) fn new(sending: Sending) -> Self {
        Self { state: State::Unsent(Box::new(sending)), answer: PhantomData }
    }

    /// Sets how long the call may take from its first poll on, in place of the method's own time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.set_timeout(Some(timeout));
        self
    }

    /// Lets the call take as long as it takes.
    pub fn no_timeout(mut self) -> Self {
        self.set_timeout(None);
        self
    }

    fn set_timeout(&mut self, timeout: Option<Duration>) {
        if let State::Unsent(sending) = &mut self.state {
            sending.message.timeout = timeout;
        }
    }

    fn worker(&self) -> String {
        match &self.state {
            State::Unsent(sending) => {
                let To::Worker(worker) = sending.to else { return String::new() };
                format!("{}#{}", sending.handle.shared.name, worker.0 + 1)
            }
            _ => String::new(),
        }
    }

    fn send(&mut self, sending: Sending) -> Result<(), CallError<NoError>> {
        let own = sending.message.timeout.map(|timeout| Instant::now() + timeout);
        let inherited = message::current().and_then(|current| current.deadline);
        let deadline = [own, inherited].into_iter().flatten().min();
        let slot = Arc::new(Slot::default());
        let (handle, id) = sending.send(deadline, slot.clone())?;
        self.state = State::Sent { handle, slot, id, deadline, sleep: None };
        Ok(())
    }
}

impl<T: Payload, E: Payload> Future for PoolCall<T, E> {
    type Output = Result<T, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Unsent(_) = self.state
            && let State::Unsent(sending) = mem::replace(&mut self.state, State::Done)
            && let Err(error) = self.send(*sending)
        {
            return Poll::Ready(Err(error.widen()));
        }
        let State::Sent { handle, slot, id, deadline, sleep } = &mut self.state else {
            panic!("a call was polled after it had ended");
        };
        if let Poll::Ready(ended) = slot.poll(cx) {
            self.state = State::Done;
            return Poll::Ready(result(ended));
        }
        let Some(at) = *deadline else { return Poll::Pending };
        let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
        ready!(sleep.as_mut().poll(cx));
        let executed = if slot.begun.load(Ordering::Acquire) { Executed::Maybe } else { Executed::No };
        handle.shared.tell(Arrival::Cancel(*id, Cancel::Tell));
        self.state = State::Done;
        Poll::Ready(Err(CallError::TimedOut { executed, doing: None }))
    }
}

impl<T, E> Drop for PoolCall<T, E> {
    fn drop(&mut self) {
        if let State::Sent { handle, id, .. } = &self.state {
            handle.shared.tell(Arrival::Cancel(*id, Cancel::Tell));
        }
    }
}

fn result<T: Payload, E: Payload>(ended: Ended) -> Result<T, CallError<E>> {
    let Ended { worker, end, .. } = ended;
    let (ending, exit, cause) = match end.how {
        How::Reported(outcome) => return answer(*outcome),
        // Messages come one by one.
        How::Value(_) => return Err(CallError::NoReply),
        How::NotTaken(_) => return Err(CallError::NotDelivered(NotDelivered::Stopped)),
        How::Ending { ending, exit, cause, .. } => (ending, exit, cause),
    };
    let died = |cause| {
        let pid = worker.as_ref().map_or(0, |worker| worker.pid);
        Box::new(Exit { pid, cause, stderr: String::new() })
    };
    Err(match ending {
        Ending::Cancelled | Ending::Aborted => CallError::Cancelled,
        Ending::TimedOut => CallError::TimedOut { executed: Executed::Maybe, doing: None },
        Ending::Lost | Ending::Quarantined => {
            CallError::Died { exit: exit.unwrap_or_else(|| died(ExitCause::Unknown)), executed: Executed::Maybe }
        }
        Ending::Killed => CallError::Died { exit: died(ExitCause::Killed), executed: Executed::Maybe },
        Ending::NoWorkers => {
            let cause = cause.as_deref().unwrap_or("the worker has gone");
            CallError::NotDelivered(NotDelivered::StartFailed(cause.to_owned()))
        }
    })
}

impl PoolCast {
    pub(super) fn new(sendings: Vec<Sending>) -> Self {
        Self { sendings, room: None }
    }

    /// Sets how long the cast may wait for room.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.sendings.iter_mut().for_each(|sending| sending.message.timeout = Some(timeout));
        self
    }

    /// Lets the cast wait for room for as long as it takes.
    pub fn no_timeout(mut self) -> Self {
        self.sendings.iter_mut().for_each(|sending| sending.message.timeout = None);
        self
    }
}

impl Future for PoolCast {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(first) = self.sendings.first() else { return Poll::Ready(Ok(())) };
        if !first.handle.shared.has_room() {
            let (shared, timeout) = (first.handle.shared.clone(), first.message.timeout);
            let room = self.room.get_or_insert_with(|| Box::pin(has_room_within(shared, timeout)));
            if !ready!(room.as_mut().poll(cx)) {
                self.sendings.clear();
                return Poll::Ready(Err(CallError::TimedOut { executed: Executed::No, doing: None }));
            }
        }
        let mut result = Ok(());
        for sending in mem::take(&mut self.sendings) {
            let letter = Letter { shared: sending.handle.shared.clone() };
            if let Err(error) = sending.send(None, Arc::new(letter)) {
                result = Err(error);
            }
        }
        Poll::Ready(result)
    }
}

async fn has_room_within(shared: Arc<Shared>, timeout: Option<Duration>) -> bool {
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, shared.room()).await.is_ok(),
        None => {
            shared.room().await;
            true
        }
    }
}

/// The end of a cast: known only where it was in vain.
struct Letter {
    shared: Arc<Shared>,
}

impl Receiver for Letter {
    fn ended(&self, ended: Ended) {
        let lost = match &ended.end.how {
            How::Reported(outcome) => !matches!(
                **outcome,
                // What a handler without an answer answers.
                Outcome::Failed(CallError::NoReply) | Outcome::Value(..)
                    // Its failure is told by whoever ran it.
                    | Outcome::Failed(CallError::Panicked(_))
            ),
            _ => true,
        };
        if lost {
            let actor = self.shared.name.to_string();
            event::publish(self.shared.owner, Event::DeadLetters { actor, count: 1 });
        }
    }
}

impl<T, E> Gather<T, E> {
    pub(super) fn new(calls: impl Iterator<Item = PoolCall<T, E>>) -> Self {
        Self { workers: calls.map(|call| (call.worker(), Gathered::Open(call))).collect() }
    }

    /// Sets how long the calls may take from the first poll on, in place of the method's own time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        for (_, gathered) in &mut self.workers {
            if let Gathered::Open(call) = gathered {
                call.set_timeout(Some(timeout));
            }
        }
        self
    }
}

impl<T: Payload, E: Payload> Future for Gather<T, E> {
    type Output = Vec<(String, Result<T, CallError<E>>)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut open = false;
        for (_, gathered) in &mut self.workers {
            if let Gathered::Open(call) = gathered {
                match Pin::new(call).poll(cx) {
                    Poll::Ready(result) => *gathered = Gathered::Ended(result),
                    Poll::Pending => open = true,
                }
            }
        }
        if open {
            return Poll::Pending;
        }
        let all = mem::take(&mut self.workers).into_iter();
        Poll::Ready(
            all.filter_map(|(name, mut gathered)| match mem::replace(&mut gathered, Gathered::Taken) {
                Gathered::Ended(result) => Some((name, result)),
                Gathered::Open(_) | Gathered::Taken => None,
            })
            .collect(),
        )
    }
}

// Results that are kept meanwhile are not pinned.
impl<T, E> Unpin for Gather<T, E> {}

/// Where the end of a call arrives.
#[derive(Default)]
struct Slot {
    /// Whether a worker has been given the call.
    begun: AtomicBool,
    state: Mutex<(Option<Ended>, Option<Waker>)>,
}

impl Slot {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut state = self.lock();
        match state.0.take() {
            Some(ended) => Poll::Ready(ended),
            None => {
                state.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Ended>, Option<Waker>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver for Slot {
    fn begun(&self) {
        self.begun.store(true, Ordering::Release);
    }

    fn ended(&self, ended: Ended) {
        let mut state = self.lock();
        state.0 = Some(ended);
        let waker = state.1.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T, E> fmt::Debug for PoolCall<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Unsent(sending) => write!(f, "PoolCall({}, unsent)", sending.message.name),
            State::Sent { id, .. } => write!(f, "PoolCall({id}, sent)"),
            State::Done => f.write_str("PoolCall(done)"),
        }
    }
}

impl fmt::Debug for PoolCast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sendings.first() {
            Some(sending) => write!(f, "PoolCast({}, unsent)", sending.message.name),
            None => f.write_str("PoolCast(sent)"),
        }
    }
}

impl<T, E> fmt::Debug for Gather<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gather({} workers)", self.workers.len())
    }
}
