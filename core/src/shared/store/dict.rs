//! A dict of encoded keys and values, in the order in which the keys were put in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::bounds::{Bounds, WhenFull};
use super::item::{self, Item, Key, Weight};
use super::list::End;
use super::log::Log;
use super::number::Computation;
use super::refusal::Refusal;
use super::reply::{Cursor, Reply, Row, Version};
use super::transaction::{Staged, Transaction};
use super::{Change, Store};

/// What a dict can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::shared) enum DictOperation<I> {
    Len,
    Get(I),
    GetMany(Vec<I>),
    Contains(I),
    Page { columns: Columns, cursor: Cursor, limit: u32 },
    Snapshot(Columns),
    Set { key: I, item: I },
    Insert { key: I, item: I },
    GetOrInsert { key: I, item: I },
    CompareSet { key: I, expected: Option<Version>, item: Option<I> },
    Remove(I),
    RemoveMany(Vec<I>),
    Take { end: End, limit: u64 },
    Merge(Vec<(I, I)>),
    Clear,
    Compute { key: I, computation: Computation<I> },
    Append { key: I, items: Vec<I> },
    Transact(Transaction<I>),
}

/// What of each entry is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) enum Columns {
    Keys,
    Values,
    Items,
}

/// One change of a dict. Applied in order to a snapshot, the changes after it give each later state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DictChange<K, V> {
    /// A key has this value now.
    Set {
        /// The key.
        key: K,
        /// Its value.
        value: V,
    },
    /// A key was taken out.
    Removed {
        /// The key.
        key: K,
    },
    /// All keys were taken out.
    Cleared,
}

/// The state of a dict.
#[derive(Debug)]
pub(in crate::shared) struct Dict<I> {
    /// By number: a key that is put in gets the next one and keeps it until it is taken out.
    entries: BTreeMap<u64, Entry<I>>,
    numbers: HashMap<Key<I>, u64>,
    number: u64,
    bytes: u64,
    version: Version,
    bounds: Bounds,
}

#[derive(Debug)]
struct Entry<I> {
    key: I,
    item: I,
    version: Version,
}

impl<I: Item> Dict<I> {
    pub(in crate::shared) fn new(bounds: Bounds) -> Self {
        Self { entries: BTreeMap::new(), numbers: HashMap::new(), number: 0, bytes: 0, version: Version(0), bounds }
    }

    fn entry(&self, key: &Key<I>) -> Option<&Entry<I>> {
        self.entries.get(self.numbers.get(key)?)
    }

    pub(super) fn get(&self, key: &Key<I>) -> Option<&I> {
        self.entry(key).map(|entry| &entry.item)
    }

    pub(super) fn versioned(&self, key: &Key<I>) -> Option<(I, Version)> {
        self.entry(key).map(|entry| (entry.item.clone(), entry.version))
    }

    /// Executes writes, whole or not at all; of each key there is one.
    pub(super) fn commit(
        &mut self,
        writes: Vec<(Key<I>, Option<I>)>,
        log: &mut Log<DictChange<I, I>>,
    ) -> Result<Version, Refusal> {
        let (mut len, mut bytes, mut grows) = (self.entries.len() as u64, self.bytes, false);
        for (key, item) in &writes {
            if let Some(entry) = self.entry(key) {
                len -= 1;
                bytes -= entry.size();
            }
            if let Some(item) = item {
                len += 1;
                bytes += key.0.size() + item.size();
                grows = true;
            }
        }
        // Watchers are told of all of them in one message.
        item::check(writes.iter().flat_map(|(key, item)| item.iter().chain([&key.0])))?;
        if grows && !self.bounds.hold(len, bytes) {
            for key in self.make_room(&writes, len, bytes)? {
                self.write(key.clone(), None);
                log.note(self.version, || vec![DictChange::Removed { key: key.0 }]);
            }
        }
        let mut changes = Vec::new();
        let watched = log.is_watched();
        for (key, item) in writes {
            let change = watched.then(|| match &item {
                Some(item) => DictChange::Set { key: key.0.clone(), value: item.clone() },
                None => DictChange::Removed { key: key.0.clone() },
            });
            if self.write(key, item) {
                changes.extend(change);
            }
        }
        if !changes.is_empty() {
            log.note(self.version, || changes);
        }
        Ok(self.version)
    }

    /// The oldest keys that have to go for what is to be written.
    fn make_room(&self, writes: &[(Key<I>, Option<I>)], len: u64, bytes: u64) -> Result<Vec<Key<I>>, Refusal> {
        let refused = self.bounds.full(len, bytes);
        if self.bounds.when_full == WhenFull::Refuse {
            return Err(refused);
        }
        let written: HashSet<u64> = writes.iter().filter_map(|(key, _)| self.numbers.get(key).copied()).collect();
        let (mut len, mut bytes, mut oldest) = (len, bytes, Vec::new());
        for (number, entry) in &self.entries {
            if self.bounds.hold(len, bytes) {
                break;
            }
            if !written.contains(number) {
                len -= 1;
                bytes -= entry.size();
                oldest.push(Key(entry.key.clone()));
            }
        }
        if self.bounds.hold(len, bytes) { Ok(oldest) } else { Err(refused) }
    }

