//! A list of encoded values.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::bounds::{Bounds, WhenFull};
use super::item::{self, Item, Weight};
use super::log::Log;
use super::number::Computation;
use super::refusal::Refusal;
use super::reply::{Cursor, Reply, Row, Version};
use super::{Change, Store};

/// Moves of elements that are remembered for the cursors of pages.
const SHIFTS: usize = 1024;

/// What a list can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::shared) enum ListOperation<I> {
    Len,
    Get(At),
    Find(I),
    Slice { start: u64, end: Option<u64> },
    Page { cursor: Cursor, limit: u32 },
    Push(I),
    Extend(Vec<I>),
    Insert { index: u64, items: Vec<I> },
    Set { index: u64, item: I },
    CompareSet { index: u64, expected: Version, item: I },
    Remove(u64),
    RemoveItem(I),
    Take { end: End, limit: u64 },
    RemoveRange { start: u64, end: Option<u64> },
    Clear,
    Reverse,
    Replace { expected: Option<Version>, items: Vec<I> },
    Compute { index: u64, computation: Computation<I> },
    Append { index: u64, items: Vec<I> },
}

/// One place of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) enum At {
    Index(u64),
    First,
    Last,
}

/// One end of a list or dict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) enum End {
    First,
    Last,
}

/// One change of a list. Applied in order to a snapshot, the changes after it give each later state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ListChange<T> {
    /// Values were put in, the first of them at this index.
    Inserted {
        /// The index of the first one.
        index: u64,
        /// The values.
        values: Vec<T>,
    },
    /// A value was replaced.
    Set {
        /// Its index.
        index: u64,
        /// The value now.
        value: T,
    },
    /// Values were taken out, the first of them at this index.
    Removed {
        /// The index of the first one.
        index: u64,
        /// How many.
        count: u64,
    },
    /// The order was turned round.
    Reversed,
}

/// The state of a list.
#[derive(Debug)]
pub(in crate::shared) struct List<I> {
    elements: VecDeque<Element<I>>,
    bytes: u64,
    version: Version,
    bounds: Bounds,
    shifts: VecDeque<Shift>,
    /// Cursors of older versions are of no use.
    remembered: Version,
}

#[derive(Debug)]
struct Element<I> {
    item: I,
    version: Version,
}

/// Elements were moved, by what was put in and taken out before them.
#[derive(Clone, Copy, Debug)]
struct Shift {
    version: Version,
    at: u64,
    removed: u64,
    inserted: u64,
}

impl<I: Item> List<I> {
    pub(in crate::shared) fn new(bounds: Bounds) -> Self {
        Self {
            elements: VecDeque::new(),
            bytes: 0,
            version: Version(0),
            bounds,
            shifts: VecDeque::new(),
            remembered: Version(0),
        }
    }

    fn len(&self) -> u64 {
        self.elements.len() as u64
    }

    /// The place in memory of an element that there must be.
    fn place(&self, index: u64) -> Result<usize, Refusal> {
        let len = self.len();
        if index < len { Ok(index as usize) } else { Err(Refusal::OutOfRange { index, len }) }
    }

    /// The range in memory of elements that there must be.
    fn range(&self, start: u64, end: Option<u64>) -> Result<Range<usize>, Refusal> {
        let len = self.len();
        let end = end.unwrap_or(len);
        if end > len || start > len {
            return Err(Refusal::OutOfRange { index: end.max(start), len });
        }
        if start > end {
            return Err(Refusal::BadRange { start, end });
        }
        Ok(start as usize..end as usize)
    }

    fn find(&self, item: &I) -> Option<u64> {
        let place = self.elements.iter().position(|element| element.item.bytes() == item.bytes())?;
        Some(place as u64)
    }

    fn rows(&self, range: Range<usize>) -> Vec<Row<I>> {
        self.elements.range(range).map(Element::row).collect()
    }

    /// Puts items in the place of a range; what the bounds then forbid is dropped at the front, or all is refused.
    fn splice(&mut self, range: Range<usize>, items: Vec<I>, log: &mut Log<ListChange<I>>) -> Result<Version, Refusal> {
        let added = items.len();
        if range.is_empty() && added == 0 {
            return Ok(self.version);
        }
        // Watchers are told of all of them in one message.
        item::check(&items)?;
        let removed_bytes: u64 = self.elements.range(range.clone()).map(|element| element.item.size()).sum();
        let added_bytes: u64 = items.iter().map(Item::size).sum();
        let mut len = self.len() - range.len() as u64 + added as u64;
        let mut bytes = self.bytes - removed_bytes + added_bytes;
        // Drops come from before the range, then from behind it.
        let (mut before, mut behind) = (0, 0);
        if added > 0 && !self.bounds.hold(len, bytes) {
            let refused = self.bounds.full(len, bytes);
            if self.bounds.when_full == WhenFull::Refuse {
                return Err(refused);
            }
            let oldest = self.elements.range(..range.start).chain(self.elements.range(range.end..));
            for element in oldest {
                if self.bounds.hold(len, bytes) {
                    break;
                }
                len -= 1;
                bytes -= element.item.size();
                if before < range.start { before += 1 } else { behind += 1 }
            }
            if !self.bounds.hold(len, bytes) {
                return Err(refused);
            }
        }
        // From the end to the front, so that no index moves before it is used.
        let mut changes = Vec::new();
        let values = if log.is_watched() { items.clone() } else { Vec::new() };
        self.remove(range.end..range.end + behind, &mut changes);
        self.remove(range.clone(), &mut changes);
        self.insert(range.start, items);
        if added > 0 {
            changes.push(ListChange::Inserted { index: range.start as u64, values });
        }
        self.remove(0..before, &mut changes);
        self.bytes = bytes;
        log.note(self.version, || changes);
        Ok(self.version)
    }

