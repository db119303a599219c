//! Why a call has no value.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::exit::Exit;
use crate::wire::codec::{DecodeError, EncodeError};

/// The error of a method that has none: an enum without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoError {}

impl fmt::Display for NoError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for NoError {}

/// Whether a request had any effect, as far as anyone can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executed {
    /// Its handler was never started: it is safe to send it again.
    No,
    /// Its handler was started; how far it got is not known.
    Maybe,
}

/// Every way in which a call ends without a value; `E` is the handler's own error.
///
/// A call ends exactly once: in its value or in one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError<E = NoError> {
    /// The handler answered with its own error.
    Handler(E),
    /// The handler panicked; the actor stops with that cause, and its supervisor decides on a restart.
    Panicked(Panic),
    /// The request reached no mailbox, or left it unread.
    NotDelivered(NotDelivered),
    /// The actor's process ended before it answered.
    Died {
        /// How it ended.
        exit: Box<Exit>,
        /// Whether the handler had been started.
        executed: Executed,
    },
    /// The deadline passed.
    TimedOut {
        /// Whether the handler had been started.
        executed: Executed,
        /// What the actor was doing at that time, where that is known.
        doing: Option<String>,
    },
    /// The request was taken back, by its caller or by a pool that ends.
    Cancelled,
    /// The handler dropped its `Reply` without an answer.
    NoReply,
    /// The arguments, or the answer, could not be carried.
    Codec(CodecError),
    /// The two sides speak different versions of the actor's messages.
    Version(String),
    /// The call could never end: an actor waits for itself along this path.
    WouldDeadlock {
        /// The actors, from the one that was called, through those that wait for it, back to it.
        path: Vec<String>,
    },
}

/// A panic of user code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// The panic's message.
    pub message: String,
    /// The method or task that panicked.
    pub at: String,
}

/// Why a request was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum NotDelivered {
    /// The actor has ended for good.
    #[error("the actor has stopped")]
    Stopped,
    /// No actor has this address: the process that had it is gone, or it belongs to another run of the program.
    #[error("no such actor: its process is gone, or the address is from another run of the program")]
    NoSuchActor,
    /// The process between the two is gone; what had been sent may have arrived.
    #[error("the connection to the actor's supervisor is gone")]
    Disconnected,
    /// The connection carries as much as it may: this monitor, or the first message to this actor, has no place.
    #[error("the connection carries as many monitors or addresses as it may")]
    TooMany,
    /// The actor did not start.
    #[error("the actor did not start: {0}")]
    StartFailed(String),
}

/// What could not be carried, and at which end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The caller's arguments could not be encoded.
    #[error("failed to encode the arguments of {method}: {error}")]
    Arguments {
        /// The method or task that was called.
        method: String,
        /// What went wrong.
        error: EncodeError,
    },
    /// The receiver could not decode the arguments.
    #[error("failed to decode the arguments of {method}: {error}")]
    Request {
        /// The method or task that was called.
        method: String,
        /// What went wrong.
        error: DecodeError,
    },
    /// The receiver could not encode its answer.
    #[error("failed to encode the answer of {method}: {error}")]
    Answer {
        /// The method or task that was called.
        method: String,
        /// What went wrong.
        error: EncodeError,
    },
    /// The caller could not decode the answer.
    #[error("failed to decode the answer: {error}")]
    Reply {
        /// What went wrong.
        error: DecodeError,
    },
}

impl<E> CallError<E> {
    /// Whether the handler may have been started. `false` says that the request had no effect.
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        match self {
            Self::Handler(_) | Self::Panicked(_) | Self::NoReply => true,
            Self::Died { executed, .. } | Self::TimedOut { executed, .. } => *executed == Executed::Maybe,
            Self::Codec(error) => {
                matches!(error, CodecError::Answer { .. } | CodecError::Reply { .. })
            }
            Self::NotDelivered(why) => *why == NotDelivered::Disconnected,
            Self::Version(_) | Self::WouldDeadlock { .. } => false,
            Self::Cancelled => true,
        }
    }
}

impl CallError<NoError> {
    /// The same failure, for a method that has an error of its own.
    pub(crate) fn widen<E>(self) -> CallError<E> {
        match self {
            Self::Handler(never) => match never {},
            Self::Panicked(panic) => CallError::Panicked(panic),
            Self::NotDelivered(why) => CallError::NotDelivered(why),
            Self::Died { exit, executed } => CallError::Died { exit, executed },
            Self::TimedOut { executed, doing } => CallError::TimedOut { executed, doing },
            Self::Cancelled => CallError::Cancelled,
            Self::NoReply => CallError::NoReply,
            Self::Codec(error) => CallError::Codec(error),
            Self::Version(why) => CallError::Version(why),
            Self::WouldDeadlock { path } => CallError::WouldDeadlock { path },
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(error) => write!(f, "{error}"),
            Self::Panicked(panic) => write!(f, "{panic}"),
            Self::NotDelivered(why) => write!(f, "not delivered: {why}"),
            Self::Died { exit, executed } => {
                let effect = match executed {
                    Executed::No => "the request had not been started",
                    Executed::Maybe => "the request was being executed",
                };
                write!(f, "the actor died ({effect}): {exit}")
            }
            Self::TimedOut { executed, doing } => {
                let effect = match executed {
                    Executed::No => "before the request was started",
                    Executed::Maybe => "after the request was started",
                };
                write!(f, "timed out {effect}")?;
                match doing {
                    Some(doing) => write!(f, "; the actor was in {doing}"),
                    None => Ok(()),
                }
            }
            Self::Cancelled => f.write_str("cancelled"),
            Self::NoReply => f.write_str("the handler dropped its reply without an answer"),
            Self::Codec(error) => write!(f, "{error}"),
            Self::Version(why) => write!(f, "version mismatch: {why}"),
            Self::WouldDeadlock { path } => {
                write!(f, "the call would wait for itself: {}", path.join(" -> "))
            }
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Handler(error) => error.source(),
            _ => None,
        }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} panicked: {}", self.at, self.message)
    }
}
