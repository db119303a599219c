//! The last bytes of a stream, in memory that outlives who writes it.
//!
//! The writer puts bytes where their place in the stream says, modulo the ring's size, and then publishes the place behind
//! them. Whoever has read the stream so far can read on here: a death between any two stores leaves the bytes up to the last
//! place that was published. The writer sees to it that nothing is overwritten that the stream has not taken.

use thiserror::Error;

/// Bytes that a ring holds.
pub(crate) const SIZE: usize = 64 << 10;

/// The word with the published place.
const END: usize = 0;
/// The first word of the bytes.
pub(super) const HEAD: usize = 8;
const WORD: usize = size_of::<u64>();

/// Words that a ring takes.
pub(super) const WORDS: usize = HEAD + SIZE / WORD;

/// Shared words: a store is whole or not there, and whoever sees it sees those before it.
pub(crate) trait Words {
    fn load(&self, at: usize) -> u64;
    fn store(&self, at: usize, value: u64);
}

/// The last [`SIZE`] bytes of a stream.
#[derive(Debug)]
pub(crate) struct Ring<W>(W);

/// What is published is not what a writer of ours would publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it published {published} bytes of its stream, of which {received} have come: more than it can hold")]
pub(crate) struct BeyondRing {
    published: u64,
    received: u64,
}

impl<W: Words> Ring<W> {
    pub(crate) fn new(words: W) -> Self {
        Self(words)
    }

    /// Puts bytes at their place in the stream and publishes them. At most [`SIZE`] of them, counted from the first one
    /// that the stream has not taken.
    pub(crate) fn append(&self, place: u64, bytes: &[u8]) {
        let mut at = (place % SIZE as u64) as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (word, skip) = (HEAD + at / WORD, at % WORD);
            let value = match rest.first_chunk::<WORD>() {
                Some(whole) if skip == 0 => {
                    rest = &rest[WORD..];
                    u64::from_le_bytes(*whole)
                }
                _ => {
                    // What stands beside them in the word stays.
                    let taken = rest.len().min(WORD - skip);
                    let mut piece = self.0.load(word).to_le_bytes();
                    piece[skip..skip + taken].copy_from_slice(&rest[..taken]);
                    rest = &rest[taken..];
                    u64::from_le_bytes(piece)
                }
            };
            self.0.store(word, value);
            at = (at / WORD + 1) * WORD % SIZE;
        }
        self.0.store(END, place + bytes.len() as u64);
    }

    /// What was published beyond the bytes that came over the stream.
    pub(crate) fn rest(&self, received: u64) -> Result<Vec<u8>, BeyondRing> {
        let published = self.0.load(END);
        let len = published.saturating_sub(received);
        if len > SIZE as u64 {
            return Err(BeyondRing { published, received });
        }
        let first = (received % SIZE as u64) as usize;
        let (skip, len) = (first % WORD, len as usize);
        let words = (skip + len).div_ceil(WORD);
        let mut bytes = Vec::with_capacity(words * WORD);
        for word in 0..words {
            let word = (first / WORD + word) % (SIZE / WORD);
            bytes.extend_from_slice(&self.0.load(HEAD + word).to_le_bytes());
        }
        bytes.truncate(skip + len);
        bytes.drain(..skip);
        Ok(bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use super::*;

    /// Words whose writer dies after so many more stores.
    #[derive(Clone, Debug)]
    pub(crate) struct Mortal {
        words: Rc<RefCell<Vec<u64>>>,
        left: Rc<Cell<usize>>,
    }

    impl Mortal {
        pub(crate) fn new(stores: usize) -> Self {
            let words = vec![0; WORDS];
            Self { words: Rc::new(RefCell::new(words)), left: Rc::new(Cell::new(stores)) }
        }

        pub(crate) fn is_dead(&self) -> bool {
            self.left.get() == 0
        }
    }

    impl Words for Mortal {
        fn load(&self, at: usize) -> u64 {
            self.words.borrow()[at]
        }

        fn store(&self, at: usize, value: u64) {
            if let Some(left) = self.left.get().checked_sub(1) {
                self.left.set(left);
                self.words.borrow_mut()[at] = value;
            }
        }
    }

    #[test]
    fn a_place_that_no_writer_could_have_reached_is_refused() {
        let words = Mortal::new(usize::MAX);
        let ring = Ring::new(words.clone());
        ring.append(0, b"abc");
        words.store(END, SIZE as u64 + 1);
        assert_eq!(ring.rest(0), Err(BeyondRing { published: SIZE as u64 + 1, received: 0 }));
        words.store(END, u64::MAX);
        assert!(ring.rest(3).is_err());
    }

    #[test]
    fn bytes_at_any_place_are_read_back_from_any_of_them() {
        for place in [0, 1, 7, 8, SIZE as u64 - 3, 5 * SIZE as u64 + 11] {
            let ring = Ring::new(Mortal::new(usize::MAX));
            let bytes: Vec<u8> = (0..41).collect();
            ring.append(place, &bytes);
            for from in 0..=41 {
                assert_eq!(ring.rest(place + from as u64).as_deref(), Ok(&bytes[from..]));
            }
            assert_eq!(ring.rest(place + 42), Ok(Vec::new()));
        }
    }
}
