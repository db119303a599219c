//! The receiving side of a queue whose items are to be acknowledged.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::QueueError;
use super::ledger::Ticket;
use super::protocol::{self as say, Answer};
use super::queue::{Mode, Queue, item_type, of_type};
use super::receive::{End, Items, Received, by};
use super::waiting::{Waiting, ask, unexpected};
use crate::actor::held::{Held, QUEUE_RECEIVER};
use crate::actor::party::Party;
use crate::actor::traits::Payload;

/// The receiving side of a queue whose items are to be acknowledged.
///
/// What it gives is a [`Delivery`]. An item stays with the queue until it is acknowledged: where its receiver dies, drops
/// the delivery or keeps it for too long, it is handed out again, and after so many deliveries it is a dead letter. So an
/// item is handled *at least* once, or is a dead letter, whoever dies.
///
/// The stream ends when no sender is left, the queue is empty and nothing is out: an item that comes back is still received
/// by somebody. For the rest it is as a [`Receiver`](super::Receiver) is.
pub struct AckReceiver<T> {
    end: Arc<End>,
    item: PhantomData<fn() -> T>,
}

/// An item that is to be acknowledged. Dropped without that, it goes back to its place in the queue and counts as one
/// delivery that failed.
#[must_use = "an item that is not acknowledged is handed out again"]
pub struct Delivery<T> {
    item: T,
    attempt: u32,
    open: Taken,
}

/// A delivery that is out.
struct Taken {
    end: Arc<End>,
    /// Who was given it.
    party: Party,
    ticket: Ticket,
    /// Nothing is to be said any more.
    said: bool,
}

impl<T: Payload> AckReceiver<T> {
    pub(super) fn new(held: Held<QUEUE_RECEIVER>) -> Self {
        Self { end: End::new(held, true), item: PhantomData }
    }

    /// Receives an item, and waits for one; `None` when the stream has ended.
    ///
    /// # Errors
    /// [`TimedOut`](QueueError::TimedOut), an item that cannot be decoded (it becomes a dead letter), a queue that is gone.
    ///
    /// # Cancellation
    /// Safe: an item that was on its way is back at its place, and that does not count as a delivery.
    pub fn recv(&self) -> Waiting<Result<Option<Delivery<T>>, QueueError>> {
        let end = self.end.clone();
        Waiting::new(move |timeout| async move {
            match end.clone().receive(1, true, timeout).await? {
                Received::Items(items) => Ok(deliveries(&end, items)?.into_iter().next()),
                Received::End | Received::Empty => Ok(None),
            }
        })
    }

    /// Receives an item if there is one now; `None` when the stream has ended.
    ///
    /// # Errors
    /// [`Empty`](QueueError::Empty), and those of [`recv`](Self::recv).
    ///
    /// # Cancellation
    /// Safe, as that of [`recv`](Self::recv) is.
    pub fn try_recv(&self) -> Waiting<Result<Option<Delivery<T>>, QueueError>> {
        let end = self.end.clone();
        Waiting::new(move |timeout| async move {
            match end.clone().receive(1, false, timeout).await? {
                Received::Items(items) => Ok(deliveries(&end, items)?.into_iter().next()),
                Received::Empty => Err(QueueError::Empty),
                Received::End => Ok(None),
            }
        })
    }

    /// Receives up to `most` items in one message, and waits for the first; none when the stream has ended.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    ///
    /// # Cancellation
    /// Safe, as that of [`recv`](Self::recv) is.
    pub fn recv_many(&self, most: usize) -> Waiting<Result<Vec<Delivery<T>>, QueueError>> {
        let end = self.end.clone();
        Waiting::new(move |timeout| async move {
            match end.clone().receive(most, true, timeout).await? {
                Received::Items(items) => deliveries(&end, items),
                Received::End | Received::Empty => Ok(Vec::new()),
            }
        })
    }

