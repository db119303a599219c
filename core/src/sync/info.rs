//! Who holds what, and who waits for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kind::LockKind;

/// One lock of a supervisor, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: LockKind,
    /// Who holds it.
    pub holders: Vec<LockHolder>,
    /// Who waits, in the order in which they will be served; those that wait for a condition come after all others.
    pub waiting: Vec<LockWaiter>,
    /// Whether the next holder will be told that the last one did not release it.
    pub poisoned: bool,
    /// Whether it is an event that is set.
    pub set: bool,
    /// Whether it is a barrier that is broken.
    pub broken: bool,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockHolder {
    /// The name of the actor.
    pub who: String,
    /// The number of its token.
    pub token: u64,
    /// How many permits.
    pub permits: u32,
    /// For how long.
    pub held: Duration,
    /// What is left of its lease.
    pub lease: Option<Duration>,
}

/// Who waits for a lock, an event or a barrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LockWaiter {
    /// The name of the actor.
    pub who: String,
    /// How many are before it.
    pub place: usize,
    /// How many permits it wants.
    pub permits: u32,
    /// For how long it has waited.
    pub waited: Duration,
    /// Whether it waits to be notified first.
    pub by_condition: bool,
}
