//! What is said to a queue, and what it says.

use serde::{Deserialize, Serialize};

use super::ledger::{Batch, Handed, Letter, NotSent, Size, Status, Ticket};
use crate::actor::held::{Held, QUEUE_RECEIVER, QUEUE_SENDER};
use crate::actor::parcel::Parcel;
use crate::wire::frame::PAYLOAD_LIMIT;

/// What a request or an answer may add to the items in it.
const OVERHEAD: usize = 512;

/// The bytes that an item may have: it travels alone then.
pub(super) const ITEM_LIMIT: usize = PAYLOAD_LIMIT - OVERHEAD;

/// The handles that an item may have; the message around it has one of its own.
pub(super) const HANDLES: usize = 250;

/// What is sent together, unless a single item is larger.
pub(super) const TOGETHER: Batch = Batch { items: 4096, bytes: 4 << 20, handles: HANDLES };

macro_rules! methods {
    ($($(#[$meta:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        $($(#[$meta])* pub(super) const $name: u16 = $number;)*
        pub(super) const METHODS: &[&str] = &[$($text),*];
    };
}

methods! {
    /// [`Send`]: `Done` or `NotSent`.
    SEND = 0, "send";
    /// [`Parcel`]: `Done` or `NotSent`.
    TRY_SEND = 1, "try_send";
    /// [`Receive`]: `Items`, `Empty` or `End`.
    RECEIVE = 2, "receive";
    /// Nothing: `Done`.
    JOIN = 3, "join";
    /// Nothing: `Status`.
    STATUS = 4, "status";
    /// Nothing: `Done`.
    CLOSE = 5, "close";
    /// How many at most: `Letters`.
    LETTERS = 6, "dead_letters";
    /// Tickets: `Acknowledged`.
    ACKNOWLEDGE = 7, "acknowledge";
    /// [`GivenBack`]; nobody waits for the answer.
    GIVE_BACK = 8, "give_back";
    /// [`Refused`]; the same.
    REFUSE = 9, "refuse";
    /// [`Unreadable`]; the same.
    UNREADABLE = 10, "unreadable";
    /// Nothing: `Sender`, or `Over`.
    SENDER = 11, "sender";
    /// Whether items are to be acknowledged: `Receiver`, `Over` or `OtherMode`.
    RECEIVER = 12, "receiver";
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Send {
    /// How long the sender waits for room, in ms.
    pub(super) wait: Option<u64>,
    pub(super) items: Vec<Parcel>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Receive {
    pub(super) most: u32,
    pub(super) wait: bool,
}

/// An answer that nobody took; the reference keeps the queue until this is read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GivenBack {
    pub(super) by: Option<Held<QUEUE_RECEIVER>>,
    pub(super) what: Back,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Back {
    Items(Vec<Handed<Parcel>>),
    Tickets(Vec<Ticket>),
    Letters(Vec<Letter<Parcel>>),
}

/// Deliveries that failed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) by: Held<QUEUE_RECEIVER>,
    pub(super) tickets: Vec<Ticket>,
    /// Whether the receiver could read them.
    pub(super) decoded: bool,
}

/// An item of a plain queue that its receiver could not read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Unreadable {
    pub(super) by: Held<QUEUE_RECEIVER>,
    pub(super) item: Handed<Parcel>,
}

/// Every answer of a queue.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    NotSent {
        taken: u32,
        why: NotSent,
    },
    Items(Vec<Handed<Parcel>>),
    Empty,
    End,
    Status(Status),
    Letters(Vec<Letter<Parcel>>),
    /// So many were out and are done now.
    Acknowledged(u32),
    Sender(Held<QUEUE_SENDER>),
    Receiver(Held<QUEUE_RECEIVER>),
    /// There is no such end any more.
    Over,
    /// Its items are to be acknowledged, or are not.
    OtherMode,
    /// Too many wait.
    Crowded,
}

/// What an item takes up.
pub(super) fn size(item: &Parcel) -> Size {
    Size { bytes: item.len(), handles: item.handles.list().len() }
}
