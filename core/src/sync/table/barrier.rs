//! A meeting: nobody goes on before all have come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::action::{Action, Breach, LockId, Refusal, Request, Who};
use super::event::Guest;
use super::{At, Entry, Is, Place, Table};

/// Who has come, and whether it still can be that all do.
///
/// ```text
///          the last one comes: all pass
///              +-------+
///              v       |
///  reset --> whole ----+
///    ^         | one that took part ends, or waits no more
///    |         v
///    +------ broken: everybody is told at once
/// ```
#[derive(Clone, Debug)]
pub(super) struct Barrier<P, E> {
    size: u32,
    pub(super) waiting: BTreeMap<u64, Guest<P>>,
    /// The roots of those that have ever taken part and live.
    members: BTreeSet<P>,
    pub(super) broken: Option<Breach<P, E>>,
}

impl<P: Who, E: Clone> Barrier<P, E> {
    pub(super) fn new(size: u32) -> Self {
        Self { size, waiting: BTreeMap::new(), members: BTreeSet::new(), broken: None }
    }

    /// One has come: who passes now, in the order in which they came.
    pub(super) fn arrive(&mut self, order: u64, guest: Guest<P>) -> Vec<Guest<P>> {
        self.members.insert(guest.who.root());
        self.waiting.insert(order, guest);
        if self.waiting.len() < self.size as usize {
            return Vec::new();
        }
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// It breaks, if it is whole: who is to be told.
    pub(super) fn break_by(&mut self, breach: Breach<P, E>) -> Vec<Guest<P>> {
        self.broken.get_or_insert(breach);
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// A party has ended: whether that breaks the barrier. It does if others may count on it: if it waited, or if it took
    /// part before and nobody wanted its end.
    pub(super) fn misses(&mut self, who: P, waited: bool, abruptly: bool) -> bool {
        let member = self.members.remove(&who);
        self.broken.is_none() && (waited || (member && abruptly))
    }

    /// It is whole again, for those who come from now on.
    pub(super) fn reset(&mut self) -> Vec<Guest<P>> {
        self.broken = None;
        self.members.clear();
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

impl<P: Who, D: Clone, E: Clone> Table<P, D, E> {
    /// Somebody has come to the barrier.
    pub(crate) fn handle_barrier_wait(&mut self, now: Instant, who: P, request: Request, id: LockId) {
        self.advance(now);
        let order = self.next_order();
        let barrier = match self.barrier(id) {
            Ok(barrier) => barrier,
            Err(why) => return self.refuse(request, why),
        };
        if let Some(breach) = &barrier.broken {
            let why = Refusal::Broken(breach.clone());
            return self.refuse(request, why);
        }
        let passing = barrier.arrive(order, Guest { request, who, since: now });
        self.meet(who.root());
        if let Some(belongings) = self.parties.get_mut(&who.root()) {
            belongings.barriers.insert(id);
        }
        if passing.is_empty() {
            self.meet(who);
            self.place(request, Place { lock: id, who, order, at: At::Barrier });
        }
        for (before, guest) in (0..).zip(passing) {
            self.unplace(guest.request);
            self.actions.push_back(Action::Passed { request: guest.request, before });
        }
    }

    /// Makes the barrier whole again; who waits there is told that it was reset.
    pub(crate) fn handle_barrier_reset(&mut self, now: Instant, id: LockId) -> Result<(), Refusal<P, E>> {
        self.advance(now);
        let guests = self.barrier(id)?.reset();
        self.send_home(guests, &Breach::Reset);
        Ok(())
    }

    fn barrier(&mut self, id: LockId) -> Result<&mut Barrier<P, E>, Refusal<P, E>> {
        match self.entry(id)? {
            Entry { is: Is::Barrier(barrier), .. } => Ok(barrier),
            entry => Err(entry.other_kind()),
        }
    }

    pub(super) fn break_barrier(&mut self, id: LockId, breach: &Breach<P, E>) {
        if let Ok(barrier) = self.barrier(id) {
            let guests = barrier.break_by(breach.clone());
            self.send_home(guests, breach);
        }
    }

    fn send_home(&mut self, guests: Vec<Guest<P>>, breach: &Breach<P, E>) {
        for guest in guests {
            self.unplace(guest.request);
            self.refuse(guest.request, Refusal::Broken(breach.clone()));
        }
    }
}
