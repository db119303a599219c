//! What a handler knows of its actor.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use super::address::Address;
use super::call::Cast;
use super::lookup::{self, LookupError};
use super::message;
use super::node::LocalEnd;
use super::run::caught;
use super::traits::Handlers;
use crate::error::exit::{Down, StopReason};
use crate::shm::journal::Journal;
use crate::wire::ids::Destination;

/// What a handler knows of its actor: a parameter `ctx: &Context<Self>` of any method under `#[handlers]`.
pub struct Context<A> {
    address: Address<A>,
    shared: Rc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) incarnation: u32,
    pub(crate) parent: u32,
    pub(crate) registry: Option<Destination>,
    pub(crate) stop: Stop,
    pub(crate) end: Arc<LocalEnd>,
}

/// The wish that an actor ends, from whichever side it comes; the first one counts.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    wish: watch::Sender<Option<StopReason>>,
    /// Whether there is one: each message looks.
    is_asked: Arc<AtomicBool>,
    /// Where a worker sees its supervisor's wish, though its thread computes and hears nothing.
    journal: Option<Arc<Journal>>,
}

/// A task that belongs to an actor: it ends with the actor, or earlier when it is cancelled.
#[derive(Debug)]
pub struct TaskHandle(AbortHandle);

impl TaskHandle {
    /// Ends the task at its next await; a timer that has not fired never fires.
    pub fn cancel(&self) {
        self.0.abort();
    }
}

impl<A: Handlers> Context<A> {
    pub(crate) fn new(address: Address<A>, shared: Rc<Shared>) -> Self {
        Self { address, shared }
    }

    /// The actor's own address.
    #[must_use]
    pub fn address(&self) -> Address<A> {
        self.address
    }

    /// The actor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Which incarnation this is, counted from 1.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.shared.incarnation
    }

    /// The id of its supervisor's process; this process's own for an actor on a thread.
    #[must_use]
    pub fn parent(&self) -> u32 {
        self.shared.parent
    }

    /// Ends the actor in order after the running handler: a normal end, after which a transient actor stays down.
    pub fn stop(&self) {
        self.shared.stop.ask(StopReason::Normal);
    }

    /// Whether the actor was asked to stop; a long handler should come to its end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.stop.asked().is_some()
    }

    /// Completes when the actor is asked to stop. While a handler blocks its thread only the flag
    /// ([`is_stopping`](Self::is_stopping)) tells of it.
    pub fn stopping(&self) -> impl Future<Output = StopReason> + use<A> {
        let stop = self.shared.stop.clone();
        async move { stop.wait().await }
    }

    /// Completes when the caller of the message that is being handled has gone; never for a cast. While a handler blocks its thread
    /// only the flag ([`is_cancelled`](Self::is_cancelled)) tells of it.
    pub fn cancelled(&self) -> impl Future<Output = ()> + use<A> {
        self.shared.end.cancellation().cancelled()
    }

    /// Whether the caller of the message that is being handled has gone: a flag for loops that compute, as it is at this moment.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.end.is_cancelled()
    }

    /// Tells the supervisor of something that failed without a caller.
    pub(crate) fn tell_failed(&self, method: &str, error: String) {
        self.shared.end.cast_failed(method, error);
    }

    /// Where the actor's messages come from.
    pub(crate) fn end(&self) -> &Arc<LocalEnd> {
        &self.shared.end
    }

    /// What is left of the deadline of the call that is being handled; none for a cast, whose time is for its room in the
    /// mailbox.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = message::current()?.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// The actor of this type that its supervisor knows by this name.
    ///
    /// # Errors
    /// Where there is none, where it is of another type, or where the supervisor cannot be asked.
    pub async fn lookup<B: Handlers>(&self, name: &str) -> Result<Address<B>, LookupError> {
        match self.shared.registry {
            Some(registry) => lookup::lookup(registry, name).await,
            None => Err(LookupError::NotFound(name.to_owned())),
        }
    }

    /// Runs a future beside the handlers, on the actor's thread. It is dropped when the actor ends.
    ///
    /// If it panics, that is an event, and the actor lives.
    pub fn spawn<F: Future<Output = ()> + 'static>(&self, future: F) -> TaskHandle {
        let end = self.shared.end.clone();
        let task = tokio::task::spawn_local(async move {
            if let Err(message) = caught(future).await {
                end.cast_failed("ctx.spawn", format!("panicked: {message}"));
            }
        });
        TaskHandle(task.abort_handle())
    }

    /// Sends the actor a message of its own after some time: `ctx.send_after(delay, |me| me.poke())`.
    pub fn send_after(&self, delay: Duration, message: impl FnOnce(&Address<A>) -> Cast + 'static) -> TaskHandle {
        let (me, end) = (self.address, self.shared.end.clone());
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            deliver(&end, message(&me)).await;
        })
    }

    /// Watches another actor's present incarnation; its end comes as a message, exactly once:
    /// `ctx.monitor(&other, |me, down| me.down(down))`.
    pub fn monitor<B: Handlers>(
        &self,
        other: &Address<B>,
        message: impl FnOnce(&Address<A>, Down) -> Cast + 'static,
    ) -> TaskHandle {
        let (me, end) = (self.address, self.shared.end.clone());
        let monitor = other.ctl().monitor();
        self.spawn(async move { deliver(&end, message(&me, monitor.await)).await })
    }

    /// Runs a blocking function on a thread of its own, so that the actor stays responsive.
    pub fn spawn_blocking<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
        tokio::task::spawn_blocking(work)
    }
}

/// A message of an actor to itself: nobody hears of its failure but its supervisor.
async fn deliver(end: &LocalEnd, cast: Cast) {
    let method = cast.method();
    if let Err(error) = cast.no_timeout().await {
        end.cast_failed(method, error.to_string());
    }
}

impl<A> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.shared.name)
            .field("incarnation", &self.shared.incarnation)
            .finish_non_exhaustive()
    }
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self { wish: watch::Sender::new(None), is_asked: Arc::default(), journal: None }
    }

    /// That of the actor which this process, a worker, hosts.
    pub(crate) fn of_worker(journal: Arc<Journal>) -> Self {
        Self { journal: Some(journal), ..Self::new() }
    }

    pub(crate) fn ask(&self, reason: StopReason) {
        self.is_asked.store(true, Ordering::Release);
        self.wish.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(reason);
            first
        });
    }

    #[inline]
    pub(crate) fn asked(&self) -> Option<StopReason> {
        if self.journal.as_ref().is_some_and(|journal| journal.is_asked_to_stop()) {
            self.ask(StopReason::Shutdown);
        }
        if self.is_asked.load(Ordering::Acquire) { *self.wish.borrow() } else { None }
    }

    pub(crate) async fn wait(&self) -> StopReason {
        let mut asked = self.wish.subscribe();
        loop {
            if let Some(reason) = *asked.borrow_and_update() {
                return reason;
            }
            if asked.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
