//! What each event of a queue leads to, one claim a test; and all of them together against a reference.

mod acknowledged;
mod ends;
mod model;
mod plain;

use std::time::{Duration, Instant};

use super::*;

type Call = u32;
type Party = u8;
type Act = Action<u64, Call, Party>;

const MS: Duration = Duration::from_millis(1);

fn size(bytes: usize) -> Size {
    Size { bytes, handles: 0 }
}

fn bounds(items: usize, bytes: usize) -> Bounds {
    Bounds { items, bytes }
}

fn up_to(items: usize) -> Batch {
    Batch { items, bytes: 1000, handles: 255 }
}

fn plain(items: usize) -> Terms {
    Terms {
        bounds: bounds(items, 1000),
        letters: bounds(8, 1000),
        line: bounds(64, 4000),
        waiting: 64,
        acknowledged: None,
    }
}

fn acknowledged(items: usize, attempts: u32) -> Terms {
    let acknowledged = Some(Acknowledged { attempts, within: None, bounds: bounds(items, 1000) });
    Terms { acknowledged, ..plain(items) }
}

/// A queue of numbers, each of one byte unless told otherwise, whose answers are read after each event.
struct Queue {
    ledger: Ledger<u64, Call, Party>,
    now: Instant,
}

impl Queue {
    fn new(terms: Terms) -> Self {
        let now = Instant::now();
        Self { ledger: Ledger::new(now, terms), now }
    }

    fn actions(&mut self) -> Vec<Act> {
        std::iter::from_fn(|| self.ledger.poll_action()).collect()
    }

    fn send(&mut self, call: Call, items: &[u64]) -> Vec<Act> {
        self.ledger.handle_send(self.now, call, items.iter().map(|&item| (item, size(1))).collect(), None);
        self.actions()
    }

    fn send_sized(&mut self, call: Call, item: u64, bytes: usize) -> Vec<Act> {
        self.ledger.handle_send(self.now, call, vec![(item, size(bytes))], None);
        self.actions()
    }

    fn try_send(&mut self, call: Call, item: u64) -> Vec<Act> {
        self.ledger.handle_try_send(self.now, call, item, size(1));
        self.actions()
    }

    fn receive(&mut self, call: Call, party: Party, items: usize) -> Vec<Act> {
        self.ledger.handle_receive(self.now, call, party, up_to(items));
        self.actions()
    }

    fn try_receive(&mut self, call: Call, items: usize) -> Vec<Act> {
        self.ledger.handle_try_receive(self.now, call, 0, up_to(items));
        self.actions()
    }

    fn after(&mut self, event: impl FnOnce(&mut Ledger<u64, Call, Party>, Instant)) -> Vec<Act> {
        event(&mut self.ledger, self.now);
        self.actions()
    }

    /// Receives one item that must be there.
    fn take(&mut self, call: Call, party: Party) -> Handed<u64> {
        let mut handed = None;
        for action in self.receive(call, party, 1) {
            if let Action::Deliver { items, .. } = action {
                assert_eq!(items.len(), 1);
                handed = items.into_iter().next();
            }
        }
        handed.expect("an item is there")
    }

    /// All that can be received now, in order.
    fn rest(&mut self) -> Vec<u64> {
        let taken = self.try_receive(9999, 1000);
        taken
            .into_iter()
            .flat_map(|action| match action {
                Action::Deliver { items, .. } => items.into_iter().map(|handed| handed.item).collect(),
                _ => Vec::new(),
            })
            .collect()
    }

    fn letters(&mut self) -> Vec<(u64, DeadReason)> {
        self.ledger.take_letters(up_to(1000)).into_iter().map(|letter| (letter.item, letter.why)).collect()
    }
}

/// What a receiver is given, without its tickets.
fn delivered(actions: &[Act]) -> Vec<(Call, Vec<u64>)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Deliver { call, items } => Some((*call, items.iter().map(|handed| handed.item).collect())),
            _ => None,
        })
        .collect()
}

fn closed(call: Call, taken: usize) -> Act {
    Action::NotSent { call, taken, why: NotSent::Closed }
}

fn full(call: Call) -> Act {
    Action::NotSent { call, taken: 0, why: NotSent::Full }
}
