//! The service behind a queue: it reads requests, lets the ledger decide, and says what was decided.

use std::time::{Duration, Instant};

use super::ledger::{Acknowledged, Action, Batch, Bounds, DeadReason, Ledger, Size, Terms, Ticket};
use super::names::Claimed;
use super::protocol::{self as say, Answer, Back, GivenBack, HANDLES, ITEM_LIMIT, Refused, TOGETHER, Unreadable, size};
use crate::actor::held::{Held, QUEUE_RECEIVER, QUEUE_SENDER};
use crate::actor::parcel::Parcel;
use crate::actor::party::Party;
use crate::actor::service::{Asked, Desk, Service};
use crate::error::call::CallError;
use crate::error::exit::Down;
use crate::event::{self, Event};
use crate::router::CallKey;

/// Requests other than sends that may wait at a queue.
const WAITING: usize = 1 << 14;

/// What a queue keeps of dead letters.
const LETTERS: Bounds = Bounds { items: 1024, bytes: 16 << 20 };

/// A queue among the services of a supervisor.
pub(super) struct QueueService {
    ledger: Ledger<Parcel, CallKey, Party>,
    acknowledged: bool,
    owner: u64,
    name: Claimed,
    no_senders: bool,
    no_receivers: bool,
}

impl QueueService {
    pub(super) fn new(owner: u64, name: Claimed, bounds: Bounds, acknowledged: Option<Acknowledged>) -> Self {
        // Senders in the line have their items with the queue already.
        let line = Bounds { items: WAITING, bytes: bounds.bytes.max(ITEM_LIMIT).saturating_mul(4) };
        let terms = Terms { bounds, letters: LETTERS, line, waiting: WAITING, acknowledged };
        Self {
            ledger: Ledger::new(Instant::now(), terms),
            acknowledged: acknowledged.is_some(),
            owner,
            name,
            no_senders: false,
            no_receivers: false,
        }
    }

    /// A request that is answered.
    fn call(&mut self, now: Instant, call: CallKey, mut asked: Asked, desk: &mut Desk) {
        let party = taker(asked.party);
        match asked.method {
            say::SEND => {
                let Some(say::Send { wait, items }) = asked.arguments(desk) else { return };
                let items: Vec<_> =
                    items.into_iter().map(|item| (size(&item), item)).map(|(size, item)| (item, size)).collect();
                if items.iter().all(|(_, size)| is_carried(*size)) {
                    let due = wait.and_then(|ms| now.checked_add(Duration::from_millis(ms)));
                    self.ledger.handle_send(now, call, items, due);
                } else {
                    desk.refuse(call, too_large());
                }
            }
            say::TRY_SEND => {
                let Some(item) = asked.arguments::<Parcel>(desk) else { return };
                let size = size(&item);
                if is_carried(size) {
                    self.ledger.handle_try_send(now, call, item, size);
                } else {
                    desk.refuse(call, too_large());
                }
            }
            say::RECEIVE => {
                let Some(say::Receive { most, wait }) = asked.arguments(desk) else { return };
                let batch = Batch { items: TOGETHER.items.min(most.max(1) as usize), ..TOGETHER };
                if wait {
                    self.ledger.handle_receive(now, call, party, batch);
                } else {
                    self.ledger.handle_try_receive(now, call, party, batch);
                }
            }
            say::JOIN => self.ledger.handle_join(now, call),
            say::STATUS => desk.answer(call, &Answer::Status(self.ledger.status())),
            say::CLOSE => {
                self.ledger.handle_close(now);
                desk.answer(call, &Answer::Done);
            }
            say::LETTERS => {
                let Some(most) = asked.arguments::<u32>(desk) else { return };
                let batch = Batch { items: TOGETHER.items.min(most.max(1) as usize), ..TOGETHER };
                let letters = self.ledger.take_letters(batch);
                desk.answer(call, &Answer::Letters(letters));
            }
            say::ACKNOWLEDGE => {
                let Some(tickets) = asked.arguments::<Vec<Ticket>>(desk) else { return };
                let own = self.own_tickets(tickets, party);
                let done = own.into_iter().filter(|ticket| self.ledger.handle_acknowledged(now, *ticket)).count();
                desk.answer(call, &Answer::Acknowledged(done as u32));
            }
            say::SENDER => {
                let over = self.ledger.takes_none();
                desk.answer(call, &if over { Answer::Over } else { Answer::Sender(Held::new(desk.own())) });
            }
            say::RECEIVER => {
                let Some(acknowledged) = asked.arguments::<bool>(desk) else { return };
                let answer = match acknowledged == self.acknowledged {
                    false => Answer::OtherMode,
                    true if self.no_receivers => Answer::Over,
                    true => Answer::Receiver(Held::new(desk.own())),
                };
                desk.answer(call, &answer);
            }
            _ => desk.refuse(call, CallError::Version("a queue has no such method".to_owned())),
        }
    }

    /// What nobody waits for; whether it was understood. While an argument holds the queue it is not over, so that nothing
    /// comes back too late.
    fn told(&mut self, now: Instant, mut asked: Asked, desk: &mut Desk) -> bool {
        let party = taker(asked.party);
        match asked.method {
            say::GIVE_BACK => {
                let Some(GivenBack { what, .. }) = asked.arguments(desk) else { return false };
                self.take_back(now, what, Some(party));
            }
            say::REFUSE => {
                let Some(Refused { tickets, decoded, .. }) = asked.arguments(desk) else { return false };
                for ticket in self.own_tickets(tickets, party) {
                    self.ledger.handle_refused(now, ticket, decoded);
                }
            }
            _ => {
                let Some(Unreadable { item: handed, .. }) = asked.arguments(desk) else { return false };
                let size = size(&handed.item);
                self.ledger.handle_undecodable(now, handed.at.place, handed.attempt, handed.item, size);
            }
        }
        true
    }

