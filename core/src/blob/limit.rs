//! How many bytes this process may have in blobs.

use super::error::BlobError;
use crate::shm::memories::{self, Kind};

/// What this process has in blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobUsage {
    /// How many blobs, its own and those of others, those that only messages refer to included.
    pub blobs: usize,
    /// Their bytes, and those of writers.
    pub bytes: u64,
}

/// Sets how many bytes this process may have in blobs: a writer that would exceed it fails with [`BlobError::Limit`].
///
/// Blobs of other processes count, those that only pass through included, and are never refused. There is no limit unless it is
/// set, but for what the system has available. It holds for the process that sets it: in the program's own process it is the
/// limit of what that one makes beside all that its workers give it. What a worker may have, of others too, its supervisor says by
/// [`Limits::blobs`](crate::Limits::blobs), and this does not loosen it.
pub fn set_limit(bytes: u64) {
    memories::limit_process(bytes);
}

/// What this process has in blobs now.
#[must_use]
pub fn usage() -> BlobUsage {
    let (blobs, bytes) = memories::total();
    BlobUsage { blobs, bytes }
}

/// Bytes that a writer, or a part of what another process makes, has: counted while it has them.
#[derive(Debug)]
pub(super) struct Share {
    kind: Kind,
    bytes: u64,
}

impl Share {
    pub(super) const fn of(kind: Kind) -> Self {
        Self { kind, bytes: 0 }
    }

    /// Changes how many they are.
    pub(super) fn resize(&mut self, bytes: u64) -> Result<(), BlobError> {
        memories::resize(self.kind, self.bytes, bytes)?;
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Less is always to be had.
        let _ = memories::resize(self.kind, self.bytes, 0);
    }
}