    /// Acknowledges many items of this queue in one message, and says how many of them were still out.
    ///
    /// # Errors
    /// A queue that is gone or does not answer. Deliveries of another queue are dropped.
    ///
    /// # Cancellation
    /// Dropped before the first poll it drops the deliveries; later, they may be acknowledged or not.
    pub fn ack_all(&self, deliveries: Vec<Delivery<T>>) -> Waiting<Result<usize, QueueError>> {
        let end = self.end.clone();
        Waiting::new(move |timeout| async move {
            let own = deliveries.into_iter().filter(|delivery| delivery.open.end.held == end.held);
            let mut open: Vec<Taken> = own.map(|delivery| delivery.open).collect();
            let mut count = 0;
            // Nearly always one message: whoever acknowledges has received them.
            while let Some(party) = open.last().map(|taken| taken.party) {
                let mut said: Vec<Taken> = open.extract_if(.., |taken| taken.party.is_of(&party)).collect();
                said.iter_mut().for_each(|taken| taken.said = true);
                let tickets: Vec<Ticket> = said.iter().map(|taken| taken.ticket).collect();
                let message = by(party, "acknowledge", say::ACKNOWLEDGE, &tickets);
                match ask(end.held.destination(), message, timeout).await? {
                    Answer::Acknowledged(done) => count += done as usize,
                    other => return Err(unexpected(&other)),
                }
            }
            Ok(count)
        })
    }

    /// The queue, seen from outside.
    #[must_use]
    pub fn queue(&self) -> Queue<T> {
        Queue::new(self.end.held.destination())
    }
}

fn deliveries<T: Payload>(end: &Arc<End>, items: Items) -> Result<Vec<Delivery<T>>, QueueError> {
    let party = items.party;
    end.read(items, |item, handed| Delivery {
        item,
        attempt: handed.attempt,
        open: Taken { end: end.clone(), party, ticket: handed.at, said: false },
    })
}

impl<T: Payload> Delivery<T> {
    /// How many times the item has been handed out, counted from 1: more than once, and somebody may have begun with it.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Says that the item is done, and returns it.
    ///
    /// # Errors
    /// [`TooLate`](QueueError::TooLate) where it was kept for too long and may be with somebody else; a queue that is gone or
    /// does not answer: then it is not known whether it is done.
    ///
    /// # Cancellation
    /// Dropped before the first poll it is as if the delivery was dropped; later, it may be acknowledged or not.
    pub fn ack(self) -> Waiting<Result<T, QueueError>> {
        Waiting::new(move |timeout| async move {
            let Self { item, mut open, .. } = self;
            open.said = true;
            let message = by(open.party, "acknowledge", say::ACKNOWLEDGE, &[open.ticket].as_slice());
            match ask(open.end.held.destination(), message, timeout).await? {
                Answer::Acknowledged(1) => Ok(item),
                Answer::Acknowledged(_) => Err(QueueError::TooLate),
                other => Err(unexpected(&other)),
            }
        })
    }

    /// Gives the item back: it is handed out again, to whoever asks next, or becomes a dead letter. Dropping the delivery does
    /// the same.
    pub fn nack(self) {}
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.said {
            let refused = say::Refused { by: self.end.held.clone(), tickets: vec![self.ticket], decoded: true };
            self.end.tell(self.party, "refuse", say::REFUSE, &refused);
        }
    }
}

impl<T> Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("item", &self.item).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl<T> Clone for AckReceiver<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone(), item: PhantomData }
    }
}

/// Whether both are of the same queue.
impl<T> PartialEq for AckReceiver<T> {
    fn eq(&self, other: &Self) -> bool {
        self.end.held == other.end.held
    }
}

impl<T> Eq for AckReceiver<T> {}

impl<T> fmt::Debug for AckReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AckReceiver({:?})", self.end.held)
    }
}

impl<T: Payload> Serialize for AckReceiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (item_type::<T>(), (true, &self.end.held)).serialize(serializer)
    }
}

impl<'de, T: Payload> Deserialize<'de> for AckReceiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        of_type::<T, _, _>(deserializer).map(|held: Mode<true>| Self::new(held.0))
    }
}
