//! Completions: how a task ended, as a message to an actor.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

use super::ended::{Ended, RanOn};
use super::error::TaskError;
use super::forward;
use super::task::TaskId;
use crate::actor::address::Address;
use crate::actor::call::Cast;
use crate::actor::message;
use crate::actor::node::Node;
use crate::actor::run::text_of;
use crate::actor::traits::{Handlers, Payload};
use crate::event::{self, Event};
use crate::router::Message;
use crate::wire::ids::Destination;

/// How one task ended: its value or its failure, told the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Completion<R> {
    /// The task's number in its pool.
    pub task: TaskId,
    /// Its place in the input it came from; 0 where it was submitted alone.
    pub index: u64,
    /// The function's name.
    pub name: String,
    /// Its value, or why it has none.
    pub outcome: Result<R, TaskError>,
    /// How long it ran; zero where it was never begun.
    pub duration: Duration,
    /// The worker that had it last; none where none ever had.
    pub worker: Option<RanOn>,
}

impl<R: Payload> Completion<R> {
    pub(super) fn of(ended: &Ended) -> Self {
        Self {
            task: ended.end.id,
            index: ended.end.index,
            name: ended.name.to_owned(),
            outcome: ended.result(),
            duration: ended.end.ran,
            worker: ended.worker.as_deref().cloned(),
        }
    }
}

/// Makes a task's end the message of its handler.
pub(super) type Handler = Arc<dyn Fn(&Ended) -> Result<Message, String> + Send + Sync>;

/// The handlers that are brought the completions of a type of result.
pub(super) type Also = Arc<[(Destination, Handler)]>;

/// What is to be delivered: the end of a task, and what makes a message of it.
pub(super) struct Item {
    pub(super) ended: Ended,
    pub(super) handler: Handler,
    /// Dropped when it is delivered, or lost.
    #[expect(dead_code, reason = "it is there to be dropped")]
    pub(super) held: Option<Arc<dyn Any + Send + Sync>>,
}

/// Brings completions to their handlers: in order for each, and without one waiting for another's.
pub(super) struct Deliveries {
    ledger: Arc<Ledger>,
    runtime: tokio::runtime::Handle,
    forwarders: Mutex<HashMap<Destination, mpsc::UnboundedSender<Item>>>,
    /// Handlers of all tasks with a result of this type.
    by_result: RwLock<HashMap<TypeId, Also>>,
}

/// What is known of completions on their way.
pub(super) struct Ledger {
    pool: Arc<str>,
    owner: u64,
    open: AtomicUsize,
    /// Told at each one.
    delivered: Notify,
}

impl Deliveries {
    pub(super) fn new(pool: Arc<str>, owner: u64) -> Self {
        Self {
            ledger: Arc::new(Ledger { pool, owner, open: AtomicUsize::new(0), delivered: Notify::new() }),
            runtime: tokio::runtime::Handle::current(),
            forwarders: Mutex::default(),
            by_result: RwLock::default(),
        }
    }

    /// What outlives the pool until the last completion is delivered.
    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Delivers the end of a task to its handler, after those before it.
    pub(super) fn deliver(&self, to: Destination, item: Item) {
        self.ledger.open.fetch_add(1, Ordering::AcqRel);
        let mut forwarders = self.forwarders.lock().unwrap_or_else(PoisonError::into_inner);
        let forwarder = forwarders.entry(to).or_insert_with(|| {
            let (sender, items) = mpsc::unbounded_channel();
            self.runtime.spawn(forward::run(self.ledger.clone(), to, items));
            sender
        });
        if let Err(unsent) = forwarder.send(item) {
            self.ledger.lost(1, "the runtime has ended");
            self.ledger.settled(unsent.0);
        }
    }

    /// Has the completions of all tasks with this result, those of tasks from now on, brought to a handler.
    pub(super) fn add<R: 'static>(&self, to: Destination, handler: Handler) {
        let mut all = self.by_result.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(&TypeId::of::<R>());
        let list = before.into_iter().flat_map(|list| list.iter().cloned()).chain([(to, handler)]).collect();
        all.insert(TypeId::of::<R>(), list);
    }

    /// The handlers of all tasks with this result.
    pub(super) fn of<R: 'static>(&self) -> Option<Also> {
        self.by_result.read().unwrap_or_else(PoisonError::into_inner).get(&TypeId::of::<R>()).cloned()
    }

    /// Whether the handler on this thread is, or is called by, one that completions are brought to: it cannot wait for
    /// them.
    pub(super) fn is_inside_handler(&self) -> bool {
        let Some(call) = message::current().and_then(|current| current.call) else { return false };
        let forwarders = self.forwarders.lock().unwrap_or_else(PoisonError::into_inner);
        let targets: Vec<_> = forwarders.keys().copied().collect();
        drop(forwarders);
        Node::here().with(|router| router.is_caused_at(call, &targets))
    }
}

impl Ledger {
    /// Completions that are still to be delivered.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until none is left.
    pub(super) async fn done(&self) {
        loop {
            let mut delivered = pin!(self.told());
            delivered.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            delivered.await;
        }
    }

    /// Completes when the next one is delivered.
    pub(super) fn told(&self) -> Notified<'_> {
        self.delivered.notified()
    }

    /// One is delivered, or lost and said to be.
    pub(super) fn settled(&self, item: Item) {
        drop(item);
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.delivered.notify_waiters();
    }

    /// Says that some did not reach their handler.
    pub(super) fn lost(&self, count: usize, error: &str) {
        event::publish(
            self.owner,
            Event::CompletionsLost { pool: self.pool.to_string(), count: count as u64, error: error.to_owned() },
        );
    }
}

/// What makes a completion a message to this actor.
pub(super) fn handler<A: Handlers, R: Payload>(
    address: &Address<A>,
    cast: impl Fn(&Address<A>, Completion<R>) -> Cast + Send + Sync + 'static,
) -> Handler {
    let address = *address;
    Arc::new(move |ended| {
        let built = catch_unwind(AssertUnwindSafe(|| cast(&address, Completion::of(ended))));
        match built.map(Cast::into_unsent) {
            Ok(Some((to, message))) if to == address.destination() => {
                message.into_parts().map_err(|error| error.to_string())
            }
            Ok(_) => Err("the function for completions made no cast to its actor".to_owned()),
            Err(panic) => Err(format!("the function for completions panicked: {}", text_of(&*panic))),
        }
    })
}

impl<R> fmt::Display for Completion<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.name, self.task)?;
        match &self.outcome {
            Ok(_) => write!(f, "done in {:?}", self.duration),
            Err(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("open", &self.ledger.open()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("pool", &self.pool).finish_non_exhaustive()
    }
}
