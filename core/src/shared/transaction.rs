//! Many writes to a dict, all or none.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;

use super::error::Conflict;
use super::number::{Number, computation};
use super::object::{self, Object, Operation};
use super::store::dict::DictOperation;
use super::store::number::How;
use super::store::reply::Version;
use super::store::transaction::{Check, Transaction as Steps, Write};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::wire::codec::EncodeError;

/// Expectations of a [`Dict`](super::Dict) and writes to it, executed as one operation: where all expectations hold and no
/// write is refused, all is written, otherwise nothing. Nobody sees a part of it, and a watcher is told of it at once.
///
/// Writes are executed in their order, and a later one sees the earlier ones. What they write must fit into one message
/// together.
///
/// ```
/// # async fn pay(accounts: procession::shared::Dict<String, i64>) -> procession::Result<()> {
/// let transfer = accounts.transaction().expect_present("bob").subtract("ann", 10).add("bob", 10);
/// if let Err(conflict) = transfer.commit().await? {
///     println!("not paid: {conflict}");
/// }
/// # Ok(()) }
/// ```
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction<K, V> {
    object: Object,
    steps: Result<Steps<Parcel>, EncodeError>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Payload, V: Payload> Transaction<K, V> {
    pub(super) fn new(object: Object) -> Self {
        let steps = Ok(Steps { version: None, checks: Vec::new(), writes: Vec::new() });
        Self { object, steps, types: PhantomData }
    }

    fn check<Q: Serialize + ?Sized>(mut self, key: &Q, check: Result<Check<Parcel>, EncodeError>) -> Self {
        self.steps = self.steps.and_then(|mut steps| {
            steps.checks.push((Parcel::new(key)?, check?));
            Ok(steps)
        });
        self
    }

    fn write<Q: Serialize + ?Sized>(mut self, key: &Q, write: Result<Write<Parcel>, EncodeError>) -> Self {
        self.steps = self.steps.and_then(|mut steps| {
            steps.writes.push((Parcel::new(key)?, write?));
            Ok(steps)
        });
        self
    }

    /// Expects a key to have this version, or nothing, and gives it a value, or nothing.
    pub(super) fn exchange(mut self, key: Parcel, version: Option<Version>, value: Option<&V>) -> Self {
        self.steps = self.steps.and_then(|mut steps| {
            steps.checks.push((key.clone(), version.map_or(Check::Absent, Check::Version)));
            let write = match value {
                Some(value) => Write::Set(Parcel::new(value)?),
                None => Write::Remove,
            };
            steps.writes.push((key, write));
            Ok(steps)
        });
        self
    }

    /// Expects the whole dict to have this version, as a snapshot or a change told it.
    pub fn expect_version(mut self, version: Version) -> Self {
        if let Ok(steps) = &mut self.steps {
            steps.version = Some(version);
        }
        self
    }

    /// Expects a key to have the value of this version.
    pub fn expect<Q: Serialize + ?Sized>(self, key: &Q, version: Version) -> Self
    where
        K: Borrow<Q>,
    {
        self.check(key, Ok(Check::Version(version)))
    }

    /// Expects a key to have a value that is equal to this one, by encoding.
    pub fn expect_equal<Q: Serialize + ?Sized>(self, key: &Q, value: impl Borrow<V>) -> Self
    where
        K: Borrow<Q>,
    {
        self.check(key, Parcel::new(value.borrow()).map(Check::Equal))
    }

    /// Expects a key to have a value.
    pub fn expect_present<Q: Serialize + ?Sized>(self, key: &Q) -> Self
    where
        K: Borrow<Q>,
    {
        self.check(key, Ok(Check::Present))
    }

    /// Expects a key to have none.
    pub fn expect_absent<Q: Serialize + ?Sized>(self, key: &Q) -> Self
    where
        K: Borrow<Q>,
    {
        self.check(key, Ok(Check::Absent))
    }

    /// Gives a key a value.
    pub fn set<Q: Serialize + ?Sized>(self, key: &Q, value: impl Borrow<V>) -> Self
    where
        K: Borrow<Q>,
    {
        self.write(key, Parcel::new(value.borrow()).map(Write::Set))
    }

    /// Takes out a key, if it is there.
    pub fn remove<Q: Serialize + ?Sized>(self, key: &Q) -> Self
    where
        K: Borrow<Q>,
    {
        self.write(key, Ok(Write::Remove))
    }

    /// Executes it: the answer is the dict's version after it, or which expectation failed.
    pub fn commit(self) -> Operation<Result<Version, Conflict<V>>> {
        self.object.ask("transaction", self.steps.map(DictOperation::Transact), object::compared)
    }
}

impl<K: Payload, N: Number> Transaction<K, N> {
    /// Adds to the number of a key. A key that has none gets this one.
    pub fn add<Q: Serialize + ?Sized>(self, key: &Q, by: N) -> Self
    where
        K: Borrow<Q>,
    {
        self.write(key, computation(How::Add, by).map(Write::Compute))
    }

    /// Subtracts from the number of a key; one that has none counts as zero.
    pub fn subtract<Q: Serialize + ?Sized>(self, key: &Q, by: N) -> Self
    where
        K: Borrow<Q>,
    {
        self.write(key, computation(How::Subtract, by).map(Write::Compute))
    }
}

impl<K: Payload, T: Payload> Transaction<K, Vec<T>> {
    /// Appends to the sequence of a key. A key that has none gets one with this element.
    pub fn append_to<Q: Serialize + ?Sized>(self, key: &Q, value: impl Borrow<T>) -> Self
    where
        K: Borrow<Q>,
    {
        self.write(key, Parcel::new(value.borrow()).map(|item| Write::Append(vec![item])))
    }
}

impl<K, V> fmt::Debug for Transaction<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.steps.as_ref().ok();
        let checks = steps.map_or(0, |steps| steps.checks.len());
        let writes = steps.map_or(0, |steps| steps.writes.len());
        f.debug_struct("Transaction").field("expectations", &checks).field("writes", &writes).finish_non_exhaustive()
    }
}
