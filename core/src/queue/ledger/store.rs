use std::collections::VecDeque;

use super::action::{Bounds, Size};

/// An item with its place among all that were ever sent.
#[derive(Clone, Debug)]
pub(super) struct Stored<T> {
    pub(super) place: u64,
    /// How many times it has been handed out before.
    pub(super) attempts: u32,
    pub(super) size: Size,
    pub(super) item: T,
}

/// Items that wait to be received, in the order of their places.
///
/// New ones come at the back. One that comes back finds its old place, which is near the front.
#[derive(Clone, Debug)]
pub(super) struct Store<T> {
    items: VecDeque<Stored<T>>,
    bytes: usize,
}

/// How much room is kept when a burst is over.
const KEEP: usize = 1024;

impl<T> Store<T> {
    pub(super) fn new() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn first(&self) -> Option<&Stored<T>> {
        self.items.front()
    }

    pub(super) fn has_room(&self, bounds: Bounds, size: Size) -> bool {
        fits(bounds, (self.len(), self.bytes), size)
    }

    pub(super) fn contains(&self, place: u64) -> bool {
        self.items.binary_search_by_key(&place, |stored| stored.place).is_ok()
    }

    /// Puts an item that is not here at its place.
    pub(super) fn insert(&mut self, stored: Stored<T>) {
        self.bytes += stored.size.bytes;
        match self.items.binary_search_by_key(&stored.place, |other| other.place) {
            Ok(_) => debug_assert!(false, "an item is in the store twice"),
            Err(index) => self.items.insert(index, stored),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Stored<T>> {
        let stored = self.items.pop_front()?;
        self.bytes -= stored.size.bytes;
        if self.items.is_empty() && self.items.capacity() > 2 * KEEP {
            self.items.shrink_to(KEEP);
        }
        Some(stored)
    }
}

/// Whether one more of this size may come to what is held already: a single one always may.
pub(super) fn fits(bounds: Bounds, held: (usize, usize), size: Size) -> bool {
    let (items, bytes) = held;
    items == 0 || (items < bounds.items && bytes.saturating_add(size.bytes) <= bounds.bytes)
}
