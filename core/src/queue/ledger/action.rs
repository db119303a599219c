use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the shell is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action<T, C, P> {
    /// All items of this send are in the queue.
    Sent { call: C },
    /// So many items of this send were taken, the others are not.
    NotSent { call: C, taken: usize, why: NotSent },
    /// These items, at least one, are this receiver's.
    Deliver { call: C, items: Vec<Handed<T>> },
    /// There is nothing to receive now.
    Empty { call: C },
    /// There is nothing to receive any more.
    End { call: C },
    /// All that this join waited for is done.
    Joined { call: C },
    /// More wait at this queue than it keeps track of: this request is refused.
    Crowded { call: C },
    /// From now on the end of this party is to be told.
    Watch(P),
    /// The end of this party needs to be told no more.
    Unwatch(P),
    /// An item has become a dead letter.
    DeadLetter { why: DeadReason },
}

/// Why an item was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NotSent {
    /// The queue was closed, or nobody can receive from it any more.
    Closed,
    /// The queue is full, and its sender did not want to wait.
    Full,
    /// It was full for as long as its sender wanted to wait.
    TimedOut,
}

/// Why an item is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DeadReason {
    /// It was handed out as often as it may and never acknowledged.
    Unacknowledged,
    /// The last receiver was gone while it waited.
    NoReceiver,
    /// A receiver could not decode it.
    Undecodable,
    /// It came back from a receiver, with more others than the queue can take.
    NoRoom,
}

/// An item on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handed<T> {
    pub(crate) at: Ticket,
    /// How many times it has been handed out, counted from 1.
    pub(crate) attempt: u32,
    pub(crate) item: T,
}

/// One delivery of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Ticket {
    /// The item's place among all that were ever sent.
    pub(crate) place: u64,
    /// Which delivery of the queue it was; no two share a number.
    pub(crate) delivery: u64,
}

/// What an item takes of bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) bytes: usize,
    /// Handles of queues, locks, addresses in it: a message holds a limited number.
    pub(crate) handles: usize,
}

/// How many items and bytes something holds; a single item may be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// What one request may be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
    pub(crate) handles: usize,
}

/// The terms of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// What waits in it.
    pub(crate) bounds: Bounds,
    /// What is kept of dead letters.
    pub(crate) letters: Bounds,
    /// What is kept of senders that wait for room; others are refused.
    pub(crate) line: Bounds,
    /// Requests other than sends that may wait at once.
    pub(crate) waiting: usize,
    /// Where items are to be acknowledged.
    pub(crate) acknowledged: Option<Acknowledged>,
}

/// The terms of a queue whose items are to be acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    /// How often an item may be handed out.
    pub(crate) attempts: u32,
    /// How long a receiver may keep an item.
    pub(crate) within: Option<Duration>,
    /// What may be handed out and not acknowledged at once.
    pub(crate) bounds: Bounds,
}

/// A queue as it is at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
    /// Items that are handed out and not acknowledged.
    pub(crate) out: usize,
    pub(crate) senders_waiting: usize,
    pub(crate) receivers_waiting: usize,
    pub(crate) letters: usize,
    /// Dead letters that there was no room for.
    pub(crate) letters_lost: u64,
    /// Items that were ever taken into the queue.
    pub(crate) sent: u64,
    /// Whether it takes no items any more.
    pub(crate) closed: bool,
}
