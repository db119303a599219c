//! A connection as the router sees it: bytes to go out, and requests that came in.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::arena::Key;
use super::entry::EntryKey;
use super::hash::PeerMap;
use super::memories::Ahead;
use super::record::CallKey;
use super::timers::Timers;
use crate::error::exit::Exit;
use crate::shm::progress::Progress;
use crate::wire::frame::RequestParts;
use crate::wire::ids::{ActorId, CallId};
use crate::wire::rope::Rope;

/// A link's key.
pub(crate) type LinkKey = Key;

/// Calls that may be in flight over one connection, in each direction; those beyond wait at their sender.
pub(super) const CALLS_LIMIT: usize = 65_536;
/// Monitors that may be set over one connection, in each direction.
pub(super) const MONITORS_LIMIT: usize = 65_536;
/// Mailboxes of other nodes to which one connection may have the way opened at a time.
pub(super) const WAYS_LIMIT: usize = 4096;
/// Nodes that may live behind one connection.
pub(super) const NODES_LIMIT: usize = 1024;
/// Memory that a peer may have given at a time, unless it is the process above: each takes a descriptor here.
pub(super) const MEMORIES_LIMIT: usize = 512;
/// The same with what it could only tell of.
pub(super) const MEMORIES_KNOWN: usize = 65_536;
/// Bytes that may wait for a peer that does not read: far more than all windows hold.
pub(super) const UNREAD_LIMIT: usize = 512 << 20;
/// Answers that a peer has not read, in frames and in bytes, from which on nothing more is read from it: one that asks without
/// reading the answers waits. Both, so that neither many small ones nor a few large ones hold up whoever computes for a while.
const UNREAD_ANSWERS: Answers = Answers { frames: 64, bytes: 1 << 20 };

#[derive(Debug, Default)]
pub(super) struct Link {
    /// Frames that are not written yet.
    pub(super) out: Rope,
    /// Memory that goes ahead of them.
    pub(super) ahead: Vec<Ahead>,
    /// How much memory the peer has been given and has not let go of.
    pub(super) given: usize,
    /// How much memory the peer has given, and how much of which it could only tell.
    pub(super) got: usize,
    pub(super) got_lost: usize,
    /// What is not written yet and is no request: nobody's credit bounds it.
    pub(super) answers: Answers,
    /// The same of what was fetched for writing.
    pub(super) fetched: Answers,
    /// Whether it was said that there are frames to write, and they were not fetched since.
    pub(super) flush_asked: bool,
    /// Since when there are frames to write, where nobody waits for any of them.
    pub(super) calm: Option<Instant>,
    /// Units that were returned as such and are not fetched yet.
    pub(super) returned_calmly: u32,
    /// Whether one side waits for one of them, and for nothing else: it gains nothing from others that come after it.
    pub(super) urgent: bool,
    /// Open requests that came in over this link, by the number their sender gave them; but for those of the actor that this
    /// process hosts which wait or run.
    pub(super) inbound: PeerMap<CallId, CallKey>,
    /// How many those are.
    pub(super) unlisted: usize,
    /// How many of those are monitors.
    pub(super) monitors: usize,
    /// When to look at the deadlines of those.
    pub(super) timers: Timers,
    /// Calls that were handed to the peer and that it has not answered.
    pub(super) handed: usize,
    /// Monitors that were set at the peer.
    pub(super) watching: usize,
    /// Entries whose calls wait for one of those to be answered.
    pub(super) blocked: VecDeque<EntryKey>,
    /// Entries for other nodes' mailboxes that were made for a request of the peer.
    pub(super) ways: usize,
    /// Nodes that the peer has announced.
    pub(super) nodes: usize,
    /// The actor that the process at the other end hosts.
    pub(super) worker: Option<EntryKey>,
    /// The number of that actor, which may have been forgotten before the link is.
    pub(super) actor: Option<ActorId>,
    /// How that actor has ended.
    pub(super) exit: Option<Exit>,
    /// Whether the peer broke the protocol: it is not listened to any more.
    pub(super) refused: bool,
}

/// Frames that a peer has asked for, or brought about, by its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl Link {
    /// Whether the peer asks and does not read the answers.
    pub(super) fn is_deaf(&self) -> bool {
        let frames = self.answers.frames + self.fetched.frames;
        frames >= UNREAD_ANSWERS.frames && self.answers.bytes + self.fetched.bytes >= UNREAD_ANSWERS.bytes
    }

    /// Writes a request, a short one if it is one to the actor that the peer hosts; whether that is to be said.
    #[inline]
    pub(super) fn write_request(&mut self, request: &RequestParts<'_>, is_hosted: bool) -> bool {
        match request.as_short().filter(|_| is_hosted) {
            Some(short) => short.encode(&mut self.out),
            None => request.encode(&mut self.out),
        }
        self.ask_flush()
    }

    /// There is a frame to write that somebody may wait for; whether that is to be said.
    pub(super) fn ask_flush(&mut self) -> bool {
        let was_calm = self.calm.take().is_some();
        !std::mem::replace(&mut self.flush_asked, true) || was_calm
    }

    /// Calls that the peer has in flight.
    pub(super) fn open_calls(&self) -> usize {
        self.inbound.len() - self.monitors + self.unlisted
    }
}

/// A [`Progress`] that can be shown.
#[derive(Clone)]
pub(super) struct Journal(pub(super) Arc<dyn Progress>);

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal {{ started: {}, finished: {} }}", self.0.started(), self.0.finished())
    }
}
