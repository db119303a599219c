use std::time::{Duration, Instant};

use super::{
    backlog::Backlog,
    held::Held,
    rules::{Lot, Wear},
    span::Span,
    task::TaskId,
    window::{Chunk, Window},
};

/// A worker that has been at one task for this long is stalled.
pub(super) const STALL: Duration = Duration::from_millis(5);

/// The number of a worker within its pool: the same over all its incarnations, so that what is bound to it finds the
/// next one. After a worker was stopped and its exit was reported its number may be given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerId(pub(crate) u64);

impl WorkerId {
    /// The worker at this place.
    pub(super) fn of(index: usize) -> Self {
        Self(index as u64)
    }
}

/// One incarnation of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    pub(super) worker: u32,
    pub(super) incarnation: u32,
}

/// What is known of a worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) phase: Phase,
    pub(super) incarnation: u32,
    /// Starts that failed since it was last ready.
    pub(super) failures: u32,
    /// What this incarnation was given and has not reported, oldest first.
    pub(super) held: Held,
    pub(super) window: Window,
    /// When it last reported a result, or got a task while it had none.
    pub(super) heard: Instant,
    pub(super) pace: Pace,
    /// The tasks that wait for this worker and may go to no other.
    pub(super) queue: Backlog,
    /// Whether it is among the `turns` of all workers.
    pub(super) has_turn: bool,
    /// Whether it is counted in `deep`.
    pub(super) is_deep: bool,
    /// Takes only tasks that are bound to it, until one of the others is lost.
    pub(super) reserve: bool,
    /// The task for which it is about to be killed, and since when: it gets nothing more.
    pub(super) condemned: Option<(TaskId, Instant)>,
    /// It was killed for a task.
    pub(super) killed: bool,
    /// What this incarnation was given.
    pub(super) lot: Lot,
    /// Tasks that this incarnation has reported.
    pub(super) ran: u64,
    /// What of its lot it has used up before it had run anything.
    pub(super) worn: Option<Wear>,
    /// Since when it has nothing to do.
    pub(super) idle_since: Instant,
    /// Whether somebody will look how long it has had nothing to do.
    pub(super) rest_armed: bool,
}

impl Worker {
    pub(super) fn new(now: Instant, chunk: Chunk) -> Self {
        Self {
            phase: Phase::Vacant,
            incarnation: 0,
            failures: 0,
            held: Held::default(),
            window: Window::new(chunk),
            heard: now,
            pace: Pace::Moving,
            queue: Backlog::default(),
            has_turn: false,
            is_deep: false,
            reserve: false,
            condemned: None,
            killed: false,
            lot: Lot::default(),
            ran: 0,
            worn: None,
            idle_since: now,
            rest_armed: false,
        }
    }

    /// Whether it gets another task.
    pub(super) fn has_room(&mut self) -> bool {
        let held = self.held.len();
        let has_lot = self.lot.tasks.is_none_or(|tasks| self.ran + (held as u64) < tasks);
        self.phase == Phase::Ready && self.condemned.is_none() && has_lot && self.window.has_room(held)
    }

    /// How many of `queued` tasks that any of `ready` workers may run it gets together, at least one.
    pub(super) fn chunk(&self, queued: usize, ready: usize) -> usize {
        let held = self.held.len();
        let lot = self.lot.tasks.map_or(usize::MAX, |tasks| tasks.saturating_sub(self.ran + held as u64) as usize);
        self.window.chunk(held, queued, ready).min(lot.max(1))
    }

    /// This incarnation has ended.
    pub(super) fn end(&mut self) {
        self.incarnation += 1;
        self.held.clear();
        self.condemned = None;
        self.killed = false;
        self.reserve = false;
        self.rest_armed = false;
    }

    /// An incarnation begins to take tasks.
    pub(super) fn begin(&mut self, now: Instant, lot: Lot, chunk: Chunk) {
        self.failures = 0;
        self.lot = lot;
        self.ran = 0;
        self.worn = None;
        self.window = Window::new(chunk);
        self.pace = Pace::Moving;
        self.heard = now;
    }

