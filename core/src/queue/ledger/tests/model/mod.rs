//! Random and all short lives of a queue against a reference that keeps one list and searches it.

mod naive;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use naive::{At, Naive, Outcome};

/// What happens to a queue. Picks are taken modulo what there is to pick from.
#[derive(Clone, Debug)]
enum Event {
    Send {
        bytes: Vec<usize>,
        within: Option<u32>,
    },
    TrySend(usize),
    Receive {
        party: Party,
        most: usize,
    },
    TryReceive {
        party: Party,
        most: usize,
    },
    Join,
    /// The caller of a request that waits dies, or drops it.
    Gone(usize),
    /// Items that were received, or are out, reached nobody.
    Back(usize),
    Acknowledge(usize),
    Refuse(usize),
    Undecodable(usize),
    /// A word on a delivery that is over, or on one that never was.
    Stray(usize),
    Down(Party),
    Pass(u32),
    NoSenders,
    NoReceivers,
    Close,
}

#[derive(Clone, Debug)]
struct Trial {
    terms: Terms,
    ledger: Ledger<u64, Call, Party>,
    naive: Naive,
    calls: Call,
    /// Every delivery that ever was: its ticket, its item, its number.
    tickets: Vec<(Ticket, u64, u32)>,
    watched: BTreeSet<Party>,
    outcomes: BTreeMap<Call, Outcome>,
    letters: Vec<u64>,
}

impl Trial {
    fn new(terms: Terms) -> Self {
        let now = Instant::now();
        Self {
            terms,
            ledger: Ledger::new(now, terms),
            naive: Naive::new(terms, now),
            calls: 0,
            tickets: Vec::new(),
            watched: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            letters: Vec::new(),
        }
    }

    fn step(&mut self, event: &Event) {
        self.handle(event);
        self.perform();
        self.check();
    }

    fn call(&mut self) -> Call {
        self.calls += 1;
        self.calls
    }

