//! The decision of a queue: whose item goes in, who receives what, and when it is over.

mod action;
mod letters;
mod out;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

pub use action::DeadReason;
pub(crate) use action::{Acknowledged, Action, Batch, Bounds, Handed, NotSent, Size, Status, Terms, Ticket};
pub(crate) use letters::Letter;

use letters::{Left, Letters};
use out::{Out, Turned};
use store::{Store, Stored, fits};

/// What may come back, where nothing is known of what is out, beside what the queue takes: as much as is on its way to
/// receivers at a time. A peer that gives back more than it was given finds this limit.
const EXCESS: Bounds = Bounds { items: 1 << 14, bytes: 64 << 20 };

/// The decision of one queue, over items `T`, requests `C` that await an answer, and parties `P` that take items.
///
/// **An item** that was taken is, until its end, in exactly one of three places, and has one of four ends:
/// ```text
///   send ---> line ---> store ---> received            (plain)
///              |         |  ^
///              |         v  | given back, not acknowledged
///     withdrawn|        out -+---> acknowledged
///        closed|         |
///              v         v
///            sender    dead letters
/// ```
/// **Order.** The line, the store and the receivers are each first come, first served. An item that comes back has its old
/// place, before all that were sent later.
///
/// **What the shell owes.** It performs every [`Action`] in order. A request that waits and whose caller is gone is told by
/// [`handle_gone`](Self::handle_gone). Items of a `Deliver` that reached nobody come back by
/// [`handle_returned`](Self::handle_returned) or, where they are to be acknowledged, by
/// [`handle_not_received`](Self::handle_not_received). What comes too late or twice is ignored.
#[derive(Clone, Debug)]
pub(crate) struct Ledger<T, C, P> {
    /// The latest time that was told.
    now: Instant,
    terms: Terms,
    next_place: u64,
    next_delivery: u64,
    /// Sends that wait for room, with the items that are not in the store yet.
    line: VecDeque<Sending<T, C>>,
    line_bytes: usize,
    next_send: u64,
    /// Sends of the line that are to end at a time.
    line_due: BTreeSet<(Instant, u64)>,
    store: Store<T>,
    out: Option<Out<T, P>>,
    receivers: VecDeque<Receiving<C, P>>,
    /// Requests to be told when nothing below a place is in the store or out.
    joins: VecDeque<(u64, C)>,
    letters: Letters<T>,
    /// It was told to take no more.
    closed: bool,
    no_senders: bool,
    no_receivers: bool,
    actions: VecDeque<Action<T, C, P>>,
}

#[derive(Clone, Debug)]
struct Sending<T, C> {
    /// Which send it is, counted from 0.
    number: u64,
    due: Option<Instant>,
    call: C,
    taken: usize,
    left: VecDeque<(T, Size)>,
}

#[derive(Clone, Debug)]
struct Receiving<C, P> {
    call: C,
    party: P,
    batch: Batch,
}

impl<T: Clone, C: Copy + PartialEq, P: Copy + Ord> Ledger<T, C, P> {
    pub(crate) fn new(now: Instant, terms: Terms) -> Self {
        Self {
            now,
            terms,
            next_place: 0,
            next_delivery: 0,
            line: VecDeque::new(),
            line_bytes: 0,
            next_send: 0,
            line_due: BTreeSet::new(),
            store: Store::new(),
            out: terms.acknowledged.map(Out::new),
            receivers: VecDeque::new(),
            joins: VecDeque::new(),
            letters: Letters::new(terms.letters),
            closed: false,
            no_senders: false,
            no_receivers: false,
            actions: VecDeque::new(),
        }
    }

    /// Items to be sent, in this order; they go in as there is room, and those that are not in when it is `due` never do.
    pub(crate) fn handle_send(&mut self, now: Instant, call: C, items: Vec<(T, Size)>, due: Option<Instant>) {
        self.advance(now);
        let bytes = bytes_of(&items);
        if self.takes_none() {
            self.actions.push_back(Action::NotSent { call, taken: 0, why: NotSent::Closed });
        } else if !fits(self.terms.line, (self.line.len(), self.line_bytes), Size { bytes, handles: 0 }) {
            self.actions.push_back(Action::Crowded { call });
        } else {
            let number = self.next_send;
            self.next_send += 1;
            self.line_bytes += bytes;
            self.line_due.extend(due.map(|due| (due, number)));
            self.line.push_back(Sending { number, due, call, taken: 0, left: items.into() });
            self.settle();
        }
    }

