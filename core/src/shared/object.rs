//! What the handles of all shared objects have in common, and operations under way.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Conflict, SharedError, Versioned};
use super::keeper::{self, Keeper, Kept};
use super::store::refusal::Refusal;
use super::store::reply::{Reply, Row, Version};
use crate::actor::call::{Call, Cast};
use crate::actor::fence::FencingToken;
use crate::actor::held::{Held, SHARED};
use crate::actor::message::{DEFAULT_DEADLINE, Message};
use crate::actor::parcel::Parcel;
use crate::actor::service::protocol;
use crate::error::call::CallError;
use crate::wire::codec::EncodeError;
use crate::wire::ids::TypeHash;

/// A counted reference to a shared object.
#[derive(Clone)]
pub(super) struct Object {
    held: Held<SHARED>,
    /// What the object's values are.
    element: TypeHash,
    token: Option<FencingToken>,
}

/// How a reply becomes what the caller wants.
pub(super) type Open<T> = fn(Reply<Parcel>) -> Result<T, SharedError>;

impl Object {
    pub(super) fn new(held: Held<SHARED>, element: TypeHash) -> Self {
        Self { held, element, token: None }
    }

    /// The same object, written to under a grant of a lock.
    pub(super) fn guarded_by(&self, token: FencingToken) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// An operation. What could not be encoded is told when it is awaited.
    pub(super) fn ask<O: Serialize, T>(
        &self,
        name: &'static str,
        operation: Result<O, EncodeError>,
        open: Open<T>,
    ) -> Operation<T> {
        let message = match operation {
            Ok(operation) => Message::service(name, keeper::OPERATE, &(self.token, operation)),
            Err(error) => Message {
                method: keeper::OPERATE,
                name,
                timeout: Some(DEFAULT_DEADLINE),
                encoded: Err(error),
                kept: Default::default(),
            },
        };
        Operation { call: Call::new(self.held.destination(), message), open, _held: self.held.clone() }
    }

    /// A page of elements.
    pub(super) fn ask_page<O: Serialize>(&self, name: &'static str, operation: &O) -> Call<Reply<Parcel>, Refusal> {
        self.call(name, keeper::OPERATE, &(self.token, operation))
    }

    /// A call of another method of the keeper.
    pub(super) fn call<A: Serialize, T>(&self, name: &'static str, method: u16, arguments: &A) -> Call<T, Refusal> {
        Call::new(self.held.destination(), Message::service(name, method, arguments))
    }

    pub(super) fn held(&self) -> &Held<SHARED> {
        &self.held
    }

    /// Writes a handle, as the part of a message.
    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.held, self.element, self.token).serialize(serializer)
    }

    /// Reads a handle of an object that is kept by `S` and has values of this type.
    pub(super) fn deserialize<'de, S: Kept, D: Deserializer<'de>>(
        deserializer: D,
        element: TypeHash,
        what: fn() -> String,
    ) -> Result<Self, D::Error> {
        let (held, other, token) = <(Held<SHARED>, TypeHash, Option<FencingToken>)>::deserialize(deserializer)?;
        if held.destination().type_hash != protocol::<Keeper<S>>() {
            return Err(D::Error::custom(format_args!("this is not the handle of {}: it is of another kind", what())));
        }
        if other != element {
            return Err(D::Error::custom(format_args!("this is not the handle of {}: its values are others", what())));
        }
        Ok(Self { held, element, token })
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.held == other.held
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.fmt(f)
    }
}

/// An operation on a shared object: a future of its result. It costs one message there and one back.
///
/// Nothing is sent before the first poll. Operations of one process on one object are executed in the order of their first
/// polls, each whole or not at all, and none together with another. So many can be under way at once: poll them with
/// `join!`, a `FuturesUnordered`, or [`forget`](Self::forget) their results.
///
/// It ends at the latest 50 ms after its deadline: 5 s unless [`timeout`](Self::timeout) says otherwise, and never later than
/// the deadline of the message whose handler makes it.
///
/// # Errors
/// [`SharedError`]: the object refused it, or is gone, or the message did not get through.
///
/// # Cancellation
/// Dropped before it is polled, nothing happened. Dropped later, it is executed whole, or not at all where it still waited.
///
/// # Panics
/// It must be polled within a tokio runtime that has its clock enabled.
#[must_use = "an operation is sent when it is awaited"]
pub struct Operation<T> {
    call: Call<Reply<Parcel>, Refusal>,
    open: Open<T>,
    /// The object is needed until it has answered.
    _held: Held<SHARED>,
}

