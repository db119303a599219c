//! A list that any process of the tree can hold.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use super::contention::Contention;
use super::error::{Conflict, SharedError, Versioned};
use super::number::{Number, computation};
use super::object::{self, Object, Operation, handle};
use super::snapshot::{self, Pages, Snapshot};
use super::store::list::{At, End, List as Store, ListChange, ListOperation};
use super::store::number::How;
use super::store::reply::Version;
use super::watch::{Watch, watch};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::wire::codec::EncodeError;

type Op = ListOperation<Parcel>;

/// A list that any process of the tree can hold: a handle, cheap to clone, and serde data for messages to any actor and
/// arguments of any task. [`Supervisor::list`](crate::Supervisor::list) makes one.
///
/// The list lives in its supervisor's process, which executes one operation at a time and knows values only by their
/// encoding: two are equal when their encodings are. So `0.0` and `-0.0` are not, a NaN is equal to itself, and hash maps are
/// equal only where they happen to be written in the same order.
///
/// Every write gives an element a version of its own, by which [`compare_and_set`](Self::compare_and_set) knows it again
/// wherever others have moved it. What refers to an index that is not there is refused with
/// [`OutOfRange`](super::Refusal::OutOfRange), which names index and length.
///
/// An operation and its answer are one message each; what does not fit into one (16 MiB) is refused, except by
/// [`snapshot`](Self::snapshot), [`slice`](Self::slice) and [`iter`](Self::iter), which take as many as they need.
pub struct List<T> {
    object: Object,
    types: PhantomData<fn() -> T>,
}

handle!(List<T: Payload>, Store<Parcel>, "shared list");

impl<T: Payload> List<T> {
    /// How many elements it has.
    pub fn len(&self) -> Operation<u64> {
        self.object.ask("len", Ok(Op::Len), object::count)
    }

    /// The element at an index, if there is one.
    pub fn get(&self, index: u64) -> Operation<Option<T>> {
        self.object.ask("get", Ok(Op::Get(At::Index(index))), object::value)
    }

    /// The same with its version, for [`compare_and_set`](Self::compare_and_set).
    pub fn get_versioned(&self, index: u64) -> Operation<Option<Versioned<T>>> {
        self.object.ask("get", Ok(Op::Get(At::Index(index))), object::versioned)
    }

    /// The first element, if there is one.
    pub fn first(&self) -> Operation<Option<T>> {
        self.object.ask("first", Ok(Op::Get(At::First)), object::value)
    }

    /// The last element, if there is one.
    pub fn last(&self) -> Operation<Option<T>> {
        self.object.ask("last", Ok(Op::Get(At::Last)), object::value)
    }

    /// Where the first element is that is equal to this one, by encoding. Takes time with the length of the list.
    pub fn index_of(&self, value: impl Borrow<T>) -> Operation<Option<u64>> {
        self.object.ask("index_of", Parcel::new(value.borrow()).map(Op::Find), object::place)
    }

    /// Whether an element is equal to this one, by encoding. Takes time with the length of the list.
    pub fn contains(&self, value: impl Borrow<T>) -> Operation<bool> {
        let found = |reply| Ok(object::place(reply)?.is_some());
        self.object.ask("contains", Parcel::new(value.borrow()).map(Op::Find), found)
    }

