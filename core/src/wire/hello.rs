//! The greeting: what a worker is told before anything else.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::budget::Budget;
use super::codec;
use super::frame::VERSION;
use super::ids::{Destination, TypeHash};

const MAGIC: &[u8; 4] = b"prcn";

/// What a worker needs to know before its first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The actor to run; its node is the process that started this one.
    pub(crate) to: Destination,
    /// The registered id of the actor's type.
    pub(crate) actor: String,
    /// The actor's name.
    pub(crate) name: String,
    pub(crate) incarnation: u32,
    /// How many processes lie between this one and the root.
    pub(crate) depth: u32,
    /// Where names are looked up.
    pub(crate) registry: Destination,
    /// For how many microseconds it looks for the next message behind one, in place of waiting to be told.
    pub(crate) poll_for: u64,
    /// How many bytes it may have in blobs.
    pub(crate) blobs: Option<u64>,
}

/// Why a greeting was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum HelloError {
    #[error("stdin brought no greeting: this process was not started by a supervisor")]
    Magic,
    #[error("the supervisor speaks protocol version {theirs}, this worker version {ours}", ours = VERSION)]
    Protocol { theirs: u8 },
    #[error(
        "the supervisor and this worker are different builds of the program (build {theirs:016x}, here {ours:016x}): \
         run both from one build"
    )]
    Build { theirs: u64, ours: u64 },
    #[error("malformed greeting: {0}")]
    Malformed(String),
}

impl Hello {
    /// The bytes of a greeting: the magic, the protocol's version, the build, then the rest.
    pub(crate) fn encode(&self, build: TypeHash) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&build.0.to_le_bytes());
        if let Ok(rest) = codec::encode(self, 32 << 10) {
            bytes.extend_from_slice(&rest);
        }
        bytes
    }

    /// Understands a greeting. The version and the build are checked before the rest is looked at: that much is the
    /// same in every version.
    pub(crate) fn decode(bytes: &[u8], ours: TypeHash) -> Result<Self, HelloError> {
        let Some((MAGIC, rest)) = bytes.split_first_chunk() else { return Err(HelloError::Magic) };
        let Some((&version, rest)) = rest.split_first() else { return Err(HelloError::Magic) };
        if version != VERSION {
            return Err(HelloError::Protocol { theirs: version });
        }
        let Some((build, rest)) = rest.split_first_chunk() else { return Err(HelloError::Magic) };
        let theirs = u64::from_le_bytes(*build);
        if theirs != ours.0 {
            return Err(HelloError::Build { theirs, ours: ours.0 });
        }
        codec::decode(&rest.to_vec().into(), Budget::default())
            .map_err(|error| HelloError::Malformed(error.to_string()))
    }
}

#[cfg(test)]
impl Hello {
    /// What every greeting of this build begins with.
    pub(crate) fn start_of(build: TypeHash) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&build.0.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::{ActorId, NodeId, RunId};
    use super::*;

    fn hello() -> Hello {
        let to = Destination { run: RunId(1), node: NodeId(2), actor: ActorId(3), type_hash: TypeHash(4) };
        Hello {
            to,
            actor: "a::B".into(),
            name: "b".into(),
            incarnation: 1,
            depth: 1,
            registry: to,
            poll_for: 0,
            blobs: Some(5),
        }
    }

    #[test]
    fn a_greeting_of_the_same_build_is_understood() {
        let bytes = hello().encode(TypeHash(7));
        assert_eq!(Hello::decode(&bytes, TypeHash(7)), Ok(hello()));
    }

    #[test]
    fn another_build_and_another_protocol_are_told_apart() {
        let mut bytes = hello().encode(TypeHash(7));
        assert_eq!(Hello::decode(&bytes, TypeHash(8)), Err(HelloError::Build { theirs: 7, ours: 8 }));
        bytes[4] = 9;
        assert_eq!(Hello::decode(&bytes, TypeHash(7)), Err(HelloError::Protocol { theirs: 9 }));
        assert_eq!(Hello::decode(b"GET / HTTP/1.1", TypeHash(7)), Err(HelloError::Magic));
    }

    #[test]
    fn a_greeting_cut_anywhere_is_an_error() {
        let bytes = hello().encode(TypeHash(7));
        for len in 0..bytes.len() {
            assert!(Hello::decode(&bytes[..len], TypeHash(7)).is_err());
        }
    }
}
