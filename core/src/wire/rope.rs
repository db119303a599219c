//! Bytes in pieces: large ones stay where they are, small ones are written one behind the other.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

/// From so many bytes on a piece is cheaper to write by itself than to copy.
pub(crate) const LARGE: usize = 128 << 10;

/// Where frames are written to.
pub(crate) trait Output {
    /// How many bytes there are.
    fn len(&self) -> usize;

    /// Makes room for so many more bytes, which are not large.
    fn reserve(&mut self, more: usize);

    /// Appends a copy.
    fn put(&mut self, bytes: &[u8]);

    /// Appends them, by reference where they are many.
    fn put_payload(&mut self, payload: &Bytes);

    /// Moves all of a rope behind what is there.
    fn take(&mut self, rope: &mut Rope);
}

/// Bytes that are written somewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// To be copied.
    Copied(&'a [u8]),
    /// To be copied or, where they are many, referred to.
    Shared(&'a Bytes),
}

impl Part<'_> {
    #[inline]
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Copied(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }

    #[inline]
    pub(crate) fn write(self, out: &mut impl Output) {
        match self {
            Self::Copied(bytes) => out.put(bytes),
            Self::Shared(bytes) => out.put_payload(bytes),
        }
    }

    /// Appends a part of them.
    #[inline]
    pub(crate) fn write_range(self, range: Range<usize>, out: &mut impl Output) {
        match self {
            Self::Shared(bytes) if range.len() >= LARGE => out.put_payload(&bytes.slice(range)),
            Self::Shared(bytes) => out.put(&bytes[range]),
            Self::Copied(bytes) => out.put(&bytes[range]),
        }
    }
}

/// Bytes in pieces, in order.
#[derive(Debug, Default)]
pub(crate) struct Rope {
    /// None of them is empty.
    pieces: VecDeque<Bytes>,
    /// The bytes of the pieces.
    before: usize,
    /// What comes behind them.
    last: BytesMut,
}

impl Rope {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory it keeps for what is written next.
    pub(crate) fn capacity(&self) -> usize {
        self.last.capacity()
    }

    /// The first of its bytes, as many as lie together; none only where there are none.
    pub(crate) fn first(&self) -> &[u8] {
        self.pieces.front().map_or(&self.last[..], |piece| &piece[..])
    }

