use std::time::Duration;

use super::ChildId;

/// What the shell is to do or to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start the child; `attempt` is the number of restarts in a row, 0 for a start that follows no failure.
    Start { id: ChildId, attempt: u32 },
    /// Stop the child's incarnation, by the ladder, whether it is ready or still starting.
    Stop { id: ChildId },
    /// Tell: the child failed and restart `attempt` in a row follows after `delay`.
    Restarting { id: ChildId, delay: Duration, attempt: u32 },
    /// Tell: the child will not come back, unless a restart is asked for.
    Ended { id: ChildId, why: EndReason },
    /// Tell: the initial start is complete.
    Ready,
    /// Tell: the child could not be started and with it the whole supervisor.
    StartFailed { id: ChildId },
    /// Tell: the child's failure came on top of `restarts` restarts `within` the period, which were all that are allowed.
    Escalated { id: ChildId, restarts: u32, within: Duration },
    /// No child is left and nothing more follows.
    Done { why: DoneReason },
}

/// Why a child will not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// It ended normally or by a shutdown of its own, and is not permanent.
    Normal,
    /// It failed, and is temporary.
    Temporary,
    /// Somebody terminated it.
    Terminated,
    /// Somebody removed it.
    Removed,
    /// It could not be started.
    StartFailed,
    /// Its supervisor ends.
    Supervisor,
}

/// Why a supervisor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoneReason {
    /// It was told to.
    Shutdown,
    /// Its children failed too often.
    Escalated,
    /// A child of the initial start could not be started.
    StartFailed,
}
