use std::{
    fmt,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::worker::{Seat, WorkerId};

/// How many workers a task may kill before it is never run again, whatever its terms allow.
pub(super) const QUARANTINE_AFTER: u32 = 2;

/// The number of a task within its pool: dense and increasing in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub(crate) u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

/// What a caller asks for with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The one worker that may run it (a broadcast), or any.
    pub(crate) worker: Option<WorkerId>,
    /// It is for the worker that this key belongs to when it is queued.
    pub(crate) key: Option<u64>,
    /// The higher, the earlier.
    pub(crate) priority: u8,
    /// How long it may run before its worker is killed.
    pub(crate) hard: Option<Duration>,
    /// How often it may be begun. 1, and 0 too, is for a task that is not idempotent: begun once, never again.
    pub(crate) max_attempts: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { worker: None, key: None, priority: 0, hard: None, max_attempts: 1 }
    }
}

/// How a task ended that has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Taken out of the queue, by its caller or by a drain.
    Cancelled,
    /// Its worker died while it ran it, and it may not be begun again.
    Lost,
    /// It killed two workers.
    Quarantined,
    /// The pool was killed while a worker held it.
    Killed,
    /// No worker is left that may run it.
    NoWorkers,
    /// It ran for longer than it may, and its worker was killed for it.
    TimedOut,
    /// Its caller no longer wanted it while it ran, and its worker was killed for it.
    Aborted,
}

/// How urgently a task that runs is to end which its caller no longer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// It is told, and ends as it ends.
    Tell,
    /// It is told, and its worker is killed if it has not ended after so long.
    Within(Duration),
}

/// A task that has not ended.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) worker: Option<WorkerId>,
    pub(super) key: Option<u64>,
    pub(super) priority: u8,
    pub(super) max_attempts: u32,
    /// How many workers died while they ran it.
    pub(super) kills: u32,
    pub(super) place: Place,
    /// Its caller no longer wants it.
    pub(super) cancelled: bool,
    /// Its worker was asked to give it back.
    pub(super) recalled: bool,
    /// What there is to know of its times. Apart, since most tasks have none and there may be a million of them.
    pub(super) times: Option<Box<Times>>,
}

/// When a task is to end, if anybody said so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// How long it may run.
    pub(super) hard: Option<Duration>,
    /// When it must have ended, since its caller no longer wants it.
    pub(super) stop_at: Option<Instant>,
    /// When to look whether it has run for too long.
    pub(super) alarm: Option<Instant>,
    /// Its worker was killed for it: how it ends if it was not quicker.
    pub(super) doom: Option<Ending>,
}

impl Task {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            worker: terms.worker,
            key: terms.key,
            priority: terms.priority,
            max_attempts: terms.max_attempts,
            kills: 0,
            place: Place::Queued,
            cancelled: false,
            recalled: false,
            times: terms.hard.map(|hard| Box::new(Times { hard: Some(hard), ..Times::default() })),
        }
    }

    pub(super) fn times(&self) -> Times {
        self.times.as_deref().copied().unwrap_or_default()
    }

    pub(super) fn times_mut(&mut self) -> &mut Times {
        self.times.get_or_insert_default()
    }
}

/// Where a task is.
///
/// ```text
///            submit
///              |
///              v      dispatch
///           Queued --------------> Dispatched --> done
///            |  ^                    |  |
///   cancel,  |  |  returned, or died |  |  died, kill,
///   drain,   |  +-- and may go again-+  |  or returned and no longer wanted
///   no workers                          |
///            v                          v
///            +--------> Ending <--------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the pool's queue, or in that of the worker it is bound to.
    Queued,
    /// With one incarnation of a worker, which may have died by now; only a report ends this.
    Dispatched(Seat),
}
