//! A number that any process of the tree can hold.

use std::marker::PhantomData;

use super::error::{Conflict, SharedError};
use super::number::{Number, computation};
use super::object::{self, Object, Operation, handle};
use super::store::cell::{Cell, CellOperation, ValueChange};
use super::store::number::How;
use super::store::reply::Version;
use super::watch::{Watch, watch};
use crate::actor::parcel::Parcel;

type Op = CellOperation<Parcel>;

/// A number that any process of the tree can hold, an `i64` unless it says otherwise: a handle, cheap to clone, and serde
/// data for messages to any actor and arguments of any task. [`Supervisor::counter`](crate::Supervisor::counter) makes one.
///
/// It begins at zero. Every change is one operation, executed whole in the supervisor's process, so that none is lost however
/// many make them. An integer that would wrap is refused with [`Overflow`](super::Refusal::Overflow).
pub struct Counter<N = i64> {
    object: Object,
    types: PhantomData<fn() -> N>,
}

handle!(Counter<N: Number>, Cell<Parcel>, "shared counter");

impl<N: Number> Counter<N> {
    fn compute(&self, name: &'static str, how: How, operand: N) -> Operation<N> {
        self.object.ask(name, computation(how, operand).map(Op::Compute), object::computed)
    }

    /// The number.
    pub fn get(&self) -> Operation<N> {
        self.object.ask("get", Ok(Op::Get), object::one)
    }

    /// Adds, and returns the sum.
    pub fn add(&self, by: N) -> Operation<N> {
        self.compute("add", How::Add, by)
    }

    /// Subtracts, and returns the difference.
    pub fn subtract(&self, by: N) -> Operation<N> {
        self.compute("subtract", How::Subtract, by)
    }

    /// Multiplies, and returns the product.
    pub fn multiply(&self, by: N) -> Operation<N> {
        self.compute("multiply", How::Multiply, by)
    }

    /// Makes it at least this, and returns it.
    pub fn max(&self, with: N) -> Operation<N> {
        self.compute("max", How::Max, with)
    }

    /// Makes it at most this, and returns it.
    pub fn min(&self, with: N) -> Operation<N> {
        self.compute("min", How::Min, with)
    }

    /// Makes it this.
    pub fn set(&self, to: N) -> Operation<Version> {
        self.object.ask("set", Parcel::new(&to).map(Op::Set), object::done)
    }

    /// Makes it this, and returns what it was: a count since the last time, with zero.
    pub fn replace(&self, to: N) -> Operation<N> {
        self.object.ask("replace", Parcel::new(&to).map(Op::Replace), object::one)
    }

    /// Makes it `to` if it is `expected`; otherwise the answer is what it is. Floats are compared by encoding.
    pub fn compare_and_set(&self, expected: N, to: N) -> Operation<Result<Version, Conflict<N>>> {
        let operation =
            Parcel::new(&expected).and_then(|expected| Ok(Op::CompareReplace { expected, item: Parcel::new(&to)? }));
        self.object.ask("compare_and_set", operation, object::compared)
    }

    /// Its changes from now on.
    ///
    /// # Errors
    /// [`TooManyWatchers`](super::Refusal::TooManyWatchers) where it has 1,024; those of any operation.
    pub fn watch(&self) -> impl Future<Output = Result<Watch<ValueChange<N>>, SharedError>> + Send + use<N> + 'static {
        watch(self.object.clone(), |change: ValueChange<Parcel>| Ok(ValueChange(change.0.open()?)))
    }
}
