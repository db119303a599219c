//! How many bytes this process may have in blobs.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::BlobError;
use crate::shm::memories;

static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);
/// Bytes that writers have.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

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
/// Blobs of other processes count, and are never refused. There is no limit unless it is set, but for what the system has
/// available. It holds for the process, so for an actor: its `init` is the place to set it.
pub fn set_limit(bytes: u64) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// What this process has in blobs now.
#[must_use]
pub fn usage() -> BlobUsage {
    let (blobs, bytes) = memories::total();
    BlobUsage { blobs, bytes: bytes + WRITTEN.load(Ordering::Relaxed) }
}

/// Bytes that a writer has, counted while it has them.
#[derive(Debug)]
pub(super) struct Share(u64);

impl Share {
    pub(super) const NONE: Self = Self(0);

    /// Changes how many they are.
    pub(super) fn resize(&mut self, len: u64) -> Result<(), BlobError> {
        let more = len.saturating_sub(self.0);
        let limit = LIMIT.load(Ordering::Relaxed);
        // Taken first, so that two writers at once do not both find room for one.
        let written = WRITTEN.fetch_add(more, Ordering::Relaxed);
        let used = memories::total().1 + written;
        if more > 0 && used.saturating_add(more) > limit {
            WRITTEN.fetch_sub(more, Ordering::Relaxed);
            return Err(BlobError::Limit { len, used, limit });
        }
        WRITTEN.fetch_sub(self.0.saturating_sub(len), Ordering::Relaxed);
        self.0 = len;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        WRITTEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}
