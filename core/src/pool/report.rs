use super::task::Ending;

/// How the tasks of a pool ended, as counts.
///
/// Once the pool is closed the endings add up: see [`Report::ended`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Tasks that were taken.
    pub(crate) submitted: u64,
    /// Tasks that have a result: a value, an error or a panic.
    pub(crate) done: u64,
    /// Tasks that ended in [`Ending::Cancelled`].
    pub(crate) cancelled: u64,
    /// Tasks that ended in [`Ending::Lost`].
    pub(crate) lost: u64,
    /// Tasks that ended in [`Ending::Quarantined`].
    pub(crate) quarantined: u64,
    /// Tasks that ended in [`Ending::Killed`].
    pub(crate) killed: u64,
    /// Tasks that ended in [`Ending::NoWorkers`].
    pub(crate) no_workers: u64,
    /// Tasks that ended in [`Ending::TimedOut`].
    pub(crate) timed_out: u64,
    /// Tasks that ended in [`Ending::Aborted`].
    pub(crate) aborted: u64,
    /// Times that a task was queued again because a worker died while it ran it.
    pub(crate) retried: u64,
    /// Workers that died after they had been ready and without having been told to stop.
    pub(crate) workers_lost: u64,
    /// Workers that were killed for the task they ran.
    pub(crate) workers_killed: u64,
    /// Workers that had used up what they were given and were replaced.
    pub(crate) recycled: u64,
    /// Workers that never became ready.
    pub(crate) start_failures: u64,
}

impl Report {
    /// How many tasks have ended, however that was; equal to `submitted` once the pool is closed.
    #[cfg(test)]
    pub(crate) fn ended(&self) -> u64 {
        self.done
            + self.cancelled
            + self.lost
            + self.quarantined
            + self.killed
            + self.no_workers
            + self.timed_out
            + self.aborted
    }

    pub(super) fn count(&mut self, ending: Ending) {
        let counter = match ending {
            Ending::Cancelled => &mut self.cancelled,
            Ending::Lost => &mut self.lost,
            Ending::Quarantined => &mut self.quarantined,
            Ending::Killed => &mut self.killed,
            Ending::NoWorkers => &mut self.no_workers,
            Ending::TimedOut => &mut self.timed_out,
            Ending::Aborted => &mut self.aborted,
        };
        *counter += 1;
    }
}
