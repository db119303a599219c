//! So many at a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{LockError, Poison};
use super::handle::{Inner, Lock, Role, nonsense};
use super::hold::Hold;
use super::protocol::Reply;
use super::table::Share;
use super::wait::{Answer, Guard, Wait, sealed::Sealed};
use crate::actor::fence::FencingToken;
use crate::actor::party::Party;

/// A number of permits that all processes share.
///
/// Permits are given in the order of the requests: a request for few does not overtake one for many. What a holder has
/// goes back when it ends.
///
/// Permits are often handed to tasks, so a deadlock is not seen in parties that wait for more permits of the same
/// semaphore: ask for all that are needed at once ([`acquire_many`](Self::acquire_many)).
///
/// A handle, as a [`Mutex`](super::Mutex) is one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Semaphore {
    pub(super) lock: Lock<SemaphoreRole>,
}

pub(super) struct SemaphoreRole;

impl Role for SemaphoreRole {
    fn describe() -> String {
        "Semaphore".to_owned()
    }
}

impl Semaphore {
    /// Waits for a permit.
    ///
    /// # Errors
    /// As of [`Mutex::lock`](super::Mutex::lock).
    pub fn acquire(&self) -> Wait<Permit> {
        self.acquire_many(1)
    }

    /// Waits for so many permits.
    ///
    /// # Errors
    /// [`NeverFits`](LockError::NeverFits), where there are not so many.
    pub fn acquire_many(&self, permits: u32) -> Wait<Permit> {
        Wait::for_lock(&self.lock.inner, Share::Permits(permits), true)
    }

    /// Takes a permit if one is free and nobody waits.
    ///
    /// # Errors
    /// [`WouldBlock`](LockError::WouldBlock), where none is.
    pub fn try_acquire(&self) -> Wait<Permit> {
        self.try_acquire_many(1)
    }

    /// Takes so many permits if they are free and nobody waits.
    ///
    /// # Errors
    /// [`WouldBlock`](LockError::WouldBlock), where they are not.
    pub fn try_acquire_many(&self, permits: u32) -> Wait<Permit> {
        Wait::for_lock(&self.lock.inner, Share::Permits(permits), false)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lock.inner.name
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

/// Permits of a [`Semaphore`]. Dropping it gives them back, without waiting.
#[must_use = "the permits go back when this is dropped"]
pub struct Permit {
    hold: Hold,
}

impl Permit {
    /// The proof of this grant.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.hold.token()
    }

    /// How an earlier holder ended that did not give its permits back, if nobody was told of it yet.
    #[must_use]
    pub fn poisoned_by(&self) -> Option<&Poison> {
        self.hold.poison.as_ref()
    }

    /// Lets the grant last so long from now on.
    ///
    /// # Errors
    /// [`Stale`](LockError::Stale), where it is over.
    pub async fn renew(&self, lease: Duration) -> Result<(), LockError> {
        self.hold.renew(Some(lease)).await
    }

    /// Gives the permits back and waits until that is done.
    ///
    /// # Errors
    /// [`Stale`](LockError::Stale), where the grant was over before.
    pub async fn release(self) -> Result<(), LockError> {
        self.hold.release().await
    }
}

impl Sealed for Permit {}
impl Guard for Permit {}

impl Answer for Permit {
    fn accept(reply: Reply, lock: Arc<Inner>, party: Party) -> Result<Self, LockError> {
        match reply {
            Reply::Granted(granted) => Ok(Self { hold: Hold::new(lock, party, granted) }),
            _ => Err(nonsense()),
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("token", &self.token()).finish_non_exhaustive()
    }
}