    /// The elements of a range at one moment, in as many messages as they need.
    ///
    /// # Errors
    /// [`OutOfRange`](super::Refusal::OutOfRange) where the list ends before the range does; those of any operation.
    pub fn slice<R: RangeBounds<u64>>(
        &self,
        range: R,
    ) -> impl Future<Output = Result<Snapshot<T>, SharedError>> + Send + use<T, R> + 'static {
        let (start, end) = ends(range);
        let first = self.object.ask("slice", Ok(Op::Slice { start, end }), snapshot::part);
        snapshot::take(self.object.clone(), first, object::row_value)
    }

    /// All elements at one moment, in as many messages as they need: others go on changing the list meanwhile.
    ///
    /// # Errors
    /// Those of any operation.
    pub fn snapshot(&self) -> impl Future<Output = Result<Snapshot<T>, SharedError>> + Send + use<T> + 'static {
        let first = self.object.ask("snapshot", Ok(Op::Slice { start: 0, end: None }), snapshot::part);
        snapshot::take(self.object.clone(), first, object::row_value)
    }

    /// The elements in pages, while others go on changing the list.
    pub fn iter(&self) -> Pages<T> {
        let object = self.object.clone();
        let ask = move |cursor, limit| object.ask_page("page", &Op::Page { cursor, limit });
        Pages::new(ask, object::row_value)
    }

    /// Puts an element at the end.
    pub fn push(&self, value: impl Borrow<T>) -> Operation<Version> {
        self.object.ask("push", Parcel::of(value.borrow()).map(Op::Push), object::done)
    }

    /// Puts many elements at the end: one operation, and one message.
    pub fn extend(&self, values: impl IntoIterator<Item = impl Borrow<T>>) -> Operation<Version> {
        self.object.ask("extend", encode(values).map(Op::Extend), object::done)
    }

    /// Puts an element in front of the one at this index, or at the end where the index is the length.
    pub fn insert(&self, index: u64, value: impl Borrow<T>) -> Operation<Version> {
        self.insert_all(index, [value])
    }

    /// Puts many elements in front of the one at this index: one operation.
    pub fn insert_all(&self, index: u64, values: impl IntoIterator<Item = impl Borrow<T>>) -> Operation<Version> {
        let operation = encode(values).map(|items| Op::Insert { index, items });
        self.object.ask("insert", operation, object::done)
    }

    /// Replaces the element at an index.
    pub fn set(&self, index: u64, value: impl Borrow<T>) -> Operation<Version> {
        let operation = Parcel::new(value.borrow()).map(|item| Op::Set { index, item });
        self.object.ask("set", operation, object::done)
    }

    /// Replaces the element at an index if it is still the one of this version; otherwise the answer is what there is.
    pub fn compare_and_set(
        &self,
        index: u64,
        expected: Version,
        value: impl Borrow<T>,
    ) -> Operation<Result<Version, Conflict<T>>> {
        let operation = Parcel::new(value.borrow()).map(|item| Op::CompareSet { index, expected, item });
        self.object.ask("compare_and_set", operation, object::compared)
    }

    /// Changes the element at an index by any code, which is run again where another change came in between, and returns it
    /// as it is then. It costs two messages there and back, and one more for each time that others were faster.
    ///
    /// # Errors
    /// [`Contended`](SharedError::Contended) after 200 times; those of any operation.
    ///
    /// # Cancellation
    /// The element is changed or not, and never in part.
    pub fn update<F: FnMut(T) -> T + Send + 'static>(
        &self,
        index: u64,
        mut change: F,
    ) -> impl Future<Output = Result<T, SharedError>> + Send + use<T, F> + 'static {
        let list = self.clone();
        async move {
            let mut contention = Contention::default();
            let mut found = list.get_versioned(index).await?;
            loop {
                let Some(Versioned { value, version }) = found else {
                    let len = list.len().await?;
                    return Err(super::Refusal::OutOfRange { index, len }.into());
                };
                let value = change(value);
                match list.compare_and_set(index, version, &value).await? {
                    Ok(_) => return Ok(value),
                    Err(conflict) => found = conflict.found,
                }
                contention.lost().await?;
            }
        }
    }

    /// Takes out the element at an index.
    pub fn remove(&self, index: u64) -> Operation<T> {
        let open = |reply| object::taken(reply)?.pop().ok_or_else(|| object::unexpected().into());
        self.object.ask("remove", Ok(Op::Remove(index)), open)
    }

    /// Takes out the first element that is equal to this one, by encoding, and says where it was, if there was one.
    pub fn remove_value(&self, value: impl Borrow<T>) -> Operation<Option<u64>> {
        self.object.ask("remove_value", Parcel::new(value.borrow()).map(Op::RemoveItem), object::place)
    }

    /// Takes out the elements of a range, and says how many they were.
    pub fn remove_range(&self, range: impl RangeBounds<u64>) -> Operation<u64> {
        let (start, end) = ends(range);
        self.object.ask("remove_range", Ok(Op::RemoveRange { start, end }), object::count)
    }

    /// Takes out the last element, if there is one.
    ///
    /// # Cancellation
    /// Where the future is dropped under way, the element may be gone with it, as with everything that takes something out: a
    /// [queue](crate::queue) hands things over.
    pub fn pop(&self) -> Operation<Option<T>> {
        self.object.ask("pop", Ok(Op::Take { end: End::Last, limit: 1 }), |reply| Ok(object::taken(reply)?.pop()))
    }

    /// Takes out the first element, if there is one.
    pub fn pop_front(&self) -> Operation<Option<T>> {
        let operation = Op::Take { end: End::First, limit: 1 };
        self.object.ask("pop_front", Ok(operation), |reply| Ok(object::taken(reply)?.pop()))
    }

    /// Takes out so many of the first elements, fewer where there are fewer, or where they are more than half a MiB.
    pub fn take(&self, limit: u64) -> Operation<Vec<T>> {
        self.object.ask("take", Ok(Op::Take { end: End::First, limit }), object::taken)
    }

    /// Takes out all elements, and says how many they were.
    pub fn clear(&self) -> Operation<u64> {
        self.object.ask("clear", Ok(Op::Clear), object::count)
    }

    /// Turns the order round.
    pub fn reverse(&self) -> Operation<Version> {
        self.object.ask("reverse", Ok(Op::Reverse), object::done)
    }

    /// Puts these in the place of all elements.
    pub fn replace_all(&self, values: impl IntoIterator<Item = impl Borrow<T>>) -> Operation<Version> {
        let operation = encode(values).map(|items| Op::Replace { expected: None, items });
        self.object.ask("replace_all", operation, object::done)
    }

    /// Changes the whole list by any code, such as a sort, which is run again where another change came in between. It costs
    /// a snapshot and a message with all elements, at most 16 MiB, each time.
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub fn update_all<F: FnMut(&mut Vec<T>) + Send + 'static>(
        &self,
        mut change: F,
    ) -> impl Future<Output = Result<Version, SharedError>> + Send + use<T, F> + 'static {
        let list = self.clone();
        async move {
            let mut contention = Contention::default();
            loop {
                let Snapshot { version, mut values } = list.snapshot().await?;
                change(&mut values);
                let operation = encode(values).map(|items| Op::Replace { expected: Some(version), items });
                let done = list.object.ask("replace_all", operation, object::compared::<T>);
                if let Ok(version) = done.await? {
                    return Ok(version);
                }
                contention.lost().await?;
            }
        }
    }

    /// The changes of the list from now on.
    ///
    /// # Errors
    /// [`TooManyWatchers`](super::Refusal::TooManyWatchers) where it has 1,024; those of any operation.
    pub fn watch(&self) -> impl Future<Output = Result<Watch<ListChange<T>>, SharedError>> + Send + use<T> + 'static {
        watch(self.object.clone(), |change: ListChange<Parcel>| change.try_map(|value| Ok(value.open()?)))
    }
}

