use std::io;

use thiserror::Error;

/// Why there is no blob.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The process would have more in blobs than it [may](super::set_limit).
    #[error("{len} bytes are not to be had for a blob: this process has {used} of the {limit} bytes that it may have")]
    Limit {
        /// How many were asked for.
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

impl From<BlobError> for io::Error {
    fn from(error: BlobError) -> Self {
        let kind = match &error {
            BlobError::Limit { .. } => io::ErrorKind::QuotaExceeded,
            BlobError::Memory { source, .. } | BlobError::Read(source) => source.kind(),
        };
        Self::new(kind, error)
    }
}