    /// Takes back what reached nobody.
    fn take_back(&mut self, now: Instant, what: Back, by: Option<Party>) {
        match what {
            Back::Items(items) => {
                for handed in items.into_iter().filter(|handed| is_carried(size(&handed.item))) {
                    let size = size(&handed.item);
                    self.ledger.handle_returned(now, handed.at.place, handed.attempt, handed.item, size);
                }
            }
            Back::Tickets(tickets) => {
                let own = by.map_or(tickets.clone(), |party| self.own_tickets(tickets, party));
                own.into_iter().for_each(|ticket| self.ledger.handle_not_received(now, ticket));
            }
            Back::Letters(letters) => self.ledger.put_back_letters(letters),
        }
    }

    /// Those of the tickets that the process of this party was given: nobody speaks about what others have.
    fn own_tickets(&self, tickets: Vec<Ticket>, party: Party) -> Vec<Ticket> {
        let is_own = |ticket: &Ticket| {
            self.ledger.taker(*ticket).is_some_and(|taker| taker.is_free() == party.is_free() && taker.is_of(&party))
        };
        tickets.into_iter().filter(is_own).collect()
    }

    /// Says what the ledger has decided.
    fn flush(&mut self, desk: &mut Desk) {
        let mut dead: Vec<(DeadReason, u64)> = Vec::new();
        while let Some(action) = self.ledger.poll_action() {
            match action {
                Action::Sent { call } | Action::Joined { call } => desk.answer(call, &Answer::Done),
                Action::NotSent { call, taken, why } => {
                    desk.answer(call, &Answer::NotSent { taken: taken as u32, why });
                }
                Action::Deliver { call, items } => desk.answer(call, &Answer::Items(items)),
                Action::Empty { call } => desk.answer(call, &Answer::Empty),
                Action::End { call } => desk.answer(call, &Answer::End),
                Action::Crowded { call } => desk.answer(call, &Answer::Crowded),
                Action::Watch(party) => desk.watch(party),
                Action::Unwatch(party) => desk.unwatch(party),
                Action::DeadLetter { why } => match dead.iter_mut().find(|(other, _)| *other == why) {
                    Some((_, count)) => *count += 1,
                    None => dead.push((why, 1)),
                },
            }
        }
        for (why, count) in dead {
            let queue = self.name.to_string();
            event::publish(self.owner, Event::ItemsDead { queue, count, why: why.to_string() });
        }
        if self.no_senders && self.no_receivers {
            desk.end();
        }
    }
}

impl Service for QueueService {
    const METHODS: &'static [&'static str] = say::METHODS;
    const PROTOCOL: &'static str = "queue";

    fn handle(&mut self, now: Instant, asked: Asked, desk: &mut Desk) {
        match (asked.method, asked.call) {
            (say::GIVE_BACK | say::REFUSE | say::UNREADABLE, call) => {
                if self.told(now, asked, desk)
                    && let Some(call) = call
                {
                    desk.answer(call, &Answer::Done);
                }
            }
            (_, Some(call)) => self.call(now, call, asked, desk),
            // Asked for something without wanting to hear it.
            (_, None) => {}
        }
        self.flush(desk);
    }

    fn cancelled(&mut self, now: Instant, call: CallKey, desk: &mut Desk) {
        self.ledger.handle_gone(now, call);
        self.flush(desk);
    }

    fn undelivered(&mut self, now: Instant, _: CallKey, answer: &Parcel, desk: &mut Desk) {
        match answer.open::<Answer>() {
            Ok(Answer::Items(items)) if self.acknowledged => {
                self.take_back(now, Back::Tickets(items.into_iter().map(|handed| handed.at).collect()), None);
            }
            Ok(Answer::Items(items)) => self.take_back(now, Back::Items(items), None),
            Ok(Answer::Letters(letters)) => self.take_back(now, Back::Letters(letters), None),
            _ => {}
        }
        self.flush(desk);
    }

    fn down(&mut self, now: Instant, party: Party, _: &Down, desk: &mut Desk) {
        self.ledger.handle_down(now, taker(party));
        self.flush(desk);
    }

    fn unheld(&mut self, now: Instant, kind: u8, desk: &mut Desk) {
        match kind {
            // Somebody was given another one meanwhile.
            _ if desk.is_held(kind) => {}
            QUEUE_SENDER => {
                self.no_senders = true;
                self.ledger.handle_no_senders(now);
            }
            QUEUE_RECEIVER => {
                self.no_receivers = true;
                self.ledger.handle_no_receivers(now);
            }
            _ => {}
        }
        self.flush(desk);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.ledger.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant, desk: &mut Desk) {
        self.ledger.handle_timeout(now);
        self.flush(desk);
    }
}

/// Who an item is given to: the whole incarnation, since what one strand has received another may acknowledge.
fn taker(party: Party) -> Party {
    Party { strand: 0, ..party }
}

fn is_carried(size: Size) -> bool {
    size.bytes <= ITEM_LIMIT && size.handles <= HANDLES
}

fn too_large() -> CallError {
    CallError::Version("an item is larger than a queue carries".to_owned())
}