    /// Writes one key; false where nothing has changed.
    fn write(&mut self, key: Key<I>, item: Option<I>) -> bool {
        let Some(item) = item else {
            let Some(number) = self.numbers.remove(&key) else { return false };
            if let Some(entry) = self.entries.remove(&number) {
                self.bytes -= entry.size();
            }
            self.version.advance();
            return true;
        };
        let version = self.version.advance();
        self.bytes += item.size();
        match self.numbers.get(&key).and_then(|number| self.entries.get_mut(number)) {
            Some(entry) => {
                self.bytes -= entry.item.size();
                entry.item = item;
                entry.version = version;
            }
            None => {
                self.number += 1;
                self.bytes += key.0.size();
                self.entries.insert(self.number, Entry { key: key.0.clone(), item, version });
                self.numbers.insert(key, self.number);
            }
        }
        true
    }

    fn page(&self, columns: Columns, cursor: Cursor, limit: u32) -> Reply<I> {
        let unseen = || self.entries.range((Bound::Excluded(cursor.at), Bound::Unbounded));
        let wanted = unseen().take(limit.max(1) as usize);
        let count = item::part(wanted.map(|(_, entry)| entry.row(columns).weight()));
        let mut rows = Vec::with_capacity(count);
        let mut at = cursor.at;
        for (number, entry) in unseen().take(count) {
            rows.push(entry.row(columns));
            at = *number;
        }
        let more = self.entries.range((Bound::Excluded(at), Bound::Unbounded)).next().is_some();
        let next = more.then_some(Cursor { version: self.version, at });
        Reply::Page { rows, next, version: self.version }
    }

    fn get_many(&self, keys: Vec<I>) -> Result<Reply<I>, Refusal> {
        let values: Vec<_> = keys.into_iter().map(|key| self.versioned(&Key(key))).collect();
        let weight: Weight = values.iter().flatten().map(|(item, _)| item.weight()).sum();
        weight.check()?;
        Ok(Reply::Values { values, version: self.version })
    }

    fn compare_set(
        &mut self,
        key: I,
        expected: Option<Version>,
        item: Option<I>,
        log: &mut Log<DictChange<I, I>>,
    ) -> Result<Reply<I>, Refusal> {
        let key = Key(key);
        let found = self.entry(&key).map(|entry| entry.version);
        if found != expected {
            return Ok(Reply::Conflict { key: 0, found: self.versioned(&key) });
        }
        self.commit(vec![(key, item)], log).map(Reply::Done)
    }

    fn take(&mut self, end: End, limit: u64, log: &mut Log<DictChange<I, I>>) -> Result<Reply<I>, Refusal> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let row = |entry: &Entry<I>| entry.row(Columns::Items);
        let rows: Vec<Row<I>> = match end {
            End::First => {
                let count = item::part(self.entries.values().take(limit).map(|entry| row(entry).weight()));
                self.entries.values().take(count).map(row).collect()
            }
            End::Last => {
                let count = item::part(self.entries.values().rev().take(limit).map(|entry| row(entry).weight()));
                self.entries.values().rev().take(count).map(row).collect()
            }
        };
        let keys = rows.iter().filter_map(|row| row.key.clone());
        self.commit(keys.map(|key| (Key(key), None)).collect(), log)?;
        Ok(Reply::Taken(rows))
    }

    fn remove_many(&mut self, keys: Vec<I>, log: &mut Log<DictChange<I, I>>) -> Result<Reply<I>, Refusal> {
        let before = self.entries.len();
        let mut staged = Staged::new();
        for key in keys {
            staged.put(Key(key), None);
        }
        self.commit(staged.into_writes(), log)?;
        Ok(Reply::Count((before - self.entries.len()) as u64))
    }

    fn merge(&mut self, pairs: Vec<(I, I)>, log: &mut Log<DictChange<I, I>>) -> Result<Reply<I>, Refusal> {
        let mut staged = Staged::new();
        let mut new = 0;
        for (key, item) in pairs {
            let key = Key(key);
            new += u64::from(staged.get(self, &key).is_none());
            staged.put(key, Some(item));
        }
        self.commit(staged.into_writes(), log)?;
        Ok(Reply::Count(new))
    }

    fn clear(&mut self, log: &mut Log<DictChange<I, I>>) -> Reply<I> {
        let count = self.entries.len() as u64;
        if count > 0 {
            self.entries.clear();
            self.numbers.clear();
            self.bytes = 0;
            self.version.advance();
            log.note(self.version, || vec![DictChange::Cleared]);
        }
        Reply::Count(count)
    }
}

