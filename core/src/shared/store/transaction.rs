//! Many writes to a dict, all or none.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Store;
use super::dict::{Dict, DictChange};
use super::item::{self, Item, Key};
use super::log::Log;
use super::number::Computation;
use super::refusal::Refusal;
use super::reply::{Reply, Version};

/// What must hold of a dict, and what is written where it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::shared) struct Transaction<I> {
    /// The version of the whole dict.
    pub(in crate::shared) version: Option<Version>,
    pub(in crate::shared) checks: Vec<(I, Check<I>)>,
    /// In order; a later one sees what the earlier ones wrote.
    pub(in crate::shared) writes: Vec<(I, Write<I>)>,
}

/// What must hold of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::shared) enum Check<I> {
    /// It has the value of this version.
    Version(Version),
    /// It has an equal value.
    Equal(I),
    Present,
    Absent,
}

/// What is done to a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::shared) enum Write<I> {
    Set(I),
    Remove,
    Compute(Computation<I>),
    Append(Vec<I>),
}

/// What is about to be written: one write for each key, in the order of the first of each.
#[derive(Debug)]
pub(super) struct Staged<I> {
    writes: Vec<(Key<I>, Option<I>)>,
    places: HashMap<Key<I>, usize>,
}

impl<I: Item> Transaction<I> {
    pub(super) fn run(self, dict: &mut Dict<I>, log: &mut Log<DictChange<I, I>>) -> Result<Reply<I>, Refusal> {
        if self.version.is_some_and(|expected| expected != dict.version()) {
            return Ok(Reply::Outdated(dict.version()));
        }
        for (number, (key, check)) in self.checks.into_iter().enumerate() {
            let found = dict.versioned(&Key(key));
            let holds = match (&check, &found) {
                (Check::Version(expected), Some((_, version))) => expected == version,
                (Check::Equal(expected), Some((item, _))) => expected.bytes() == item.bytes(),
                (Check::Present, found) => found.is_some(),
                (Check::Absent, found) => found.is_none(),
                (Check::Version(_) | Check::Equal(_), None) => false,
            };
            if !holds {
                return Ok(Reply::Conflict { key: number as u64, found });
            }
        }
        let mut staged = Staged::new();
        for (key, write) in self.writes {
            let key = Key(key);
            let old = staged.get(dict, &key);
            let new = match write {
                Write::Set(item) => Some(item),
                Write::Remove => None,
                Write::Compute(computation) => Some(computation.run(old)?),
                Write::Append(items) => Some(item::extended(old, &items)?.0),
            };
            staged.put(key, new);
        }
        dict.commit(staged.into_writes(), log).map(Reply::Done)
    }
}

impl<I: Item> Staged<I> {
    pub(super) fn new() -> Self {
        Self { writes: Vec::new(), places: HashMap::new() }
    }

    /// A key's value as it will be.
    pub(super) fn get<'a>(&'a self, dict: &'a Dict<I>, key: &Key<I>) -> Option<&'a I> {
        match self.places.get(key) {
            Some(&place) => self.writes[place].1.as_ref(),
            None => dict.get(key),
        }
    }

    pub(super) fn put(&mut self, key: Key<I>, item: Option<I>) {
        match self.places.get(&key) {
            Some(&place) => self.writes[place].1 = item,
            None => {
                self.places.insert(key.clone(), self.writes.len());
                self.writes.push((key, item));
            }
        }
    }

    pub(super) fn into_writes(self) -> Vec<(Key<I>, Option<I>)> {
        self.writes
    }
}
