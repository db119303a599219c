//! A counted reference to a service.

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::node::Node;
use crate::router::Handles;
use crate::wire::codec::{Handle, note_handle};
use crate::wire::ids::Destination;

/// The sending side of a queue.
pub(crate) const QUEUE_SENDER: u8 = 2;
/// The receiving side of a queue.
pub(crate) const QUEUE_RECEIVER: u8 = 3;
/// A lock of any kind.
pub(crate) const LOCK: u8 = 4;
/// A shared list, dict, counter or value.
pub(crate) const SHARED: u8 = 5;

/// A reference to a service in the role `KIND`: while any exists, in a value or in a message, in any process, the service
/// knows that it is needed.
///
/// It travels in messages only: outside one nobody could count it.
pub(crate) struct Held<const KIND: u8>(Arc<Inner>);

struct Inner {
    to: Destination,
    /// Only there to be dropped.
    _hold: Handles,
}

impl<const KIND: u8> Held<KIND> {
    /// One more reference of this process.
    pub(crate) fn new(to: Destination) -> Self {
        let hold = Node::here().hold(vec![handle(KIND, to)]);
        Self(Arc::new(Inner { to, _hold: hold }))
    }

    pub(crate) fn destination(&self) -> Destination {
        self.0.to
    }
}

fn handle(kind: u8, to: Destination) -> Handle {
    Handle { kind, node: to.node, actor: to.actor }
}

impl<const KIND: u8> Clone for Held<KIND> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<const KIND: u8> PartialEq for Held<KIND> {
    fn eq(&self, other: &Self) -> bool {
        self.0.to == other.0.to
    }
}

impl<const KIND: u8> Eq for Held<KIND> {}

impl<const KIND: u8> Serialize for Held<KIND> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !note_handle(handle(KIND, self.0.to)) {
            return Err(serde::ser::Error::custom(
                "a queue, a lock or a shared value travels in messages only: send it to an actor or give it to a task",
            ));
        }
        (KIND, self.0.to).serialize(serializer)
    }
}

impl<'de, const KIND: u8> Deserialize<'de> for Held<KIND> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (kind, to) = <(u8, Destination)>::deserialize(deserializer)?;
        if kind != KIND {
            return Err(D::Error::custom(format_args!("this refers to {}, not to {}", role(kind), role(KIND))));
        }
        Ok(Self::new(to))
    }
}

fn role(kind: u8) -> String {
    match kind {
        QUEUE_SENDER => "the sending side of a queue".to_owned(),
        QUEUE_RECEIVER => "the receiving side of a queue".to_owned(),
        LOCK => "a lock".to_owned(),
        SHARED => "a shared value".to_owned(),
        other => format!("something of the unknown kind {other}"),
    }
}

impl<const KIND: u8> fmt::Debug for Held<KIND> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}/{:x}", self.0.to.node.0, self.0.to.actor.0)
    }
}
