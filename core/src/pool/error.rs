//! Why a task has no value.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::call::{CodecError, Executed, Panic};
use crate::error::exit::Exit;

/// Every way in which a task ends without a value. A task ends exactly once: in its value or in one of these.
///
/// An `Err` that the function itself returns is a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked. Its worker lives.
    #[error("{0}")]
    Panicked(Panic),
    /// The worker died. Nothing but the task it ran is affected.
    #[error("the worker of {task} died while it ran it: {exit}")]
    Died {
        /// The task's function.
        task: String,
        /// How the worker ended.
        exit: Box<Exit>,
        /// Whether the function had been started.
        executed: Executed,
    },
    /// The task has killed several workers and is not run again.
    #[error("{task} has killed {attempts} workers and is not run again; the last one: {exit}")]
    Quarantined {
        /// The task's function.
        task: String,
        /// How often it was begun.
        attempts: u32,
        /// How the last worker ended.
        exit: Box<Exit>,
    },
    /// It ran for longer than it may, and its worker was killed and replaced. Nothing else is affected.
    #[error("{task} ran for {ran:?}, longer than it may, and was killed")]
    TimedOut {
        /// The task's function.
        task: String,
        /// How long it ran.
        ran: Duration,
    },
    /// Its caller took it back while it ran, and its worker was killed and replaced.
    #[error("{task} was cancelled while it ran, and was killed")]
    Aborted {
        /// The task's function.
        task: String,
    },
    /// It was taken back before it was started, by its caller or by a pool that ends.
    #[error("{task} was cancelled before it was started")]
    Cancelled {
        /// The task's function.
        task: String,
    },
    /// The pool was killed while a worker had the task.
    #[error("{task} was killed with its pool")]
    Killed {
        /// The task's function.
        task: String,
    },
    /// The pool could not keep one worker.
    #[error("no worker is left to run {task}: {cause}")]
    NoWorkers {
        /// The task's function.
        task: String,
        /// Why none could be kept.
        cause: String,
    },
    /// The arguments or the result could not be carried.
    #[error("{0}")]
    Codec(CodecError),
    /// The pool took no more tasks.
    #[error("the pool did not take {task}: {why}")]
    Closed {
        /// The task's function.
        task: String,
        /// What closed it.
        why: String,
    },
    /// The pool has as many tasks as it holds; [`TaskPool::room`](crate::TaskPool::room) waits for room.
    #[error("the pool did not take {task}: {limit} tasks are in it already")]
    Full {
        /// The task's function.
        task: String,
        /// How many it holds.
        limit: usize,
    },
    /// What was given to the pool is not a registered function. Nothing was started.
    #[error(
        "{name} is not a task: put #[procession::task] on the function and give it by its name, not as a closure or a \
         function pointer"
    )]
    NotATask {
        /// The function's, or the closure's, type.
        name: String,
    },
    /// The worker is of another build.
    #[error("version mismatch: {0}")]
    Version(String),
}

/// Some tasks of a map have no value; those that have are here too.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TasksFailed<R> {
    /// How each task that was taken ended, in the order of the input.
    pub outcomes: Vec<Result<R, TaskError>>,
    /// Why the rest of the input was not taken, where the pool did not take all of it.
    pub refused: Option<TaskError>,
}

/// Failures that a message tells one by one.
const TOLD: usize = 3;

impl<R> TasksFailed<R> {
    /// The failures, each with its place in the input.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &TaskError)> {
        self.outcomes.iter().enumerate().filter_map(|(index, outcome)| Some((index, outcome.as_ref().err()?)))
    }
}

impl<R> fmt::Display for TasksFailed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.failures().count();
        if failures > 0 || self.refused.is_none() {
            write!(f, "{failures} of {} tasks failed", self.outcomes.len())?;
        }
        for (index, error) in self.failures().take(TOLD) {
            write!(f, "; task {index}: {error}")?;
        }
        if failures > TOLD {
            write!(f, "; and {} more", failures - TOLD)?;
        }
        match &self.refused {
            Some(error) if failures > 0 => write!(f, "; and the rest was not begun: {error}"),
            Some(error) => write!(f, "{error}"),
            None => Ok(()),
        }
    }
}

impl<R> fmt::Debug for TasksFailed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TasksFailed({self})")
    }
}

impl<R> std::error::Error for TasksFailed<R> {}

/// Why a `try_map` stopped: the first failure, after which everything else was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryMapError<E> {
    /// A function returned its own error.
    Task {
        /// The task's place in the input.
        index: usize,
        /// What it returned.
        error: E,
    },
    /// A task ended without a value.
    Failed {
        /// The task's place in the input.
        index: usize,
        /// How.
        error: TaskError,
    },
}

impl<E: fmt::Display> fmt::Display for TryMapError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task { index, error } => write!(f, "task {index}: {error}"),
            Self::Failed { index, error } => write!(f, "task {index}: {error}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for TryMapError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Task { error, .. } => error.source(),
            Self::Failed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_counted_and_the_first_are_told() {
        let outcomes =
            (0..10_u8).map(|n| if n == 0 { Ok(n) } else { Err(TaskError::Killed { task: format!("t{n}") }) }).collect();
        let failed = TasksFailed { outcomes, refused: None };
        assert_eq!(
            failed.to_string(),
            "9 of 10 tasks failed; task 1: t1 was killed with its pool; task 2: t2 was killed with its pool; \
             task 3: t3 was killed with its pool; and 6 more"
        );
    }
}
