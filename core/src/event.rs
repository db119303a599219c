//! What happened, as typed events: nothing is silent.

use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::error::exit::Exit;

/// Events that a slow listener may be behind before it misses some.
const BEHIND: usize = 4096;

/// Something that happened under a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// A child is ready.
    Started {
        /// The child's name.
        child: String,
        /// Its process.
        pid: u32,
        /// Which incarnation this is, counted from 1.
        incarnation: u32,
    },
    /// A start failed.
    StartFailed {
        /// The child's name.
        child: String,
        /// Why.
        error: String,
    },
    /// An incarnation ended.
    Exited {
        /// The child's name.
        child: String,
        /// How.
        exit: Exit,
    },
    /// A child will be started again.
    Restarting {
        /// The child's name.
        child: String,
        /// How many restarts in a row this makes.
        attempt: u32,
        /// When, from now.
        delay: Duration,
    },
    /// A child will not come back.
    Ended {
        /// The child's name.
        child: String,
        /// Why.
        why: String,
    },
    /// Children failed more often than the supervisor allows: it stops them all and ends.
    Escalated {
        /// The child whose failure was one too many.
        child: String,
        /// The restarts that are allowed.
        restarts: u32,
        /// Within this time.
        within: Duration,
    },
    /// A child did not stop in time and was killed.
    Killed {
        /// The child's name.
        child: String,
    },
    /// Casts ended in no handler.
    DeadLetters {
        /// The actor they were sent to.
        actor: String,
        /// How many.
        count: u64,
    },
    /// Items of a queue became dead letters.
    ItemsDead {
        /// The queue.
        queue: String,
        /// How many.
        count: u64,
        /// Why.
        why: String,
    },
    /// A handler without a caller failed: a cast, a timer, an actor's message to itself.
    CastFailed {
        /// The actor's name.
        actor: String,
        /// The method.
        method: String,
        /// What it returned.
        error: String,
    },
    /// A task failed whose result nobody awaits.
    TaskFailed {
        /// The pool.
        pool: String,
        /// The task's function.
        task: String,
        /// Its number in the pool.
        id: u64,
        /// How it failed.
        error: String,
    },
    /// A task was killed, with its worker, which is replaced.
    TaskKilled {
        /// The pool.
        pool: String,
        /// The task's function.
        task: String,
        /// Its number in the pool.
        id: u64,
        /// The worker.
        worker: String,
        /// How long the task had run.
        ran: Duration,
        /// Whether that was longer than it may; otherwise its caller no longer wanted it.
        late: bool,
    },
    /// A worker of a pool has used up what it was given: it finishes what it has and is replaced. Nothing is wrong with it.
    Recycled {
        /// The worker.
        child: String,
        /// What it has used up.
        why: String,
    },
    /// Completions of tasks did not reach their handler, or the handler failed at them.
    CompletionsLost {
        /// The pool.
        pool: String,
        /// How many.
        count: u64,
        /// Why.
        error: String,
    },
    /// A pool could not keep one worker and takes no more tasks.
    PoolGaveUp {
        /// The pool.
        pool: String,
        /// The last failed start, or the last end of a worker.
        cause: String,
    },
    /// A limit does not hold for a child as it was asked for; the child runs all the same.
    ///
    /// Told at every start, before anything else of it.
    LimitNotEnforced {
        /// The child's name.
        child: String,
        /// Which limit.
        limit: Limit,
        /// Why not, and what holds instead.
        why: String,
    },
    /// A worker broke the protocol and was killed.
    Refused {
        /// The child's name.
        child: String,
        /// What it did.
        why: String,
    },
}

/// One of the limits of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// Memory of each process.
    Memory,
    /// The number of processes.
    Processes,
    /// The processors to run on.
    Cpus,
    /// How urgent its work is.
    Priority,
}

/// The events of one supervisor, from the time of the call that returned it.
#[derive(Debug)]
pub struct Events {
    owner: u64,
    receiver: broadcast::Receiver<(u64, Event)>,
}

impl Events {
    /// The next event; where this listener was too slow, how many it missed, as an error.
    ///
    /// # Cancellation
    /// Safe: an event is either returned or still to come.
    pub async fn next(&mut self) -> Result<Event, Lagged> {
        loop {
            match self.receiver.recv().await {
                Ok((owner, event)) if owner == self.owner => return Ok(event),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(missed)) => return Err(Lagged { missed }),
                // The sender is a static.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// Events were missed, because they came faster than they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{missed} events were missed")]
pub struct Lagged {
    /// How many, those of other supervisors of this process included.
    pub missed: u64,
}

pub(crate) fn subscribe(owner: u64) -> Events {
    Events { owner, receiver: bus().subscribe() }
}

/// Makes an event of a supervisor known, to its listeners and to the log.
pub(crate) fn publish(owner: u64, event: Event) {
    match &event {
        Event::Started { .. } => tracing::debug!(?event),
        Event::Exited { exit, .. } if exit.is_orderly() => tracing::debug!(?event),
        Event::Ended { .. } | Event::Recycled { .. } => tracing::debug!(?event),
        Event::Escalated { .. } | Event::PoolGaveUp { .. } => tracing::error!(?event),
        _ => tracing::warn!(?event),
    }
    let _ = bus().send((owner, event));
}

fn bus() -> &'static broadcast::Sender<(u64, Event)> {
    static BUS: OnceLock<broadcast::Sender<(u64, Event)>> = OnceLock::new();
    BUS.get_or_init(|| broadcast::Sender::new(BEHIND))
}
