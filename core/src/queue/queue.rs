//! A queue, seen from outside.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::delivery::AckReceiver;
use super::error::QueueError;
use super::ledger::{DeadReason, Letter};
use super::protocol::{self as say, Answer, Back, GivenBack};
use super::receiver::Receiver;
use super::sender::Sender;
use super::waiting::{Waiting, ask, remaining, unexpected, wait};
use crate::actor::claim::{Claim, send_on};
use crate::actor::held::{Held, QUEUE_RECEIVER};
use crate::actor::message::Message;
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::wire::ids::{Destination, TypeHash};

/// A queue, seen from outside: neither a sender nor a receiver of it, so that it keeps nothing open.
///
/// Plain data, as an address is. When nobody holds a sender or a receiver any more the queue is
/// [`Gone`](QueueError::Gone).
pub struct Queue<T> {
    to: Destination,
    item: PhantomData<fn() -> T>,
}

/// A queue as it was at one moment. Other processes go on meanwhile: it is for people to look at and not for decisions. In
/// particular a queue that was empty need not be so any more, nor has it ended: receivers are told of the end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Items that wait to be received.
    pub items: usize,
    /// Their bytes, encoded.
    pub bytes: usize,
    /// Items that are handed out and not acknowledged.
    pub unacknowledged: usize,
    /// Sends that wait for room.
    pub senders_waiting: usize,
    /// Receivers that wait for an item.
    pub receivers_waiting: usize,
    /// Dead letters that are kept.
    pub dead_letters: usize,
    /// Dead letters that had to make room for newer ones.
    pub dead_letters_lost: u64,
    /// Items that it has ever taken.
    pub sent: u64,
    /// Whether it takes items no more.
    pub closed: bool,
}

/// An item that nobody received, or nobody acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter<T> {
    /// The item; what is wrong with it, where it cannot be decoded.
    pub item: Result<T, crate::DecodeError>,
    /// Why it is dead.
    pub why: DeadReason,
    /// How many times it was handed out.
    pub attempts: u32,
}

impl<T: Payload> Queue<T> {
    pub(super) fn new(to: Destination) -> Self {
        Self { to, item: PhantomData }
    }

    /// How it is now.
    ///
    /// # Errors
    /// A queue that is gone or does not answer.
    pub fn status(&self) -> Waiting<Result<QueueStatus, QueueError>> {
        let to = self.to;
        Waiting::new(move |timeout| async move {
            match ask(to, Message::service("status", say::STATUS, &()), timeout).await? {
                Answer::Status(status) => Ok(QueueStatus {
                    items: status.items,
                    bytes: status.bytes,
                    unacknowledged: status.out,
                    senders_waiting: status.senders_waiting,
                    receivers_waiting: status.receivers_waiting,
                    dead_letters: status.letters,
                    dead_letters_lost: status.letters_lost,
                    sent: status.sent,
                    closed: status.closed,
                }),
                other => Err(unexpected(&other)),
            }
        })
    }