    /// An item to be sent now or not at all. Others that wait for room come first, so there is none then.
    pub(crate) fn handle_try_send(&mut self, now: Instant, call: C, item: T, size: Size) {
        self.advance(now);
        if self.takes_none() {
            self.actions.push_back(Action::NotSent { call, taken: 0, why: NotSent::Closed });
        } else if self.line.is_empty() && self.store.has_room(self.terms.bounds, size) {
            self.store_new(item, size);
            self.actions.push_back(Action::Sent { call });
            self.settle();
        } else {
            self.actions.push_back(Action::NotSent { call, taken: 0, why: NotSent::Full });
        }
    }

    /// A party wants up to so many items, as soon as there is one.
    pub(crate) fn handle_receive(&mut self, now: Instant, call: C, party: P, batch: Batch) {
        self.advance(now);
        if self.receivers.len() >= self.terms.waiting {
            return self.actions.push_back(Action::Crowded { call });
        }
        self.receivers.push_back(Receiving { call, party, batch });
        self.settle();
    }

    /// A party wants up to so many items that are there now.
    pub(crate) fn handle_try_receive(&mut self, now: Instant, call: C, party: P, batch: Batch) {
        self.advance(now);
        self.receivers.push_back(Receiving { call, party, batch });
        self.settle();
        if self.receivers.pop_back_if(|last| last.call == call).is_some() {
            self.actions.push_back(Action::Empty { call });
        }
    }

    /// Wants to know when all items that are in the queue or out by now have left it.
    pub(crate) fn handle_join(&mut self, now: Instant, call: C) {
        self.advance(now);
        if self.joins.len() >= self.terms.waiting {
            return self.actions.push_back(Action::Crowded { call });
        }
        self.joins.push_back((self.next_place, call));
        self.settle();
    }

    /// The caller of a request that waits is gone. What is in the store of its items stays there.
    pub(crate) fn handle_gone(&mut self, now: Instant, call: C) {
        self.advance(now);
        if let Some(at) = self.line.iter().position(|send| send.call == call) {
            self.withdraw(at);
        }
        self.receivers.retain(|receiver| receiver.call != call);
        self.joins.retain(|(_, join)| *join != call);
        self.settle();
    }

    /// An item was handed out and reached nobody. A place that was never given, or is taken, cannot be its own.
    pub(crate) fn handle_returned(&mut self, now: Instant, place: u64, attempts: u32, item: T, size: Size) {
        self.advance(now);
        if self.out.is_some() || place >= self.next_place || self.store.contains(place) {
            return;
        }
        self.restore(Stored { place, attempts: attempts.saturating_sub(1), size, item });
        self.settle();
    }

    /// An item reached its receiver, who could not read it.
    pub(crate) fn handle_undecodable(&mut self, now: Instant, place: u64, attempts: u32, item: T, size: Size) {
        self.advance(now);
        if self.out.is_none() && place < self.next_place && !self.store.contains(place) {
            self.bury(Stored { place, attempts, size, item }, DeadReason::Undecodable);
        }
    }

    /// A delivery reached nobody: it does not count.
    pub(crate) fn handle_not_received(&mut self, now: Instant, ticket: Ticket) {
        self.advance(now);
        if let Some(mut stored) = self.take_from_out(ticket) {
            stored.attempts = stored.attempts.saturating_sub(1);
            self.restore(stored);
            self.settle();
        }
    }

    /// A delivery is done; false where it was not out any more.
    pub(crate) fn handle_acknowledged(&mut self, now: Instant, ticket: Ticket) -> bool {
        self.advance(now);
        let done = self.take_from_out(ticket).is_some();
        if done {
            self.settle();
        }
        done
    }

    /// A delivery failed; false where it was not out any more. `decoded` is false where its receiver could not read it, so
    /// that nobody will.
    pub(crate) fn handle_refused(&mut self, now: Instant, ticket: Ticket, decoded: bool) -> bool {
        self.advance(now);
        let Some(stored) = self.take_from_out(ticket) else { return false };
        if decoded {
            self.fail(stored);
        } else {
            self.bury(stored, DeadReason::Undecodable);
        }
        self.settle();
        true
    }