    fn handle(&mut self, event: &Event) {
        let (now, acknowledged) = (self.naive.now, self.terms.acknowledged.is_some());
        match *event {
            Event::Send { ref bytes, within } => {
                let due = within.map(|ms| now + ms * MS);
                let call = self.call();
                let first = self.naive.items.len() as u64;
                let items = (first..).zip(bytes.iter().map(|&bytes| size(bytes))).collect();
                self.ledger.handle_send(now, call, items, due);
                self.naive.send(call, bytes, true, due);
            }
            Event::TrySend(bytes) => {
                let call = self.call();
                self.ledger.handle_try_send(now, call, self.naive.items.len() as u64, size(bytes));
                self.naive.send(call, &[bytes], false, None);
            }
            Event::Receive { party, most } => {
                let call = self.call();
                self.ledger.handle_receive(now, call, party, up_to(most));
                self.naive.receive(call, party, most, true);
            }
            Event::TryReceive { party, most } => {
                let call = self.call();
                self.ledger.handle_try_receive(now, call, party, up_to(most));
                self.naive.receive(call, party, most, false);
            }
            Event::Join => {
                let call = self.call();
                self.ledger.handle_join(now, call);
                self.naive.join(call);
            }
            Event::Gone(pick) => {
                let waiting = self.naive.line.iter().map(|send| send.0);
                let waiting = waiting.chain(self.naive.receivers.iter().map(|receiver| receiver.0));
                let waiting: Vec<Call> = waiting.chain(self.naive.joins.iter().map(|join| join.0)).collect();
                if let Some(call) = picked(&waiting, pick) {
                    self.ledger.handle_gone(now, call);
                    self.naive.gone(call);
                }
            }
            Event::Back(pick) if acknowledged => {
                if let Some((ticket, id, _)) = picked(&self.out(), pick) {
                    self.ledger.handle_not_received(now, ticket);
                    self.naive.back(id, false);
                    self.naive.settle();
                }
            }
            Event::Back(pick) => {
                if let Some((ticket, id, attempt)) = picked(&self.received(), pick) {
                    let bytes = size(self.naive.item(id).bytes);
                    self.ledger.handle_returned(now, ticket.place, attempt, id, bytes);
                    self.naive.back(id, false);
                    self.naive.settle();
                }
            }
            Event::Acknowledge(pick) => {
                if let Some((ticket, id, _)) = picked(&self.out(), pick) {
                    assert!(self.ledger.handle_acknowledged(now, ticket));
                    self.naive.end(id, At::Acknowledged);
                }
            }
            Event::Refuse(pick) => {
                if let Some((ticket, id, _)) = picked(&self.out(), pick) {
                    assert!(self.ledger.handle_refused(now, ticket, true));
                    self.naive.back(id, true);
                    self.naive.settle();
                }
            }
            Event::Undecodable(pick) if acknowledged => {
                if let Some((ticket, id, _)) = picked(&self.out(), pick) {
                    assert!(self.ledger.handle_refused(now, ticket, false));
                    self.naive.end(id, At::Dead(DeadReason::Undecodable));
                }
            }
            Event::Undecodable(pick) => {
                if let Some((ticket, id, attempt)) = picked(&self.received(), pick) {
                    let bytes = size(self.naive.item(id).bytes);
                    self.ledger.handle_undecodable(now, ticket.place, attempt, id, bytes);
                    self.naive.end(id, At::Dead(DeadReason::Undecodable));
                }
            }
            Event::Stray(pick) => self.stray(pick),
            Event::Down(party) => {
                self.ledger.handle_down(now, party);
                self.naive.down(party);
            }
            Event::Pass(ms) => {
                let now = now + ms * MS;
                assert_eq!(self.ledger.poll_timeout(), self.naive.next());
                self.ledger.handle_timeout(now);
                self.naive.pass(now);
            }
            Event::NoSenders => {
                self.ledger.handle_no_senders(now);
                self.naive.no_senders();
            }
            Event::NoReceivers => {
                self.ledger.handle_no_receivers(now);
                self.naive.no_receivers();
            }
            Event::Close => {
                self.ledger.handle_close(now);
                self.naive.close();
            }
        }
    }

    /// Deliveries that a word may come on now.
    fn out(&self) -> Vec<(Ticket, u64, u32)> {
        let is_out = |ticket: Ticket, id| matches!(self.naive.item(id).at, At::Out { delivery, .. } if delivery == ticket.delivery);
        self.tickets.iter().copied().filter(|&(ticket, id, _)| is_out(ticket, id)).collect()
    }

    fn received(&self) -> Vec<(Ticket, u64, u32)> {
        let has = |ticket: Ticket, id| self.naive.item(id).at == At::Received { delivery: ticket.delivery };
        self.tickets.iter().copied().filter(|&(ticket, id, _)| has(ticket, id)).collect()
    }

    fn stray(&mut self, pick: usize) {
        let now = self.naive.now;
        let out: Vec<Ticket> = self.out().into_iter().map(|(ticket, ..)| ticket).collect();
        let over = self.tickets.iter().map(|(ticket, ..)| *ticket).filter(|ticket| !out.contains(ticket));
        let mut strays: Vec<Ticket> = over.collect();
        strays.push(Ticket { place: pick as u64, delivery: u64::MAX });
        if let Some(stray) = picked(&strays, pick) {
            assert!(!self.ledger.handle_acknowledged(now, stray));
            assert!(!self.ledger.handle_refused(now, stray, pick.is_multiple_of(2)));
            self.ledger.handle_not_received(now, stray);
            let stored: Vec<u64> = self.naive.stored().iter().filter_map(|&id| self.naive.item(id).place).collect();
            if self.terms.acknowledged.is_some() || stored.contains(&stray.place) {
                self.ledger.handle_returned(now, stray.place, 1, 0, size(1));
                self.ledger.handle_undecodable(now, stray.place, 1, 0, size(1));
            }
            self.ledger.handle_gone(now, 1_000_000);
        }
    }

