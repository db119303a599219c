//! What a pool tells of itself.

use std::fmt;

use super::report::Report;

/// How the tasks of a pool ended, as counts: each task that was taken is in exactly one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolReport {
    /// Tasks that were taken.
    pub submitted: u64,
    /// Tasks that have a value.
    pub done: u64,
    /// Tasks that panicked, that returned an error of their own, or whose arguments or result could not be carried.
    pub failed: u64,
    /// Tasks whose worker died while it ran them.
    pub lost: u64,
    /// Tasks that were never started: taken back, or queued when the pool was drained or killed.
    pub cancelled: u64,
    /// Tasks that were killed with the pool.
    pub killed: u64,
    /// Tasks that ran for longer than they may and were killed.
    pub timed_out: u64,
    /// Tasks that were cancelled while they ran, and were killed.
    pub aborted: u64,
    /// Tasks for which no worker was left.
    pub no_workers: u64,
    /// Times that an idempotent task was begun again after its worker had died.
    pub retried: u64,
    /// Workers that died without having been told to stop.
    pub workers_lost: u64,
    /// Workers that were killed for the task they ran, and replaced.
    pub workers_killed: u64,
    /// Workers that had used up what they were given and were replaced.
    pub recycled: u64,
    /// Starts of workers that failed.
    pub start_failures: u64,
    /// Why the pool gave up, if it did.
    pub gave_up: Option<String>,
}

impl PoolReport {
    pub(super) fn new(report: Report, failed: u64, gave_up: Option<String>) -> Self {
        Self {
            submitted: report.submitted,
            done: report.done.saturating_sub(failed),
            failed,
            lost: report.lost + report.quarantined,
            cancelled: report.cancelled,
            killed: report.killed,
            timed_out: report.timed_out,
            aborted: report.aborted,
            retried: report.retried,
            workers_killed: report.workers_killed,
            recycled: report.recycled,
            no_workers: report.no_workers,
            workers_lost: report.workers_lost,
            start_failures: report.start_failures,
            gave_up,
        }
    }

    /// Whether every task that was taken has a value.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.done == self.submitted
    }
}

impl fmt::Display for PoolReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tasks: {} done, {} failed, {} lost", self.submitted, self.done, self.failed, self.lost)?;
        for (count, what) in [
            (self.cancelled, "cancelled"),
            (self.killed, "killed"),
            (self.timed_out, "timed out"),
            (self.aborted, "aborted"),
            (self.no_workers, "without a worker"),
            (self.retried, "retried"),
            (self.workers_lost, "workers lost"),
            (self.workers_killed, "workers killed"),
            (self.recycled, "workers recycled"),
            (self.start_failures, "starts failed"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        match &self.gave_up {
            Some(cause) => write!(f, "; it gave up: {cause}"),
            None => Ok(()),
        }
    }
}

/// A worker of a pool as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolWorker {
    /// Its name, such as `primes#1`: the same over all its incarnations.
    pub name: String,
    /// Its process, while it is ready.
    pub pid: Option<u32>,
    /// Where it stands.
    pub state: WorkerState,
    /// Tasks that it has and has not finished.
    pub outstanding: usize,
    /// The present or last incarnation, counted from 1.
    pub incarnation: u32,
}

/// Where a worker of a pool stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerState {
    /// It is not ready yet.
    Starting,
    /// It takes tasks.
    Ready,
    /// It failed and waits to be started again.
    Restarting,
    /// It had nothing to do and has ended; it is started again when tasks wait.
    Resting,
    /// It has ended, and is not wanted any more.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_there_is_to_tell() {
        let report = PoolReport { submitted: 3, done: 2, lost: 1, workers_lost: 1, ..PoolReport::default() };
        assert_eq!(report.to_string(), "3 tasks: 2 done, 0 failed, 1 lost, 1 workers lost");
        assert!(!report.is_success());
    }
}
