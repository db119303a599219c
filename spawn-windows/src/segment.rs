//! Shared memory of whole 64-bit words.

use std::io;
use std::sync::atomic::AtomicU64;

use crate::{Never, unsupported};

/// Memory that two processes share, as 64-bit words that are zero at first.
#[derive(Debug)]
pub struct Segment(Never);

impl Segment {
    /// Makes a segment of `words` words.
    ///
    /// # Errors
    /// `Unsupported`, always.
    pub fn create(words: usize) -> io::Result<Self> {
        let _ = words;
        unsupported()
    }

    /// The words. Another process may change each of them at any time.
    pub fn words(&self) -> &[AtomicU64] {
        match self.0 {}
    }
}