    fn remove(&mut self, range: Range<usize>, changes: &mut Vec<ListChange<I>>) {
        if range.is_empty() {
            return;
        }
        let (index, count) = (range.start as u64, range.len() as u64);
        match range.len() {
            1 => drop(self.elements.remove(range.start)),
            _ => drop(self.elements.drain(range)),
        }
        self.version.advance();
        self.shift(index, count, 0);
        changes.push(ListChange::Removed { index, count });
    }

    fn insert(&mut self, at: usize, items: Vec<I>) {
        let added = items.len() as u64;
        let behind = if at == self.elements.len() { VecDeque::new() } else { self.elements.split_off(at) };
        for item in items {
            let version = self.version.advance();
            self.elements.push_back(Element { item, version });
        }
        if !behind.is_empty() {
            self.shift(at as u64, 0, added);
            self.elements.extend(behind);
        }
    }

    /// Remembers a move. What is put in at the end moves nothing.
    fn shift(&mut self, at: u64, removed: u64, inserted: u64) {
        if self.shifts.len() == SHIFTS {
            self.remembered = self.shifts.pop_front().map_or(self.version, |shift| shift.version);
        }
        self.shifts.push_back(Shift { version: self.version, at, removed, inserted });
    }

    /// Where the next page begins now.
    fn find_again(&self, cursor: Cursor) -> Result<usize, Refusal> {
        if cursor.at == 0 {
            return Ok(0);
        }
        if cursor.version < self.remembered || cursor.version > self.version {
            return Err(Refusal::CursorForgotten { index: cursor.at, len: self.len() });
        }
        let newer = self.shifts.iter().skip(self.shifts.partition_point(|shift| shift.version <= cursor.version));
        let at = newer.fold(cursor.at, |at, shift| match shift {
            _ if at <= shift.at => at,
            _ if at < shift.at + shift.removed => shift.at + shift.inserted,
            _ => at - shift.removed + shift.inserted,
        });
        Ok(at.min(self.len()) as usize)
    }

    fn page(&self, cursor: Cursor, limit: u32) -> Result<Reply<I>, Refusal> {
        let start = self.find_again(cursor)?;
        let wanted = self.elements.range(start..).take(limit.max(1) as usize);
        let count = item::part(wanted.map(|element| element.item.weight()));
        let rows = self.rows(start..start + count);
        let at = (start + count) as u64;
        let next = (at < self.len()).then_some(Cursor { version: self.version, at });
        Ok(Reply::Page { rows, next, version: self.version })
    }

    fn set(&mut self, place: usize, item: I, log: &mut Log<ListChange<I>>) -> Result<Version, Refusal> {
        item::check([&item])?;
        let old = &mut self.elements[place];
        let bytes = self.bytes - old.item.size() + item.size();
        // What is replaced makes nothing older, so nothing is dropped for it.
        if bytes > self.bytes && !self.bounds.hold(0, bytes) {
            return Err(self.bounds.full(self.len(), bytes));
        }
        self.bytes = bytes;
        old.item = item;
        old.version = self.version.advance();
        let value = &self.elements[place].item;
        log.note(self.version, || vec![ListChange::Set { index: place as u64, value: value.clone() }]);
        Ok(self.version)
    }

    fn compare_set(
        &mut self,
        index: u64,
        expected: Version,
        item: I,
        log: &mut Log<ListChange<I>>,
    ) -> Result<Reply<I>, Refusal> {
        let place = self.place(index)?;
        let found = &self.elements[place];
        if found.version != expected {
            return Ok(Reply::Conflict { key: index, found: Some((found.item.clone(), found.version)) });
        }
        self.set(place, item, log).map(Reply::Done)
    }

    fn take(&mut self, end: End, limit: u64, log: &mut Log<ListChange<I>>) -> Result<Reply<I>, Refusal> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(self.elements.len());
        let weights = |element: &Element<I>| element.item.weight();
        let (count, range) = match end {
            End::First => {
                let count = item::part(self.elements.iter().take(limit).map(weights));
                (count, 0..count)
            }
            End::Last => {
                let count = item::part(self.elements.iter().rev().take(limit).map(weights));
                (count, self.elements.len() - count..self.elements.len())
            }
        };
        if count == 0 {
            return Ok(Reply::Taken(Vec::new()));
        }
        let rows = self.rows(range.clone());
        self.splice(range, Vec::new(), log)?;
        Ok(Reply::Taken(rows))
    }

    fn reverse(&mut self, log: &mut Log<ListChange<I>>) -> Version {
        self.elements.make_contiguous().reverse();
        self.version.advance();
        // Which of the elements a page has given is not to be said by one index any more.
        self.shifts.clear();
        self.remembered = self.version;
        log.note(self.version, || vec![ListChange::Reversed]);
        self.version
    }
}

