//! One task, as whoever submitted it holds it.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::completion::{self, Completion, Handler, Item};
use super::ended::{Ended, Receiver};
use super::error::TaskError;
use super::inbox::{Arrival, Shared};
use super::options::bounded;
use super::task::{Cancel, TaskId};
use crate::actor::address::Address;
use crate::actor::call::Cast;
use crate::actor::traits::{Handlers, Payload};
use crate::event::{self, Event};
use crate::wire::ids::Destination;

/// A submitted task: a future of its value. The task runs whether it is awaited or not.
///
/// # Cancellation
/// Dropping it leaves the task to run; if it then fails, that is an event of the supervisor
/// ([`Event::TaskFailed`](crate::Event::TaskFailed)). [`cancel`](Self::cancel) takes the task back, and [`abort`](Self::abort) kills it.
#[must_use = "a failure of the task is only known to whoever awaits it; `.detach()` makes it an event"]
pub struct Submitted<R> {
    slot: Arc<Slot>,
    result: PhantomData<fn() -> R>,
}

/// Where the end of a submitted task arrives.
pub(super) struct Slot {
    shared: Arc<Shared>,
    state: Mutex<State>,
    id: Mutex<Option<TaskId>>,
}

enum State {
    Waiting(Option<Waker>),
    Ended(Ended),
    /// To be brought to an actor.
    Forward(Destination, Handler),
    /// Nobody waits.
    Left,
}

impl<R: Payload> Submitted<R> {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self { slot, result: PhantomData }
    }

    /// The task's number in its pool; none where the pool did not take it.
    #[must_use]
    pub fn id(&self) -> Option<TaskId> {
        self.slot.id()
    }

    /// Takes the task back: queued, it is never run and ends as [`TaskError::Cancelled`]; running, it is told
    /// ([`TaskContext::is_cancelled`](crate::TaskContext::is_cancelled)) and ends as it ends, with its value if it has one.
    /// If it still runs after the pool's [`cancel_grace`](crate::PoolSpec::cancel_grace), its worker is killed and replaced,
    /// and it ends as [`TaskError::Aborted`].
    ///
    /// It cannot be undone. A task that waits in a worker behind another one is queued in this sense.
    pub fn cancel(&self) {
        self.cancel_within(bounded(self.slot.shared.defaults.cancel_grace));
    }

    /// The same without a grace: if the task runs its worker is killed now.
    pub fn abort(&self) {
        self.cancel_within(Duration::ZERO);
    }

    fn cancel_within(&self, grace: Duration) {
        if let Some(id) = self.slot.id() {
            self.slot.shared.tell(Arrival::Cancel(id, Cancel::Within(grace)));
        }
    }

    /// Lets the task run without anybody waiting. If it fails, that is an event.
    pub fn detach(self) {}

    /// Has the task's end, be it a value or a failure, brought to an actor as a message:
    /// `pool.submit(scan, path).completed_to(&catalog, |catalog, completion| catalog.done(completion))`.
    ///
    /// Completions of one pool reach one actor in the order in which the tasks ended, and wait for room in its mailbox
    /// and for its restart. One that the actor was handling when it died is not sent again.
    pub fn completed_to<A: Handlers>(
        self,
        address: &Address<A>,
        cast: impl Fn(&Address<A>, Completion<R>) -> Cast + Send + Sync + 'static,
    ) {
        self.slot.forward(address.destination(), completion::handler(address, cast));
    }
}

impl<R: Payload> Future for Submitted<R> {
    type Output = Result<R, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.lock();
        match mem::replace(&mut *state, State::Left) {
            State::Ended(ended) => {
                drop(state);
                Poll::Ready(ended.result())
            }
            State::Waiting(_) => {
                *state = State::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
            State::Forward(..) | State::Left => panic!("a submitted task was polled after it had ended"),
        }
    }
}

impl<R> Drop for Submitted<R> {
    fn drop(&mut self) {
        self.slot.leave();
    }
}

impl Slot {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, state: Mutex::new(State::Waiting(None)), id: Mutex::new(None) })
    }

    pub(super) fn number(&self, id: TaskId) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    fn id(&self) -> Option<TaskId> {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forward(&self, to: Destination, handler: Handler) {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Left) {
            State::Waiting(_) => *state = State::Forward(to, handler),
            State::Ended(ended) => {
                drop(state);
                self.shared.deliveries.deliver(to, Item { ended, handler, held: None });
            }
            other => *state = other,
        }
    }

    /// Nobody waits any more.
    fn leave(&self) {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Left) {
            State::Ended(ended) => {
                drop(state);
                self.unheard(&ended);
            }
            forward @ State::Forward(..) => *state = forward,
            State::Waiting(_) | State::Left => {}
        }
    }

    /// What nobody will hear is said to all, if it is a failure.
    fn unheard(&self, ended: &Ended) {
        if ended.end.failed {
            let error = match ended.value() {
                Ok(_) => "it returned an error of its own".to_owned(),
                Err(error) => error.to_string(),
            };
            let (pool, task) = (self.shared.name.to_string(), ended.name.to_owned());
            event::publish(self.shared.owner, Event::TaskFailed { pool, task, id: ended.end.id.0, error });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver for Slot {
    fn ended(&self, ended: Ended) {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Left) {
            State::Waiting(waker) => {
                *state = State::Ended(ended);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Forward(to, handler) => {
                drop(state);
                self.shared.deliveries.deliver(to, Item { ended, handler, held: None });
            }
            State::Left => {
                drop(state);
                self.unheard(&ended);
            }
            ended @ State::Ended(_) => *state = ended,
        }
    }
}

impl<R> fmt::Debug for Submitted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Submitted({:?})", self.slot.id())
    }
}
