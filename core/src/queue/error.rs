//! What a queue cannot do.

use std::fmt;

use thiserror::Error;

use super::ledger::DeadReason;
use crate::error::call::{CallError, CodecError, NotDelivered};
use crate::wire::codec::{DecodeError, EncodeError};

/// Why a queue did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueueError {
    /// It takes no items any more: it was closed, or nobody can receive from it.
    #[error("the queue takes no more items: it was closed, or its last receiver is gone")]
    Closed,
    /// It has no room now.
    #[error("the queue is full")]
    Full,
    /// It has no items now; there may be some later.
    #[error("the queue is empty")]
    Empty,
    /// The time that was set is over.
    #[error("the queue was not ready in time")]
    TimedOut,
    /// It is not there any more.
    #[error("the queue is gone: its supervisor has ended, or nobody held it any more")]
    Gone,
    /// As many senders or receivers wait at it as it keeps track of.
    #[error("too many senders or receivers wait at the queue")]
    Crowded,
    /// An item does not fit into one message.
    #[error(
        "the item takes up more than {limit} bytes, which is the most that one message carries: send it in pieces, or send \
         the path of a file that has it"
    )]
    TooLarge {
        /// The bytes that an item may have.
        limit: usize,
    },
    /// An item could not be encoded.
    #[error("failed to encode an item: {0}")]
    Encode(#[source] EncodeError),
    /// An item could not be decoded; it is a dead letter now.
    #[error("failed to decode an item: {0}")]
    Decode(#[source] DecodeError),
    /// The delivery was over before it was acknowledged, and its item may be with somebody else.
    #[error("the delivery is over: it was kept for too long, or is another queue's")]
    TooLate,
    /// A queue has this name already.
    #[error("the supervisor has a queue that is called {name:?} already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The queue of this name has other items, or its receivers are of the other kind.
    #[error("the queue has items of another type than {wanted}, or its receivers are of the other kind")]
    OtherType {
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// The queue could not be asked.
    #[error("failed to ask the queue: {0}")]
    Failed(#[source] CallError),
}

/// An item, or several, that were not sent, and why.
///
/// Where the error is [`Gone`](QueueError::Gone) or [`Failed`](QueueError::Failed) the queue did not answer, and it is not
/// known whether it had taken them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError<T> {
    /// What was not sent.
    pub item: T,
    /// Why.
    pub error: QueueError,
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not sent: {}", self.error)
    }
}

impl<T: fmt::Debug> std::error::Error for SendError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<CallError> for QueueError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotDelivered(NotDelivered::Stopped | NotDelivered::NoSuchActor | NotDelivered::Disconnected) => {
                Self::Gone
            }
            // A service ends in this way only with its supervisor's process, or by it.
            CallError::Died { .. } => Self::Gone,
            CallError::TimedOut { .. } => Self::TimedOut,
            CallError::Codec(CodecError::Arguments { error, .. }) => Self::from(error),
            other => Self::Failed(other),
        }
    }
}

impl From<EncodeError> for QueueError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::TooLarge { .. } => Self::TooLarge { limit: super::protocol::ITEM_LIMIT },
            other => Self::Encode(other),
        }
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unacknowledged => "handed out as often as it may and never acknowledged",
            Self::NoReceiver => "nobody could receive it any more",
            Self::Undecodable => "its receiver could not decode it",
            Self::NoRoom => "it came back from a receiver and the queue had no room",
        })
    }
}
