//! One value that any process of the tree can hold.

use std::borrow::Borrow;
use std::marker::PhantomData;

use super::contention::Contention;
use super::error::{Conflict, SharedError, Versioned};
use super::number::{Number, computation};
use super::object::{self, Object, Operation, handle};
use super::store::cell::{Cell, CellOperation, ValueChange};
use super::store::number::How;
use super::store::reply::Version;
use super::watch::{Watch, watch};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;

type Op = CellOperation<Parcel>;

/// One value that any process of the tree can hold: a handle, cheap to clone, and serde data for messages to any actor and
/// arguments of any task. [`Supervisor::value`](crate::Supervisor::value) makes one.
///
/// It lives in its supervisor's process, which executes one operation at a time and knows the value only by its encoding. An
/// operation and its answer are one message each, of at most 16 MiB.
pub struct Value<T> {
    object: Object,
    types: PhantomData<fn() -> T>,
}

handle!(Value<T: Payload>, Cell<Parcel>, "shared value");

impl<T: Payload> Value<T> {
    /// The value.
    pub fn get(&self) -> Operation<T> {
        self.object.ask("get", Ok(Op::Get), object::one)
    }

    /// The value with its version, for [`compare_and_set`](Self::compare_and_set).
    pub fn get_versioned(&self) -> Operation<Versioned<T>> {
        self.object.ask("get", Ok(Op::Get), object::one_versioned)
    }

    /// Replaces the value.
    pub fn set(&self, value: impl Borrow<T>) -> Operation<Version> {
        self.object.ask("set", Parcel::new(value.borrow()).map(Op::Set), object::done)
    }

    /// Replaces the value, and returns the old one.
    pub fn replace(&self, value: impl Borrow<T>) -> Operation<T> {
        self.object.ask("replace", Parcel::new(value.borrow()).map(Op::Replace), object::one)
    }

    /// Replaces the value if it is still of this version; otherwise the answer is the present one.
    pub fn compare_and_set(&self, expected: Version, value: impl Borrow<T>) -> Operation<Result<Version, Conflict<T>>> {
        let operation = Parcel::new(value.borrow()).map(|item| Op::CompareSet { expected, item });
        self.object.ask("compare_and_set", operation, object::compared)
    }

    /// Changes the value by any code, which is run again where another change came in between, and returns it as it is then.
    /// It costs two messages there and back, and one more for each time that others were faster.
    ///
    /// A change comes through only if none other did between its read and its write, so that of many who change it without
    /// a pause one may lose many times. Each waits a little longer after a loss, by chance, and gives up after 200. Where
    /// many change one value all the time, let it be a [`State`](super::State).
    ///
    /// # Errors
    /// [`Contended`](SharedError::Contended) after 200 times; those of any operation.
    ///
    /// # Cancellation
    /// The value is changed or not, and never in part.
    pub fn update<F: FnMut(T) -> T + Send + 'static>(
        &self,
        mut change: F,
    ) -> impl Future<Output = Result<T, SharedError>> + Send + use<T, F> + 'static {
        let value = self.clone();
        async move {
            let mut contention = Contention::default();
            let mut found = value.get_versioned().await?;
            loop {
                let new = change(found.value);
                match value.compare_and_set(found.version, &new).await? {
                    Ok(_) => return Ok(new),
                    Err(Conflict { found: Some(there), .. }) => found = there,
                    Err(_) => return Err(object::unexpected().into()),
                }
                contention.lost().await?;
            }
        }
    }

    /// The changes of the value from now on.
    ///
    /// # Errors
    /// [`TooManyWatchers`](super::Refusal::TooManyWatchers) where it has 1,024; those of any operation.
    pub fn watch(&self) -> impl Future<Output = Result<Watch<ValueChange<T>>, SharedError>> + Send + use<T> + 'static {
        watch(self.object.clone(), |change: ValueChange<Parcel>| Ok(ValueChange(change.0.open()?)))
    }
}

impl<N: Number> Value<N> {
    /// Adds to the number, as one operation, and returns the sum.
    pub fn add(&self, by: N) -> Operation<N> {
        self.object.ask("add", computation(How::Add, by).map(Op::Compute), object::computed)
    }

    /// Makes the number at least this, as one operation, and returns it.
    pub fn max(&self, with: N) -> Operation<N> {
        self.object.ask("max", computation(How::Max, with).map(Op::Compute), object::computed)
    }

    /// Makes the number at most this, as one operation, and returns it.
    pub fn min(&self, with: N) -> Operation<N> {
        self.object.ask("min", computation(How::Min, with).map(Op::Compute), object::computed)
    }
}

impl<T: Payload> Value<Vec<T>> {
    /// Appends to the sequence, as one operation, and returns its length: no append is lost.
    pub fn append(&self, value: impl Borrow<T>) -> Operation<u64> {
        let operation = Parcel::new(value.borrow()).map(|item| Op::Append(vec![item]));
        self.object.ask("append", operation, object::count)
    }
}
