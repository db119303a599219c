//! Tasks that travel together: how far their worker has come with them, and what came of them.
//!
//! A worker has a few *places* for chunks in the segment that it shares with its supervisor. While it runs the tasks of a
//! chunk, one after the other, three things in the chunk's place say exactly where each of them is, at any moment and
//! after the worker's death:
//!
//! ```text
//!            done          next                  limit
//!   | published | running | not begun            | never in it
//! ```
//! - The **claim**, one word with `next` and `limit`. The worker begins the next task by adding one to `next`, and runs it
//!   only if it was below `limit`. The supervisor takes back all that has not begun by exchanging the word for 0. Both
//!   are one instruction on one word: so each task is either begun or taken back, never both, and neither waits for the
//!   other.
//! - **Results**, one behind the other, each with its length, how long it ran and whether it is a failure.
//! - **Done**, the number of results that are whole. It is stored after they are, with `Release`: who sees the number sees
//!   them. What is published survives the worker.
//!
//! Nothing in it is trusted: what does not fit is no result, and numbers are held against what the supervisor knows by
//! itself. A worker that lies changes what becomes of its own tasks.

use std::fmt;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::layout;
use crate::sys::Segment;

/// Chunks that a worker may have at once: one that runs, one that is ready, and some of which little is left.
pub(crate) const PLACES: usize = 4;
/// Words for the results of one chunk: 64 KiB, which only take up memory once they are written.
const RESULTS: usize = 8 << 10;
/// Words in front of them: what is written by both sides has a cache line of its own.
const HEAD: usize = 16;
const PLACE: usize = HEAD + RESULTS;
/// Words of all places.
pub(super) const WORDS: usize = PLACES * PLACE;

const NUMBER: usize = 0;
const CLAIM: usize = 1;
const DONE: usize = 8;

const WORD: usize = size_of::<u64>();
const LENGTH_BITS: u32 = 20;
const KIND_BITS: u32 = 2;
const RAN_BITS: u32 = 64 - LENGTH_BITS - KIND_BITS;

/// Memory in words.
pub(crate) trait Words: Send + Sync {
    /// All of them.
    fn words(&self) -> &[AtomicU64];
}

impl Words for Segment {
    fn words(&self) -> &[AtomicU64] {
        self.words().get(layout::CHUNKS).unwrap_or_default()
    }
}

/// The places for chunks in the segment of one incarnation of a worker.
#[derive(Clone)]
pub(crate) struct Places(Arc<dyn Words>);

/// The place of one chunk, as either side sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a>(&'a [AtomicU64]);

/// What a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The function's value.
    Value,
    /// The function's value, by which it says that it failed.
    Failure,
    /// Why there is no value.
    Error,
}

/// What stands in front of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// For how many nanoseconds it ran.
    pub(crate) nanos: u64,
}

impl Head {
    pub(crate) fn new(kind: Kind, ran: Duration) -> Self {
        let nanos = ran.as_secs().saturating_mul(1_000_000_000);
        Self { kind, nanos: nanos.saturating_add(ran.subsec_nanos().into()) }
    }

    pub(crate) fn ran(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }
}

/// Results that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbled;

impl Places {
    pub(crate) fn new(words: Arc<dyn Words>) -> Self {
        Self(words)
    }

    /// The place with this number; none where there is none, or the segment is not one of ours.
    pub(crate) fn get(&self, index: usize) -> Option<Place<'_>> {
        let from = index.checked_mul(PLACE)?;
        self.0.words().get(from..from.checked_add(PLACE)?).map(Place)
    }

    /// Whether both are of one incarnation.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The supervisor's side.
