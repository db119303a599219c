//! The end of a task, as the pool's task hands it to whoever awaits it.

use std::sync::Arc;
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::chunk::senseless;
use super::error::TaskError;
use super::function::RESULT_HEADER;
use super::task::{Ending, TaskId};
use crate::actor::call::failure;
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::call::{CallError, CodecError, Executed};
use crate::error::exit::{Exit, ExitCause};
use crate::router::{Handles, Outcome};
use crate::shm::chunk::{Head, Kind, Results};
use crate::wire::budget::Budget;
use crate::wire::codec;
use crate::wire::content::Content;

/// Whoever is told how tasks end. Called by the pool's task: it must not block.
pub(super) trait Receiver: Send + Sync {
    /// A worker has been given the task.
    fn begun(&self) {}
    /// The task has ended. Called once for each.
    fn ended(&self, ended: Ended);
    /// Several have.
    fn all_ended(&self, batch: Batch) {
        batch.for_each(|ended| self.ended(ended));
    }
}

/// The end of one task.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// The function's name.
    pub(super) name: &'static str,
    /// The worker that had it last.
    pub(super) worker: Option<Arc<RanOn>>,
    pub(super) end: TaskEnd,
}

/// What there is to say of the end of one task alone.
#[derive(Clone, Debug)]
pub(super) struct TaskEnd {
    pub(super) id: TaskId,
    /// Its place in the input it came from.
    pub(super) index: u64,
    pub(super) how: How,
    /// Whether that is a failure, the function's own included.
    pub(super) failed: bool,
    /// How long it ran; zero where it was never begun.
    pub(super) ran: Duration,
}

/// The ends of tasks of one function that one worker had, in order.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    name: &'static str,
    worker: Option<Arc<RanOn>>,
    /// The bytes of their arguments.
    size: usize,
    ends: Ends,
}

#[derive(Clone, Debug)]
enum Ends {
    List(vec::IntoIter<TaskEnd>),
    /// Those of tasks whose numbers follow each other, and their places too.
    Results {
        first: TaskId,
        index: u64,
        results: Results,
    },
}

impl Batch {
    pub(super) fn one(name: &'static str, worker: Option<Arc<RanOn>>, size: usize, end: TaskEnd) -> Self {
        Self::list(name, worker, size, vec![end])
    }

    pub(super) fn list(name: &'static str, worker: Option<Arc<RanOn>>, size: usize, ends: Vec<TaskEnd>) -> Self {
        Self { name, worker, size, ends: Ends::List(ends.into_iter()) }
    }

    /// The results of tasks, from this one on.
    pub(super) fn results(
        name: &'static str,
        worker: Arc<RanOn>,
        size: usize,
        (first, index): (TaskId, u64),
        results: Results,
    ) -> Self {
        Self { name, worker: Some(worker), size, ends: Ends::Results { first, index, results } }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match &self.ends {
            Ends::List(ends) => ends.len(),
            Ends::Results { results, .. } => results.len(),
        }
    }

    /// The bytes of the arguments of all that there were.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Tells of each its place and its value, or why there is none.
    pub(super) fn for_each_result<R: Payload>(self, mut tell: impl FnMut(u64, Result<R, TaskError>)) {
        let Self { name, worker, ends, .. } = self;
        match ends {
            Ends::Results { mut first, mut index, mut results } => {
                while let Some((head, value)) = results.next() {
                    let result = match head.kind {
                        Kind::Error => one_of_many(name, worker.as_ref(), (first, index), head, value).result(),
                        Kind::Value | Kind::Failure => decoded(value),
                    };
                    tell(index, result);
                    (first, index) = (TaskId(first.0 + 1), index + 1);
                }
            }
            Ends::List(ends) => {
                for end in ends {
                    let index = end.index;
                    let result = match &end.how {
                        How::Value(value) => decoded(value),
                        _ => Ended { name, worker: worker.clone(), end }.result(),
                    };
                    tell(index, result);
                }
            }
        }
    }
}

impl From<Ended> for Batch {
    fn from(Ended { name, worker, end }: Ended) -> Self {
        Self::one(name, worker, 0, end)
    }
}

impl Iterator for Batch {
    type Item = Ended;

