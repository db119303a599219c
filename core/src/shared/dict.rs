//! A dict that any process of the tree can hold.

use std::borrow::Borrow;
use std::marker::PhantomData;

use serde::Serialize;

use super::contention::Contention;
use super::error::{Conflict, SharedError, Versioned};
use super::number::{Number, computation};
use super::object::{self, Object, Operation, handle};
use super::snapshot::{self, OpenRow, Pages, Snapshot};
use super::store::dict::{Columns, Dict as Store, DictChange, DictOperation};
use super::store::list::End;
use super::store::number::How;
use super::store::reply::{Reply, Version};
use super::transaction::Transaction;
use super::watch::{Watch, watch};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::wire::codec::EncodeError;

type Op = DictOperation<Parcel>;

/// Keys and values that any process of the tree can hold, in the order in which the keys were put in: a handle, cheap to
/// clone, and serde data for messages to any actor and arguments of any task.
/// [`Supervisor::dict`](crate::Supervisor::dict) makes one.
///
/// The dict lives in its supervisor's process, which executes one operation at a time and knows keys and values only by their
/// encoding: two keys are equal when their encodings are. So of floats, `0.0` and `-0.0` are two keys, and a NaN is equal to
/// itself; maps and sets whose order is by chance, such as a `HashMap`, are no keys to rely on, where a `BTreeMap` is.
///
/// A key is asked for by whatever it borrows as, as with a `HashMap`: `dict.get("name")` where keys are `String`s.
///
/// Values inside of values are changed where they are: [`append_to`](Self::append_to) a `Vec`, [`add`](Self::add) to a number,
/// or [`update`](Self::update) by any code; or let the values be handles themselves, as in `Dict<String, List<u64>>`: while
/// one is stored here, it counts as held.
///
/// An operation and its answer are one message each; what does not fit into one (16 MiB) is refused, except by the
/// [`snapshot`](Self::snapshot) and the pages of [`keys`](Self::keys), [`values`](Self::values) and [`items`](Self::items),
/// which take as many as they need.
pub struct Dict<K, V> {
    object: Object,
    types: PhantomData<fn() -> (K, V)>,
}

handle!(Dict<K: Payload, V: Payload>, Store<Parcel>, "shared dict");

impl<K: Payload, V: Payload> Dict<K, V> {
    /// How many keys it has.
    pub fn len(&self) -> Operation<u64> {
        self.object.ask("len", Ok(Op::Len), object::count)
    }

    /// The value of a key, if it has one.
    pub fn get<Q: Serialize + ?Sized>(&self, key: &Q) -> Operation<Option<V>>
    where
        K: Borrow<Q>,
    {
        self.object.ask("get", Parcel::new(key).map(Op::Get), object::value)
    }

    /// The same with its version, for [`compare_and_set`](Self::compare_and_set).
    pub fn get_versioned<Q: Serialize + ?Sized>(&self, key: &Q) -> Operation<Option<Versioned<V>>>
    where
        K: Borrow<Q>,
    {
        self.object.ask("get", Parcel::new(key).map(Op::Get), object::versioned)
    }