    fn perform(&mut self) {
        while let Some(action) = self.ledger.poll_action() {
            let (call, outcome) = match action {
                Action::Sent { call } => (call, Outcome::Sent),
                Action::NotSent { call, taken, why } => (call, Outcome::NotSent(taken, why)),
                Action::Deliver { call, items } => {
                    self.tickets.extend(items.iter().map(|handed| (handed.at, handed.item, handed.attempt)));
                    (call, Outcome::Delivered(items.iter().map(|handed| (handed.item, handed.attempt)).collect()))
                }
                Action::Empty { call } => (call, Outcome::Empty),
                Action::End { call } => (call, Outcome::End),
                Action::Joined { call } => (call, Outcome::Joined),
                Action::Crowded { call } => panic!("{call} was refused"),
                Action::Watch(party) => {
                    assert!(self.watched.insert(party), "{party} is watched twice");
                    continue;
                }
                Action::Unwatch(party) => {
                    assert!(self.watched.remove(&party), "{party} was not watched");
                    continue;
                }
                Action::DeadLetter { .. } => continue,
            };
            assert_eq!(self.outcomes.insert(call, outcome), None, "{call} is answered twice");
        }
    }

    fn check(&mut self) {
        assert_eq!(self.outcomes, self.naive.outcomes);
        assert_eq!(self.watched, self.naive.holders());
        let dead = self.naive.with(|at| matches!(at, At::Dead(_)));
        let stored = self.naive.stored();
        let expected = Status {
            items: stored.len(),
            bytes: stored.iter().map(|&id| self.naive.item(id).bytes).sum(),
            out: self.naive.out().len(),
            senders_waiting: self.naive.line.len(),
            receivers_waiting: self.naive.receivers.len(),
            letters: dead.len() - self.letters.len(),
            letters_lost: 0,
            sent: self.naive.items.iter().filter(|item| item.place.is_some()).count() as u64,
            closed: self.naive.closed,
        };
        assert_eq!(self.ledger.status(), expected);
        self.letters.extend(self.ledger.take_letters(up_to(1)).into_iter().map(|letter| {
            assert_eq!(self.naive.item(letter.item).at, At::Dead(letter.why));
            letter.item
        }));
    }

    /// Ends it, and looks for each item in the one place where it must be.
    fn end(mut self) {
        self.step(&Event::NoSenders);
        let call = self.call();
        self.ledger.handle_try_receive(self.naive.now, call, 0, up_to(100));
        self.naive.receive(call, 0, 100, false);
        self.step(&Event::NoReceivers);
        self.letters.extend(
            self.ledger
                .take_letters(Batch { items: 10_000, bytes: usize::MAX, handles: 0 })
                .iter()
                .map(|letter| letter.item),
        );
        let mut letters = std::mem::take(&mut self.letters);
        letters.sort_unstable();
        let mut dead = self.naive.with(|at| matches!(at, At::Dead(_)));
        dead.sort_unstable();
        assert_eq!(letters, dead, "each dead item is a letter, once");
        let delivered = self.outcomes.values().filter_map(|outcome| match outcome {
            Outcome::Delivered(items) => Some(items.iter().map(|(id, _)| *id)),
            _ => None,
        });
        let delivered: BTreeSet<u64> = delivered.flatten().collect();
        for (id, item) in (0..).zip(&self.naive.items) {
            match item.at {
                At::Received { .. } | At::Acknowledged => assert!(delivered.contains(&id)),
                At::Dead(_) => assert!(item.place.is_some()),
                At::Sender => assert!(item.place.is_none() && !delivered.contains(&id)),
                At::Line(_) | At::Store | At::Out { .. } => panic!("{id} is left: {item:?}"),
            }
        }
    }
}

fn picked<X: Clone>(from: &[X], pick: usize) -> Option<X> {
    from.get(pick % from.len().max(1)).cloned()
}