    fn next(&mut self) -> Option<Ended> {
        match &mut self.ends {
            Ends::List(ends) => {
                let end = ends.next()?;
                Some(Ended { name: self.name, worker: self.worker.clone(), end })
            }
            Ends::Results { first, index, results } => {
                let (head, value) = results.next()?;
                let ended = one_of_many(self.name, self.worker.as_ref(), (*first, *index), head, value);
                (*first, *index) = (TaskId(first.0 + 1), *index + 1);
                Some(ended)
            }
        }
    }
}

/// The end of a task by what its worker had put where it was found.
pub(super) fn one_of_many(
    name: &'static str,
    worker: Option<&Arc<RanOn>>,
    (id, index): (TaskId, u64),
    head: Head,
    value: &[u8],
) -> Ended {
    let how = match head.kind {
        Kind::Value | Kind::Failure => How::Value(Content::copy_from_slice(value)),
        Kind::Error => {
            let error = failure(Outcome::FailedElsewhere(Bytes::copy_from_slice(value)));
            How::Reported(Box::new(Outcome::Failed(error)))
        }
    };
    let end = TaskEnd { id, index, how, failed: head.kind != Kind::Value, ran: head.ran() };
    Ended { name, worker: worker.cloned(), end }
}

#[inline]
fn decoded<R: Payload>(value: &[u8]) -> Result<R, TaskError> {
    codec::decode_slice(value, Budget::default()).map_err(|error| TaskError::Codec(CodecError::Reply { error }))
}

/// How a task ended.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// Its worker reported.
    Reported(Box<Outcome>),
    /// Its worker had put its value, without what stands in front of it, where it was found.
    Value(Content),
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
            name,
            worker: None,
            end: TaskEnd {
                // Nobody else has this number.
                id: TaskId(u64::MAX),
                index,
                how: How::NotTaken(Box::new(why)),
                failed: true,
                ran: Duration::ZERO,
            },
        }
    }

    /// The end of a task of which its worker has said what makes no sense.
    pub(super) fn senseless(id: TaskId) -> Self {
        let how = How::Reported(Box::new(senseless()));
        Self { name: "", worker: None, end: TaskEnd { id, index: 0, how, failed: true, ran: Duration::ZERO } }
    }

    /// The task's value or its failure.
    pub(super) fn result<R: Payload>(&self) -> Result<R, TaskError> {
        match &self.end.how {
            How::Value(value) => decoded(value),
            _ => self.value()?.open().map_err(|error| TaskError::Codec(CodecError::Reply { error })),
        }
    }

    /// The same, without a look at the value.
    pub(super) fn value(&self) -> Result<Parcel, TaskError> {
        let task = || self.name.to_owned();
        match &self.end.how {
            How::Value(value) => Ok(Parcel { bytes: value.clone(), handles: Handles::none() }),
            How::Reported(outcome) => match &**outcome {
                Outcome::Value(bytes, handles) => {
                    let mut bytes = bytes.clone();
                    bytes.advance(RESULT_HEADER.min(bytes.len()));
                    Ok(Parcel { bytes, handles: handles.clone() })
                }
                outcome => Err(match failure(outcome.clone()) {
                    CallError::Panicked(panic) => TaskError::Panicked(panic),
                    CallError::Codec(error) => TaskError::Codec(error),
                    CallError::Died { exit, executed } => TaskError::Died { task: task(), exit, executed },
                    CallError::Version(why) => TaskError::Version(why),
                    CallError::Cancelled => TaskError::Cancelled { task: task() },
                    other => TaskError::Version(format!("the worker answered {}: {other}", self.name)),
                }),
            },
            How::Ending { ending, attempts, exit, cause } => {
                let exit = || exit.clone().unwrap_or_else(unknown);
                Err(match ending {
                    Ending::Cancelled => TaskError::Cancelled { task: task() },
                    Ending::Lost => TaskError::Died { task: task(), exit: exit(), executed: Executed::Maybe },
                    Ending::Quarantined => TaskError::Quarantined { task: task(), attempts: *attempts, exit: exit() },
                    Ending::Killed => TaskError::Killed { task: task() },
                    Ending::TimedOut => TaskError::TimedOut { task: task(), ran: self.end.ran },
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
