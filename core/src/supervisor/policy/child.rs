use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use super::EndReason;
use crate::actor::restart::Restart;

/// The name of a child within its supervisor: given by the caller, and never again for another child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChildId(pub(crate) u64);

/// What the policy has to know of a child spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ChildPolicy {
    pub(crate) restart: Restart,
}

/// Where a child stands.
///
/// ```text
///            add_all                add
///               |                    |
///               v                    v
///          +---------+ its turn +----------+   ready   +---------+
///          | Waiting | -------> | Starting | --------> | Running |
///          +---------+          +----------+           +---------+
///                                 ^      | a restart        | exited, to be restarted
///                           timer |      v has failed       |
///                               +------------+              |
///                               | BackingOff | <------------+     (without a wait: Starting)
///                               +------------+
///
///   exited, not to be restarted             Running -> Stopped, or gone if temporary
///   a first start, one on request failed    Starting -> gone, Stopped
///   terminate, remove, shutdown             Starting, Running -> Stopping -> Stopped, or gone
///                                           Waiting, BackingOff -> Stopped, or gone
///   restart on request                      Running -> Stopping -> Starting
///                                           BackingOff, Stopped -> Starting
/// ```
///
/// A process may stand behind `Starting`, `Running` and `Stopping`, never behind the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// In an ordered start, behind a child that is not ready yet.
    Waiting,
    /// Its start was asked for and not yet answered.
    Starting { cause: Cause, since: Instant },
    /// Ready.
    Running { since: Instant },
    /// It failed and is started again at `until`.
    BackingOff { until: Instant },
    /// Its stop was asked for and it has not ended yet.
    Stopping { then: Then, since: Instant },
    /// Only the spec is left; it starts again if somebody asks for it.
    Stopped,
}

/// Why a child is starting, which says what follows if it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is new: the caller hears of the failure and the spec is not kept.
    First,
    /// Somebody restarted a stopped child: the caller hears of the failure and the child stays stopped.
    Asked,
    /// It was running before and is meant to run: the failure is one more restart.
    Again,
}

/// What follows the end of a child that was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Terminated: its spec is kept.
    Keep,
    /// Restarted on request.
    Start,
    /// It is forgotten.
    Forget(EndReason),
}

/// How many children a supervisor has; `specs` is the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// All that it knows.
    pub specs: usize,
    /// Not yet started.
    pub waiting: usize,
    /// Being started, for the first time or on request.
    pub starting: usize,
    /// Ready.
    pub active: usize,
    /// Was ready and is not ready again: waiting for the next start, or in it.
    pub restarting: usize,
    /// Told to stop.
    pub stopping: usize,
    /// Down for good, its spec kept.
    pub stopped: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) restart: Restart,
    /// Restarts in a row, without a life long enough to forget them.
    pub(super) attempt: u32,
    state: State,
    place: u64,
}

/// The children in the order they were added, and when the next one is due.
#[derive(Debug, Clone, Default)]
pub(super) struct Children {
    by_id: HashMap<ChildId, Child>,
    /// A child keeps its place across restarts.
    order: BTreeMap<u64, ChildId>,
    next_place: u64,
    /// One entry for each child that backs off and none for any other, so that a timer cannot outlive its reason.
    due: BTreeSet<(Instant, ChildId)>,
}

impl Children {
    pub(super) fn contains(&self, id: ChildId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn insert(&mut self, id: ChildId, restart: Restart) {
        let place = self.next_place;
        self.next_place += 1;
        self.order.insert(place, id);
        self.by_id.insert(id, Child { restart, attempt: 0, state: State::Waiting, place });
    }

    pub(super) fn remove(&mut self, id: ChildId) {
        self.set(id, State::Stopped);
        if let Some(child) = self.by_id.remove(&id) {
            self.order.remove(&child.place);
        }
    }

    pub(super) fn get(&self, id: ChildId) -> Option<&Child> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ChildId) -> Option<&mut Child> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn state(&self, id: ChildId) -> Option<State> {
        self.by_id.get(&id).map(|child| child.state)
    }

    pub(super) fn set(&mut self, id: ChildId, state: State) {
        let Some(child) = self.by_id.get_mut(&id) else {
            return;
        };
        if let State::BackingOff { until } = std::mem::replace(&mut child.state, state) {
            self.due.remove(&(until, id));
        }
        if let State::BackingOff { until } = state {
            self.due.insert((until, id));
        }
    }

    /// Its failures so far are not held against it.
    pub(super) fn forgive(&mut self, id: ChildId) {
        if let Some(child) = self.by_id.get_mut(&id) {
            child.attempt = 0;
        }
    }

    /// The one that was added last.
    pub(super) fn last(&self) -> Option<ChildId> {
        self.order.last_key_value().map(|(_, &id)| id)
    }

    /// All, last added first.
    pub(super) fn reversed(&self) -> Vec<ChildId> {
        self.order.values().rev().copied().collect()
    }

    pub(super) fn next_due(&self) -> Option<(Instant, ChildId)> {
        self.due.first().copied()
    }

    /// Counted anew each time, so that no counter can drift.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { specs: self.by_id.len(), ..Counts::default() };
        for child in self.by_id.values() {
            let count = match child.state {
                State::Waiting => &mut counts.waiting,
                State::Starting { cause: Cause::First | Cause::Asked, .. } => &mut counts.starting,
                State::Starting { cause: Cause::Again, .. } | State::BackingOff { .. } => &mut counts.restarting,
                State::Running { .. } => &mut counts.active,
                State::Stopping { .. } => &mut counts.stopping,
                State::Stopped => &mut counts.stopped,
            };
            *count += 1;
        }
        counts
    }
}