    /// A watched party has ended: what it had failed.
    pub(crate) fn handle_down(&mut self, now: Instant, party: P) {
        self.advance(now);
        let held = self.out.as_ref().map_or(Vec::new(), |out| out.held_by(party));
        for ticket in held {
            if let Some(stored) = self.take_from_out(ticket) {
                self.fail(stored);
            }
        }
        self.settle();
    }

    /// Nobody holds a sender any more.
    pub(crate) fn handle_no_senders(&mut self, now: Instant) {
        self.advance(now);
        self.no_senders = true;
        self.settle();
    }

    /// Nobody holds a receiver any more, nor a delivery.
    pub(crate) fn handle_no_receivers(&mut self, now: Instant) {
        self.advance(now);
        self.no_receivers = true;
        self.refuse_line();
        let out = self.out.as_ref().map_or(Vec::new(), Out::all);
        for ticket in out {
            if let Some(stored) = self.take_from_out(ticket) {
                self.restore(stored);
            }
        }
        while let Some(stored) = self.store.pop() {
            self.bury(stored, DeadReason::NoReceiver);
        }
        self.settle();
    }

    /// Takes no more items; those that are in the queue are received.
    pub(crate) fn handle_close(&mut self, now: Instant) {
        self.advance(now);
        self.closed = true;
        self.refuse_line();
        self.settle();
    }

