//! What stores answer with.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::item::{Item, Weight};

/// The version of a shared object, or of one value in it: greater after each change.
///
/// Every write of a value gives it a version that no other value of the object has or will have, so that an equal version
/// means that nothing was written since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub(in crate::shared) u64);

impl Version {
    /// The next one, which it becomes.
    pub(in crate::shared) fn advance(&mut self) -> Self {
        self.0 += 1;
        *self
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One element of a store, or the parts of it that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) struct Row<I> {
    pub(in crate::shared) key: Option<I>,
    pub(in crate::shared) value: Option<I>,
    pub(in crate::shared) version: Version,
}

impl<I: Item> Row<I> {
    pub(in crate::shared) fn weight(&self) -> Weight {
        self.key.iter().chain(&self.value).map(Item::weight).sum()
    }
}

/// Where the next page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) struct Cursor {
    /// The version in which it is true.
    pub(in crate::shared) version: Version,
    /// A list's index; the number of a dict's latest entry that was given.
    pub(in crate::shared) at: u64,
}

/// What an operation answers with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) enum Reply<I> {
    /// It is done; the object's version now.
    Done(Version),
    /// A length, a count or a place.
    Count(u64),
    /// A place, if there is one.
    Place(Option<u64>),
    /// A value, if there is one, with its version.
    Value(Option<(I, Version)>),
    /// A value that is there now, and whether this operation has put it there.
    Put { value: I, version: Version, new: bool },
    /// Values by the keys that were asked for, at one moment.
    Values { values: Vec<Option<(I, Version)>>, version: Version },
    /// Elements that were taken out.
    Taken(Vec<Row<I>>),
    /// Some elements, and where to go on; nowhere where there are no more.
    Page { rows: Vec<Row<I>>, next: Option<Cursor>, version: Version },
    /// All elements at one moment; by their number the rest of them, where one message does not carry all.
    Snapshot { rows: Vec<Row<I>>, rest: Option<u64>, version: Version },
    /// The expected version is not the present one: what there is in its place.
    Conflict { key: u64, found: Option<(I, Version)> },
    /// The expected version of the whole object is not the present one.
    Outdated(Version),
}
