//! What the workers of a pool have spent their time on.

use std::sync::Arc;
use std::time::Duration;

use super::ended::RanOn;
use super::task::TaskId;

/// Tasks that are kept as the slowest.
const SLOWEST: usize = 10;

/// What the workers of a pool have spent their time on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolInsights {
    /// One for each worker, over all its incarnations.
    pub workers: Vec<WorkerInsight>,
    /// The tasks that took the longest, the slowest first: ten at most.
    pub slowest: Vec<SlowTask>,
}

/// What a worker of a pool has spent its time on, over all its incarnations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInsight {
    /// Its name, such as `primes#1`.
    pub name: String,
    /// Incarnations that were begun.
    pub starts: u32,
    /// Tasks that it has run.
    pub tasks: u64,
    /// How long it took to become ready, in all.
    pub start_up: Duration,
    /// How long tasks ran in it.
    pub working: Duration,
    /// How long it was ready and ran none.
    pub waiting: Duration,
    /// The bytes that it has in memory, while it is ready.
    pub memory: Option<u64>,
}

/// One of the tasks that took the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowTask {
    /// Its number in its pool.
    pub task: TaskId,
    /// The function's name.
    pub name: String,
    /// How long it ran.
    pub duration: Duration,
    /// The worker that ran it.
    pub worker: Option<RanOn>,
    /// What its options say of it: [`TaskOptions::described`](crate::TaskOptions::described).
    pub description: Option<String>,
}

/// The tasks that took the longest, the slowest first.
#[derive(Debug, Default)]
pub(super) struct Slowest(Vec<SlowTask>);

impl Slowest {
    /// Whether a task that ran for so long is one to be kept.
    pub(super) fn takes(&self, ran: Duration) -> bool {
        let full = self.0.len() == SLOWEST;
        !(ran.is_zero() || full && self.0.last().is_some_and(|last| last.duration >= ran))
    }

    /// A task of this function has ended.
    pub(super) fn handle(
        &mut self,
        name: &str,
        worker: Option<&Arc<RanOn>>,
        (task, ran): (TaskId, Duration),
        description: Option<&Arc<str>>,
    ) {
        if !self.takes(ran) {
            return;
        }
        let place = self.0.partition_point(|slow| slow.duration >= ran);
        let slow = SlowTask {
            task,
            name: name.to_owned(),
            duration: ran,
            worker: worker.map(|worker| (**worker).clone()),
            description: description.map(|description| (**description).to_owned()),
        };
        self.0.insert(place, slow);
        self.0.truncate(SLOWEST);
    }

    pub(super) fn list(&self) -> Vec<SlowTask> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_slowest_are_kept_in_order() {
        let mut slowest = Slowest::default();
        for n in [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 0] {
            slowest.handle("t", None, (TaskId(n), Duration::from_secs(n)), None);
        }
        let seconds: Vec<_> = slowest.list().iter().map(|slow| slow.duration.as_secs()).collect();
        assert_eq!(seconds, [9, 9, 8, 7, 6, 5, 5, 5, 4, 3]);
    }
}
