use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Where an item is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Line(Call),
    Store,
    Out {
        party: Party,
        delivery: u64,
        due: Option<Instant>,
    },
    /// With a receiver of a plain queue; it can come back.
    Received {
        delivery: u64,
    },
    Acknowledged,
    Dead(DeadReason),
    /// Never taken in: its sender has it.
    Sender,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) at: At,
    pub(super) bytes: usize,
    pub(super) attempts: u32,
    /// When it came in, among all others.
    pub(super) place: Option<u64>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Sent,
    NotSent(usize, NotSent),
    /// The items and which delivery of each this is.
    Delivered(Vec<(u64, u32)>),
    Empty,
    End,
    Joined,
}

/// A queue that keeps one list of all items that ever were, and searches it.
#[derive(Clone, Debug)]
pub(super) struct Naive {
    terms: Terms,
    pub(super) now: Instant,
    pub(super) items: Vec<Item>,
    places: u64,
    pub(super) deliveries: u64,
    /// Sends that wait: the call, how many are in, when it ends.
    pub(super) line: Vec<(Call, usize, Option<Instant>)>,
    pub(super) receivers: Vec<(Call, Party, usize)>,
    pub(super) joins: Vec<(Call, u64)>,
    pub(super) closed: bool,
    pub(super) no_receivers: bool,
    pub(super) outcomes: BTreeMap<Call, Outcome>,
}

impl Naive {
    pub(super) fn new(terms: Terms, now: Instant) -> Self {
        Self {
            terms,
            now,
            items: Vec::new(),
            places: 0,
            deliveries: 0,
            line: Vec::new(),
            receivers: Vec::new(),
            joins: Vec::new(),
            closed: false,
            no_receivers: false,
            outcomes: BTreeMap::new(),
        }
    }

    pub(super) fn with(&self, is: impl Fn(&At) -> bool) -> Vec<u64> {
        let mut found: Vec<u64> = (0..self.items.len() as u64).filter(|&id| is(&self.item(id).at)).collect();
        found.sort_by_key(|&id| (self.item(id).place, id));
        found
    }

    pub(super) fn item(&self, id: u64) -> &Item {
        &self.items[id as usize]
    }

    fn put(&mut self, id: u64, at: At) {
        self.items[id as usize].at = at;
    }

    pub(super) fn stored(&self) -> Vec<u64> {
        self.with(|at| *at == At::Store)
    }

    pub(super) fn out(&self) -> Vec<u64> {
        self.with(|at| matches!(at, At::Out { .. }))
    }

    pub(super) fn holders(&self) -> BTreeSet<Party> {
        let party = |item: &Item| if let At::Out { party, .. } = item.at { Some(party) } else { None };
        self.items.iter().filter_map(party).collect()
    }

    pub(super) fn first_due(&self) -> Option<Instant> {
        let due = |item: &Item| if let At::Out { due, .. } = item.at { due } else { None };
        self.items.iter().filter_map(due).min()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.line.iter().filter_map(|send| send.2).chain(self.first_due()).min()
    }

    fn fits(&self, bounds: Bounds, held: &[u64], bytes: usize) -> bool {
        let sum: usize = held.iter().map(|&id| self.item(id).bytes).sum();
        held.is_empty() || held.len() < bounds.items && sum + bytes <= bounds.bytes
    }

    /// New items of a sender, whose ids are theirs in the order of sending.
    pub(super) fn send(&mut self, call: Call, bytes: &[usize], waits: bool, due: Option<Instant>) {
        let first = self.items.len() as u64;
        let new = |&bytes: &usize| Item { at: At::Sender, bytes, attempts: 0, place: None };
        self.items.extend(bytes.iter().map(new));
        if self.closed {
            self.outcomes.insert(call, Outcome::NotSent(0, NotSent::Closed));
        } else if !(waits || self.line.is_empty() && self.fits(self.terms.bounds, &self.stored(), bytes[0])) {
            self.outcomes.insert(call, Outcome::NotSent(0, NotSent::Full));
        } else {
            (first..self.items.len() as u64).for_each(|id| self.put(id, At::Line(call)));
            self.line.push((call, 0, due));
        }
        self.settle();
    }

    pub(super) fn receive(&mut self, call: Call, party: Party, most: usize, waits: bool) {
        self.receivers.push((call, party, most));
        self.settle();
        if !waits && self.receivers.last().is_some_and(|last| last.0 == call) {
            self.receivers.pop();
            self.outcomes.insert(call, Outcome::Empty);
        }
    }

    pub(super) fn join(&mut self, call: Call) {
        self.joins.push((call, self.places));
        self.settle();
    }

    pub(super) fn gone(&mut self, call: Call) {
        self.withdraw(call);
        self.line.retain(|send| send.0 != call);
        self.receivers.retain(|receiver| receiver.0 != call);
        self.joins.retain(|join| join.0 != call);
        self.settle();
    }