    /// Sends that are due end, and so do deliveries.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        let mut failed = false;
        while let Some(&(_, number)) = self.line_due.first().filter(|(due, _)| *due <= now)
            && let Ok(at) = self.line.binary_search_by_key(&number, |send| send.number)
            && let Some(Sending { call, taken, .. }) = self.withdraw(at)
        {
            self.actions.push_back(Action::NotSent { call, taken, why: NotSent::TimedOut });
            failed = true;
        }
        while let Some(stored) =
            self.out.as_ref().and_then(|out| out.overdue(now)).and_then(|at| self.take_from_out(at))
        {
            self.fail(stored);
            failed = true;
        }
        if failed {
            self.settle();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let sends = self.line_due.first().map(|&(due, _)| due);
        sends.into_iter().chain(self.out.as_ref().and_then(Out::next_due)).min()
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action<T, C, P>> {
        self.actions.pop_front()
    }

    /// Takes the oldest dead letters out.
    pub(crate) fn take_letters(&mut self, batch: Batch) -> Vec<Letter<T>> {
        self.letters.take(batch)
    }

    /// Puts back letters that reached nobody.
    pub(crate) fn put_back_letters(&mut self, letters: Vec<Letter<T>>) {
        self.letters.put_back(letters);
    }

    /// Who has this delivery.
    pub(crate) fn taker(&self, ticket: Ticket) -> Option<P> {
        self.out.as_ref()?.taker(ticket)
    }

    /// Whether it takes no items any more, for whatever reason.
    pub(crate) fn takes_none(&self) -> bool {
        self.closed || self.no_senders || self.no_receivers
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            items: self.store.len(),
            bytes: self.store.bytes(),
            out: self.out.as_ref().map_or(0, Out::len),
            senders_waiting: self.line.len(),
            receivers_waiting: self.receivers.len(),
            letters: self.letters.len(),
            letters_lost: self.letters.lost(),
            sent: self.next_place,
            closed: self.takes_none(),
        }
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Does all that has become possible.
    fn settle(&mut self) {
        while self.admit() | self.deliver() {}
        if self.is_over() {
            let ended = self.receivers.drain(..).map(|receiver| Action::End { call: receiver.call });
            self.actions.extend(ended);
        }
        let first = self.store.first().map(|stored| stored.place);
        let oldest = first.into_iter().chain(self.out.as_ref().and_then(Out::first)).min().unwrap_or(u64::MAX);
        while let Some((_, call)) = self.joins.pop_front_if(|(below, _)| *below <= oldest) {
            self.actions.push_back(Action::Joined { call });
        }
    }

    /// Whether nothing is there to receive, and nothing will be.
    fn is_over(&self) -> bool {
        let nothing =
            self.line.is_empty() && self.store.is_empty() && self.out.as_ref().is_none_or(|out| out.len() == 0);
        nothing && self.takes_none()
    }

    /// Moves items from the line into the store; says whether there was one.
    fn admit(&mut self) -> bool {
        let mut any = false;
        while let Some(first) = self.line.front_mut() {
            match first.left.pop_front() {
                Some((item, size)) if self.store.has_room(self.terms.bounds, size) => {
                    first.taken += 1;
                    self.line_bytes -= size.bytes;
                    self.store_new(item, size);
                    any = true;
                }
                Some(waits) => {
                    first.left.push_front(waits);
                    break;
                }
                None => {
                    let call = first.call;
                    self.withdraw(0);
                    self.actions.push_back(Action::Sent { call });
                }
            }
        }
        any
    }

    /// Hands items to receivers that wait; says whether there was one.
    fn deliver(&mut self) -> bool {
        let mut any = false;
        while self.may_hand_out()
            && let Some(receiver) = self.receivers.pop_front()
        {
            let mut left = Left::of(receiver.batch);
            let mut items = Vec::new();
            while self.may_hand_out() && self.store.first().is_some_and(|stored| left.take(stored.size)) {
                items.extend(self.hand_out(receiver.party));
            }
            self.actions.push_back(Action::Deliver { call: receiver.call, items });
            any = true;
        }
        any
    }

    /// Takes a send out of the line, with what is not in the store.
    fn withdraw(&mut self, at: usize) -> Option<Sending<T, C>> {
        let send = self.line.remove(at)?;
        self.line_bytes -= bytes_of(&send.left);
        if let Some(due) = send.due {
            self.line_due.remove(&(due, send.number));
        }
        Some(send)
    }

    fn may_hand_out(&self) -> bool {
        let Some(stored) = self.store.first() else { return false };
        self.out.as_ref().is_none_or(|out| out.has_room(stored.size))
    }

    fn hand_out(&mut self, party: P) -> Option<Handed<T>> {
        let mut stored = self.store.pop()?;
        stored.attempts = stored.attempts.saturating_add(1);
        let at = Ticket { place: stored.place, delivery: self.next_delivery };
        self.next_delivery += 1;
        let attempt = stored.attempts;
        let Some(out) = &mut self.out else { return Some(Handed { at, attempt, item: stored.item }) };
        let item = stored.item.clone();
        let Turned { taker, turned } = out.insert(self.now, party, at.delivery, stored);
        if turned {
            self.actions.push_back(Action::Watch(taker));
        }
        Some(Handed { at, attempt, item })
    }

    fn store_new(&mut self, item: T, size: Size) {
        self.store.insert(Stored { place: self.next_place, attempts: 0, size, item });
        self.next_place += 1;
    }

    fn take_from_out(&mut self, ticket: Ticket) -> Option<Stored<T>> {
        let (stored, Turned { taker, turned }) = self.out.as_mut()?.remove(ticket)?;
        if turned {
            self.actions.push_back(Action::Unwatch(taker));
        }
        Some(stored)
    }

    /// What becomes of an item whose delivery failed.
    fn fail(&mut self, stored: Stored<T>) {
        let most = self.terms.acknowledged.map_or(u32::MAX, |terms| terms.attempts);
        if stored.attempts >= most {
            self.bury(stored, DeadReason::Unacknowledged);
        } else {
            self.restore(stored);
        }
    }

    /// Puts an item back at its place, where it may stand beside as many as the queue takes.
    fn restore(&mut self, stored: Stored<T>) {
        let Bounds { items, bytes } = self.terms.bounds;
        let excess = Bounds { items: items.saturating_add(EXCESS.items), bytes: bytes.saturating_add(EXCESS.bytes) };
        if self.no_receivers {
            self.bury(stored, DeadReason::NoReceiver);
        } else if self.out.is_none() && !self.store.has_room(excess, stored.size) {
            self.bury(stored, DeadReason::NoRoom);
        } else {
            self.store.insert(stored);
        }
    }

    fn bury(&mut self, stored: Stored<T>, why: DeadReason) {
        self.letters.push(stored, why);
        self.actions.push_back(Action::DeadLetter { why });
    }

    /// Nothing more goes in.
    fn refuse_line(&mut self) {
        self.line_bytes = 0;
        self.line_due.clear();
        let refused = self.line.drain(..);
        let refused = refused.map(|Sending { call, taken, .. }| Action::NotSent { call, taken, why: NotSent::Closed });
        self.actions.extend(refused);
    }
}

fn bytes_of<'a, T: 'a>(items: impl IntoIterator<Item = &'a (T, Size)>) -> usize {
    items.into_iter().map(|(_, size)| size.bytes).sum()
}
