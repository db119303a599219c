use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::action::{Batch, Bounds, DeadReason, Size};
use super::store::{Stored, fits};

/// An item that nobody received, or nobody acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Letter<T> {
    /// The item's place among all that were ever sent.
    pub(crate) place: u64,
    pub(crate) why: DeadReason,
    /// How many times it was handed out.
    pub(crate) attempts: u32,
    pub(crate) size: Size,
    pub(crate) item: T,
}

/// Dead letters, the newest of them where there are too many.
#[derive(Clone, Debug)]
pub(super) struct Letters<T> {
    bounds: Bounds,
    letters: VecDeque<Letter<T>>,
    bytes: usize,
    lost: u64,
}

impl<T> Letters<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, letters: VecDeque::new(), bytes: 0, lost: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    /// How many had to make room for newer ones.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn push(&mut self, stored: Stored<T>, why: DeadReason) {
        let Stored { place, attempts, size, item } = stored;
        self.make_room(size);
        self.bytes += size.bytes;
        self.letters.push_back(Letter { place, why, attempts, size, item });
    }

    fn make_room(&mut self, size: Size) {
        while !fits(self.bounds, (self.len(), self.bytes), size) {
            let Some(oldest) = self.letters.pop_front() else { return };
            self.bytes -= oldest.size.bytes;
            self.lost += 1;
        }
    }

    /// Takes the oldest out.
    pub(super) fn take(&mut self, batch: Batch) -> Vec<Letter<T>> {
        let mut left = Left::of(batch);
        let mut taken = Vec::new();
        while self.letters.front().is_some_and(|letter| left.take(letter.size)) {
            let Some(letter) = self.letters.pop_front() else { break };
            self.bytes -= letter.size.bytes;
            taken.push(letter);
        }
        taken
    }

    /// Puts back what was taken and reached nobody; there may be newer ones meanwhile.
    pub(super) fn put_back(&mut self, letters: Vec<Letter<T>>) {
        for letter in letters.into_iter().rev() {
            if fits(self.bounds, (self.len(), self.bytes), letter.size) {
                self.bytes += letter.size.bytes;
                self.letters.push_front(letter);
            } else {
                self.lost += 1;
            }
        }
    }
}

/// What is left of a batch while it is filled.
#[derive(Clone, Debug)]
pub(super) struct Left {
    batch: Batch,
    first: bool,
}

impl Left {
    pub(super) fn of(batch: Batch) -> Self {
        Self { batch, first: true }
    }

    /// Whether one more has room, which it then takes; the first one always has.
    pub(super) fn take(&mut self, size: Size) -> bool {
        let Batch { items, bytes, handles } = self.batch;
        let fits = items > 0 && size.bytes <= bytes && size.handles <= handles;
        if !(self.first || fits) {
            return false;
        }
        self.first = false;
        self.batch = Batch {
            items: items.saturating_sub(1),
            bytes: bytes.saturating_sub(size.bytes),
            handles: handles.saturating_sub(size.handles),
        };
        true
    }
}
