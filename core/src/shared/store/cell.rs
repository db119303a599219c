//! One encoded value: a counter, or a value of any type.

use serde::{Deserialize, Serialize};

use super::bounds::Bounds;
use super::item::{self, Item, Weight};
use super::log::Log;
use super::number::Computation;
use super::refusal::Refusal;
use super::reply::{Reply, Version};
use super::{Change, Store};

/// What a cell can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::shared) enum CellOperation<I> {
    Get,
    Set(I),
    Replace(I),
    CompareSet { expected: Version, item: I },
    CompareReplace { expected: I, item: I },
    Compute(Computation<I>),
    Append(Vec<I>),
}

/// The value, or the counter, is this now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueChange<T>(
    /// The value now.
    pub T,
);

/// The state of a cell.
#[derive(Debug)]
pub(in crate::shared) struct Cell<I> {
    item: I,
    version: Version,
    bounds: Bounds,
}

impl<I: Item> Cell<I> {
    pub(in crate::shared) fn new(item: I, bounds: Bounds) -> Result<Self, Refusal> {
        let mut cell = Self { item: item.clone(), version: Version(0), bounds };
        cell.set(item, &mut Log::new(1))?;
        Ok(cell)
    }

    fn set(&mut self, item: I, log: &mut Log<ValueChange<I>>) -> Result<Version, Refusal> {
        item::check([&item])?;
        if !self.bounds.hold(1, item.size()) {
            return Err(self.bounds.full(1, item.size()));
        }
        self.item = item;
        self.version.advance();
        log.note(self.version, || vec![ValueChange(self.item.clone())]);
        Ok(self.version)
    }

    fn conflict(&self) -> Reply<I> {
        Reply::Conflict { key: 0, found: Some((self.item.clone(), self.version)) }
    }
}

impl<I: Item> Store for Cell<I> {
    type Item = I;
    type Operation = CellOperation<I>;
    type Change = ValueChange<I>;

    fn apply(&mut self, operation: CellOperation<I>, log: &mut Log<ValueChange<I>>) -> Result<Reply<I>, Refusal> {
        Ok(match operation {
            CellOperation::Get => Reply::Value(Some((self.item.clone(), self.version))),
            CellOperation::Set(item) => Reply::Done(self.set(item, log)?),
            CellOperation::Replace(item) => {
                let old = (self.item.clone(), self.version);
                self.set(item, log)?;
                Reply::Value(Some(old))
            }
            CellOperation::CompareSet { expected, item } if expected == self.version => {
                Reply::Done(self.set(item, log)?)
            }
            CellOperation::CompareReplace { expected, item } if expected.bytes() == self.item.bytes() => {
                Reply::Done(self.set(item, log)?)
            }
            CellOperation::CompareSet { .. } | CellOperation::CompareReplace { .. } => self.conflict(),
            CellOperation::Compute(computation) => {
                let value = computation.run(Some(&self.item))?;
                let version = self.set(value.clone(), log)?;
                Reply::Put { value, version, new: false }
            }
            CellOperation::Append(items) => {
                let (value, len) = item::extended(Some(&self.item), &items)?;
                self.set(value, log)?;
                Reply::Count(len)
            }
        })
    }

    fn only_reads(operation: &CellOperation<I>) -> bool {
        matches!(operation, CellOperation::Get)
    }

    fn version(&self) -> Version {
        self.version
    }
}

impl<I: Item> Change for ValueChange<I> {
    fn weight(&self) -> Weight {
        self.0.weight()
    }
}
