use std::io;

use thiserror::Error;

use crate::shm::memories::Beyond;

/// Why there is no blob.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The process would have more in blobs than it [may](super::set_limit).
    #[error(
        "{len} bytes are not to be had for a blob: this process has {used} of the {limit} bytes that blob::set_limit allows \
         it; let go of blobs, or set a higher limit"
    )]
    Limit {
        /// How many were asked for.
        len: u64,
        /// How many it has.
        used: u64,
        /// How many it may have.
        limit: u64,
    },
    /// The worker would have more in blobs than its spec [allows](crate::Limits::blobs).
    #[error(
        "{len} bytes of a blob are beyond the limit of this worker, which has {used} of the {limit} bytes that Limits::blobs in \
         its spec allows it; let go of blobs, or allow more there"
    )]
    WorkerLimit {
        /// How many were asked for, or how many the blob has that came.
        len: u64,
        /// How many it has.
        used: u64,
        /// How many it may have.
        limit: u64,
    },
    /// The system has not so much memory, or this process may not have it.
    #[error("{len} bytes are not to be had for a blob")]
    Memory {
        /// How many were asked for.
        len: u64,
        /// What the system says.
        source: io::Error,
    },
    /// What was to be read into the blob could not be.
    #[error("failed to read what the blob was to be made of")]
    Read(#[source] io::Error),
}

impl From<Beyond> for BlobError {
    fn from(Beyond { len, used, limit, is_worker }: Beyond) -> Self {
        match is_worker {
            true => Self::WorkerLimit { len, used, limit },
            false => Self::Limit { len, used, limit },
        }
    }
}

impl From<BlobError> for io::Error {
    fn from(error: BlobError) -> Self {
        let kind = match &error {
            BlobError::Limit { .. } | BlobError::WorkerLimit { .. } => io::ErrorKind::QuotaExceeded,
            BlobError::Memory { source, .. } | BlobError::Read(source) => source.kind(),
        };
        Self::new(kind, error)
    }
}
