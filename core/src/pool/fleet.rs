//! A pool of actors: the methods of one, run by whichever worker has the least to do.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::fleet_call::{Gather, PoolCall, PoolCast, Sending, To};
use super::handle::{Handle, start};
use super::inbox::Arrival;
use super::info::{PoolReport, PoolWorker};
use super::insight::PoolInsights;
use super::progress::ProgressStream;
use super::shell::Read;
use super::size::PoolSize;
use super::spec::PoolSpec;
use crate::actor::message::Message;
use crate::actor::target::Target;
use crate::actor::traits::{Handlers, Payload};
use crate::error::start::StartError;
use crate::supervisor::handle::Supervisor;

/// Many actors of one type, each in a process of its own, behind one queue.
///
/// The actor's methods can be called on it as on an address. Each message goes to the worker with the fewest
/// outstanding, ties round robin, so two of them may meet different actors; where state matters, choose by
/// [`key`](PoolControl::key). The queue is the pool's: what no worker has begun survives all of them. A worker whose
/// handler panics ends, as any actor does, and is replaced.
///
/// A handle: clones mean the same pool. When the last one is dropped, calls in flight included, the pool is killed
/// without blocking; [`finish`](PoolControl::finish) ends it in order.
pub struct Pool<A> {
    handle: Arc<Handle>,
    actor: PhantomData<fn() -> A>,
}

/// What can be done to a pool beside its actor's messages.
#[derive(Debug)]
pub struct PoolControl<'a, A> {
    pool: &'a Pool<A>,
}

/// One worker of a pool, chosen by a key: the same key means the same worker, over all its incarnations.
///
/// After a [`resize`](PoolControl::resize) only the keys of workers that have left, and as many as new ones must have, belong to
/// other workers; messages that wait for one that leaves go to the one that has the key then.
pub struct Keyed<A> {
    handle: Arc<Handle>,
    key: u64,
    actor: PhantomData<fn() -> A>,
}

/// All workers of a pool.
pub struct Broadcast<A> {
    handle: Arc<Handle>,
    actor: PhantomData<fn() -> A>,
}

impl Supervisor {
    /// Starts a pool of actors of one type, all at once and all from the same arguments, and returns it when the first
    /// one is ready.
    ///
    /// # Errors
    /// As for [`task_pool`](Self::task_pool).
    ///
    /// # Cancellation
    /// Dropping the future ends the pool.
    pub async fn pool<A: Handlers>(
        &self,
        name: impl Into<String>,
        spec: impl Into<PoolSpec>,
        args: A::Init,
    ) -> Result<Pool<A>, StartError> {
        // The answer is the actor's own: it says nothing of how long it took.
        let read: Read = |_| (false, None);
        let handle = start::<A>(self, name.into(), spec.into(), &args, read).await?;
        Ok(Pool { handle, actor: PhantomData })
    }
}

impl<A: Handlers> Pool<A> {
    /// The administrative verbs of this pool.
    #[must_use]
    pub fn ctl(&self) -> PoolControl<'_, A> {
        PoolControl { pool: self }
    }
}