    /// The bytes of all pieces in order.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| &piece[..]).chain([&self.last[..]])
    }

    /// Lets go of the first `n`.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn advance(&mut self, mut n: usize) {
        while let Some(first) = self.pieces.front_mut() {
            let part = n.min(first.len());
            first.advance(part);
            self.before -= part;
            n -= part;
            if !first.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.last.advance(n);
    }

    /// Cuts off the first `n`.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn split_to(&mut self, n: usize) -> Self {
        let mut head = Self::new();
        while let Some(first) = self.pieces.front_mut() {
            let missing = n - head.before;
            if first.len() > missing {
                if missing > 0 {
                    head.push(first.split_to(missing));
                    self.before -= missing;
                }
                return head;
            }
            self.before -= first.len();
            if let Some(first) = self.pieces.pop_front() {
                head.push(first);
            }
        }
        head.last = self.last.split_to(n - head.before);
        head
    }

    /// What is written next comes behind a piece, and not in it.
    fn push(&mut self, piece: Bytes) {
        if !self.last.is_empty() {
            let last = self.last.split().freeze();
            self.before += last.len();
            self.pieces.push_back(last);
        }
        if !piece.is_empty() {
            self.before += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl Output for Rope {
    #[inline]
    fn len(&self) -> usize {
        self.before + self.last.len()
    }

    #[inline]
    fn reserve(&mut self, more: usize) {
        self.last.reserve(more);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.last.extend_from_slice(bytes);
    }

    #[inline]
    fn put_payload(&mut self, payload: &Bytes) {
        if payload.len() < LARGE {
            self.last.extend_from_slice(payload);
        } else {
            self.push(payload.clone());
        }
    }

    fn take(&mut self, rope: &mut Rope) {
        if self.is_empty() {
            // It has the memory of what was here.
            mem::swap(self, rope);
            return;
        }
        if !rope.pieces.is_empty() {
            for piece in mem::take(&mut rope.pieces) {
                self.push(piece);
            }
            rope.before = 0;
        }
        // A few bytes are copied sooner than their memory changes hands.
        self.last.extend_from_slice(&rope.last);
        rope.last.clear();
    }
}

impl Output for BytesMut {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn reserve(&mut self, more: usize) {
        Self::reserve(self, more);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_payload(&mut self, payload: &Bytes) {
        self.extend_from_slice(payload);
    }

    fn take(&mut self, rope: &mut Rope) {
        rope.slices().for_each(|piece| self.extend_from_slice(piece));
        rope.advance(rope.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(rope: &Rope) -> Vec<u8> {
        rope.slices().collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_large_payload_stays_where_it_is_and_a_small_one_is_copied() {
        let (large, small) = (Bytes::from(vec![1; LARGE]), Bytes::from(vec![2; LARGE - 1]));
        let mut rope = Rope::new();
        rope.put(b"head");
        rope.put_payload(&large);
        rope.put(b"tail");
        rope.put_payload(&small);
        assert_eq!(rope.len(), 8 + 2 * LARGE - 1);
        let pieces: Vec<_> = rope.slices().map(|piece| (piece.as_ptr(), piece.len())).collect();
        assert_eq!(pieces[1], (large.as_ptr(), LARGE));
        assert_eq!((pieces.len(), pieces[2].1), (3, LARGE + 3));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(usize),
        Payload(usize),
        Take(usize, bool),
        Advance(usize),
        Split(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let len = || prop_oneof![4 => 0..300_usize, 1 => LARGE..LARGE + 300];
        prop_oneof![
            len().prop_map(Step::Put),
            len().prop_map(Step::Payload),
            (len(), any::<bool>()).prop_map(|(len, large)| Step::Take(len, large)),
            (0..2 * LARGE).prop_map(Step::Advance),
            (0..2 * LARGE).prop_map(Step::Split),
        ]
    }

    /// After so many bytes the sequence of those that are put begins again; a prime, which no block is a multiple of.
    const PERIOD: usize = 251;

    proptest! {
        #[test]
        fn a_rope_is_the_bytes_that_were_put_in_it(steps in proptest::collection::vec(step(), 1..20)) {
            let (mut rope, mut plain) = (Rope::new(), Vec::new());
            // Whole slices at a time: a loop over so many bytes takes minutes without optimisation.
            let sequence: Vec<u8> = (0..PERIOD + LARGE + 300).map(|at| (at % PERIOD) as u8).collect();
            let mut at = 0;
            let mut bytes = |len: usize| -> Bytes {
                let from = at % PERIOD;
                at += len;
                Bytes::copy_from_slice(&sequence[from..from + len])
            };
            for step in steps {
                match step {
                    Step::Put(len) => {
                        let put = bytes(len);
                        rope.put(&put);
                        plain.extend_from_slice(&put);
                    }
                    Step::Payload(len) => {
                        let put = bytes(len);
                        rope.put_payload(&put);
                        plain.extend_from_slice(&put);
                    }
                    Step::Take(len, large) => {
                        let mut other = Rope::new();
                        for put in [bytes(len), bytes(if large { LARGE } else { 3 }), bytes(2)] {
                            other.put_payload(&put);
                            plain.extend_from_slice(&put);
                        }
                        rope.take(&mut other);
                        prop_assert!(other.is_empty());
                    }
                    Step::Advance(most) => {
                        let n = most.min(plain.len());
                        rope.advance(n);
                        plain.drain(..n);
                    }
                    Step::Split(most) => {
                        let n = most.min(plain.len());
                        let head = rope.split_to(n);
                        let rest = plain.split_off(n);
                        prop_assert_eq!(all(&head), mem::replace(&mut plain, rest));
                    }
                }
                prop_assert_eq!(rope.len(), plain.len());
                prop_assert_eq!(rope.first().is_empty(), plain.is_empty());
                prop_assert_eq!(all(&rope), &plain[..]);
            }
        }
    }
}
