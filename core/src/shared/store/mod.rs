//! What shared objects hold, and what each operation does to it: pure, over encoded values.
//!
//! A [`Store`] is a list, a dict or a cell. It executes one operation at a time, whole or not at all: it answers with a
//! [`Reply`], or refuses with a [`Refusal`] and is unchanged. What it changed goes into its [`Log`], if somebody watches.
//!
//! | file | noun |
//! |---|---|
//! | `list`, `dict`, `cell` | the three stores; counters and values are cells |
//! | `transaction` | many writes to a dict, all or none |
//! | `item` | an encoded value |
//! | `number` | arithmetic on encoded numbers |
//! | `bounds` | how much a store may hold, and what happens when it is full |
//! | `log` | the changes that watchers have not read yet |
//! | `frozen` | snapshots that take more than one message |
//! | `reply` | answers, rows, versions |
//! | `refusal` | why an operation was not executed |

pub(in crate::shared) mod bounds;
pub(in crate::shared) mod cell;
pub(in crate::shared) mod dict;
pub(in crate::shared) mod frozen;
pub(in crate::shared) mod item;
pub(in crate::shared) mod list;
pub(in crate::shared) mod log;
pub(in crate::shared) mod number;
pub(in crate::shared) mod refusal;
pub(in crate::shared) mod reply;
#[cfg(test)]
mod tests;
pub(in crate::shared) mod transaction;

use item::Item;
use log::Log;
use refusal::Refusal;
use reply::{Reply, Version};

/// The state of one shared object.
pub(in crate::shared) trait Store {
    /// Its encoded values.
    type Item: Item;
    /// What it can be asked.
    type Operation;
    /// What an operation changes, as watchers are told.
    type Change: Change;

    /// Executes an operation, whole or not at all.
    fn apply(&mut self, operation: Self::Operation, log: &mut Log<Self::Change>) -> Result<Reply<Self::Item>, Refusal>;

    /// Whether an operation changes nothing.
    fn only_reads(operation: &Self::Operation) -> bool;

    /// The version: of no change yet 0, and greater after each.
    fn version(&self) -> Version;
}

/// Something that happened to a store.
pub(in crate::shared) trait Change: Clone {
    /// The bytes and handles that it takes up in a message, about.
    fn weight(&self) -> item::Weight;
}