    /// The values of many keys at one moment, in the order in which the keys are given.
    pub fn get_many<'a, Q: Serialize + ?Sized + 'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Q>,
    ) -> Operation<Vec<Option<Versioned<V>>>>
    where
        K: Borrow<Q>,
    {
        self.object.ask("get_many", encode_keys(keys).map(Op::GetMany), values)
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Serialize + ?Sized>(&self, key: &Q) -> Operation<bool>
    where
        K: Borrow<Q>,
    {
        self.object.ask("contains_key", Parcel::new(key).map(Op::Contains), |reply| Ok(object::count(reply)? > 0))
    }

    /// Gives a key a value, and returns the one that it had.
    pub fn insert<Q: Serialize + ?Sized>(&self, key: &Q, value: impl Borrow<V>) -> Operation<Option<V>>
    where
        K: Borrow<Q>,
    {
        let operation = encode::<V>(key, value.borrow()).map(|(key, item)| Op::Insert { key, item });
        self.object.ask("insert", operation, object::value)
    }

    /// Gives a key a value; the one that it had is not sent back.
    pub fn set<Q: Serialize + ?Sized>(&self, key: &Q, value: impl Borrow<V>) -> Operation<Version>
    where
        K: Borrow<Q>,
    {
        let operation = encode::<V>(key, value.borrow()).map(|(key, item)| Op::Set { key, item });
        self.object.ask("set", operation, object::done)
    }

    /// The value of a key; where it has none, it gets this one first.
    pub fn get_or_insert<Q: Serialize + ?Sized>(&self, key: &Q, value: impl Borrow<V>) -> Operation<V>
    where
        K: Borrow<Q>,
    {
        let operation = encode::<V>(key, value.borrow()).map(|(key, item)| Op::GetOrInsert { key, item });
        self.object.ask("get_or_insert", operation, object::computed)
    }

    /// Gives a key a value if what it has is still of this version, or, with `None`, if it has none; otherwise the answer is
    /// what it has.
    pub fn compare_and_set<Q: Serialize + ?Sized>(
        &self,
        key: &Q,
        expected: Option<Version>,
        value: impl Borrow<V>,
    ) -> Operation<Result<Version, Conflict<V>>>
    where
        K: Borrow<Q>,
    {
        let encoded = encode::<V>(key, value.borrow());
        let operation = encoded.map(|(key, item)| Op::CompareSet { key, expected, item: Some(item) });
        self.object.ask("compare_and_set", operation, object::compared)
    }

    /// Takes out a key if its value is still of this version; otherwise the answer is what it has.
    pub fn compare_and_remove<Q: Serialize + ?Sized>(
        &self,
        key: &Q,
        expected: Version,
    ) -> Operation<Result<Version, Conflict<V>>>
    where
        K: Borrow<Q>,
    {
        let operation = Parcel::new(key).map(|key| Op::CompareSet { key, expected: Some(expected), item: None });
        self.object.ask("compare_and_remove", operation, object::compared)
    }

    /// Changes the value of a key by any code, which is given what there is, if there is anything, and says what there is to
    /// be, if anything; it is run again where another change came in between. It costs two messages there and back, and one
    /// more for each time that others were faster. Returns the value as it is then.
    ///
    /// ```
    /// # async fn count(words: procession::shared::Dict<String, u64>) -> procession::Result<()> {
    /// words.update("word", |count| Some(count.unwrap_or(0) + 1)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Contended`](SharedError::Contended) after 200 times; those of any operation.
    ///
    /// # Cancellation
    /// The value is changed or not, and never in part.
    pub fn update<Q: Serialize + ?Sized, F>(
        &self,
        key: &Q,
        mut change: F,
    ) -> impl Future<Output = Result<Option<V>, SharedError>> + Send + use<K, V, Q, F> + 'static
    where
        K: Borrow<Q>,
        F: FnMut(Option<V>) -> Option<V> + Send + 'static,
    {
        let (object, key) = (self.object.clone(), Parcel::new(key));
        async move {
            let mut contention = Contention::default();
            let get: Operation<Option<Versioned<V>>> =
                object.ask("update", key.clone().map(Op::Get), object::versioned);
            let mut found = get.await?;
            // What was encoded once is encoded again.
            let Ok(key) = key else { return Err(object::unexpected().into()) };
            loop {
                let (old, expected) = found.map(|found| (found.value, found.version)).unzip();
                let new = change(old);
                let item = new.as_ref().map(Parcel::new).transpose();
                let operation = item.map(|item| Op::CompareSet { key: key.clone(), expected, item });
                match object.ask("update", operation, object::compared).await? {
                    Ok(_) => return Ok(new),
                    Err(conflict) => found = conflict.found,
                }
                contention.lost().await?;
            }
        }
    }

    /// Takes out a key, and returns its value, if it had one.
    pub fn remove<Q: Serialize + ?Sized>(&self, key: &Q) -> Operation<Option<V>>
    where
        K: Borrow<Q>,
    {
        self.object.ask("remove", Parcel::new(key).map(Op::Remove), object::value)
    }

    /// Takes out many keys: one operation. Returns how many of them there were.
    pub fn remove_many<'a, Q: Serialize + ?Sized + 'a>(&self, keys: impl IntoIterator<Item = &'a Q>) -> Operation<u64>
    where
        K: Borrow<Q>,
    {
        self.object.ask("remove_many", encode_keys(keys).map(Op::RemoveMany), object::count)
    }

    /// Takes out the key that was put in first, with its value, if there is one.
    ///
    /// # Cancellation
    /// Where the future is dropped under way, they may be gone with it, as with everything that takes something out: a
    /// [queue](crate::queue) hands things over.
    pub fn pop_first(&self) -> Operation<Option<(K, V)>> {
        let operation = Op::Take { end: End::First, limit: 1 };
        self.object.ask("pop_first", Ok(operation), |reply| Ok(object::taken_items(reply)?.pop()))
    }

    /// Takes out the key that was put in last, with its value, if there is one.
    pub fn pop_last(&self) -> Operation<Option<(K, V)>> {
        let operation = Op::Take { end: End::Last, limit: 1 };
        self.object.ask("pop_last", Ok(operation), |reply| Ok(object::taken_items(reply)?.pop()))
    }

    /// Gives many keys their values: one operation, and one message. Returns how many of the keys are new.
    pub fn merge(&self, items: impl IntoIterator<Item = (impl Borrow<K>, impl Borrow<V>)>) -> Operation<u64> {
        let pairs = items.into_iter().map(|(key, value)| encode::<V>(key.borrow(), value.borrow()));
        let operation = pairs.collect::<Result<Vec<_>, _>>().map(Op::Merge);
        self.object.ask("merge", operation, object::count)
    }

    /// Takes out all keys, and says how many they were.
    pub fn clear(&self) -> Operation<u64> {
        self.object.ask("clear", Ok(Op::Clear), object::count)
    }

    /// The keys in pages, while others go on changing the dict.
    pub fn keys(&self) -> Pages<K> {
        self.pages(Columns::Keys, object::row_key)
    }

    /// The values in pages, while others go on changing the dict.
    pub fn values(&self) -> Pages<V> {
        self.pages(Columns::Values, object::row_value)
    }

    /// Keys and values in pages, while others go on changing the dict.
    pub fn items(&self) -> Pages<(K, V)> {
        self.pages(Columns::Items, object::row_item)
    }

    fn pages<T>(&self, columns: Columns, open: OpenRow<T>) -> Pages<T> {
        let object = self.object.clone();
        Pages::new(move |cursor, limit| object.ask_page("page", &Op::Page { columns, cursor, limit }), open)
    }

    /// All keys and values at one moment, in as many messages as they need: others go on changing the dict meanwhile.
    ///
    /// # Errors
    /// Those of any operation.
    pub fn snapshot(&self) -> impl Future<Output = Result<Snapshot<(K, V)>, SharedError>> + Send + use<K, V> + 'static {
        let first = self.object.ask("snapshot", Ok(Op::Snapshot(Columns::Items)), snapshot::part);
        snapshot::take(self.object.clone(), first, object::row_item)
    }

    /// Many expectations and writes, to be done all or not at all.
    pub fn transaction(&self) -> Transaction<K, V> {
        Transaction::new(self.object.clone())
    }

    /// Changes the values of many keys by any code, all or none. It is given what they have at one moment, if they have
    /// anything, in the order of the keys, and leaves there what they are to have; it is run again where another change came
    /// in between. Where it returns an error, nothing is changed. It costs two messages there and back each time.
    ///
    /// ```
    /// # async fn pay(accounts: procession::shared::Dict<String, i64>) -> procession::Result<()> {
    /// let paid = accounts.transact(["ann", "bob"], |balances| match balances {
    ///     [Some(ann), Some(bob)] if *ann >= 10 => {
    ///         *ann -= 10;
    ///         *bob += 10;
    ///         Ok(*ann)
    ///     }
    ///     _ => Err("no money"),
    /// });
    /// println!("ann has {:?} left", paid.await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub fn transact<'a, Q: Serialize + ?Sized + 'a, I, F, R, E>(
        &self,
        keys: I,
        mut change: F,
    ) -> impl Future<Output = Result<Result<R, E>, SharedError>> + Send + use<K, V, Q, I, F, R, E> + 'static
    where
        K: Borrow<Q>,
        I: IntoIterator<Item = &'a Q>,
        F: FnMut(&mut [Option<V>]) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let (object, keys) = (self.object.clone(), encode_keys(keys));
        async move {
            let mut contention = Contention::default();
            loop {
                let get: Operation<Vec<Option<Versioned<V>>>> =
                    object.ask("transact", keys.clone().map(Op::GetMany), values);
                let found = get.await?;
                let Ok(keys) = &keys else { return Err(object::unexpected().into()) };
                let versions: Vec<Option<Version>> =
                    found.iter().map(|found| found.as_ref().map(|found| found.version)).collect();
                let mut values: Vec<Option<V>> = found.into_iter().map(|found| Some(found?.value)).collect();
                let result = match change(&mut values) {
                    Ok(result) => result,
                    Err(error) => return Ok(Err(error)),
                };
                let mut transaction = Transaction::<K, V>::new(object.clone());
                for ((key, version), value) in keys.iter().zip(versions).zip(&values) {
                    transaction = transaction.exchange(key.clone(), version, value.as_ref());
                }
                if transaction.commit().await?.is_ok() {
                    return Ok(Ok(result));
                }
                contention.lost().await?;
            }
        }
    }

    /// The changes of the dict from now on.
    ///
    /// # Errors
    /// [`TooManyWatchers`](super::Refusal::TooManyWatchers) where it has 1,024; those of any operation.
    pub fn watch(
        &self,
    ) -> impl Future<Output = Result<Watch<DictChange<K, V>>, SharedError>> + Send + use<K, V> + 'static {
        watch(self.object.clone(), |change: DictChange<Parcel, Parcel>| {
            change.try_map(|key| Ok(key.open()?), |value| Ok(value.open()?))
        })
    }
}