impl<T> Operation<T> {
    /// Sets how long it may take from its first poll on.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call = self.call.timeout(timeout);
        self
    }

    /// Lets it take as long as it takes.
    pub fn no_timeout(mut self) -> Self {
        self.call = self.call.no_timeout();
        self
    }

    /// The same without a result: done when the message was taken into the sending window, so that a caller can write
    /// without a pause. It costs one message. What the object refuses is an event of its supervisor,
    /// [`CastFailed`](crate::Event::CastFailed).
    pub fn forget(self) -> Cast {
        self.call.into_cast()
    }
}

impl<T> Future for Operation<T> {
    type Output = Result<T, SharedError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(Pin::new(&mut self.call).poll(cx));
        Poll::Ready(reply.map_err(SharedError::from).and_then(self.open))
    }
}

impl<T> fmt::Debug for Operation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

/// The two sides do not speak the same.
pub(super) fn unexpected<E>() -> CallError<E> {
    CallError::Version("the shared object does not speak like this build of the program".to_owned())
}

pub(super) fn done(reply: Reply<Parcel>) -> Result<Version, SharedError> {
    match reply {
        Reply::Done(version) | Reply::Put { version, .. } => Ok(version),
        _ => Err(unexpected().into()),
    }
}

pub(super) fn count(reply: Reply<Parcel>) -> Result<u64, SharedError> {
    match reply {
        Reply::Count(count) => Ok(count),
        _ => Err(unexpected().into()),
    }
}

pub(super) fn place(reply: Reply<Parcel>) -> Result<Option<u64>, SharedError> {
    match reply {
        Reply::Place(place) => Ok(place),
        _ => Err(unexpected().into()),
    }
}

pub(super) fn found<T: DeserializeOwned + 'static>(
    found: Option<(Parcel, Version)>,
) -> Result<Option<Versioned<T>>, SharedError> {
    let open = |(parcel, version): (Parcel, Version)| Ok(Versioned { value: parcel.open()?, version });
    found.map(open).transpose()
}

/// A value with its version, if there is one.
pub(super) fn versioned<T: DeserializeOwned + 'static>(
    reply: Reply<Parcel>,
) -> Result<Option<Versioned<T>>, SharedError> {
    match reply {
        Reply::Value(value) => found(value),
        _ => Err(unexpected().into()),
    }
}

/// A value, if there is one.
pub(super) fn value<T: DeserializeOwned + 'static>(reply: Reply<Parcel>) -> Result<Option<T>, SharedError> {
    Ok(versioned(reply)?.map(|found| found.value))
}

/// A value that there must be, with its version.
pub(super) fn one_versioned<T: DeserializeOwned + 'static>(reply: Reply<Parcel>) -> Result<Versioned<T>, SharedError> {
    versioned(reply)?.ok_or_else(|| unexpected().into())
}

/// A value that there must be.
pub(super) fn one<T: DeserializeOwned + 'static>(reply: Reply<Parcel>) -> Result<T, SharedError> {
    Ok(one_versioned(reply)?.value)
}

/// What was put in, or was there.
pub(super) fn put<T: DeserializeOwned + 'static>(reply: Reply<Parcel>) -> Result<(Versioned<T>, bool), SharedError> {
    match reply {
        Reply::Put { value, version, new } => Ok((Versioned { value: value.open()?, version }, new)),
        _ => Err(unexpected().into()),
    }
}

/// A computed value.
pub(super) fn computed<T: DeserializeOwned + 'static>(reply: Reply<Parcel>) -> Result<T, SharedError> {
    Ok(put(reply)?.0.value)
}

/// What was expected, or what there is.
pub(super) fn compared<T: DeserializeOwned + 'static>(
    reply: Reply<Parcel>,
) -> Result<Result<Version, Conflict<T>>, SharedError> {
    match reply {
        Reply::Done(version) => Ok(Ok(version)),
        Reply::Conflict { key, found: there } => Ok(Err(Conflict { expectation: Some(key), found: found(there)? })),
        Reply::Outdated(_) => Ok(Err(Conflict { expectation: None, found: None })),
        _ => Err(unexpected().into()),
    }
}

