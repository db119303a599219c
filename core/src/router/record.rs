//! A request on its way, from its acceptance to its one outcome.

use std::time::Instant;

use bytes::Bytes;

use super::arena::Key;
use super::awaited::Waiting;
use super::entry::{EntryKey, Source};
use super::handles::Handles;
use super::link::LinkKey;
use crate::error::call::{CallError, NoError};
use crate::error::exit::Down;
use crate::wire::codec::{Handle, Kept};
use crate::wire::content::Content;
use crate::wire::frame::{Status, Trace};
use crate::wire::ids::{CallId, TypeHash};

/// A record's key; it is the request's [`CallId`] on the next hop.
pub(crate) type CallKey = Key;

/// What a local waiter is called by whoever feeds the router.
pub(crate) type Token = u64;

/// The content of a request: what the router carries and does not look into.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) method: u16,
    pub(crate) priority: u8,
    pub(crate) trace: Trace,
    pub(crate) handles: Handles,
    /// What is to be decoded, but for what is kept.
    pub(crate) payload: Content,
    pub(crate) kept: Kept,
}

impl Message {
    /// How many bytes are to be decoded.
    pub(crate) fn len(&self) -> usize {
        self.payload.len() + self.kept.len()
    }

    /// What is to be decoded, for whoever does.
    pub(crate) fn take_payload(&mut self) -> Content {
        let payload = std::mem::take(&mut self.payload);
        self.kept.complete(payload)
    }

    /// Takes away what holds its handles: the router does so by itself.
    pub(crate) fn make_bare(&mut self) -> Handles {
        if self.handles.is_empty() {
            return Handles::none();
        }
        let bare = self.handles.bare();
        std::mem::replace(&mut self.handles, bare)
    }
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The handler's value, encoded, and the handles in it.
    Value(Content, Handles),
    /// The handler's own error, likewise.
    HandlerError(Content, Handles),
    /// Neither, for a reason known here.
    Failed(CallError<NoError>),
    /// The same, and the incarnation ends by it.
    Fatal(CallError<NoError>),
    /// Neither, for a reason that another process encoded.
    FailedElsewhere(Bytes),
    /// A monitored incarnation ended.
    Down(Box<Down>),
    /// The same, encoded by another process.
    DownElsewhere(Bytes),
}

impl Outcome {
    pub(crate) fn from_reply(status: Status, payload: Content, handles: Handles) -> Self {
        match status {
            Status::Value => Self::Value(payload, handles),
            Status::HandlerError => Self::HandlerError(payload, handles),
            Status::Failed | Status::Fatal => Self::FailedElsewhere(payload.into_bytes()),
            Status::Withdrawn => Self::Failed(CallError::Cancelled),
        }
    }

    /// The same for the router, which holds handles by itself.
    pub(crate) fn bare(&self) -> Self {
        match self {
            Self::Value(bytes, handles) => Self::Value(bytes.clone(), handles.bare()),
            Self::HandlerError(bytes, handles) => Self::HandlerError(bytes.clone(), handles.bare()),
            other => other.clone(),
        }
    }

    /// The handles in it.
    pub(crate) fn handles(&self) -> &[Handle] {
        match self {
            Self::Value(_, handles) | Self::HandlerError(_, handles) => handles.list(),
            _ => &[],
        }
    }
}

/// Who awaits a request's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Whoever fetches it by its token.
    Local(Token),
    /// A future, which finds it under the request's key.
    Future,
    Link(LinkKey),
    /// Nobody any more, or never anybody.
    Nobody,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// At its local sender, for want of credit.
    Waiting,
    /// In the mailbox.
    Queued,
    /// In the mailbox, and bound to end with the present incarnation, whose end a caller knows already.
    Doomed,
    /// Handed to the process behind the entry's link, as its message number `seq`.
    Sent { seq: u64 },
    /// Taken by the actor's thread in this process.
    Taken,
    /// Not a message: a monitor that waits for the end of an incarnation.
    Watching,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) origin: Origin,
    /// Who sent it: to whom its units belong.
    pub(super) source: Source,
    /// Its number on the link it came in over, if it came over one and has one.
    pub(super) inbound: CallId,
    /// Whether that link lists it under its number. One that waits in the process that hosts the actor, or runs there, is found
    /// without: see [`Router::inbound`](super::Router::inbound).
    pub(super) is_listed: bool,
    pub(super) entry: EntryKey,
    pub(super) phase: Phase,
    /// The peer it was handed to, the only one that may speak of it.
    pub(super) handed: Option<LinkKey>,
    /// Whether an outcome is awaited: a call, else a cast.
    pub(super) reply: bool,
    /// Whether its sender has taken it back, though the reply is still owed.
    pub(super) unwanted: bool,
    /// The protocol that its sender believes the actor speaks.
    pub(super) type_hash: TypeHash,
    pub(super) method: u16,
    pub(super) cost: u32,
    pub(super) deadline: Option<Instant>,
    /// When its link looks at its deadline.
    pub(super) timer: Option<Instant>,
    /// The request whose handler made this one; zero, which is no key, for none: see [`cause`](Self::cause).
    pub(super) caused_by: CallKey,
    /// Whether the handler may still be running: false once it has deferred its answer.
    pub(super) handler_runs: bool,
    /// When it was handed on; what a deadline's error tells of.
    pub(super) since: Option<Instant>,
    /// The future that waits for it.
    pub(super) waiting: Waiting,
    /// Its content, until it is handed on.
    pub(super) message: Option<Message>,
}

impl Record {
    /// The request whose handler made this one.
    pub(super) fn cause(&self) -> Option<CallKey> {
        (self.caused_by != 0).then_some(self.caused_by)
    }

    /// Whether somebody waits for its outcome.
    pub(super) fn is_awaited(&self) -> bool {
        self.reply && !self.unwanted && self.origin != Origin::Nobody
    }
}
