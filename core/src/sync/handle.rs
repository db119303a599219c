//! What every lock is to its users: a counted reference to the service, and which of its locks.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::LockError;
use super::protocol::{Ask, METHODS, Reply};
use crate::actor::call::Call;
use crate::actor::claim::Claim;
use crate::actor::claim::send_on;
use crate::actor::fence::LockKey;
use crate::actor::held::{Held, LOCK};
use crate::actor::message::Message;
use crate::actor::party::Party;
use crate::error::call::{CallError, NoError};
use crate::wire::ids::Destination;

/// What a handle is of.
pub(super) trait Role {
    /// As it stands in the handle, so that it is not taken for another.
    fn describe() -> String;
}

/// A handle of one lock.
pub(super) struct Lock<R> {
    pub(super) inner: Arc<Inner>,
    role: PhantomData<fn() -> R>,
}

/// Which lock.
pub(super) struct Inner {
    held: Held<LOCK>,
    pub(super) number: u64,
    pub(super) name: String,
}

impl<R> Lock<R> {
    pub(super) fn new(held: Held<LOCK>, number: u64, name: String) -> Self {
        Self { inner: Arc::new(Inner { held, number, name }), role: PhantomData }
    }

    /// The same lock in another role.
    pub(super) fn as_role<S>(&self) -> Lock<S> {
        Lock { inner: self.inner.clone(), role: PhantomData }
    }
}

impl Inner {
    pub(super) fn to(&self) -> Destination {
        self.held.destination()
    }

    pub(super) fn key(&self) -> LockKey {
        let Destination { node, actor, .. } = self.to();
        LockKey { node, actor, lock: self.number }
    }

    /// Asks the service for what takes no time.
    pub(super) async fn ask<A: Ask>(&self, asked: A) -> Result<Reply, LockError> {
        ask(self.to(), asked).await
    }
}

fn name_of(method: u16) -> &'static str {
    METHODS.get(usize::from(method)).copied().unwrap_or_default()
}

/// Asks a lock service.
pub(super) async fn ask<A: Ask>(to: Destination, asked: A) -> Result<Reply, LockError> {
    let message = Message::service(name_of(A::METHOD), A::METHOD, &asked);
    Ok(Call::<Reply, LockError>::new(to, message).await?)
}

/// Asks it for what has to be given back: by `give_back`, if its answer finds nobody.
pub(super) fn claim<A: Ask>(
    to: Destination,
    party: Party,
    asked: &A,
    give_back: impl FnOnce(Reply) + Send + 'static,
) -> Claim<Reply, LockError> {
    Claim::new(to, message(party, asked), move |answer| {
        if let Ok(reply) = answer.open() {
            give_back(reply);
        }
    })
}

/// Tells it something, from where nothing can be awaited.
pub(super) fn tell<A: Ask>(to: Destination, party: Party, asked: &A) {
    send_on(to, message(party, asked));
}

/// In the name of who began it, whoever runs now.
pub(super) fn message<A: Ask>(party: Party, asked: &A) -> Message {
    Message::service_by(party, name_of(A::METHOD), A::METHOD, asked)
}

/// An answer that no service of this version gives.
pub(super) fn nonsense() -> LockError {
    LockError::Failed(CallError::<NoError>::Version("the lock service answered something else".to_owned()))
}

impl<R> Clone for Lock<R> {
    fn clone(&self) -> Self {
        self.as_role()
    }
}

impl<R> PartialEq for Lock<R> {
    fn eq(&self, other: &Self) -> bool {
        self.inner.key() == other.inner.key()
    }
}

impl<R> Eq for Lock<R> {}

impl<R: Role> Serialize for Lock<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Inner { held, number, name } = &*self.inner;
        (R::describe(), held, number, name).serialize(serializer)
    }
}

impl<'de, R: Role> Deserialize<'de> for Lock<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (role, held, number, name) = <(String, Held<LOCK>, u64, String)>::deserialize(deserializer)?;
        let own = R::describe();
        if role != own {
            let of = role.chars().take(200).collect::<String>();
            return Err(D::Error::custom(format_args!("this is a handle of a {of}, not of a {own}")));
        }
        Ok(Self::new(held, number, name))
    }
}

impl<R: Role> fmt::Debug for Lock<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?})", R::describe(), self.inner.name)
    }
}
