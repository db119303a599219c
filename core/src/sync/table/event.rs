//! A flag that one can wait for.

use std::collections::BTreeMap;
use std::time::Instant;

use super::action::{Action, LockId, Refusal, Request, Who};
use super::{At, Entry, Is, Place, Table};

/// One that waits for an event or at a barrier.
#[derive(Clone, Debug)]
pub(super) struct Guest<P> {
    pub(super) request: Request,
    pub(super) who: P,
    pub(super) since: Instant,
}

/// Set or not, and who waits for it to be.
#[derive(Clone, Debug)]
pub(super) struct Event<P> {
    pub(super) is_set: bool,
    pub(super) waiting: BTreeMap<u64, Guest<P>>,
}

impl<P> Event<P> {
    pub(super) fn new() -> Self {
        Self { is_set: false, waiting: BTreeMap::new() }
    }

    /// Sets it; those who waited go on.
    pub(super) fn set(&mut self) -> impl Iterator<Item = Guest<P>> + use<P> {
        self.is_set = true;
        std::mem::take(&mut self.waiting).into_values()
    }
}

impl<P: Who, D: Clone, E: Clone> Table<P, D, E> {
    /// Somebody waits for the event.
    pub(crate) fn handle_event_wait(&mut self, now: Instant, who: P, request: Request, id: LockId) {
        self.advance(now);
        let order = self.next_order();
        match self.event(id) {
            Ok(event) if event.is_set => self.actions.push_back(Action::Opened { request }),
            Ok(event) => {
                event.waiting.insert(order, Guest { request, who, since: now });
                self.meet(who);
                self.place(request, Place { lock: id, who, order, at: At::Event });
            }
            Err(why) => self.refuse(request, why),
        }
    }

    /// Sets the event, or clears it. Answers what it was.
    pub(crate) fn handle_event_set(&mut self, now: Instant, id: LockId, set: bool) -> Result<bool, Refusal<P, E>> {
        self.advance(now);
        let event = self.event(id)?;
        let was = event.is_set;
        if set {
            for guest in event.set() {
                self.unplace(guest.request);
                self.actions.push_back(Action::Opened { request: guest.request });
            }
        } else {
            event.is_set = false;
        }
        Ok(was)
    }

    /// Whether the event is set.
    pub(crate) fn event_is_set(&mut self, id: LockId) -> Result<bool, Refusal<P, E>> {
        Ok(self.event(id)?.is_set)
    }

    fn event(&mut self, id: LockId) -> Result<&mut Event<P>, Refusal<P, E>> {
        match self.entry(id)? {
            Entry { is: Is::Event(event), .. } => Ok(event),
            entry => Err(entry.other_kind()),
        }
    }
}
