//! The sending side.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{QueueError, SendError};
use super::ledger::NotSent;
use super::protocol::{self as say, Answer, HANDLES, ITEM_LIMIT, TOGETHER, size};
use super::queue::{Queue, item_type, of_type};
use super::waiting::{Waiting, ask, remaining, unexpected, wait};
use crate::actor::held::{Held, QUEUE_SENDER};
use crate::actor::message::Message;
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::call::{CallError, Executed};
use crate::wire::codec::EncodeError;

/// What the queue needs to say that a send has ended, beyond the time that it may take.
const ANSWER_GRACE: Duration = Duration::from_secs(2);

/// The sending side of a queue: cheap to clone, and serde data that may stand in any message to any actor or task.
///
/// Every clone in every process counts, and so does one in a message that nobody has handled yet: when none is left,
/// receivers see the end of the stream. A process that dies holds none any more.
///
/// Items of one sender are received in the order in which they were sent. `send` returns when the queue *has* the item, so
/// that a worker that has sent may end: what it sent stays.
pub struct Sender<T> {
    held: Held<QUEUE_SENDER>,
    item: PhantomData<fn(T)>,
}

impl<T: Payload> Sender<T> {
    pub(super) fn new(held: Held<QUEUE_SENDER>) -> Self {
        Self { held, item: PhantomData }
    }

    /// Sends an item, and waits while the queue is full. Senders that wait are served in their order.
    ///
    /// # Errors
    /// The item comes back with the reason: [`Closed`](QueueError::Closed), [`TimedOut`](QueueError::TimedOut), an item that
    /// is too large or cannot be encoded, a queue that is gone. Where a timeout was set the queue itself keeps the time, so
    /// that an item of a send that timed out was not taken.
    ///
    /// # Cancellation
    /// A send that is dropped while it waits for room is withdrawn; one that was just taken stays taken. The item is dropped
    /// with the future.
    pub fn send(&self, item: T) -> Waiting<Result<(), SendError<T>>> {
        let held = self.held.clone();
        Waiting::new(move |timeout| async move {
            let sent = match encode(&item) {
                Ok(parcel) => send(&held, vec![parcel], timeout).await.map_err(|(_, error)| error),
                Err(error) => Err(error),
            };
            sent.map_err(|error| SendError { item, error })
        })
    }

