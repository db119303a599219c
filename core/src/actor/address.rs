//! The address of an actor.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::call::{Call, Cast, Monitor};
use super::message::{Message, type_hash};
use super::target::Target;
use super::traits::{Handlers, Payload};
use crate::wire::codec::{Handle, note_handle};
use crate::wire::ids::{Destination, TypeHash};

/// Where an actor is reached, from any process of the tree.
///
/// It names the actor and not its process: it stays good across restarts, and answers
/// [`NotDelivered`](crate::CallError::NotDelivered) once the actor has ended for good. It is plain data: cheap to copy,
/// and serde data that may stand in any message to any actor.
pub struct Address<A> {
    to: Destination,
    actor: PhantomData<fn() -> A>,
}

/// What can be done to an actor beside its own messages.
///
/// Kept apart from the address so that it never shadows a method of the actor.
#[derive(Debug)]
pub struct AddressControl<'a, A> {
    address: &'a Address<A>,
}

impl<A: Handlers> Address<A> {
    pub(crate) fn new(to: Destination) -> Self {
        Self { to, actor: PhantomData }
    }

    pub(crate) fn destination(&self) -> Destination {
        self.to
    }

    /// The administrative verbs of this address.
    #[must_use]
    pub fn ctl(&self) -> AddressControl<'_, A> {
        AddressControl { address: self }
    }
}

impl<A: Handlers> AddressControl<'_, A> {
    /// Watches the actor's present incarnation: the future ends exactly once, when that incarnation does.
    ///
    /// Where the actor is being restarted it watches the next incarnation, and a start that fails ends it too; where
    /// the actor has ended for good, or never was, it ends at once.
    pub fn monitor(&self) -> Monitor {
        Monitor::new(self.address.to)
    }
}

impl<A: Handlers> Target<A> for Address<A> {
    type Call<T, E> = Call<T, E>;
    type Cast = Cast;

    fn start_call<T: Payload, E: Payload>(&self, message: Message) -> Call<T, E> {
        Call::new(self.to, message)
    }

    fn start_cast(&self, message: Message) -> Cast {
        Cast::new(self.to, message)
    }
}

impl<A> Clone for Address<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Address<A> {}

impl<A> PartialEq for Address<A> {
    fn eq(&self, other: &Self) -> bool {
        self.to == other.to
    }
}

impl<A> Eq for Address<A> {}

impl<A> Hash for Address<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to.hash(state);
    }
}

impl<A> fmt::Debug for Address<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({:x}/{:x})", self.to.node.0, self.to.actor.0)
    }
}

impl<A: Handlers> Serialize for Address<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // An address is good wherever its run is, so it may also be written outside a message; inside one, the
        // processes on the way can count it.
        note_handle(Handle { kind: Handle::ADDRESS, node: self.to.node, actor: self.to.actor });
        self.to.serialize(serializer)
    }
}

impl<'de, A: Handlers> Deserialize<'de> for Address<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let to = Destination::deserialize(deserializer)?;
        let expected: TypeHash = type_hash::<A>();
        if to.type_hash != expected {
            return Err(D::Error::custom(format_args!(
                "this is not the address of a {}, or of one from another build of the program",
                A::NAME
            )));
        }
        Ok(Self::new(to))
    }
}
