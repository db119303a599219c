//! How items are received, so that none is lost where the wish for it is dropped.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::error::QueueError;
use super::ledger::Handed;
use super::protocol::{self as say, Answer, Back, GivenBack};
use super::waiting::unexpected;
use crate::actor::claim::{Claim, send_on};
use crate::actor::held::{Held, QUEUE_RECEIVER};
use crate::actor::message::Message;
use crate::actor::parcel::Parcel;
use crate::error::call::{CallError, NotDelivered};

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
    Items(Vec<Handed<Parcel>>),
    Empty,
    End,
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
        self.left.settled().await;
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let message = Message::service("receive", say::RECEIVE, &say::Receive { most, wait: waits });
        let state = Arc::new(AtomicU8::new(AWAITED));
        let open = Open { end: self.clone(), state: state.clone() };
        let claim = Claim::<Answer>::new(self.held.destination(), message, move |answer| {
            open.end.give_back(&answer);
            drop(open);
        });
        let claim = match timeout {
            Some(timeout) => claim.timeout(timeout),
            None => claim,
        };
        let mut claim = pin!(claim);
        // Dropped before the claim is.
        let _leave = Leave { end: self.clone(), state };
        match claim.as_mut().await {
            Ok(Answer::Items(items)) => Ok(Received::Items(items)),
            Ok(Answer::Empty) => Ok(Received::Empty),
            Ok(Answer::End) => Ok(Received::End),
            Ok(other) => Err(unexpected(&other)),
            Err(CallError::NotDelivered(NotDelivered::Stopped)) => Err(QueueError::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back an answer that nobody takes.
    fn give_back(&self, answer: &Parcel) {
        if let Ok(Answer::Items(items)) = answer.open() {
            self.return_items(items);
        }
    }

    /// Gives back items: they come to their places again.
    pub(super) fn return_items(&self, items: Vec<Handed<Parcel>>) {
        if items.is_empty() {
            return;
        }
        let what = match self.acknowledged {
            true => Back::Tickets(items.iter().map(|handed| handed.at).collect()),
            false => Back::Items(items),
        };
        let given_back = GivenBack { by: Some(self.held.clone()), what };
        send_on(self.held.destination(), Message::service("give_back", say::GIVE_BACK, &given_back));
    }

    /// An item cannot be read here, nor anywhere else.
    pub(super) fn bury(&self, item: Handed<Parcel>) {
        let by = self.held.clone();
        let message = match self.acknowledged {
            true => {
                let refused = say::Refused { by, tickets: vec![item.at], decoded: false };
                Message::service("refuse", say::REFUSE, &refused)
            }
            false => Message::service("unreadable", say::UNREADABLE, &say::Unreadable { by, item }),
        };
        send_on(self.held.destination(), message);
    }

    /// Reads items in their order. What stands behind one that cannot be read is given back, and that one too where others
    /// are before it; alone it is an error and a dead letter.
    pub(super) fn read<T, R>(
        &self,
        items: Vec<Handed<Parcel>>,
        made: impl Fn(T, &Handed<Parcel>) -> R,
    ) -> Result<Vec<R>, QueueError>
    where
        T: serde::de::DeserializeOwned,
    {
        let mut read = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        while let Some(handed) = items.next() {
            match handed.item.open::<T>() {
                Ok(item) => read.push(made(item, &handed)),
                Err(error) if read.is_empty() => {
                    self.bury(handed);
                    self.return_items(items.collect());
                    return Err(QueueError::Decode(error));
                }
                Err(_) => {
                    self.return_items(std::iter::once(handed).chain(items).collect());
                    break;
                }
            }
        }
        Ok(read)
    }
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
