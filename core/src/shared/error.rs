//! Why an operation on a shared object has no result.

use std::fmt;

use thiserror::Error;

use super::store::refusal::Refusal;
use super::store::reply::Version;
use crate::error::call::{CallError, CodecError, Executed, NotDelivered};
use crate::wire::codec::DecodeError;

/// Every way in which an operation on a shared object ends without a result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SharedError {
    /// The object refused it, and is as it was.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The object is gone, and what it held: its supervisor has ended, or the process of its supervisor has, or it was
    /// unnamed and nobody held it. Where that process was restarted, its supervisor keeps new objects, whose handles are
    /// others: this one has to be replaced.
    #[error("the shared object is gone: the supervisor that kept it has ended, or was restarted and keeps a new one")]
    Gone,
    /// Others changed the value again and again, each time between the read and the write. It was not changed.
    #[error("others were faster {attempts} times: the value was not changed")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// The message did not get there and back.
    #[error("{0}")]
    Failed(CallError<Refusal>),
}

impl SharedError {
    /// Whether the operation may have been executed. `false` says that it had no effect.
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Gone | Self::Contended { .. } => false,
            Self::Failed(error) => error.may_have_executed(),
        }
    }
}

impl From<CallError<Refusal>> for SharedError {
    fn from(error: CallError<Refusal>) -> Self {
        match error {
            CallError::Handler(refusal) => Self::Refused(refusal),
            CallError::NotDelivered(NotDelivered::Stopped | NotDelivered::NoSuchActor) => Self::Gone,
            CallError::Died { executed: Executed::No, .. } => Self::Gone,
            other => Self::Failed(other),
        }
    }
}

impl From<DecodeError> for SharedError {
    fn from(error: DecodeError) -> Self {
        Self::Failed(CallError::Codec(CodecError::Reply { error }))
    }
}

/// A value with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// The version that this value got when it was written.
    pub version: Version,
}

/// What was expected is not so, and nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<T> {
    /// Which expectation failed, counted from 0 in the order in which they were stated; none where it was the version of the
    /// whole object.
    pub expectation: Option<u64>,
    /// What there is in its place, if there is anything.
    pub found: Option<Versioned<T>>,
}

impl<T> fmt::Display for Conflict<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.expectation, &self.found) {
            (None, _) => f.write_str("the object was changed meanwhile"),
            (Some(_), Some(found)) => write!(f, "the value is another one now, of version {}", found.version),
            (Some(_), None) => f.write_str("there is no such value now"),
        }
    }
}

impl<T: fmt::Debug> std::error::Error for Conflict<T> {}
