use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};
use std::time::Instant;

use super::action::{Acknowledged, Size, Ticket};
use super::store::{Stored, fits};

/// Items that are handed out and not acknowledged yet.
#[derive(Clone, Debug)]
pub(super) struct Out<T, P> {
    terms: Acknowledged,
    items: BTreeMap<u64, Delivery<T, P>>,
    bytes: usize,
    of: BTreeMap<P, BTreeSet<u64>>,
    /// When each is to come back by itself.
    due: BTreeSet<(Instant, u64)>,
}

#[derive(Clone, Debug)]
struct Delivery<T, P> {
    stored: Stored<T>,
    delivery: u64,
    taker: P,
    due: Option<Instant>,
}

/// Whether a party has more or fewer items than it had, as far as it matters to who watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turned<P> {
    pub(super) taker: P,
    /// It has its first item now, or no item any more.
    pub(super) turned: bool,
}

impl<T, P: Copy + Ord> Out<T, P> {
    pub(super) fn new(terms: Acknowledged) -> Self {
        Self { terms, items: BTreeMap::new(), bytes: 0, of: BTreeMap::new(), due: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn has_room(&self, size: Size) -> bool {
        fits(self.terms.bounds, (self.len(), self.bytes), size)
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.items.first_key_value().map(|(&place, _)| place)
    }

    /// Notes a delivery of an item that counts it already.
    pub(super) fn insert(&mut self, now: Instant, taker: P, delivery: u64, stored: Stored<T>) -> Turned<P> {
        let place = stored.place;
        let due = self.terms.within.map(|within| now + within);
        self.due.extend(due.map(|due| (due, place)));
        self.bytes += stored.size.bytes;
        self.items.insert(place, Delivery { stored, delivery, taker, due });
        let held = self.of.entry(taker).or_default();
        held.insert(place);
        Turned { taker, turned: held.len() == 1 }
    }

    /// Who has this delivery, where it is out still.
    pub(super) fn taker(&self, ticket: Ticket) -> Option<P> {
        self.items.get(&ticket.place).filter(|out| out.delivery == ticket.delivery).map(|out| out.taker)
    }

    /// Takes a delivery out of the list, where it is still there: a late word on an earlier one is not about it.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<(Stored<T>, Turned<P>)> {
        let Entry::Occupied(entry) = self.items.entry(ticket.place) else { return None };
        if entry.get().delivery != ticket.delivery {
            return None;
        }
        let Delivery { stored, taker, due, .. } = entry.remove();
        self.bytes -= stored.size.bytes;
        if let Some(due) = due {
            self.due.remove(&(due, ticket.place));
        }
        let mut turned = false;
        if let Entry::Occupied(mut held) = self.of.entry(taker) {
            held.get_mut().remove(&ticket.place);
            turned = held.get().is_empty();
            if turned {
                held.remove();
            }
        }
        Some((stored, Turned { taker, turned }))
    }

    /// All that a party has.
    pub(super) fn held_by(&self, taker: P) -> Vec<Ticket> {
        let places = self.of.get(&taker).into_iter().flatten();
        places.filter_map(|place| Some(Ticket { place: *place, delivery: self.items.get(place)?.delivery })).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Ticket> {
        self.items.iter().map(|(&place, out)| Ticket { place, delivery: out.delivery }).collect()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// One that has been kept for too long.
    pub(super) fn overdue(&self, now: Instant) -> Option<Ticket> {
        let &(due, place) = self.due.first()?;
        (due <= now).then_some(())?;
        Some(Ticket { place, delivery: self.items.get(&place)?.delivery })
    }
}
