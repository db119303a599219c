//! A meeting of so many.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::LockError;
use super::handle::{Inner, Lock, Role, nonsense};
use super::protocol::{Reply, ResetBarrier};
use super::wait::{Answer, Wait};
use crate::actor::party::Party;

/// A place where so many wait until all have come, again and again.
///
/// It breaks when one that waits ends, is dropped or times out, and when one that has taken part before dies: those that
/// wait, and those that come, are told so until it is [reset](Self::reset).
///
/// A handle, as a [`Mutex`](super::Mutex) is one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    pub(super) lock: Lock<BarrierRole>,
}

pub(super) struct BarrierRole;

impl Role for BarrierRole {
    fn describe() -> String {
        "Barrier".to_owned()
    }
}

impl Barrier {
    /// Waits until all have come.
    ///
    /// # Errors
    /// [`Broken`](LockError::Broken), where not all will.
    pub fn wait(&self) -> Wait<Arrival> {
        Wait::for_barrier(&self.lock.inner)
    }

    /// Makes it whole again. Who waits there is told.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn reset(&self) -> Result<(), LockError> {
        match self.lock.inner.ask(ResetBarrier { barrier: self.lock.inner.number }).await? {
            Reply::Done => Ok(()),
            _ => Err(nonsense()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lock.inner.name
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

/// One of those that have met at a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    before: u64,
}

impl Arrival {
    /// How many came before.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.before
    }

    /// True for one of them: the one that came first.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.before == 0
    }
}

impl Answer for Arrival {
    fn accept(reply: Reply, _: Arc<Inner>, _: Party) -> Result<Self, LockError> {
        if let Reply::Number(before) = reply { Ok(Self { before }) } else { Err(nonsense()) }
    }
}
