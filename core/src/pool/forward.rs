//! Brings completions to one handler, in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::completion::{Item, Ledger};
use crate::actor::call::failure;
use crate::actor::node::{Node, Numbered, Sink};
use crate::error::call::{CallError, Executed};
use crate::router::Outcome;
use crate::wire::ids::Destination;

/// Completions that a handler is sent ahead of those it has handled.
const AHEAD: usize = 64;

/// Brings completions to one handler until no more can come.
///
/// They go as requests whose end is told, though the handler answers nothing: so each is known to be handled, and one
/// that was in the mailbox of an incarnation that died is sent again to the next. One that the handler was at when it
/// died is not: it may have taken effect.
pub(super) async fn run(ledger: Arc<Ledger>, to: Destination, mut items: mpsc::UnboundedReceiver<Item>) {
    let told = Arc::new(Told::default());
    let sink: Arc<dyn Sink> = told.clone();
    // Sent and not told of, and those to be sent again, by their order.
    let mut open = BTreeMap::new();
    let mut again = BTreeMap::new();
    let mut next = 0_u64;
    let mut last = false;
    loop {
        for (number, outcome) in told.take() {
            let Some(item) = open.remove(&number) else { continue };
            match failure(outcome) {
                // What a handler without an answer answers.
                CallError::NoReply => ledger.settled(item),
                CallError::Died { executed: Executed::No, .. } => drop(again.insert(number, item)),
                error => {
                    ledger.lost(1, &error.to_string());
                    ledger.settled(item);
                }
            }
        }
        // After a death nothing new goes out before what has to be sent again.
        if open.is_empty() && !again.is_empty() {
            for (number, item) in std::mem::take(&mut again) {
                send(&ledger, &sink, to, number, item, &mut open);
            }
        }
        while again.is_empty() && open.len() < AHEAD {
            match items.try_recv() {
                Ok(item) => {
                    send(&ledger, &sink, to, next, item, &mut open);
                    next += 1;
                }
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    last = true;
                    break;
                }
            }
        }
        if last && open.is_empty() && again.is_empty() {
            return;
        }
        let wants_more = !last && again.is_empty() && open.len() < AHEAD;
        tokio::select! {
            () = told.arrived.notified() => {}
            item = items.recv(), if wants_more => match item {
                Some(item) => {
                    send(&ledger, &sink, to, next, item, &mut open);
                    next += 1;
                }
                None => last = true,
            },
        }
    }
}

fn send(
    ledger: &Ledger,
    sink: &Arc<dyn Sink>,
    to: Destination,
    number: u64,
    item: Item,
    open: &mut BTreeMap<u64, Item>,
) {
    match (item.handler)(&item.ended) {
        Ok(message) => {
            open.insert(number, item);
            Node::here().submit_all(sink, [Numbered { number, to, deadline: None, caused_by: None, message }]);
        }
        Err(error) => {
            ledger.lost(1, &error);
            ledger.settled(item);
        }
    }
}

/// How requests ended.
#[derive(Debug, Default)]
struct Told {
    outcomes: Mutex<Vec<(u64, Outcome)>>,
    arrived: Notify,
}

impl Told {
    fn take(&self) -> Vec<(u64, Outcome)> {
        std::mem::take(&mut *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Told {
    fn ended(&self, number: u64, outcome: Outcome) {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((number, outcome));
        self.arrived.notify_one();
    }
}
