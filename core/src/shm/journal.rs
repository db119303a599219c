//! The words by which a supervisor sees how far its worker has come, without a message.
//!
//! One thread of the worker writes it, the supervisor reads it: at a death, to tell what was started from what was not.
//! Nothing in it is trusted further than that: a worker that lies in its journal changes what is said of its own
//! messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::chunk::Places;
use super::layout::{JOURNAL, WORDS};
use super::progress::Progress;
use crate::sys::Segment;

const STARTED: usize = 0;
const FINISHED: usize = 1;
const METHOD: usize = 2;
const SINCE: usize = 3;
const ENTERED: usize = 4;

/// Either end of a worker's journal.
#[derive(Debug)]
pub(crate) struct Journal {
    segment: Arc<Segment>,
}

impl Journal {
    /// The journal in a new segment, which has room for all that the two share.
    pub(crate) fn create() -> std::io::Result<Self> {
        Ok(Self { segment: Arc::new(Segment::create(WORDS)?) })
    }

    /// The journal in the segment that came with the greeting.
    pub(crate) fn open(segment: Segment) -> Self {
        Self { segment: Arc::new(segment) }
    }

    /// The segment that it is in.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Where in the same segment tasks are that travel together.
    pub(crate) fn chunks(&self) -> Places {
        Places::new(self.segment.clone())
    }

    /// The process has become a worker.
    pub(crate) fn enter(&self) {
        self.word(ENTERED).store(1, Ordering::Release);
    }

    /// Whether the process ever became a worker.
    pub(crate) fn is_entered(&self) -> bool {
        self.word(ENTERED).load(Ordering::Acquire) != 0
    }

    /// The handler of this message starts, `age` after the worker's own start.
    pub(crate) fn start(&self, seq: u64, method: u16, age: Duration) {
        self.word(METHOD).store(u64::from(method), Ordering::Relaxed);
        self.word(SINCE).store(age.as_micros() as u64, Ordering::Relaxed);
        // Last: whoever sees the number sees what belongs to it.
        self.word(STARTED).store(seq, Ordering::Release);
    }

    /// The handler of this message has ended.
    pub(crate) fn finish(&self, seq: u64) {
        self.word(FINISHED).store(seq, Ordering::Release);
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.segment.words()[JOURNAL.start + at]
    }
}

impl Progress for Journal {
    fn started(&self) -> u64 {
        self.word(STARTED).load(Ordering::Acquire)
    }

    fn finished(&self) -> u64 {
        self.word(FINISHED).load(Ordering::Acquire)
    }
}