    /// Ends the stream though there may be senders: nothing goes in any more, what is in the queue is received, and then
    /// receivers see the end. Senders that wait are [`Closed`](QueueError::Closed).
    ///
    /// # Errors
    /// A queue that is gone or does not answer.
    pub fn close(&self) -> Waiting<Result<(), QueueError>> {
        let to = self.to;
        Waiting::new(move |timeout| async move {
            match ask(to, Message::service("close", say::CLOSE, &()), timeout).await? {
                Answer::Done => Ok(()),
                other => Err(unexpected(&other)),
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
        let to = self.to;
        Waiting::new(move |timeout| async move {
            match wait(to, Message::service("join", say::JOIN, &()), timeout).await? {
                Answer::Done => Ok(()),
                other => Err(unexpected(&other)),
            }
        })
    }

    /// Takes out the oldest dead letters, at most so many and as many as go into one message; none where there are none.
    ///
    /// The queue keeps the newest 1,024, up to 16 MiB.
    ///
    /// # Errors
    /// A queue that is gone or does not answer.
    ///
    /// # Cancellation
    /// Safe: letters that were on their way are there again.
    pub fn take_dead_letters(&self, most: usize) -> Waiting<Result<Vec<DeadLetter<T>>, QueueError>> {
        let to = self.to;
        Waiting::new(move |timeout| async move {
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            let message = Message::service("dead_letters", say::LETTERS, &most);
            let claim = Claim::<Answer>::new(to, message, move |answer| put_back(to, &answer));
            let claim = match remaining(timeout) {
                Some(timeout) => claim.timeout(timeout),
                None => claim.timeout(crate::actor::message::DEFAULT_DEADLINE),
            };
            match claim.await? {
                Answer::Letters(letters) => Ok(letters.into_iter().map(letter).collect()),
                other => Err(unexpected(&other)),
            }
        })
    }

    /// A sender of the queue.
    ///
    /// # Errors
    /// [`Closed`](QueueError::Closed) where it takes no items any more, or it is gone.
    pub fn sender(&self) -> Waiting<Result<Sender<T>, QueueError>> {
        let to = self.to;
        Waiting::new(move |timeout| async move {
            match ask(to, Message::service("sender", say::SENDER, &()), timeout).await? {
                Answer::Sender(held) => Ok(Sender::new(held)),
                other => Err(unexpected(&other)),
            }
        })
    }

    /// A receiver of the queue, where its items are not to be acknowledged.
    ///
    /// # Errors
    /// [`OtherType`](QueueError::OtherType) where they are; or it is gone.
    pub fn receiver(&self) -> Waiting<Result<Receiver<T>, QueueError>> {
        let to = self.to;
        Waiting::new(move |timeout| async move { receiver::<T>(to, false, timeout).await.map(Receiver::new) })
    }

    /// A receiver of the queue, where its items are to be acknowledged.
    ///
    /// # Errors
    /// [`OtherType`](QueueError::OtherType) where they are not; or it is gone.
    pub fn ack_receiver(&self) -> Waiting<Result<AckReceiver<T>, QueueError>> {
        let to = self.to;
        Waiting::new(move |timeout| async move { receiver::<T>(to, true, timeout).await.map(AckReceiver::new) })
    }
}

async fn receiver<T>(
    to: Destination,
    acknowledged: bool,
    timeout: Option<std::time::Duration>,
) -> Result<Held<QUEUE_RECEIVER>, QueueError> {
    match ask(to, Message::service("receiver", say::RECEIVER, &acknowledged), timeout).await? {
        Answer::Receiver(held) => Ok(held),
        Answer::OtherMode => Err(QueueError::OtherType { wanted: type_name::<T>() }),
        other => Err(unexpected(&other)),
    }
}

fn letter<T: Payload>(letter: Letter<Parcel>) -> DeadLetter<T> {
    DeadLetter { item: letter.item.open(), why: letter.why, attempts: letter.attempts }
}

fn put_back(to: Destination, answer: &Parcel) {
    if let Ok(Answer::Letters(letters)) = answer.open() {
        let given_back = GivenBack { by: None, what: Back::Letters(letters) };
        send_on(to, Message::service("give_back", say::GIVE_BACK, &given_back));
    }
}

/// What tells queues of one item from those of another.
pub(super) fn item_type<T>() -> TypeHash {
    TypeHash::of(&["queue of", type_name::<T>()])
}

/// A receiving side in a message, with whether its items are to be acknowledged.
pub(super) struct Mode<const ACKNOWLEDGED: bool>(pub(super) Held<QUEUE_RECEIVER>);

impl<'de, const ACKNOWLEDGED: bool> Deserialize<'de> for Mode<ACKNOWLEDGED> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (acknowledged, held) = Deserialize::deserialize(deserializer)?;
        if acknowledged != ACKNOWLEDGED {
            return Err(D::Error::custom(match acknowledged {
                true => "the items of this queue are to be acknowledged: its receiving side is an AckReceiver",
                false => "the items of this queue are not to be acknowledged: its receiving side is a Receiver",
            }));
        }
        Ok(Self(held))
    }
}

/// What stands in a message behind the type of a queue's items, which must be `T`.
pub(super) fn of_type<'de, T, H, D>(deserializer: D) -> Result<H, D::Error>
where
    H: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let Typed(item, rest) = Typed::deserialize(deserializer)?;
    if item != item_type::<T>() {
        let name = type_name::<T>();
        return Err(D::Error::custom(format_args!("this is not a side of a queue of {name}, or of another build's")));
    }
    Ok(rest)
}

#[derive(Deserialize)]
struct Typed<H>(TypeHash, H);

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Queue<T> {}

impl<T> PartialEq for Queue<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to == other.to
    }
}

impl<T> Eq for Queue<T> {}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({:x}/{:x})", self.to.node.0, self.to.actor.0)
    }
}

impl<T: Payload> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (item_type::<T>(), self.to).serialize(serializer)
    }
}

impl<'de, T: Payload> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        of_type::<T, _, _>(deserializer).map(Self::new)
    }
}
