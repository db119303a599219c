//! What is where in the segment that a worker shares with its supervisor.

/// A part of the segment, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) start: usize,
    pub(crate) words: usize,
}

impl Area {
    /// The word behind its last one.
    pub(crate) const fn end(self) -> usize {
        self.start + self.words
    }

    /// An area of this many words right behind this one.
    const fn then(self, words: usize) -> Self {
        Self { start: self.end(), words }
    }
}

/// How far the worker has come. At the front in every version: it is written before the greeting is understood.
pub(crate) const JOURNAL: Area = Area { start: 0, words: 504 };

/// The tail of the worker's data stream: a head that ends the first page, so that an idle worker touches no other, and the
/// bytes.
pub(crate) const OUTBOX: Area = JOURNAL.then(8 + super::ring::SIZE / 8);

/// How far the worker has come with tasks that travel together, and their results.
pub(crate) const CHUNKS: Area = OUTBOX.then(super::chunk::WORDS);

/// The words of the segment.
pub(crate) const WORDS: usize = CHUNKS.end();