impl<N: Number> List<N> {
    fn compute(&self, name: &'static str, how: How, index: u64, operand: N) -> Operation<N> {
        let operation = computation(how, operand).map(|computation| Op::Compute { index, computation });
        self.object.ask(name, operation, object::computed)
    }

    /// Adds to the number at an index, as one operation, and returns the sum.
    pub fn add(&self, index: u64, by: N) -> Operation<N> {
        self.compute("add", How::Add, index, by)
    }

    /// Makes the number at an index at least this, as one operation, and returns it.
    pub fn max(&self, index: u64, with: N) -> Operation<N> {
        self.compute("max", How::Max, index, with)
    }

    /// Makes the number at an index at most this, as one operation, and returns it.
    pub fn min(&self, index: u64, with: N) -> Operation<N> {
        self.compute("min", How::Min, index, with)
    }
}

impl<T: Payload> List<Vec<T>> {
    /// Appends to the sequence at an index, as one operation, and returns the sequence's length: no append is lost.
    pub fn append_to(&self, index: u64, value: impl Borrow<T>) -> Operation<u64> {
        let operation = Parcel::new(value.borrow()).map(|item| Op::Append { index, items: vec![item] });
        self.object.ask("append_to", operation, object::count)
    }
}

fn encode<T: Payload>(values: impl IntoIterator<Item = impl Borrow<T>>) -> Result<Vec<Parcel>, EncodeError> {
    values.into_iter().map(|value| Parcel::new(value.borrow())).collect()
}

/// Where a range begins, and where it ends; nowhere is the end of the list.
fn ends(range: impl RangeBounds<u64>) -> (u64, Option<u64>) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => Some(last.saturating_add(1)),
        Bound::Excluded(end) => Some(*end),
        Bound::Unbounded => None,
    };
    (start, end)
}