impl<I: Item> Entry<I> {
    fn size(&self) -> u64 {
        self.key.size() + self.item.size()
    }

    fn row(&self, columns: Columns) -> Row<I> {
        Row {
            key: (columns != Columns::Values).then(|| self.key.clone()),
            value: (columns != Columns::Keys).then(|| self.item.clone()),
            version: self.version,
        }
    }
}

impl<I: Item> Store for Dict<I> {
    type Item = I;
    type Operation = DictOperation<I>;
    type Change = DictChange<I, I>;

    fn apply(&mut self, operation: DictOperation<I>, log: &mut Log<DictChange<I, I>>) -> Result<Reply<I>, Refusal> {
        Ok(match operation {
            DictOperation::Len => Reply::Count(self.entries.len() as u64),
            DictOperation::Get(key) => Reply::Value(self.versioned(&Key(key))),
            DictOperation::GetMany(keys) => self.get_many(keys)?,
            DictOperation::Contains(key) => Reply::Count(self.numbers.contains_key(&Key(key)).into()),
            DictOperation::Page { columns, cursor, limit } => self.page(columns, cursor, limit),
            DictOperation::Snapshot(columns) => {
                let rows = self.entries.values().map(|entry| entry.row(columns)).collect();
                Reply::Snapshot { rows, rest: None, version: self.version }
            }
            DictOperation::Set { key, item } => Reply::Done(self.commit(vec![(Key(key), Some(item))], log)?),
            DictOperation::Insert { key, item } => {
                let key = Key(key);
                let old = self.versioned(&key);
                self.commit(vec![(key, Some(item))], log)?;
                Reply::Value(old)
            }
            DictOperation::GetOrInsert { key, item } => {
                let key = Key(key);
                match self.versioned(&key) {
                    Some((value, version)) => Reply::Put { value, version, new: false },
                    None => {
                        let version = self.commit(vec![(key, Some(item.clone()))], log)?;
                        Reply::Put { value: item, version, new: true }
                    }
                }
            }
            DictOperation::CompareSet { key, expected, item } => self.compare_set(key, expected, item, log)?,
            DictOperation::Remove(key) => {
                let key = Key(key);
                let old = self.versioned(&key);
                self.commit(vec![(key, None)], log)?;
                Reply::Value(old)
            }
            DictOperation::RemoveMany(keys) => self.remove_many(keys, log)?,
            DictOperation::Take { end, limit } => self.take(end, limit, log)?,
            DictOperation::Merge(pairs) => self.merge(pairs, log)?,
            DictOperation::Clear => self.clear(log),
            DictOperation::Compute { key, computation } => {
                let key = Key(key);
                let old = self.get(&key);
                let new = old.is_none();
                let value = computation.run(old)?;
                let version = self.commit(vec![(key, Some(value.clone()))], log)?;
                Reply::Put { value, version, new }
            }
            DictOperation::Append { key, items } => {
                let key = Key(key);
                let (value, len) = item::extended(self.get(&key), &items)?;
                self.commit(vec![(key, Some(value))], log)?;
                Reply::Count(len)
            }
            DictOperation::Transact(transaction) => transaction.run(self, log)?,
        })
    }

    fn only_reads(operation: &DictOperation<I>) -> bool {
        matches!(
            operation,
            DictOperation::Len
                | DictOperation::Get(_)
                | DictOperation::GetMany(_)
                | DictOperation::Contains(_)
                | DictOperation::Page { .. }
                | DictOperation::Snapshot(_)
        )
    }

    fn version(&self) -> Version {
        self.version
    }
}

impl<I: Item> Change for DictChange<I, I> {
    fn weight(&self) -> Weight {
        let own = Weight { bytes: 16, handles: 0 };
        match self {
            Self::Set { key, value } => own + key.weight() + value.weight(),
            Self::Removed { key } => own + key.weight(),
            Self::Cleared => own,
        }
    }
}

impl<K, V> DictChange<K, V> {
    /// The same change of other keys and values.
    pub(in crate::shared) fn try_map<L, W, E>(
        self,
        key: impl FnOnce(K) -> Result<L, E>,
        value: impl FnOnce(V) -> Result<W, E>,
    ) -> Result<DictChange<L, W>, E> {
        Ok(match self {
            Self::Set { key: k, value: v } => DictChange::Set { key: key(k)?, value: value(v)? },
            Self::Removed { key: k } => DictChange::Removed { key: key(k)? },
            Self::Cleared => DictChange::Cleared,
        })
    }
}

#[cfg(test)]
impl<I: Item> Dict<I> {
    /// The keys in order, each with the number of its entry.
    pub(super) fn numbers(&self) -> Vec<(I, u64)> {
        self.entries.iter().map(|(number, entry)| (entry.key.clone(), *number)).collect()
    }
}
