//! What a worker has said and not written yet: its supervisor hears it after the worker's death all the same.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::layout::OUTBOX;
use super::ring::{Ring, Words};
use crate::sys::Segment;

/// The tail of a worker's stream in the segment that it shares with its supervisor.
pub(crate) type Outbox = Ring<Shared>;

/// The outbox's words.
pub(crate) struct Shared(Arc<Segment>);

impl Outbox {
    /// The outbox in a segment of ours; nothing where the segment has no room for one.
    pub(crate) fn of(segment: &Arc<Segment>) -> Option<Self> {
        (segment.words().len() >= OUTBOX.end).then(|| Self::new(Shared(segment.clone())))
    }
}

impl Words for Shared {
    fn load(&self, at: usize) -> u64 {
        self.0.words()[OUTBOX.start + at].load(Ordering::Acquire)
    }

    fn store(&self, at: usize, value: u64) {
        self.0.words()[OUTBOX.start + at].store(value, Ordering::Release);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").finish_non_exhaustive()
    }
}
