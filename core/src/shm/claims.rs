//! Which of the messages that were handed to a worker its supervisor has taken back, and which the worker has begun.
//!
//! Each message has a place in memory that both share. The worker claims it right before the handler starts, the supervisor
//! takes it back: whoever comes first has it, with certainty and without waiting for the other, which may compute, or be
//! stopped. A place is used again by a later message: its word tells which one it speaks of, and only grows.
//!
//! Pure: where the words are is the caller's business. A worker that lies here changes what becomes of its own messages.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many messages have places of their own: no more are ahead of a worker at any time.
pub(crate) const PLACES: usize = 1024;

/// How often a place is looked at that changes each time: whatever a worker does there, nobody waits for it.
const TRIES: u32 = 64;
/// What a word tells of the message whose number stands above it.
const TAKEN_BACK: u64 = 0;
const BEGUN: u64 = 1;
const TOLD: u64 = 2;
const BITS: u32 = 2;

/// The places of a worker's messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims<'a>(&'a [AtomicU64]);

impl<'a> Claims<'a> {
    /// Those in these words, of which there are [`PLACES`].
    pub(crate) fn of(words: &'a [AtomicU64]) -> Self {
        debug_assert_eq!(words.len(), PLACES);
        Self(words)
    }

    /// Worker: the handler of this message is about to start; false where it must not, since the message was taken back.
    #[inline]
    pub(crate) fn begin(self, seq: u64) -> bool {
        self.place(seq).swap(word(seq, BEGUN), Ordering::AcqRel) != word(seq, TAKEN_BACK)
    }

    /// Supervisor: takes the message back; false where its handler may have been started. Otherwise it never will be.
    pub(crate) fn take_back(self, seq: u64) -> bool {
        let (place, taken_back) = (self.place(seq), word(seq, TAKEN_BACK));
        let mut found = place.load(Ordering::Acquire);
        for _ in 0..TRIES {
            if found >= taken_back {
                return found == taken_back;
            }
            match place.compare_exchange(found, taken_back, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => found = other,
            }
        }
        // A worker changes the place once for each message, and one of ours is not that fast.
        false
    }

    /// Supervisor: nobody wants the message any more whose handler was started.
    pub(crate) fn tell(self, seq: u64) {
        let (begun, told) = (word(seq, BEGUN), word(seq, TOLD));
        // Nothing where the place is another's by now.
        let _ = self.place(seq).compare_exchange(begun, told, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Worker: whether nobody wants the message any more whose handler was started.
    #[inline]
    pub(crate) fn is_told(self, seq: u64) -> bool {
        self.place(seq).load(Ordering::Acquire) == word(seq, TOLD)
    }

    #[inline]
    fn place(self, seq: u64) -> &'a AtomicU64 {
        &self.0[seq as usize % PLACES]
    }
}

fn word(seq: u64, state: u64) -> u64 {
    seq << BITS | state
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn places() -> Vec<AtomicU64> {
        (0..PLACES).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn whoever_comes_first_has_the_message() {
        let words = places();
        let claims = Claims::of(&words);
        assert!(claims.take_back(1) && claims.take_back(1));
        assert!(!claims.begin(1));
        assert!(claims.begin(2) && !claims.take_back(2));
        assert!(!claims.is_told(2));
        claims.tell(2);
        assert!(claims.is_told(2) && !claims.take_back(2));
    }

    #[test]
    fn what_was_said_of_a_message_is_not_said_of_the_one_that_has_its_place_next() {
        let words = places();
        let claims = Claims::of(&words);
        let next = 5 + PLACES as u64;
        assert!(claims.take_back(5));
        // Whether that was ever looked at or not.
        assert!(claims.begin(next));
        claims.tell(5);
        assert!(!claims.is_told(next) && !claims.is_told(5));
        assert!(!claims.take_back(5), "a message whose turn is long over");
        claims.tell(next);
        assert!(claims.begin(next + PLACES as u64) && !claims.is_told(next + PLACES as u64));
        assert!(claims.take_back(next + 2 * PLACES as u64));
        assert!(!claims.begin(next + 2 * PLACES as u64));
    }

    #[test]
    fn of_two_threads_exactly_one_has_each_message() {
        const ROUNDS: u64 = 300;
        let (words, start) = (places(), Barrier::new(2));
        let claims = Claims::of(&words);
        let all = |act: &(dyn Fn(u64) -> bool + Sync)| -> Vec<bool> {
            let round = |round| {
                // As many as may be ahead of a worker.
                start.wait();
                let first = 1 + round * PLACES as u64;
                (first..first + PLACES as u64).map(act).collect::<Vec<_>>()
            };
            (0..ROUNDS).flat_map(round).collect()
        };
        let (begun, taken) = std::thread::scope(|scope| {
            let worker = scope.spawn(|| all(&|seq| claims.begin(seq)));
            (all(&|seq| claims.take_back(seq)), worker.join().unwrap())
        });
        for (at, (begun, taken)) in begun.into_iter().zip(taken).enumerate() {
            assert_ne!(begun, taken, "of message {}", at + 1);
        }
    }
}
