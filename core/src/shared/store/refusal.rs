//! Why a shared object did not execute an operation.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a shared object did not execute an operation. It is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The list has no such place.
    #[error("index {index} is out of range for a list of length {len}")]
    OutOfRange {
        /// The place that was asked for.
        index: u64,
        /// The list's length.
        len: u64,
    },
    /// The range ends before it begins.
    #[error("the range begins at {start} and ends at {end}")]
    BadRange {
        /// Its first index.
        start: u64,
        /// The index behind its last.
        end: u64,
    },
    /// The object is full, and its bounds say that it refuses then; or what is to be added is more than it may ever hold.
    #[error("the object is full: {len} of at most {max_len} elements, {bytes} of at most {max_bytes} bytes")]
    Full {
        /// The elements that it would have.
        len: u64,
        /// The elements that it may have.
        max_len: u64,
        /// The encoded bytes that it would have.
        bytes: u64,
        /// The encoded bytes that it may have.
        max_bytes: u64,
    },
    /// No message could carry it.
    #[error("{size} bytes are more than the {limit} that a message carries")]
    TooLarge {
        /// Its size.
        size: u64,
        /// What a message carries.
        limit: u64,
    },
    /// No message could carry the addresses and other handles that are in it.
    #[error("{handles} handles are more than the {limit} that a message carries")]
    TooManyHandles {
        /// How many there are.
        handles: u64,
        /// What a message carries.
        limit: u64,
    },
    /// The sum is no number of the type.
    #[error("the result is out of range for the type {number}")]
    Overflow {
        /// The type.
        number: String,
    },
    /// The value is no number of the type that the operation is for.
    #[error("the value is no {number}")]
    NotANumber {
        /// The type.
        number: String,
    },
    /// The value is no sequence that could be appended to.
    #[error("the value is no sequence")]
    NotASequence,
    /// Too much was moved about in the list since the page before: it is not known where the next page begins.
    #[error("the place of the next page, index {index} in an older version, is not known any more (length {len})")]
    CursorForgotten {
        /// Where the next page would have begun.
        index: u64,
        /// The list's length.
        len: u64,
    },
    /// The rest of a snapshot was not fetched in time, or more snapshots were taken than the object keeps.
    #[error("the rest of the snapshot is not kept any more")]
    SnapshotForgotten,
    /// The object has as many watchers as it may.
    #[error("the object has {limit} watchers already")]
    TooManyWatchers {
        /// As many as it may have.
        limit: u64,
    },
    /// The object knows nothing of this watcher: it was taken for gone.
    #[error("the object does not know this watcher")]
    UnknownWatcher,
    /// The write is guarded by a lock whose grant is not valid any more: it was released, or its lease ended.
    #[error("the grant that guards this write is not valid any more (token {token})")]
    StaleGrant {
        /// The fencing token of the grant.
        token: u64,
    },
    /// The object is guarded by a lock, and the write does not carry the token of a grant of it.
    #[error("the object is guarded by a lock: a write has to carry the token of a grant")]
    NotGuarded,
    /// The write is guarded by a lock of another process than the one that keeps this object, which does not know whether
    /// the grant is valid.
    #[error("the grant that guards this write is of a lock that is kept elsewhere (token {token})")]
    ForeignGrant {
        /// The fencing token of the grant.
        token: u64,
    },
}
