//! Many readers, or one writer.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::LockError;
use super::handle::{Inner, Lock, Role};
use super::hold::Hold;
use super::mutex::{MutexGuard, granted};
use super::protocol::Reply;
use super::table::Share;
use super::wait::{Answer, Guard, Wait, sealed::Sealed};
use crate::actor::fence::{FencingToken, Guarding, LockKey};
use crate::actor::party::Party;
use crate::actor::traits::Payload;

/// A lock that many may read under, or one may write under, and the data that it carries.
///
/// It is granted in the order of the requests: a reader that comes after a writer waits behind it, and readers in a row
/// share. So neither starves.
///
/// A handle, as a [`Mutex`](super::Mutex) is one.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct RwLock<T = ()> {
    pub(super) lock: Lock<RwLockOf<T>>,
}

pub(super) struct RwLockOf<T>(PhantomData<fn() -> T>);

impl<T> Role for RwLockOf<T> {
    fn describe() -> String {
        format!("RwLock<{}>", type_name::<T>())
    }
}

impl<T: Payload> RwLock<T> {
    /// Waits for the lock for reading.
    ///
    /// # Errors
    /// As of [`Mutex::lock`](super::Mutex::lock).
    pub fn read(&self) -> Wait<ReadGuard<T>> {
        Wait::for_lock(&self.lock.inner, Share::Read, true)
    }

    /// Takes the lock for reading if nobody writes or waits.
    ///
    /// # Errors
    /// [`WouldBlock`](LockError::WouldBlock), where somebody does.
    pub fn try_read(&self) -> Wait<ReadGuard<T>> {
        Wait::for_lock(&self.lock.inner, Share::Read, false)
    }

    /// Waits for the lock for writing.
    ///
    /// # Errors
    /// As of [`Mutex::lock`](super::Mutex::lock). Who holds it for reading and asks for it for writing waits for itself.
    pub fn write(&self) -> Wait<MutexGuard<T>> {
        Wait::for_lock(&self.lock.inner, Share::All, true)
    }

    /// Takes the lock for writing if it is free.
    ///
    /// # Errors
    /// [`WouldBlock`](LockError::WouldBlock), where it is not.
    pub fn try_write(&self) -> Wait<MutexGuard<T>> {
        Wait::for_lock(&self.lock.inner, Share::All, false)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lock.inner.name
    }
}

impl<T> Guarding for RwLock<T> {
    fn lock_key(&self) -> LockKey {
        self.lock.inner.key()
    }
}

impl<T> Clone for RwLock<T> {
    fn clone(&self) -> Self {
        Self { lock: self.lock.clone() }
    }
}

impl<T> PartialEq for RwLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.lock == other.lock
    }
}

impl<T> Eq for RwLock<T> {}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

/// An [`RwLock`] held for reading. Dropping it releases the lock, without waiting.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ReadGuard<T: Payload = ()> {
    hold: Hold,
    data: T,
}

impl<T: Payload> ReadGuard<T> {
    /// The proof of this grant.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.hold.token()
    }

    /// Releases the lock and waits until that is done.
    ///
    /// # Errors
    /// [`Stale`](LockError::Stale), where the grant was over before.
    pub async fn release(self) -> Result<(), LockError> {
        self.hold.release().await
    }
}

impl<T: Payload> Sealed for ReadGuard<T> {}
impl<T: Payload> Guard for ReadGuard<T> {}

impl<T: Payload> Answer for ReadGuard<T> {
    fn accept(reply: Reply, lock: Arc<Inner>, party: Party) -> Result<Self, LockError> {
        let (hold, data) = granted(reply, lock, party)?;
        Ok(Self { hold, data })
    }
}

impl<T: Payload> Deref for ReadGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for ReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadGuard").field("data", &self.data).finish_non_exhaustive()
    }
}