impl<K: Payload, N: Number> Dict<K, N> {
    fn compute<Q: Serialize + ?Sized>(&self, name: &'static str, how: How, key: &Q, operand: N) -> Operation<N> {
        let operation = Parcel::new(key).and_then(|key| {
            let computation = computation(how, operand)?;
            Ok(Op::Compute { key, computation })
        });
        self.object.ask(name, operation, object::computed)
    }

    /// Adds to the number of a key, as one operation, and returns the sum. A key that has none gets this one.
    pub fn add<Q: Serialize + ?Sized>(&self, key: &Q, by: N) -> Operation<N>
    where
        K: Borrow<Q>,
    {
        self.compute("add", How::Add, key, by)
    }

    /// Makes the number of a key at least this, as one operation, and returns it. A key that has none gets this one.
    pub fn max<Q: Serialize + ?Sized>(&self, key: &Q, with: N) -> Operation<N>
    where
        K: Borrow<Q>,
    {
        self.compute("max", How::Max, key, with)
    }

    /// Makes the number of a key at most this, as one operation, and returns it. A key that has none gets this one.
    pub fn min<Q: Serialize + ?Sized>(&self, key: &Q, with: N) -> Operation<N>
    where
        K: Borrow<Q>,
    {
        self.compute("min", How::Min, key, with)
    }
}

