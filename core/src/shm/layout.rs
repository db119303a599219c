//! Where in a worker's segment each thing is, in words.

use std::ops::Range;

use super::{chunk, claims, ring};

/// The journal: how far the worker has come with its messages. At the front in every version: it is written before the
/// greeting is understood.
pub(super) const JOURNAL: Range<usize> = 0..512 - ring::HEAD;
/// The end of what the worker has said. Its head ends the first page, so that an idle worker touches no other.
pub(super) const OUTBOX: Range<usize> = JOURNAL.end..JOURNAL.end + ring::WORDS;
/// How far the worker has come with tasks that travel together, and their results.
pub(super) const CHUNKS: Range<usize> = OUTBOX.end..OUTBOX.end + chunk::WORDS;
/// Which messages were taken back and which were begun.
pub(super) const CLAIMS: Range<usize> = CHUNKS.end..CHUNKS.end + claims::PLACES;
/// All of it.
pub(super) const WORDS: usize = CLAIMS.end;
