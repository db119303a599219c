//! How items are received, so that none is lost where the wish for it is dropped.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::error::QueueError;
use super::ledger::Handed;
use super::protocol::{self as say, Answer, Back, GivenBack};
use super::waiting::unexpected;
use crate::actor::claim::{Claim, send_on};
use crate::actor::held::{Held, QUEUE_RECEIVER};
use crate::actor::message::Message;
use crate::actor::parcel::Parcel;
use crate::actor::party::Party;

/// A receiving side, shared by its clones in this process.
#[derive(Debug)]
pub(super) struct End {
    pub(super) held: Held<QUEUE_RECEIVER>,
    /// Whether items are to be acknowledged.
    pub(super) acknowledged: bool,
    left: Left,
}

/// Requests that were dropped and whose answers are still to come. The next request of the same end waits for them, so
/// that an item that comes back is before those that come after it.
#[derive(Debug, Default)]
struct Left {
    count: AtomicUsize,
    settled: Notify,
}

/// What a queue gave.
pub(super) enum Received {
    Items(Items),
    Empty,
    End,
}

/// Items, and who was given them: what is said about them later is said in that name, from whatever thread.
pub(super) struct Items {
    pub(super) party: Party,
    items: Vec<Handed<Parcel>>,
}

impl End {
    pub(super) fn new(held: Held<QUEUE_RECEIVER>, acknowledged: bool) -> Arc<Self> {
        Arc::new(Self { held, acknowledged, left: Left::default() })
    }

    /// Asks for up to so many items.
    pub(super) async fn receive(
        self: Arc<Self>,
        most: usize,
        waits: bool,
        timeout: Option<Duration>,
    ) -> Result<Received, QueueError> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        match until {
            Some(until) => timeout_at(until.into(), self.left.settled()).await.map_err(|_| QueueError::TimedOut)?,
            None => self.left.settled().await,
        }
        let party = Party::here();
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let message = Message::service("receive", say::RECEIVE, &say::Receive { most, wait: waits });
        let state = Arc::new(AtomicU8::new(AWAITED));
        let open = Open { end: self.clone(), state: state.clone() };
        let claim = Claim::<Answer>::new(self.held.destination(), message, move |answer| {
            open.end.give_back(party, &answer);
            drop(open);
        });
        let claim = match until {
            Some(until) => claim.timeout(until.saturating_duration_since(Instant::now())),
            None => claim,
        };
        let mut claim = pin!(claim);
        // Dropped before the claim is.
        let _leave = Leave { end: self.clone(), state };
        match claim.as_mut().await {
            Ok(Answer::Items(items)) => Ok(Received::Items(Items { party, items })),
            Ok(Answer::Empty) => Ok(Received::Empty),
            Ok(Answer::End) => Ok(Received::End),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back an answer that nobody takes.
    fn give_back(&self, party: Party, answer: &Parcel) {
        if let Ok(Answer::Items(items)) = answer.open() {
            self.return_items(party, items);
        }
    }

    /// Says something that nobody waits for.
    pub(super) fn tell<A: Serialize>(&self, party: Party, name: &'static str, method: u16, what: &A) {
        send_on(self.held.destination(), by(party, name, method, what));
    }

    /// Gives back items: they come to their places again.
    fn return_items(&self, party: Party, items: Vec<Handed<Parcel>>) {
        if items.is_empty() {
            return;
        }
        let what = match self.acknowledged {
            true => Back::Tickets(items.iter().map(|handed| handed.at).collect()),
            false => Back::Items(items),
        };
        let given_back = GivenBack { by: Some(self.held.clone()), what };
        self.tell(party, "give_back", say::GIVE_BACK, &given_back);
    }

    /// An item cannot be read here, nor anywhere else.
    fn bury(&self, party: Party, item: Handed<Parcel>) {
        let by = self.held.clone();
        if self.acknowledged {
            let refused = say::Refused { by, tickets: vec![item.at], decoded: false };
            self.tell(party, "refuse", say::REFUSE, &refused);
        } else {
            self.tell(party, "unreadable", say::UNREADABLE, &say::Unreadable { by, item });
        }
    }

    /// Reads items in their order. What stands behind one that cannot be read is given back, and that one too where others
    /// are before it; alone it is an error and a dead letter.
    pub(super) fn read<T, R>(&self, items: Items, made: impl Fn(T, &Handed<Parcel>) -> R) -> Result<Vec<R>, QueueError>
    where
        T: serde::de::DeserializeOwned + 'static,
    {
        let Items { party, items } = items;
        let mut read = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        while let Some(handed) = items.next() {
            match handed.item.open::<T>() {
                Ok(item) => read.push(made(item, &handed)),
                Err(error) if read.is_empty() => {
                    self.bury(party, handed);
                    self.return_items(party, items.collect());
                    return Err(QueueError::Decode(error));
                }
                Err(_) => {
                    self.return_items(party, std::iter::once(handed).chain(items).collect());
                    break;
                }
            }
        }
        Ok(read)
    }
}

/// A message in the name of whoever was given the items that it is about.
pub(super) fn by<A: Serialize>(party: Party, name: &'static str, method: u16, what: &A) -> Message {
    Message::service_by(party, name, method, what)
}

/// Somebody awaits the answer.
const AWAITED: u8 = 0;
/// Nobody does any more, and it is still to come.
const LEFT: u8 = 1;
/// There is nothing to come.
const OVER: u8 = 2;

/// The answer is still to come, or not looked at, while this is there.
struct Open {
    end: Arc<End>,
    state: Arc<AtomicU8>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.state.swap(OVER, Ordering::AcqRel) == LEFT {
            self.end.left.count.fetch_sub(1, Ordering::AcqRel);
            self.end.left.settled.notify_waiters();
        }
    }
}

/// Whoever awaits the answer leaves when this is dropped.
struct Leave {
    end: Arc<End>,
    state: Arc<AtomicU8>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let count = &self.end.left.count;
        count.fetch_add(1, Ordering::AcqRel);
        if self.state.compare_exchange(AWAITED, LEFT, Ordering::AcqRel, Ordering::Acquire).is_err() {
            count.fetch_sub(1, Ordering::AcqRel);
            self.end.left.settled.notify_waiters();
        }
    }
}

impl Left {
    async fn settled(&self) {
        loop {
            let mut told = pin!(self.settled.notified());
            told.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            told.await;
        }
    }
}
