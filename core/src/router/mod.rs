//! Which message goes where, and how each request ends: the pure core of every process.
//!
//! A process has one [`Router`]. It holds the mailboxes of this process's actors, the connections to other processes,
//! and a record of each request that passes through until its one outcome is known, but for casts that need none
//! ([`casts`]). Payloads are never looked into.
//!
//! ```text
//!             submit (local)   Frame::Request (link)
//!                   |                 |
//!                waiting ------> queued in the mailbox of its entry
//!              (no credit)            |  consumer has room
//!                                     v
//!                       sent to a worker / sent on / taken by a thread here
//!                                     |  reply, death, deadline, cancel
//!                                     v
//!                                ended, once
//! ```
//!
//! Every call that is handed to a peer gets exactly one reply; a cancel only hurries it.

mod arena;
mod awaited;
mod calls;
mod casts;
mod causes;
mod entry;
mod flow;
mod handles;
mod hash;
mod identity;
mod line;
mod link;
mod links;
mod memories;
mod record;
mod references;
mod requests;
#[expect(clippy::module_inception, reason = "the router is the module's one noun")]
mod router;
#[cfg(test)]
mod tests;
mod timers;

pub(crate) use arena::Arena;
pub(crate) use awaited::Waited;
pub(crate) use casts::TakenCast;
pub(crate) use causes::CallBetween;
pub(crate) use entry::{EntryKey, NewEntry};
pub(crate) use handles::Handles;
pub(crate) use hash::OwnMap;
pub(crate) use identity::Presence;
pub(crate) use link::LinkKey;
pub(crate) use memories::Ahead;
pub(crate) use record::{CallKey, Message, Outcome, Token};
pub(crate) use router::{Action, Expired, Router, Taken};
