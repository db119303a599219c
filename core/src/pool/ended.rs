//! The end of a task, as the pool's task hands it to whoever awaits it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use super::error::TaskError;
use super::function::RESULT_HEADER;
use super::task::{Ending, TaskId};
use crate::actor::call::failure;
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::call::{CallError, CodecError, Executed};
use crate::error::exit::{Exit, ExitCause};
use crate::router::{Handles, Outcome};

/// Whoever is told how tasks end. Called by the pool's task: it must not block.
pub(super) trait Receiver: Send + Sync {
    /// A worker has been given the task.
    fn begun(&self) {}
    /// The task has ended. Called once for each.
    fn ended(&self, ended: Ended);
    /// Several have, in this order.
    fn all_ended(&self, ended: Vec<Ended>) {
        ended.into_iter().for_each(|ended| self.ended(ended));
    }
}

/// The end of one task.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) id: TaskId,
    /// The function's name.
    pub(super) name: &'static str,
    /// Its place in the input it came from.
    pub(super) index: u64,
    /// The bytes of its arguments.
    pub(super) size: usize,
    pub(super) how: How,
    /// Whether that is a failure, the function's own included.
    pub(super) failed: bool,
    /// How long it ran; zero where it was never begun.
    pub(super) ran: Duration,
    /// The worker that had it last.
    pub(super) worker: Option<Arc<RanOn>>,
}

/// How a task ended.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// Its worker reported.
    Reported(Outcome),
    /// Its worker had put its value, without what stands in front of it, where it was found.
    Value(Bytes),
    /// The scheduler ended it.
    Ending {
        ending: Ending,
        attempts: u32,
        /// The end of the last worker that died while it ran the task.
        exit: Option<Box<Exit>>,
        /// Why the pool has no worker.
        cause: Option<Arc<str>>,
    },
    /// It was not taken.
    NotTaken(Box<TaskError>),
}

/// The worker that ran a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RanOn {
    /// Its name, such as `primes#1`.
    pub name: String,
    /// Its process.
    pub pid: u32,
}

impl Ended {
    /// The end of a task that was not taken.
    pub(super) fn not_taken(name: &'static str, index: u64, why: TaskError) -> Self {
        Self {
            // Nobody else has this number.
            id: TaskId(u64::MAX),
            name,
            index,
            size: 0,
            how: How::NotTaken(Box::new(why)),
            failed: true,
            ran: Duration::ZERO,
            worker: None,
        }
    }

    /// The task's value or its failure.
    pub(super) fn result<R: Payload>(&self) -> Result<R, TaskError> {
        self.value()?.open().map_err(|error| TaskError::Codec(CodecError::Reply { error }))
    }

    /// The same, without a look at the value.
    pub(super) fn value(&self) -> Result<Parcel, TaskError> {
        let task = || self.name.to_owned();
        match &self.how {
            How::Value(bytes) => Ok(Parcel { bytes: bytes.clone(), handles: Handles::none() }),
            How::Reported(Outcome::Value(bytes, handles)) => {
                let mut bytes = bytes.clone();
                bytes.advance(RESULT_HEADER.min(bytes.len()));
                Ok(Parcel { bytes, handles: handles.clone() })
            }
            How::Reported(outcome) => Err(match failure(outcome.clone()) {
                CallError::Panicked(panic) => TaskError::Panicked(panic),
                CallError::Codec(error) => TaskError::Codec(error),
                CallError::Died { exit, executed } => TaskError::Died { task: task(), exit, executed },
                CallError::Version(why) => TaskError::Version(why),
                CallError::Cancelled => TaskError::Cancelled { task: task() },
                other => TaskError::Version(format!("the worker answered {}: {other}", self.name)),
            }),
            How::Ending { ending, attempts, exit, cause } => {
                let exit = || exit.clone().unwrap_or_else(unknown);
                Err(match ending {
                    Ending::Cancelled => TaskError::Cancelled { task: task() },
                    Ending::Lost => TaskError::Died { task: task(), exit: exit(), executed: Executed::Maybe },
                    Ending::Quarantined => TaskError::Quarantined { task: task(), attempts: *attempts, exit: exit() },
                    Ending::Killed => TaskError::Killed { task: task() },
                    Ending::TimedOut => TaskError::TimedOut { task: task(), ran: self.ran },
                    Ending::Aborted => TaskError::Aborted { task: task() },
                    Ending::NoWorkers => TaskError::NoWorkers {
                        task: task(),
                        cause: cause.as_deref().unwrap_or("the worker it was bound to has gone").to_owned(),
                    },
                })
            }
            How::NotTaken(error) => Err((**error).clone()),
        }
    }
}

fn unknown() -> Box<Exit> {
    Box::new(Exit { pid: 0, cause: ExitCause::Unknown, stderr: String::new() })
}
