use std::fmt;

use super::{
    report::Report,
    rules::Wear,
    span::Spans,
    task::{Ending, TaskId},
    worker::WorkerId,
};

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start the next incarnation of this worker. `failures` starts of it have failed in a row: whether to wait first, and
    /// when to give up, is the shell's to say.
    StartWorker { worker: WorkerId, failures: u32 },
    /// Send this task to this worker; it is the `attempt`th time that it may be begun.
    Dispatch { worker: WorkerId, task: TaskId, attempt: u32 },
    /// Send these tasks to this worker together, to be run in this order; none has been begun before. It is not
    /// different from as many dispatches, but for what it costs.
    Chunk { worker: WorkerId, tasks: Spans },
    /// Tell the worker that nobody wants this task any more. It is reported as ever.
    CancelRunning { worker: WorkerId, task: TaskId },
    /// Ask for this task back if it has not been started, as another worker is idle; then it is reported as returned.
    Recall { worker: WorkerId, task: TaskId },
    /// Say by [`handle_look`](super::scheduler::Scheduler::handle_look) whether the worker has begun this task, and when.
    Look { worker: WorkerId, task: TaskId },
    /// Kill this worker at once for the task that it runs, which will end so if it was not quicker.
    KillFor { worker: WorkerId, task: TaskId, ending: Ending },
    /// Tell that this worker is being recycled: it finishes what it holds, and is replaced.
    Recycle { worker: WorkerId, wear: Wear },
    /// Tell the task's caller that it ended without a result. It may have been begun `attempts` times; at 0 it never was.
    End { task: TaskId, ending: Ending, attempts: u32 },
    /// Stop this worker, which holds nothing: it isn't wanted any more, is to be replaced, or has nothing to do.
    StopWorker { worker: WorkerId },
    /// Kill this worker at once.
    KillWorker { worker: WorkerId },
    /// Stop all workers, those that are being started too: the pool is closing and no task is left.
    StopWorkers,
    /// No task is left and none will come. Said once.
    Closed(Report),
}

/// Why a pool takes no more tasks, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closing {
    /// All that was taken is run.
    Finish,
    /// What is running is finished, what is queued is cancelled.
    Drain,
    /// No worker could be kept: what is queued ends for that cause.
    NoWorkers,
    /// Everything ends at once.
    Kill,
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finish => "it was told to finish",
            Self::Drain => "it was told to drain",
            Self::NoWorkers => "it could not keep one worker",
            Self::Kill => "it was killed",
        })
    }
}

/// A task was not taken, since the pool is closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool takes no more tasks: {by}")]
pub(crate) struct Closed {
    /// What closed it.
    pub(crate) by: Closing,
}
