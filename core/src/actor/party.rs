//! Who asks for something that has to be given back.

use std::cell::Cell;
use std::sync::OnceLock;

use bytes::{Buf, BufMut};
use serde::{Deserialize, Serialize};

use super::message;
use super::node::Node;
use crate::wire::ids::{ActorId, Destination, NodeId, RunId, TypeHash};

/// An incarnation of an actor, and which strand of it: that is who owns a lock, or has taken an item.
///
/// The handlers of an actor run one at a time and are one strand; each pool task is one, and each task of `ctx.spawn`. Code
/// of the root process that belongs to no actor is the actor 0, with a strand for each of its tokio tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Party {
    pub(crate) actor: Destination,
    pub(crate) incarnation: u32,
    pub(crate) strand: u64,
}

/// The strand of an actor's handlers.
pub(crate) const HANDLERS: u64 = 0;
/// Strands of tokio tasks have this bit; those of pool tasks have not.
const SPAWNED: u64 = 1 << 63;

/// The actor that this process hosts, for threads that nobody has told.
static HOSTED: OnceLock<(Destination, u32)> = OnceLock::new();

thread_local! {
    static STRAND: Cell<u64> = const { Cell::new(HANDLERS) };
}

/// Says which actor this process hosts.
pub(crate) fn settle(actor: Destination, incarnation: u32) {
    let _ = HOSTED.set((actor, incarnation));
}

/// The handler that is being polled on this thread is this strand until the result is dropped.
pub(crate) fn enter(strand: u64) -> impl Drop {
    struct Leave(u64);
    impl Drop for Leave {
        fn drop(&mut self) {
            STRAND.set(self.0);
        }
    }
    Leave(STRAND.replace(strand))
}

impl Party {
    /// Who runs on this thread now.
    pub(crate) fn here() -> Self {
        let actor = message::actor().or_else(|| HOSTED.get().copied());
        let strand = match message::current() {
            Some(_) => STRAND.get(),
            None => tokio::task::try_id().map_or(HANDLERS, |id| SPAWNED | numbered(id)),
        };
        let (actor, incarnation) = actor.unwrap_or_else(|| (free(), 0));
        Self { actor, incarnation, strand }
    }

    /// Whether this is a tokio task of its own, and no handler and no pool task.
    pub(crate) fn is_spawned(&self) -> bool {
        self.strand & SPAWNED != 0
    }

    /// Whether this is code that belongs to no actor.
    pub(crate) fn is_free(&self) -> bool {
        self.actor.actor == ActorId(0)
    }

    /// How many bytes it takes up in front of a request's arguments.
    pub(crate) const SIZE: usize = 44;

    /// In front of a request's arguments: of one size, so that the rest can be cut off unseen.
    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE] {
        let Destination { run, node, actor, type_hash } = self.actor;
        let mut bytes = [0; Self::SIZE];
        let mut rest = &mut bytes[..];
        for id in [run.0, node.0, actor.0, type_hash.0] {
            rest.put_u64_le(id);
        }
        rest.put_u32_le(self.incarnation);
        rest.put_u64_le(self.strand);
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) has made, if it is long enough.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut bytes = bytes.get(..Self::SIZE)?;
        let actor = Destination {
            run: RunId(bytes.get_u64_le()),
            node: NodeId(bytes.get_u64_le()),
            actor: ActorId(bytes.get_u64_le()),
            type_hash: TypeHash(bytes.get_u64_le()),
        };
        Some(Self { actor, incarnation: bytes.get_u32_le(), strand: bytes.get_u64_le() })
    }

    /// Whether both are of one incarnation.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        (self.actor, self.incarnation) == (other.actor, other.incarnation)
    }
}

fn free() -> Destination {
    let (run, node) = Node::here().with(|router| router.identity());
    Destination { run, node, actor: ActorId(0), type_hash: TypeHash(0) }
}

/// The number of a tokio task, which it shows in no other way.
fn numbered(id: tokio::task::Id) -> u64 {
    id.to_string().parse().unwrap_or(u64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::parcel::Parcel;

    #[test]
    fn a_party_survives_its_bytes_and_stands_in_front_of_the_arguments() {
        let actor = Destination { run: RunId(1), node: NodeId(u64::MAX), actor: ActorId(3), type_hash: TypeHash(4) };
        let party = Party { actor, incarnation: 5, strand: 6 << 40 };
        let message = Parcel::behind(&party.to_bytes(), "arguments").unwrap().bytes;
        assert_eq!(Party::from_bytes(&message), Some(party));
        assert_eq!(&message[Party::SIZE + 1..], b"arguments");
        assert_eq!(Party::from_bytes(&message[..Party::SIZE - 1]), None);
    }

    #[tokio::test]
    async fn each_free_task_is_a_strand_of_its_own() {
        let here = Party::here();
        let other = tokio::spawn(async { (Party::here(), Party::here()) }).await.unwrap();
        assert!(here.is_free() && here.is_of(&other.0));
        assert_eq!(other.0, other.1);
        assert_ne!(here.strand, other.0.strand);
    }
}