impl<A: Handlers> PoolControl<'_, A> {
    /// The worker that this key belongs to: messages to it are handled by that worker alone and in order.
    pub fn key<K: Hash + ?Sized>(&self, key: &K) -> Keyed<A> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Keyed { handle: self.pool.handle.clone(), key: hasher.finish(), actor: PhantomData }
    }

    /// All workers: a call answers what each of them does.
    #[must_use]
    pub fn broadcast(&self) -> Broadcast<A> {
        Broadcast { handle: self.pool.handle.clone(), actor: PhantomData }
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.pool.handle.shared.name
    }

    /// How many workers it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.pool.handle.shared.size()
    }

    /// Wants another number of workers from now on: those that are missing are started, and those that are too many leave
    /// after what they have, the highest numbers first. What waits for one of those by a [`key`](Self::key) goes to another, what
    /// was broadcast to it is not delivered. Done when the pool knows, before they are there or gone.
    ///
    /// # Errors
    /// A size of 0.
    pub async fn resize(&self, size: impl Into<PoolSize>) -> Result<(), StartError> {
        self.pool.handle.resize(size.into()).await
    }

    /// Has no message handled any more, but takes them. What is being handled goes on; what waits in workers is taken back.
    ///
    /// A pool that is told to [`finish`](Self::finish) goes on by itself.
    pub fn pause(&self) {
        self.pool.handle.shared.tell(Arrival::Pause);
    }

    /// Has messages handled again.
    pub fn resume(&self) {
        self.pool.handle.shared.tell(Arrival::Resume);
    }

    /// Messages that no worker has yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.pool.handle.shared.queued()
    }

    /// The workers at this moment.
    pub async fn workers(&self) -> Vec<PoolWorker> {
        self.pool.handle.workers().await
    }

    /// What the workers have spent their time on, and the slowest messages; nothing once the pool is over.
    pub async fn insights(&self) -> PoolInsights {
        self.pool.handle.insights().await
    }

    /// How far the pool has come, at once and then every so often, ten seconds at most, until it is over.
    pub fn progress(&self, every: Duration) -> ProgressStream {
        ProgressStream::new(self.pool.handle.shared.clone(), every)
    }

    /// Takes no more messages, handles all that it has, and ends. Done when no process is left.
    ///
    /// # Cancellation
    /// The pool ends without the future.
    pub async fn finish(&self) -> PoolReport {
        self.pool.handle.finish().await
    }

    /// Takes no more messages, finishes those that are being handled, cancels those that are queued, and ends; what is
    /// still being handled after `deadline` is killed.
    ///
    /// # Cancellation
    /// The pool ends without the future.
    pub async fn drain(&self, deadline: Duration) -> PoolReport {
        self.pool.handle.drain(deadline).await
    }

    /// Ends everything at once.
    ///
    /// # Cancellation
    /// The pool ends without the future.
    pub async fn kill(&self) -> PoolReport {
        self.pool.handle.kill().await
    }
}

impl<A: Handlers> Target<A> for Pool<A> {
    type Call<T, E> = PoolCall<T, E>;
    type Cast = PoolCast;

    fn start_call<T: Payload, E: Payload>(&self, message: Message) -> PoolCall<T, E> {
        PoolCall::new(Sending::new(self.handle.clone(), To::Any, message))
    }

    fn start_cast(&self, message: Message) -> PoolCast {
        PoolCast::new(vec![Sending::new(self.handle.clone(), To::Any, message)])
    }
}

impl<A: Handlers> Target<A> for Keyed<A> {
    type Call<T, E> = PoolCall<T, E>;
    type Cast = PoolCast;

    fn start_call<T: Payload, E: Payload>(&self, message: Message) -> PoolCall<T, E> {
        PoolCall::new(Sending::new(self.handle.clone(), To::Key(self.key), message))
    }

    fn start_cast(&self, message: Message) -> PoolCast {
        PoolCast::new(vec![Sending::new(self.handle.clone(), To::Key(self.key), message)])
    }
}

impl<A> Broadcast<A> {
    fn sendings(&self, message: &Message) -> Vec<Sending> {
        let workers = self.handle.shared.wanted();
        let sending = |&worker| Sending::new(self.handle.clone(), To::Worker(worker), message.clone());
        workers.iter().map(sending).collect()
    }
}

impl<A: Handlers> Target<A> for Broadcast<A> {
    type Call<T, E> = Gather<T, E>;
    type Cast = PoolCast;

    fn start_call<T: Payload, E: Payload>(&self, message: Message) -> Gather<T, E> {
        Gather::new(self.sendings(&message).into_iter().map(PoolCall::new))
    }

    fn start_cast(&self, message: Message) -> PoolCast {
        PoolCast::new(self.sendings(&message))
    }
}

impl<A> Clone for Pool<A> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), actor: PhantomData }
    }
}

impl<A> fmt::Debug for Pool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl<A> fmt::Debug for Keyed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyed({}, {:x})", self.handle.shared.name, self.key)
    }
}

impl<A> fmt::Debug for Broadcast<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broadcast({})", self.handle.shared.name)
    }
}
