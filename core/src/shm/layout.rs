//! Where in a worker's segment each thing is, in words.

use std::ops::Range;

use super::chunk;

/// The journal: how far the worker has come with its messages. A page of its own.
pub(super) const JOURNAL: Range<usize> = 0..512;
/// How far it has come with tasks that travel together, and their results.
pub(super) const CHUNKS: Range<usize> = JOURNAL.end..JOURNAL.end + chunk::WORDS;
/// All of it.
pub(super) const WORDS: usize = CHUNKS.end;