impl Place<'_> {
    /// Makes the place that of a chunk of so many tasks. The worker hears of it later, and has forgotten the one before.
    pub(crate) fn begin(self, number: u64, count: u32) {
        self.0[DONE].store(0, Ordering::Relaxed);
        self.0[CLAIM].store(u64::from(count), Ordering::Relaxed);
        self.0[NUMBER].store(number, Ordering::Release);
    }

    /// How many tasks have been begun, as far as it is known now.
    pub(crate) fn begun(self) -> u32 {
        let (next, limit) = unpacked(self.0[CLAIM].load(Ordering::Acquire));
        next.min(limit)
    }

    /// Takes back what has not been begun, for good; says how many tasks have been. None where that was done before.
    pub(crate) fn take_back(self) -> Option<u32> {
        let (next, limit) = unpacked(self.0[CLAIM].swap(0, Ordering::AcqRel));
        (limit > 0).then(|| next.min(limit))
    }

    /// How many results are there.
    pub(crate) fn done(self) -> u64 {
        self.0[DONE].load(Ordering::Acquire)
    }

    /// Reads the result that begins at the word `at`, which is moved behind it, into `results`.
    #[inline]
    pub(crate) fn read(self, at: &mut usize, results: &mut Results) -> Result<Head, Garbled> {
        let memory = &self.0[HEAD..];
        let word = memory.get(*at).ok_or(Garbled)?.load(Ordering::Relaxed);
        let (head, length) = unpacked_head(word).ok_or(Garbled)?;
        let words = memory.get(*at + 1..*at + 1 + length.div_ceil(WORD)).ok_or(Garbled)?;
        results.bytes.extend_from_slice(&word.to_ne_bytes());
        for word in words {
            results.bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        results.left += 1;
        *at += 1 + words.len();
        Ok(head)
    }
}

/// Results that were read, in the form in which they were found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    bytes: Vec<u8>,
    /// Where the next one begins.
    at: usize,
    /// How many there are from there on.
    left: usize,
}

impl Results {
    /// With room for so many, if they are short.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count * 2 * WORD), at: 0, left: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.left
    }

    /// The next one.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(Head, &[u8])> {
        let (head, value, end) = result(&self.bytes, self.at)?;
        self.at = end;
        self.left -= 1;
        Some((head, value))
    }

    /// What stands in front of each.
    pub(crate) fn heads(&self) -> impl Iterator<Item = Head> + '_ {
        let mut at = self.at;
        iter::from_fn(move || {
            let (head, _, end) = result(&self.bytes, at)?;
            at = end;
            Some(head)
        })
    }
}

/// The result that begins there, and where the next one does.
#[inline]
fn result(results: &[u8], at: usize) -> Option<(Head, &[u8], usize)> {
    let (word, rest) = results.get(at..)?.split_first_chunk()?;
    let (head, length) = unpacked_head(u64::from_ne_bytes(*word))?;
    Some((head, rest.get(..length)?, at + WORD + length.next_multiple_of(WORD)))
}

#[inline]
fn unpacked_head(word: u64) -> Option<(Head, usize)> {
    let kind = match word >> LENGTH_BITS & ((1 << KIND_BITS) - 1) {
        0 => Kind::Value,
        1 => Kind::Failure,
        2 => Kind::Error,
        _ => return None,
    };
    Some((Head { kind, nanos: word >> (LENGTH_BITS + KIND_BITS) }, (word & ((1 << LENGTH_BITS) - 1)) as usize))
}

/// The worker's side.
impl Place<'_> {
    /// Whether it is the place of this chunk.
    #[inline]
    pub(crate) fn is_of(self, number: u64) -> bool {
        self.0[NUMBER].load(Ordering::Acquire) == number
    }

    /// Begins the next task, if there is one that was not taken back: which it is.
    #[inline]
    pub(crate) fn claim(self) -> Option<u32> {
        // Once nothing is left `next` grows past the limit, by one for each that asks: a worker asks once.
        let (next, limit) = unpacked(self.0[CLAIM].fetch_add(1 << 32, Ordering::AcqRel));
        (next < limit).then_some(next)
    }

    /// Puts a result at the word `at`, which is moved behind it; false if it does not fit.
    #[inline]
    pub(crate) fn put(self, at: &mut usize, head: Head, bytes: &[u8]) -> bool {
        if head.nanos >= 1 << RAN_BITS {
            return false;
        }
        let results = &self.0[HEAD..];
        let words = results.get(*at..*at + 1 + bytes.len().div_ceil(WORD));
        let Some((first, words)) = words.and_then(<[_]>::split_first) else { return false };
        let kind = head.kind as u64;
        first.store(
            head.nanos << (LENGTH_BITS + KIND_BITS) | kind << LENGTH_BITS | bytes.len() as u64,
            Ordering::Relaxed,
        );
        let (whole, rest) = bytes.as_chunks::<WORD>();
        for (word, piece) in words.iter().zip(whole) {
            word.store(u64::from_ne_bytes(*piece), Ordering::Relaxed);
        }
        if let (false, Some(last)) = (rest.is_empty(), words.last()) {
            let shift = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
            last.store(rest.iter().rev().fold(0, shift).to_le(), Ordering::Relaxed);
        }
        *at += 1 + words.len();
        true
    }

    /// Makes the results of the first `done` tasks known, for good.
    pub(crate) fn publish(self, done: u32) {
        self.0[DONE].store(u64::from(done), Ordering::Release);
    }
}