/// The value of a row.
pub(super) fn row_value<T: DeserializeOwned + 'static>(row: Row<Parcel>) -> Result<T, SharedError> {
    match row.value {
        Some(value) => Ok(value.open()?),
        None => Err(unexpected().into()),
    }
}

/// The key of a row.
pub(super) fn row_key<T: DeserializeOwned + 'static>(row: Row<Parcel>) -> Result<T, SharedError> {
    match row.key {
        Some(key) => Ok(key.open()?),
        None => Err(unexpected().into()),
    }
}

/// Key and value of a row.
pub(super) fn row_item<K: DeserializeOwned + 'static, V: DeserializeOwned + 'static>(
    row: Row<Parcel>,
) -> Result<(K, V), SharedError> {
    match (row.key, row.value) {
        (Some(key), Some(value)) => Ok((key.open()?, value.open()?)),
        _ => Err(unexpected().into()),
    }
}

/// Values that were taken out.
pub(super) fn taken<T: DeserializeOwned + 'static>(reply: Reply<Parcel>) -> Result<Vec<T>, SharedError> {
    match reply {
        Reply::Taken(rows) => rows.into_iter().map(row_value).collect(),
        _ => Err(unexpected().into()),
    }
}

/// Keys and values that were taken out.
pub(super) fn taken_items<K: DeserializeOwned + 'static, V: DeserializeOwned + 'static>(
    reply: Reply<Parcel>,
) -> Result<Vec<(K, V)>, SharedError> {
    match reply {
        Reply::Taken(rows) => rows.into_iter().map(row_item).collect(),
        _ => Err(unexpected().into()),
    }
}

/// What every handle is beside its own operations: cheap to clone, serde data for messages, and guarded by a grant on demand.
macro_rules! handle {
    ($name:ident<$($type:ident: $bound:path),+>, $store:ty, $what:literal) => {
        impl<$($type: $bound),+> $name<$($type),+> {
            /// What its values are.
            pub(in crate::shared) fn element() -> $crate::wire::ids::TypeHash {
                $crate::wire::ids::TypeHash::of(&[$what, $(std::any::type_name::<$type>()),+])
            }

            /// What it is, in words.
            pub(in crate::shared) fn describe() -> String {
                [concat!("a ", $what, " of"), $(std::any::type_name::<$type>()),+].join(" ")
            }

            pub(in crate::shared) fn of(held: $crate::actor::held::Held<{ $crate::actor::held::SHARED }>) -> Self {
                Self { object: $crate::shared::object::Object::new(held, Self::element()), types: PhantomData }
            }

            /// The same object, of which every operation carries the token of a grant: once the grant is over, by a
            /// release, the end of its holder or the end of its lease, the object refuses, with
            /// [`StaleGrant`](crate::shared::Refusal::StaleGrant).
            ///
            /// So a holder that was stopped and comes back cannot write over what its successor has written.
            #[must_use]
            pub fn guarded_by(&self, token: $crate::FencingToken) -> Self {
                Self { object: self.object.guarded_by(token), types: PhantomData }
            }
        }

        impl<$($type),+> Clone for $name<$($type),+> {
            fn clone(&self) -> Self {
                Self { object: self.object.clone(), types: PhantomData }
            }
        }

        impl<$($type),+> PartialEq for $name<$($type),+> {
            fn eq(&self, other: &Self) -> bool {
                self.object == other.object
            }
        }

        impl<$($type),+> Eq for $name<$($type),+> {}

        impl<$($type),+> std::fmt::Debug for $name<$($type),+> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.object).finish()
            }
        }

        impl<$($type),+> serde::Serialize for $name<$($type),+> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.object.serialize(serializer)
            }
        }

        impl<'de, $($type: $bound),+> serde::Deserialize<'de> for $name<$($type),+> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (element, what) = (Self::element(), Self::describe as fn() -> String);
                let object = $crate::shared::object::Object::deserialize::<$store, D>(deserializer, element, what)?;
                Ok(Self { object, types: PhantomData })
            }
        }
    };
}

pub(super) use handle;
