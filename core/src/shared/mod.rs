//! Shared state: lists, dicts, counters and values that any process of the tree can hold, and structs of the user's own.
//!
//! A [`Supervisor`](crate::Supervisor) makes them; handles are serde data that may stand in any message to any actor and in
//! the arguments of any task, of pools too.
//! ```
//! use procession::prelude::*;
//! use procession::shared::{Counter, Dict};
//!
//! #[procession::task]
//! async fn count(text: String, words: Dict<String, u64>, lines: Counter) -> procession::Result<()> {
//!     lines.add(1).await?;
//!     for word in text.split_whitespace() {
//!         words.add(word, 1).await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Guarantees
//! - Every operation is executed whole or not at all, one at a time, in one place: the supervisor's process. No change is
//!   lost, neither one inside of a value ([`Dict::append_to`], [`Dict::add`]), nor one by any code ([`Dict::update`]), nor one
//!   of many keys ([`Dict::transact`], [`Transaction`]). A worker that is killed leaves whole operations behind and no lock.
//! - What is read is owned and has a [`Version`]: nothing of it changes in the reader's hands.
//! - Operations of one process on one object are executed in the order in which they were sent.
//! - The object never looks into values: they are equal when their encodings are.
//! - Everything is bounded: see [`SharedSpec`].
//! - What an operation says in its error is how it ended: [`SharedError::Refused`] has had no effect, and
//!   [`SharedError::Gone`] tells of the end of the supervisor that kept the object, also where it was restarted: its new
//!   objects are others.
//!
//! # Cost
//! An operation is one message there and one back, some ten microseconds and the turn of two processes; a bulk form
//! ([`List::extend`], [`Dict::merge`], [`Dict::get_many`]) is one operation. Many operations under way at once cost a fraction
//! of that each. Memory of one process behind a std lock is a thousand times faster: share what processes have to share.

// A file by what its code is:
//
// | file | noun |
// |---|---|
// | `store` | what objects hold and answer: pure |
// | `keeper` | the service that keeps one object |
// | `object`, `error` | what all handles have in common, operations under way, how they end |
// | `list`, `dict`, `value`, `counter`, `state` | the handles |
// | `transaction`, `contention` | many writes as one, any code as one |
// | `snapshot`, `watch` | all at one moment or in pages; changes as a stream |
// | `open` | names and specs |
// | `number` | what can be computed with |

mod contention;
mod counter;
mod dict;
mod error;
mod keeper;
mod list;
mod number;
mod object;
mod open;
mod snapshot;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod transaction;
mod value;
mod watch;

pub use counter::Counter;
pub use dict::Dict;
pub use error::{Conflict, SharedError, Versioned};
pub use list::List;
pub use number::Number;
pub use object::Operation;
pub use open::{OpenError, SharedSpec};
pub use snapshot::{Pages, Snapshot};
pub use state::State;
pub use store::bounds::WhenFull;
pub use store::cell::ValueChange;
pub use store::dict::DictChange;
pub use store::list::ListChange;
pub use store::refusal::Refusal;
pub use store::reply::Version;
pub use transaction::Transaction;
pub use value::Value;
pub use watch::{Changed, Watch, WatchError};