fn unpacked(claim: u64) -> (u32, u32) {
    ((claim >> 32) as u32, claim as u32)
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod memory {
    use super::*;

    /// Memory of this process alone, as two sides would share it.
    pub(crate) struct Memory(Vec<AtomicU64>);

    impl Words for Memory {
        fn words(&self) -> &[AtomicU64] {
            &self.0
        }
    }

    pub(crate) fn places() -> Places {
        Places::new(Arc::new(Memory((0..WORDS).map(|_| AtomicU64::new(0)).collect())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(kind: Kind, nanos: u64) -> Head {
        Head { kind, nanos }
    }

    #[test]
    fn results_come_out_as_they_went_in_until_the_place_is_full() {
        let places = memory::places();
        let place = places.get(PLACES - 1).unwrap();
        let (mut at, mut put) = (0, Vec::new());
        for length in 0.. {
            let kind = [Kind::Value, Kind::Failure, Kind::Error][length % 3];
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let head = head(kind, length as u64 * 1_000_001);
            if !place.put(&mut at, head, &bytes) {
                break;
            }
            put.push((head, bytes));
        }
        assert!(at <= RESULTS && put.len() > 300);
        let (mut at, mut results) = (0, Results::default());
        for (head, _) in &put {
            assert_eq!(place.read(&mut at, &mut results), Ok(*head));
        }
        assert_eq!(results.len(), put.len());
        assert!(results.heads().eq(put.iter().map(|(head, _)| *head)));
        for (head, expected) in put {
            assert_eq!(results.next(), Some((head, &expected[..])));
        }
        assert_eq!(results.next(), None);
    }

    #[test]
    fn what_is_too_long_or_ran_too_long_does_not_fit() {
        let places = memory::places();
        let place = places.get(0).unwrap();
        let mut at = 0;
        assert!(!place.put(&mut at, head(Kind::Value, 0), &vec![0; RESULTS * WORD]));
        assert!(!place.put(&mut at, head(Kind::Value, 1 << RAN_BITS), &[]));
        assert!(place.put(&mut at, head(Kind::Value, (1 << RAN_BITS) - 1), &vec![0; (RESULTS - 1) * WORD]));
        assert!(!place.put(&mut at, head(Kind::Value, 0), &[]));
        assert_eq!(at, RESULTS);
    }

    #[test]
    fn what_was_taken_back_is_never_begun() {
        let places = memory::places();
        let place = places.get(1).unwrap();
        place.begin(7, 5);
        assert!(place.is_of(7) && !place.is_of(6));
        assert_eq!((place.claim(), place.claim(), place.begun()), (Some(0), Some(1), 2));
        assert_eq!(place.take_back(), Some(2));
        assert_eq!((place.claim(), place.claim(), place.take_back()), (None, None, None));
        place.begin(8, 1);
        assert_eq!((place.claim(), place.claim(), place.claim()), (Some(0), None, None));
        assert_eq!(place.take_back(), Some(1));
    }

    proptest! {
        #[test]
        fn whatever_is_in_it_is_read_without_a_panic_and_within_the_place(
            words in proptest::collection::vec(any::<u64>(), 1..64), at in 0..RESULTS + 9,
        ) {
            let places = memory::places();
            let place = places.get(0).unwrap();
            for (index, word) in words.iter().cycle().take(PLACE).enumerate() {
                place.0[index].store(*word, Ordering::Relaxed);
            }
            let (mut at, mut results) = (at, Results::default());
            while place.read(&mut at, &mut results).is_ok() {}
            prop_assert!(results.bytes.len() <= RESULTS * WORD && at <= RESULTS + 8);
            let mut count = results.len();
            while results.next().is_some() {
                count -= 1;
            }
            prop_assert_eq!((count, results.len()), (0, 0));
            let begun = place.begun();
            prop_assert!(place.take_back().is_none_or(|taken| taken == begun));
        }
    }
}
