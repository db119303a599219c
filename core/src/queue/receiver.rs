//! The receiving side of a plain queue.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::QueueError;
use super::queue::{Mode, Queue, item_type, of_type};
use super::receive::{End, Received};
use super::waiting::Waiting;
use crate::actor::held::{Held, QUEUE_RECEIVER};
use crate::actor::traits::Payload;

/// The receiving side of a queue: cheap to clone, and serde data that may stand in any message to any actor or task.
///
/// Each item is received by one of all receivers, who are served in the order in which they ask. When no sender is left and
/// the queue is empty every receiver sees the end: `None`, as often as it asks. When no receiver is left senders are
/// [`Closed`](QueueError::Closed) and what is queued is a dead letter.
///
/// An item is handed out at most once. One that is on its way to a worker while that worker dies is lost; where that must
/// not be, open the queue with [`acknowledged`](super::QueueBuilder::acknowledged).
pub struct Receiver<T> {
    end: Arc<End>,
    item: PhantomData<fn() -> T>,
}

impl<T: Payload> Receiver<T> {
    pub(super) fn new(held: Held<QUEUE_RECEIVER>) -> Self {
        Self { end: End::new(held, false), item: PhantomData }
    }

    /// Receives an item, and waits for one; `None` when the stream has ended.
    ///
    /// # Errors
    /// [`TimedOut`](QueueError::TimedOut), an item that cannot be decoded (it becomes a dead letter), a queue that is gone.
    ///
    /// # Cancellation
    /// Safe: an item that was on its way is back at its place, before all that this receiver, or a clone of it in this
    /// process, receives next. So it may stand in `select!` in a loop.
    pub fn recv(&self) -> Waiting<Result<Option<T>, QueueError>> {
        let end = self.end.clone();
        Waiting::new(move |timeout| async move {
            match end.clone().receive(1, true, timeout).await? {
                Received::Items(items) => end.read(items, |item, _| item).map(|items| items.into_iter().next()),
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
    pub fn try_recv(&self) -> Waiting<Result<Option<T>, QueueError>> {
        let end = self.end.clone();
        Waiting::new(move |timeout| async move {
            match end.clone().receive(1, false, timeout).await? {
                Received::Items(items) => end.read(items, |item, _| item).map(|items| items.into_iter().next()),
                Received::Empty => Err(QueueError::Empty),
                Received::End => Ok(None),
            }
        })
    }

    /// Receives up to `most` items in one message, and waits for the first; none when the stream has ended.
    ///
    /// There may be fewer than there are in the queue: a message carries up to 4 MiB, or one larger item.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    ///
    /// # Cancellation
    /// Safe, as that of [`recv`](Self::recv) is.
    pub fn recv_many(&self, most: usize) -> Waiting<Result<Vec<T>, QueueError>> {
        let end = self.end.clone();
        Waiting::new(move |timeout| async move {
            match end.clone().receive(most, true, timeout).await? {
                Received::Items(items) => end.read(items, |item, _| item),
                Received::End | Received::Empty => Ok(Vec::new()),
            }
        })
    }

    /// The items as a stream, which ends after the first error.
    pub fn into_stream(self) -> Items<T> {
        Items { next: Some(self.recv()), receiver: self }
    }

    /// The queue, seen from outside.
    #[must_use]
    pub fn queue(&self) -> Queue<T> {
        Queue::new(self.end.held.destination())
    }
}

/// The items of a queue as a stream.
///
/// # Cancellation
/// Dropping it gives back an item that was on its way.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Items<T> {
    receiver: Receiver<T>,
    next: Option<Waiting<Result<Option<T>, QueueError>>>,
}

impl<T: Payload> Items<T> {
    /// The next item; none at the end of the stream and after an error.
    ///
    /// # Cancellation
    /// Safe: an item is either returned or still to come.
    pub async fn next(&mut self) -> Option<Result<T, QueueError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T: Payload> Stream for Items<T> {
    type Item = Result<T, QueueError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let item = ready!(Pin::new(next).poll(cx)).transpose();
        self.next = matches!(item, Some(Ok(_))).then(|| self.receiver.recv());
        Poll::Ready(item)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { end: self.end.clone(), item: PhantomData }
    }
}

/// Whether both are of the same queue.
impl<T> PartialEq for Receiver<T> {
    fn eq(&self, other: &Self) -> bool {
        self.end.held == other.end.held
    }
}

impl<T> Eq for Receiver<T> {}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:?})", self.end.held)
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl<T: Payload> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (item_type::<T>(), (false, &self.end.held)).serialize(serializer)
    }
}

impl<'de, T: Payload> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        of_type::<T, _, _>(deserializer).map(|held: Mode<false>| Self::new(held.0))
    }
}