fn event() -> impl Strategy<Value = Event> {
    let pick = || 0_usize..1000;
    let bytes = || prop_oneof![12 => 1_usize..4, 1 => 900_usize..1100];
    let (party, most) = (|| 0_u8..4, || 1_usize..6);
    prop_oneof![
        20 => (proptest::collection::vec(bytes(), 0..6), proptest::option::weighted(0.2, 1_u32..20))
            .prop_map(|(bytes, within)| Event::Send { bytes, within }),
        8 => bytes().prop_map(Event::TrySend),
        24 => (party(), most()).prop_map(|(party, most)| Event::Receive { party, most }),
        6 => (party(), most()).prop_map(|(party, most)| Event::TryReceive { party, most }),
        3 => Just(Event::Join),
        8 => pick().prop_map(Event::Gone),
        6 => pick().prop_map(Event::Back),
        20 => pick().prop_map(Event::Acknowledge),
        6 => pick().prop_map(Event::Refuse),
        1 => pick().prop_map(Event::Undecodable),
        3 => pick().prop_map(Event::Stray),
        5 => party().prop_map(Event::Down),
        6 => (0_u32..8).prop_map(Event::Pass),
        1 => prop_oneof![3 => Just(Event::NoSenders), 1 => Just(Event::NoReceivers), 1 => Just(Event::Close)],
    ]
}

fn terms() -> impl Strategy<Value = Terms> {
    let acknowledged = (1_u32..4, proptest::option::of(1_u32..20), 1_usize..6).prop_map(|(attempts, within, items)| {
        Acknowledged { attempts, within: within.map(|ms| ms * MS), bounds: bounds(items, 1000) }
    });
    (1_usize..8, proptest::option::of(acknowledged)).prop_map(|(items, acknowledged)| Terms {
        bounds: bounds(items, 1000),
        letters: bounds(100_000, usize::MAX),
        line: bounds(100_000, usize::MAX),
        waiting: 100_000,
        acknowledged,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_lives_are_those_of_the_reference(terms in terms(), events in proptest::collection::vec(event(), 0..120)) {
        let mut trial = Trial::new(terms);
        for event in &events {
            trial.step(event);
        }
        trial.end();
    }
}

/// Lives all continuations of a trial to this depth, and counts them.
fn explore(trial: &Trial, events: &[Event], depth: usize) -> u64 {
    trial.clone().end();
    if depth == 0 {
        return 1;
    }
    let lives = events.iter().map(|event| {
        let mut next = trial.clone();
        next.step(event);
        explore(&next, events, depth - 1)
    });
    lives.sum()
}

#[test]
fn all_short_lives_of_a_plain_queue_are_those_of_the_reference() {
    let events = [
        Event::Send { bytes: vec![1, 1], within: None },
        Event::TrySend(1),
        Event::Receive { party: 0, most: 1 },
        Event::Receive { party: 1, most: 2 },
        Event::Join,
        Event::Gone(0),
        Event::Back(0),
        Event::Close,
        Event::NoSenders,
        Event::NoReceivers,
    ];
    println!("{} lives", explore(&Trial::new(roomy(plain(1))), &events, 5));
}

#[test]
fn all_short_lives_of_an_acknowledged_queue_are_those_of_the_reference() {
    let events = [
        Event::Send { bytes: vec![1, 1], within: None },
        Event::Receive { party: 0, most: 2 },
        Event::Receive { party: 1, most: 1 },
        Event::Join,
        Event::Gone(0),
        Event::Back(0),
        Event::Acknowledge(0),
        Event::Refuse(0),
        Event::Down(0),
        Event::NoSenders,
    ];
    println!("{} lives", explore(&Trial::new(roomy(acknowledged(2, 2))), &events, 5));
}

fn roomy(terms: Terms) -> Terms {
    Terms { letters: bounds(1000, usize::MAX), ..terms }
}
