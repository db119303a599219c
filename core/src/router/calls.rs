//! The requests of a process by their keys.

use std::time::Instant;

use std::mem;

use super::arena::Arena;
use super::record::{CallKey, Outcome, Record};

/// Requests that have not ended, and of those that have the outcomes that a future has yet to fetch: a place serves for both,
/// one after the other, so that a request of a future takes one.
#[derive(Debug)]
pub(super) struct Calls {
    places: Arena<Place>,
    open: usize,
}

#[derive(Debug)]
enum Place {
    Open(Record),
    /// Nothing once it was fetched.
    Ended(Option<Outcome>),
}

/// What is under a key.
pub(super) enum Found<'a> {
    Open(&'a mut Record),
    /// It has ended; nothing is left under the key now.
    Ended(Outcome),
    Nothing,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self { places: Arena::new(), open: 0 }
    }

    /// Requests that have not ended.
    pub(super) fn len(&self) -> usize {
        self.open
    }

    /// Places in use: those, and of others outcomes.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// A request, whose record is made where it is to lie: it is large.
    #[inline(always)]
    pub(super) fn insert(&mut self, record: impl FnOnce() -> Record) -> CallKey {
        self.open += 1;
        self.places.insert_with(|| Place::Open(record()))
    }

    /// An outcome without a request.
    pub(super) fn insert_ended(&mut self, outcome: Outcome) -> CallKey {
        self.places.insert(Place::Ended(Some(outcome)))
    }

    #[inline]
    pub(super) fn get(&self, key: CallKey) -> Option<&Record> {
        match self.places.get(key) {
            Some(Place::Open(record)) => Some(record),
            _ => None,
        }
    }

    /// Whether this is the time at which the request is looked at.
    pub(super) fn is_due(&self, at: Instant, key: CallKey) -> bool {
        self.get(key).is_some_and(|record| record.timer == Some(at))
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: CallKey) -> Option<&mut Record> {
        match self.places.get_mut(key) {
            Some(Place::Open(record)) => Some(record),
            _ => None,
        }
    }

    /// Moves an outcome to where it is wanted, if there is one under the key.
    #[inline]
    pub(super) fn take_ended(&mut self, key: CallKey, into: &mut Option<Outcome>) -> bool {
        let Some(Place::Ended(outcome)) = self.places.get_mut(key) else { return false };
        mem::swap(outcome, into);
        self.places.discard(key);
        true
    }

    /// What is under a key, where an outcome is taken.
    #[inline]
    pub(super) fn find(&mut self, key: CallKey) -> Found<'_> {
        // Taken out of its place, which is large and is not moved.
        if let Some(Place::Ended(outcome)) = self.places.get_mut(key) {
            let outcome = outcome.take();
            self.places.discard(key);
            return outcome.map_or(Found::Nothing, Found::Ended);
        }
        self.get_mut(key).map_or(Found::Nothing, Found::Open)
    }

    /// The request has ended, and nobody fetches its outcome.
    #[inline]
    pub(super) fn discard(&mut self, key: CallKey) {
        if let Some(Place::Open(_)) = self.places.get(key) {
            self.open -= 1;
            self.places.discard(key);
        }
    }

    /// The request has ended, and a future fetches its outcome.
    #[inline]
    pub(super) fn end(&mut self, key: CallKey, outcome: Outcome) {
        if let Some(place @ Place::Open(_)) = self.places.get_mut(key) {
            self.open -= 1;
            *place = Place::Ended(Some(outcome));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (CallKey, &Record)> {
        self.places.iter().filter_map(|(key, place)| match place {
            Place::Open(record) => Some((key, record)),
            Place::Ended(_) => None,
        })
    }
}
