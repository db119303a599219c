//! Identities that travel in frames.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub(crate) u64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:x})"), self.0)
            }
        }
    };
}

id! {
    /// One run of a tree of processes: drawn by its root, told to every worker.
    RunId
}
id! {
    /// A process that owns mailboxes, drawn at random when it starts.
    NodeId
}
id! {
    /// An actor of one node, never reused.
    ActorId
}
id! {
    /// The protocol of an actor: a hash of its type's name and of its messages.
    TypeHash
}
id! {
    /// A request in flight, as the process that awaits its outcome numbers it.
    CallId
}

impl CallId {
    /// No request: a message that no handler caused.
    pub(crate) const NONE: CallId = CallId(0);
}

impl TypeHash {
    /// Hashes the texts in order (FNV-1a, 64 bits), each closed by a byte that no UTF-8 text has.
    pub(crate) fn of(texts: &[&str]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for text in texts {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        Self(hash)
    }
}

/// Where a request goes: an actor of a node, and the protocol that the sender believes it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Destination {
    pub(crate) run: RunId,
    pub(crate) node: NodeId,
    pub(crate) actor: ActorId,
    pub(crate) type_hash: TypeHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_join_alike_hash_apart() {
        assert_ne!(TypeHash::of(&["ab", "c"]), TypeHash::of(&["a", "bc"]));
        assert_eq!(TypeHash::of(&["ab", "c"]), TypeHash::of(&["ab", "c"]));
    }
}
