//! How much a shared object may hold.

use super::refusal::Refusal;

/// How much a shared object may hold, and what happens when it is full.
///
/// By default 16,777,216 elements and 1 GiB of encoded values and keys; what it needs beside them, about a hundred bytes for
/// each element, is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shared) struct Bounds {
    pub(in crate::shared) max_len: u64,
    pub(in crate::shared) max_bytes: u64,
    pub(in crate::shared) when_full: WhenFull,
}

/// What a full object does with what is to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It refuses the whole operation, with [`Refusal::Full`].
    #[default]
    Refuse,
    /// It drops its oldest elements, and none of those that are being written: of a list the first ones, of a dict those
    /// whose keys were put in first. Watchers are told.
    DropOldest,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_len: 1 << 24, max_bytes: 1 << 30, when_full: WhenFull::Refuse }
    }
}

impl Bounds {
    /// Whether so much may be held.
    pub(in crate::shared) fn hold(&self, len: u64, bytes: u64) -> bool {
        len <= self.max_len && bytes <= self.max_bytes
    }

    /// The refusal of so much.
    pub(in crate::shared) fn full(&self, len: u64, bytes: u64) -> Refusal {
        Refusal::Full { len, max_len: self.max_len, bytes, max_bytes: self.max_bytes }
    }
}