    fn withdraw(&mut self, call: Call) {
        for id in self.with(|at| *at == At::Line(call)) {
            self.put(id, At::Sender);
        }
    }

    /// An item comes back; whether that is one more failure.
    pub(super) fn back(&mut self, id: u64, failed: bool) {
        let most = self.terms.acknowledged.map_or(u32::MAX, |terms| terms.attempts);
        if failed && self.item(id).attempts >= most {
            return self.put(id, At::Dead(DeadReason::Unacknowledged));
        }
        if !failed {
            self.items[id as usize].attempts -= 1;
        }
        self.put(id, if self.no_receivers { At::Dead(DeadReason::NoReceiver) } else { At::Store });
    }

    pub(super) fn end(&mut self, id: u64, at: At) {
        self.put(id, at);
        self.settle();
    }

    pub(super) fn down(&mut self, party: Party) {
        for id in self.with(|at| matches!(at, At::Out { party: of, .. } if *of == party)) {
            self.back(id, true);
        }
        self.settle();
    }

    pub(super) fn no_senders(&mut self) {
        self.closed = true;
        self.settle();
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        for (call, taken, _) in std::mem::take(&mut self.line) {
            self.withdraw(call);
            self.outcomes.insert(call, Outcome::NotSent(taken, NotSent::Closed));
        }
        self.settle();
    }

    pub(super) fn no_receivers(&mut self) {
        self.no_receivers = true;
        for id in self.with(|at| matches!(at, At::Store | At::Out { .. })) {
            self.put(id, At::Dead(DeadReason::NoReceiver));
        }
        self.close();
    }

    pub(super) fn pass(&mut self, now: Instant) {
        self.now = now;
        for (call, taken, _) in self.line.clone().into_iter().filter(|send| send.2.is_some_and(|due| due <= now)) {
            self.withdraw(call);
            self.line.retain(|send| send.0 != call);
            self.outcomes.insert(call, Outcome::NotSent(taken, NotSent::TimedOut));
        }
        while let Some(first) = self.first_due().filter(|due| *due <= now) {
            for id in self.with(|at| matches!(at, At::Out { due, .. } if *due == Some(first))) {
                self.back(id, true);
            }
        }
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        // All that has room goes in, then all receivers are served, and so on.
        let mut any = true;
        while any {
            any = false;
            while self.admit() {
                any = true;
            }
            while self.serve() {
                any = true;
            }
        }
        let (stored, out) = (self.stored(), self.out());
        if self.closed && self.line.is_empty() && stored.is_empty() && out.is_empty() {
            let ended = std::mem::take(&mut self.receivers);
            self.outcomes.extend(ended.into_iter().map(|(call, ..)| (call, Outcome::End)));
        }
        let left: Vec<u64> = stored.into_iter().chain(out).filter_map(|id| self.item(id).place).collect();
        for (call, below) in std::mem::take(&mut self.joins) {
            if left.iter().any(|&place| place < below) {
                self.joins.push((call, below));
            } else {
                self.outcomes.insert(call, Outcome::Joined);
            }
        }
    }

    /// One step of the line.
    fn admit(&mut self) -> bool {
        let Some(&(call, taken, _)) = self.line.first() else { return false };
        let Some(&id) = self.with(|at| *at == At::Line(call)).first() else {
            self.line.remove(0);
            self.outcomes.insert(call, Outcome::Sent);
            return true;
        };
        let room = self.fits(self.terms.bounds, &self.stored(), self.item(id).bytes);
        if room {
            self.items[id as usize].place = Some(self.places);
            self.places += 1;
            self.put(id, At::Store);
            self.line[0].1 = taken + 1;
        }
        room
    }

    /// Serves the first receiver, if something is there for it.
    fn serve(&mut self) -> bool {
        let Some(&(call, party, most)) = self.receivers.first() else { return false };
        let mut delivered = Vec::new();
        let mut bytes = 0;
        while let Some(&id) = self.stored().first() {
            let size = self.item(id).bytes;
            let full = self.terms.acknowledged.is_some_and(|terms| !self.fits(terms.bounds, &self.out(), size));
            let batch_is_full = !delivered.is_empty() && (delivered.len() == most || bytes + size > up_to(most).bytes);
            if full || batch_is_full {
                break;
            }
            bytes += size;
            self.items[id as usize].attempts += 1;
            let delivery = self.deliveries;
            self.deliveries += 1;
            delivered.push((id, self.item(id).attempts));
            let now = self.now;
            self.put(
                id,
                match self.terms.acknowledged {
                    Some(terms) => At::Out { party, delivery, due: terms.within.map(|within| now + within) },
                    None => At::Received { delivery },
                },
            );
        }
        if delivered.is_empty() {
            return false;
        }
        self.receivers.remove(0);
        self.outcomes.insert(call, Outcome::Delivered(delivered));
        true
    }
}
