//! The memory by which a supervisor sees how far its worker has come, and by which the worker hears what is urgent while it
//! computes, without a message.
//!
//! How far it has come one thread of the worker writes and the supervisor reads: at a death, to tell what was started from what
//! was not. Nothing in it is trusted further than that: a worker that lies in its journal changes what is said of its own
//! messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::chunk::Places;
use super::claims::Claims;
use super::layout;
use super::outbox::Outbox;
use super::progress::Progress;
use crate::sys::Segment;

const STARTED: usize = 0;
const FINISHED: usize = 1;
const METHOD: usize = 2;
const SINCE: usize = 3;
const ENTERED: usize = 4;
/// Written by the supervisor.
const STOP: usize = 5;

/// Either end of a worker's journal.
#[derive(Debug)]
pub(crate) struct Journal {
    page: Arc<Segment>,
}

impl Journal {
    pub(crate) fn create() -> std::io::Result<Self> {
        Ok(Self { page: Arc::new(Segment::create(layout::WORDS)?) })
    }

    /// The page that came with the greeting.
    pub(crate) fn open(page: Segment) -> Self {
        Self { page: Arc::new(page) }
    }

    pub(crate) fn page(&self) -> &Segment {
        &self.page
    }

    /// Whether all that belongs to it has room.
    pub(crate) fn is_whole(&self) -> bool {
        self.page.words().len() >= layout::WORDS
    }

    /// The end of what the worker has said, in the same segment; none where that has no room for it.
    pub(crate) fn outbox(&self) -> Option<Outbox> {
        Outbox::of(&self.page)
    }

    /// Where in the same segment tasks are that travel together.
    pub(crate) fn chunks(&self) -> Places {
        Places::new(self.page.clone())
    }

    /// The process has become a worker.
    pub(crate) fn enter(&self) {
        self.word(ENTERED).store(1, Ordering::Release);
    }

    /// Whether the process ever became a worker.
    pub(crate) fn is_entered(&self) -> bool {
        self.word(ENTERED).load(Ordering::Acquire) != 0
    }

    /// Worker: the handler of this message is about to start; false where its supervisor has taken it back.
    #[inline]
    pub(crate) fn begin(&self, seq: u64) -> bool {
        self.claims().begin(seq)
    }

    /// Worker: whether nobody wants the message any more that was started last.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told_of(self.started())
    }

    /// Worker: whether nobody wants this message any more.
    pub(crate) fn is_told_of(&self, seq: u64) -> bool {
        self.claims().is_told(seq)
    }

    /// Supervisor: the worker is to stop, as it sees even while it computes.
    pub(crate) fn ask_to_stop(&self) {
        self.word(STOP).store(1, Ordering::Release);
    }

    /// Worker: whether it is to stop.
    #[inline]
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.word(STOP).load(Ordering::Acquire) != 0
    }

    /// The handler of this message starts, `age` after the worker's own start.
    pub(crate) fn start(&self, seq: u64, method: u16, age: Duration) {
        let words = &self.page.words()[layout::JOURNAL];
        words[METHOD].store(u64::from(method), Ordering::Relaxed);
        words[SINCE].store(age.as_micros() as u64, Ordering::Relaxed);
        // Last: whoever sees the number sees what belongs to it.
        words[STARTED].store(seq, Ordering::Release);
    }

    /// The handler of this message has ended.
    pub(crate) fn finish(&self, seq: u64) {
        self.word(FINISHED).store(seq, Ordering::Release);
    }

    #[inline]
    fn claims(&self) -> Claims<'_> {
        Claims::of(&self.page.words()[layout::CLAIMS])
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.page.words()[layout::JOURNAL][at]
    }
}

impl Progress for Journal {
    fn started(&self) -> u64 {
        self.word(STARTED).load(Ordering::Acquire)
    }

    fn finished(&self) -> u64 {
        self.word(FINISHED).load(Ordering::Acquire)
    }

    fn take_back(&self, seq: u64) -> bool {
        self.claims().take_back(seq)
    }

    fn tell(&self, seq: u64) {
        self.claims().tell(seq);
    }
}