impl<K: Payload, T: Payload> Dict<K, Vec<T>> {
    /// Appends to the sequence of a key, as one operation, and returns the sequence's length: no append is lost. A key that
    /// has none gets one with this element.
    ///
    /// The sequence is copied each time; for long ones let the values be [`List`](super::List)s.
    pub fn append_to<Q: Serialize + ?Sized>(&self, key: &Q, value: impl Borrow<T>) -> Operation<u64>
    where
        K: Borrow<Q>,
    {
        self.extend_at(key, [value])
    }

    /// Appends many elements to the sequence of a key: one operation.
    pub fn extend_at<Q: Serialize + ?Sized>(
        &self,
        key: &Q,
        values: impl IntoIterator<Item = impl Borrow<T>>,
    ) -> Operation<u64>
    where
        K: Borrow<Q>,
    {
        let items = values.into_iter().map(|value| Parcel::new(value.borrow())).collect::<Result<Vec<_>, _>>();
        let operation = items.and_then(|items| Ok(Op::Append { key: Parcel::new(key)?, items }));
        self.object.ask("append_to", operation, object::count)
    }
}

fn values<V: Payload>(reply: Reply<Parcel>) -> Result<Vec<Option<Versioned<V>>>, SharedError> {
    match reply {
        Reply::Values { values, .. } => values.into_iter().map(object::found).collect(),
        _ => Err(object::unexpected().into()),
    }
}

fn encode<V: Payload>(key: &(impl Serialize + ?Sized), value: &V) -> Result<(Parcel, Parcel), EncodeError> {
    Ok((Parcel::new(key)?, Parcel::new(value)?))
}

fn encode_keys<'a, Q: Serialize + ?Sized + 'a>(
    keys: impl IntoIterator<Item = &'a Q>,
) -> Result<Vec<Parcel>, EncodeError> {
    keys.into_iter().map(Parcel::new).collect()
}
