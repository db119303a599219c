//! Bytes on their way into a stream: which of them could be lost, and when they must go.
//!
//! A process that shares a ring with its reader need not write each message before it goes on: what is published there is
//! read after its death. Pure: the caller does the writing, and says what the stream has taken.

use std::time::{Duration, Instant};

use crate::shm::ring::{Ring, SIZE, Words};
use crate::wire::rope::{Output, Rope};

/// How long bytes may wait for others that come after them.
pub(crate) const PATIENCE: Duration = Duration::from_micros(50);
/// So many go at once: what comes next still finds room in the ring.
const MUCH: usize = SIZE / 2;
/// What a buffer keeps when it is idle.
const KEPT: usize = 256 << 10;

/// Bytes that a stream has not taken yet.
#[derive(Debug)]
pub(crate) struct Outgoing<W> {
    bytes: Rope,
    /// How many the stream has taken: the place of the first that it has not.
    taken: u64,
    /// How many of them are in the ring.
    published: usize,
    ring: Option<Ring<W>>,
    /// Until when they may wait for others.
    until: Option<Instant>,
}

impl<W: Words> Outgoing<W> {
    pub(crate) fn new(ring: Option<Ring<W>>) -> Self {
        Self { bytes: Rope::new(), taken: 0, published: 0, ring, until: None }
    }

    /// The buffer, for whoever appends to it.
    pub(crate) fn bytes_mut(&mut self) -> &mut Rope {
        &mut self.bytes
    }

    /// The first of them, as many as lie together.
    pub(crate) fn first(&self) -> &[u8] {
        self.bytes.first()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The stream has taken this many.
    pub(crate) fn take(&mut self, n: usize) {
        self.bytes.advance(n);
        self.taken += n as u64;
        self.published = self.published.saturating_sub(n);
        if self.bytes.is_empty() {
            self.until = None;
            if self.bytes.capacity() > KEPT {
                self.bytes = Rope::new();
            }
        }
    }

    /// The stream will never take anything again.
    pub(crate) fn give_up(&mut self) {
        self.take(self.bytes.len());
        self.bytes = Rope::new();
    }

    /// Whether they must go now: no others come at once, they have waited for long enough, or they are many.
    pub(crate) fn is_due(&mut self, more: bool, now: Instant) -> bool {
        if self.ring.is_none() || !more || self.bytes.len() >= MUCH {
            return true;
        }
        now >= *self.until.get_or_insert_with(|| now + PATIENCE)
    }

    /// How many the stream has taken ever.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Puts into the ring what fits, and no more than so many. Whether the reader has all of them, even if this process ended
    /// now.
    pub(crate) fn publish(&mut self, most: usize) -> bool {
        // Nothing that the stream has not taken is overwritten.
        let end = self.bytes.len().min(SIZE).min(most);
        if self.published < end
            && let Some(ring) = &self.ring
        {
            let mut at = 0;
            for piece in self.bytes.slices() {
                let (from, to) = (self.published.clamp(at, at + piece.len()), end.clamp(at, at + piece.len()));
                if from < to {
                    ring.append(self.taken + from as u64, &piece[from - at..to - at]);
                    self.published = to;
                }
                at += piece.len();
            }
        }
        self.published == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shm::ring::tests::Mortal;

    #[test]
    fn bytes_wait_for_others_but_not_for_long() {
        let began = Instant::now();
        let mut outgoing = Outgoing::new(Some(Ring::new(Mortal::new(usize::MAX))));
        outgoing.bytes_mut().put(b"one");
        assert!(!outgoing.is_due(true, began));
        assert!(!outgoing.is_due(true, began + PATIENCE / 2));
        assert!(outgoing.is_due(false, began + PATIENCE / 2));
        assert!(outgoing.is_due(true, began + PATIENCE));
        outgoing.take(3);
        outgoing.bytes_mut().put(b"two");
        assert!(!outgoing.is_due(true, began + PATIENCE));
        outgoing.bytes_mut().put(&[0; MUCH]);
        assert!(outgoing.is_due(true, began + PATIENCE));
    }

    #[test]
    fn without_a_ring_nothing_waits_and_only_what_was_taken_is_safe() {
        let mut outgoing = Outgoing::<Mortal>::new(None);
        outgoing.bytes_mut().put(b"one");
        assert!(outgoing.is_due(true, Instant::now()));
        assert!(!outgoing.publish(usize::MAX));
        outgoing.take(3);
        assert!(outgoing.publish(usize::MAX));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Say(usize),
        Write(usize),
        Publish,
    }

    fn step() -> impl Strategy<Value = Step> {
        let len = prop_oneof![4 => 0..200_usize, 1 => 0..3 * SIZE];
        prop_oneof![
            4 => len.clone().prop_map(Step::Say),
            2 => len.prop_map(Step::Write),
            3 => Just(Step::Publish),
        ]
    }

    proptest! {
        #[test]
        fn a_reader_gets_a_prefix_that_holds_all_that_was_safe_whenever_the_writer_dies(
            steps in proptest::collection::vec(step(), 1..60),
            stores in 0..60_000_usize,
        ) {
            let words = Mortal::new(stores);
            let mut outgoing = Outgoing::new(Some(Ring::new(words.clone())));
            let (mut said, mut stream, mut safe) = (Vec::new(), Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Say(len) => {
                        let first = said.len();
                        let bytes: Vec<u8> = (first..first + len).map(|at| (at * 7 + at / 251) as u8).collect();
                        outgoing.bytes_mut().put_payload(&bytes.clone().into());
                        said.extend(bytes);
                    }
                    Step::Write(most) => {
                        let n = outgoing.first().len().min(most);
                        stream.extend_from_slice(&outgoing.first()[..n]);
                        outgoing.take(n);
                        safe = safe.max(stream.len());
                    }
                    Step::Publish => {
                        if outgoing.publish(usize::MAX) && !words.is_dead() {
                            safe = said.len();
                        }
                    }
                }
                if words.is_dead() {
                    break;
                }
            }
            let rest = Ring::new(words).rest(stream.len() as u64).expect("a writer of ours");
            stream.extend(rest);
            prop_assert!(stream.len() >= safe);
            prop_assert_eq!(&stream[..], &said[..stream.len()]);
        }
    }
}
