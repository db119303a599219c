//! A flag that one can wait for.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::LockError;
use super::handle::{Inner, Lock, Role, nonsense};
use super::protocol::{IsSet, Reply, SetEvent};
use super::wait::{Answer, Wait};
use crate::actor::party::Party;

/// A flag of all processes that one can wait for.
///
/// A handle, as a [`Mutex`](super::Mutex) is one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub(super) lock: Lock<EventRole>,
}

pub(super) struct EventRole;

impl Role for EventRole {
    fn describe() -> String {
        "Event".to_owned()
    }
}

impl Event {
    /// Waits until it is set; not at all, where it is.
    ///
    /// # Errors
    /// [`TimedOut`](LockError::TimedOut), where a time was set; the supervisor has ended.
    pub fn wait(&self) -> Wait<()> {
        Wait::for_event(&self.lock.inner)
    }

    /// Sets it: all that wait go on. Answers whether it was set before.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn set(&self) -> Result<bool, LockError> {
        self.change(true).await
    }

    /// Clears it. Answers whether it was set before.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn clear(&self) -> Result<bool, LockError> {
        self.change(false).await
    }

    /// Whether it is set: it may not be any more when the answer is there.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn is_set(&self) -> Result<bool, LockError> {
        flag(self.lock.inner.ask(IsSet { event: self.lock.inner.number }).await?)
    }

    async fn change(&self, set: bool) -> Result<bool, LockError> {
        flag(self.lock.inner.ask(SetEvent { event: self.lock.inner.number, set }).await?)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lock.inner.name
    }
}

fn flag(reply: Reply) -> Result<bool, LockError> {
    if let Reply::Flag(flag) = reply { Ok(flag) } else { Err(nonsense()) }
}

impl Answer for () {
    fn accept(reply: Reply, _: Arc<Inner>, _: Party) -> Result<Self, LockError> {
        if let Reply::Done = reply { Ok(()) } else { Err(nonsense()) }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}