    /// Sends an item if the queue has room for it now and nobody waits for that room.
    ///
    /// # Errors
    /// [`Full`](QueueError::Full), and those of [`send`](Self::send).
    ///
    /// # Cancellation
    /// Whether the item was taken is not known then.
    pub fn try_send(&self, item: T) -> Waiting<Result<(), SendError<T>>> {
        let held = self.held.clone();
        Waiting::new(move |timeout| async move {
            let to = held.destination();
            let sent = match encode(&item) {
                Ok(parcel) => {
                    let message = Message::service("try_send", say::TRY_SEND, &parcel);
                    match ask(to, message, timeout).await {
                        Ok(answer) => done(answer).map_err(|(_, error)| error),
                        Err(QueueError::TimedOut) => Err(silent()),
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            sent.map_err(|error| SendError { item, error })
        })
    }

    /// Sends many items in their order, in as few messages as they fit into.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), with the items that were not taken: those before them were.
    ///
    /// # Cancellation
    /// Dropped, it has sent some of the items, and all of those come before the others in their order.
    pub fn send_all(&self, items: impl IntoIterator<Item = T>) -> Waiting<Result<(), SendError<Vec<T>>>> {
        let held = self.held.clone();
        let mut left: VecDeque<T> = items.into_iter().collect();
        Waiting::new(move |timeout| {
            let until = timeout.and_then(|timeout| std::time::Instant::now().checked_add(timeout));
            async move {
                while !left.is_empty() {
                    let (chunk, unfit) = chunk(&left);
                    let sending = chunk.len();
                    let mut sent = Ok(());
                    if sending > 0 {
                        let timeout = until.map(|until| until.saturating_duration_since(std::time::Instant::now()));
                        sent = send(&held, chunk, timeout).await;
                    }
                    let taken = match &sent {
                        Ok(()) => sending,
                        Err((taken, _)) => *taken,
                    };
                    left.drain(..taken.min(sending));
                    let error = sent.err().map(|(_, error)| error).or(unfit);
                    if let Some(error) = error {
                        return Err(SendError { item: left.into(), error });
                    }
                }
                Ok(())
            }
        })
    }

    /// Waits until everything that is in the queue by now was received or, where items are to be acknowledged, acknowledged.
    /// An item that has become a dead letter is not waited for.
    ///
    /// # Errors
    /// [`TimedOut`](QueueError::TimedOut), or a queue that is gone.
    ///
    /// # Cancellation
    /// Nothing happens.
    pub fn join(&self) -> Waiting<Result<(), QueueError>> {
        self.queue().join()
    }

    /// The queue, seen from outside.
    #[must_use]
    pub fn queue(&self) -> Queue<T> {
        Queue::new(self.held.destination())
    }
}

/// An item as it travels.
fn encode<T: Payload>(item: &T) -> Result<Parcel, QueueError> {
    let parcel = Parcel::of(item)?;
    let size = size(&parcel);
    if size.bytes > ITEM_LIMIT {
        return Err(QueueError::TooLarge { limit: ITEM_LIMIT });
    }
    if size.handles > HANDLES {
        return Err(QueueError::Encode(EncodeError::TooManyHandles { limit: HANDLES }));
    }
    Ok(parcel)
}

/// As many of the first items as go into one message; and what is wrong with the next one, if that ends it.
fn chunk<T: Payload>(items: &VecDeque<T>) -> (Vec<Parcel>, Option<QueueError>) {
    let mut chunk = Vec::new();
    let mut room = TOGETHER;
    for item in items {
        let parcel = match encode(item) {
            Ok(parcel) => parcel,
            Err(error) => return (chunk, Some(error)),
        };
        let size = size(&parcel);
        let fits = room.items > 0 && size.bytes <= room.bytes && size.handles <= room.handles;
        if !(fits || chunk.is_empty()) {
            break;
        }
        room.items -= 1;
        room.bytes = room.bytes.saturating_sub(size.bytes);
        room.handles = room.handles.saturating_sub(size.handles);
        chunk.push(parcel);
    }
    (chunk, None)
}

/// Sends items in one message. The queue keeps the time and says what it took; only where it is silent does the claim end.
async fn send(
    held: &Held<QUEUE_SENDER>,
    items: Vec<Parcel>,
    timeout: Option<Duration>,
) -> Result<(), (usize, QueueError)> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // A little less than what the message that is being handled has, so that the answer is here in time.
    let left = remaining(None).map(|left| left.saturating_sub((left / 8).min(Duration::from_millis(50))));
    let waits = timeout.into_iter().chain(left).min().map(ms);
    let message = Message::service("send", say::SEND, &say::Send { wait: waits, items });
    let timeout = timeout.and_then(|timeout| timeout.checked_add(ANSWER_GRACE));
    match wait(held.destination(), message, timeout).await {
        Ok(answer) => done(answer),
        Err(QueueError::TimedOut) => Err((0, silent())),
        Err(error) => Err((0, error)),
    }
}

/// The queue did not say in time what it has taken.
fn silent() -> QueueError {
    QueueError::Failed(CallError::TimedOut { executed: Executed::Maybe, doing: None })
}

fn done(answer: Answer) -> Result<(), (usize, QueueError)> {
    match answer {
        Answer::Done => Ok(()),
        Answer::NotSent { taken, why } => Err((
            taken as usize,
            match why {
                NotSent::Closed => QueueError::Closed,
                NotSent::Full => QueueError::Full,
                NotSent::TimedOut => QueueError::TimedOut,
            },
        )),
        other => Err((0, unexpected(&other))),
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { held: self.held.clone(), item: PhantomData }
    }
}

/// Whether both are of the same queue.
impl<T> PartialEq for Sender<T> {
    fn eq(&self, other: &Self) -> bool {
        self.held == other.held
    }
}

impl<T> Eq for Sender<T> {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.held)
    }
}

impl<T: Payload> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (item_type::<T>(), &self.held).serialize(serializer)
    }
}

impl<'de, T: Payload> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        of_type::<T, _, _>(deserializer).map(Self::new)
    }
}