    /// It gets tasks.
    pub(super) fn take(&mut self, tasks: Span, now: Instant) {
        if self.held.is_empty() {
            self.heard = now;
        }
        self.held.push(tasks);
    }

    /// It reported a result. [`handle_report`](Self::handle_report) follows, once for all that came together.
    pub(super) fn handle_ran(&mut self, ran: Duration) {
        self.window.observe(ran);
        self.ran += 1;
    }

    /// It reported results that took so many nanoseconds each.
    pub(super) fn handle_all_ran(&mut self, count: usize, nanos: impl Iterator<Item = u64>) {
        self.window.observe_all(nanos);
        self.ran += count as u64;
    }

    /// That was all that it reported now.
    pub(super) fn handle_report(&mut self, now: Instant) {
        self.window.adjust();
        self.heard = now;
        self.pace = Pace::Moving;
    }

    /// Whether it has been at one task for long, if it has one.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= STALL
    }

    /// It no longer has tasks that it was given.
    pub(super) fn give_up(&mut self, tasks: Span) {
        self.held.remove(tasks);
        if self.held.is_empty() {
            self.pace = Pace::Moving;
        }
        if self.condemned.is_some_and(|(condemned, _)| tasks.contains(condemned)) {
            self.condemned = None;
        }
    }
}

/// Where a worker is in its life.
///
/// ```text
///           StartWorker            ready
///   Vacant -------------> Starting ------> Ready ---> Dying
///     ^                   ^ |   ^ start      | |        |
///     |                   | |   | failed     | | lost   | lost
///     |                   | +---+            | v        v
///     |                   +------------------+-<--------+
///     |                   |                  |
///     |                   | resize           | resize
///     |                   v     StopWorker   v
///     +---------------- Stopping <------- Retiring
///        lost, or its                last report
///        start failed
/// ```
/// While nothing is started any more (drain, no workers, kill) what would be `Starting` again is `Vacant`.
/// `Retiring` goes back to `Ready` if the worker is wanted after all, and to `Vacant` if it is lost.
///
/// ```text
///         its lot is used up      last report; StopWorker        lost
///   Ready ----------------> Recycling -----------------> Renewing ----> Starting
///
///         nothing to do; StopWorker         lost           a task waits; StartWorker
///   Ready ---------------------------> Dozing ---> Dormant -------------------------> Starting
/// ```
/// A worker without tasks goes from `Ready` to `Renewing` at once. Any of these is `Starting` if it dies on the way, and
/// leaves by `Retiring`, `Stopping` or at once if it is not wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No process, and none wanted.
    Vacant,
    /// Wanted: its process is being started.
    Starting,
    /// It takes tasks.
    Ready,
    /// A report of one of its tasks said that it has died, its own loss is still to be told.
    Dying,
    /// No longer wanted: it finishes what it holds.
    Retiring,
    /// It was told to stop; its exit is still to be told.
    Stopping,
    /// To be replaced: it finishes what it holds.
    Recycling,
    /// It was told to stop, to be replaced; its exit is still to be told.
    Renewing,
    /// It was told to stop, as it had nothing to do; its exit is still to be told.
    Dozing,
    /// No process until a task waits for one.
    Dormant,
}

impl Phase {
    /// Whether there is a process that runs tasks, as far as is known.
    pub(super) fn runs(self) -> bool {
        matches!(self, Self::Ready | Self::Retiring | Self::Recycling)
    }

    /// Whether the worker, or its next incarnation, will take tasks.
    pub(super) fn is_wanted(self) -> bool {
        !matches!(self, Self::Vacant | Self::Retiring | Self::Stopping)
    }
}

/// Whether a worker gets on with what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As far as is known.
    Moving,
    /// It has been at one task for long: nothing that could run elsewhere is put behind it before its next report.
    Stalled,
    /// Stalled, and what waits in it was asked back.
    Recalled,
}