impl<I: Item> Element<I> {
    fn row(&self) -> Row<I> {
        Row { key: None, value: Some(self.item.clone()), version: self.version }
    }
}

impl<I: Item> Store for List<I> {
    type Item = I;
    type Operation = ListOperation<I>;
    type Change = ListChange<I>;

    fn apply(&mut self, operation: ListOperation<I>, log: &mut Log<ListChange<I>>) -> Result<Reply<I>, Refusal> {
        let end = self.elements.len();
        Ok(match operation {
            ListOperation::Len => Reply::Count(self.len()),
            ListOperation::Get(at) => {
                let element = match at {
                    At::Index(index) => usize::try_from(index).ok().and_then(|place| self.elements.get(place)),
                    At::First => self.elements.front(),
                    At::Last => self.elements.back(),
                };
                Reply::Value(element.map(|element| (element.item.clone(), element.version)))
            }
            ListOperation::Find(item) => Reply::Place(self.find(&item)),
            ListOperation::Slice { start, end } => {
                let rows = self.rows(self.range(start, end)?);
                Reply::Snapshot { rows, rest: None, version: self.version }
            }
            ListOperation::Page { cursor, limit } => self.page(cursor, limit)?,
            ListOperation::Push(item) => Reply::Done(self.splice(end..end, vec![item], log)?),
            ListOperation::Extend(items) => Reply::Done(self.splice(end..end, items, log)?),
            ListOperation::Insert { index, items } => {
                let at = if index == self.len() { end } else { self.place(index)? };
                Reply::Done(self.splice(at..at, items, log)?)
            }
            ListOperation::Set { index, item } => Reply::Done(self.set(self.place(index)?, item, log)?),
            ListOperation::CompareSet { index, expected, item } => self.compare_set(index, expected, item, log)?,
            ListOperation::Remove(index) => {
                let place = self.place(index)?;
                let rows = self.rows(place..place + 1);
                self.splice(place..place + 1, Vec::new(), log)?;
                Reply::Taken(rows)
            }
            ListOperation::RemoveItem(item) => {
                let found = self.find(&item);
                if let Some(place) = found {
                    let place = place as usize;
                    self.splice(place..place + 1, Vec::new(), log)?;
                }
                Reply::Place(found)
            }
            ListOperation::Take { end, limit } => self.take(end, limit, log)?,
            ListOperation::RemoveRange { start, end } => {
                let range = self.range(start, end)?;
                let count = range.len() as u64;
                self.splice(range, Vec::new(), log)?;
                Reply::Count(count)
            }
            ListOperation::Clear => {
                self.splice(0..end, Vec::new(), log)?;
                Reply::Count(end as u64)
            }
            ListOperation::Reverse => Reply::Done(self.reverse(log)),
            ListOperation::Replace { expected, items } => {
                if expected.is_some_and(|expected| expected != self.version) {
                    return Ok(Reply::Outdated(self.version));
                }
                Reply::Done(self.splice(0..end, items, log)?)
            }
            ListOperation::Compute { index, computation } => {
                let place = self.place(index)?;
                let value = computation.run(Some(&self.elements[place].item))?;
                let version = self.set(place, value.clone(), log)?;
                Reply::Put { value, version, new: false }
            }
            ListOperation::Append { index, items } => {
                let place = self.place(index)?;
                let (value, len) = item::extended(Some(&self.elements[place].item), &items)?;
                self.set(place, value, log)?;
                Reply::Count(len)
            }
        })
    }

    fn only_reads(operation: &ListOperation<I>) -> bool {
        matches!(
            operation,
            ListOperation::Len
                | ListOperation::Get(_)
                | ListOperation::Find(_)
                | ListOperation::Slice { .. }
                | ListOperation::Page { .. }
        )
    }

    fn version(&self) -> Version {
        self.version
    }
}

impl<I: Item> Change for ListChange<I> {
    fn weight(&self) -> Weight {
        let own = Weight { bytes: 32, handles: 0 };
        match self {
            Self::Inserted { values, .. } => own + values.iter().map(Item::weight).sum(),
            Self::Set { value, .. } => own + value.weight(),
            Self::Removed { .. } | Self::Reversed => own,
        }
    }
}

impl<T> ListChange<T> {
    /// The same change of other values.
    pub(in crate::shared) fn try_map<U, E>(self, mut map: impl FnMut(T) -> Result<U, E>) -> Result<ListChange<U>, E> {
        Ok(match self {
            Self::Inserted { index, values } => {
                ListChange::Inserted { index, values: values.into_iter().map(map).collect::<Result<_, E>>()? }
            }
            Self::Set { index, value } => ListChange::Set { index, value: map(value)? },
            Self::Removed { index, count } => ListChange::Removed { index, count },
            Self::Reversed => ListChange::Reversed,
        })
    }
}
