//! One holder at a time.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::error::{LockError, Poison};
use super::handle::{Inner, Lock, Role, nonsense};
use super::hold::Hold;
use super::protocol::{NewCondition, Reply};
use super::table::{Release, Share};
use super::wait::{Answer, Guard, Wait, sealed::Sealed};
use crate::actor::fence::{FencingToken, Guarding, LockKey};
use crate::actor::parcel::Parcel;
use crate::actor::party::Party;
use crate::actor::traits::Payload;

/// A lock that one holder has at a time, of all processes, and the data that it carries.
///
/// It is granted in the order of the requests. The holder is the actor whose handler asks, or the task; its end, however
/// sudden, releases the lock at once, and the next holder is [told](MutexGuard::poisoned_by).
///
/// The data travels with the grant: a guard dereferences to it, and what was changed goes back with the release. A holder
/// that dies leaves it as it was.
///
/// A handle: clones, and what is sent to others, mean the same lock.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Mutex<T = ()> {
    pub(super) lock: Lock<MutexOf<T>>,
}

pub(super) struct MutexOf<T>(PhantomData<fn() -> T>);

impl<T> Role for MutexOf<T> {
    fn describe() -> String {
        format!("Mutex<{}>", type_name::<T>())
    }
}

impl<T: Payload> Mutex<T> {
    /// Waits for the lock.
    ///
    /// # Errors
    /// [`Deadlock`](LockError::Deadlock), where all wait for each other and this wait is the youngest;
    /// [`TimedOut`](LockError::TimedOut), where a time was set; and where the supervisor has ended.
    pub fn lock(&self) -> Wait<MutexGuard<T>> {
        Wait::for_lock(&self.lock.inner, Share::All, true)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`WouldBlock`](LockError::WouldBlock), where it is not, or where others wait for it.
    pub fn try_lock(&self) -> Wait<MutexGuard<T>> {
        Wait::for_lock(&self.lock.inner, Share::All, false)
    }

    /// A new condition that holders of this lock can wait for.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn condition(&self) -> Result<Condition<T>, LockError> {
        match self.lock.inner.ask(NewCondition { mutex: self.lock.inner.number }).await? {
            Reply::Number(number) => Ok(Condition::new(self.clone(), number)),
            _ => Err(nonsense()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lock.inner.name
    }
}

impl<T> Guarding for Mutex<T> {
    fn lock_key(&self) -> LockKey {
        self.lock.inner.key()
    }
}

impl<T> Clone for Mutex<T> {
    fn clone(&self) -> Self {
        Self { lock: self.lock.clone() }
    }
}

impl<T> PartialEq for Mutex<T> {
    fn eq(&self, other: &Self) -> bool {
        self.lock == other.lock
    }
}

impl<T> Eq for Mutex<T> {}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}

/// A held [`Mutex`], or an [`RwLock`](super::RwLock) held for writing. Dropping it releases the lock, without waiting.
///
/// It belongs to the actor, or the task, that asked for it: a deadlock is looked for in what *that* one waits for.
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<T: Payload = ()> {
    /// None once it is given away.
    hold: Option<Hold>,
    data: T,
    changed: bool,
}

impl<T: Payload> MutexGuard<T> {
    /// The proof of this grant, for what has to refuse a holder that is not one any more.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.held().token()
    }

    /// How the last holder ended, if it did not release the lock in order: what the lock protects may be half done.
    #[must_use]
    pub fn poisoned_by(&self) -> Option<&Poison> {
        self.held().poison.as_ref()
    }

    /// Lets the grant last so long from now on.
    ///
    /// # Errors
    /// [`Stale`](LockError::Stale), where it is over.
    pub async fn renew(&self, lease: Duration) -> Result<(), LockError> {
        self.held().renew(Some(lease)).await
    }

    /// Releases the lock and waits until that is done.
    ///
    /// # Errors
    /// [`Stale`](LockError::Stale), where the grant was over before: what was changed in the data is lost.
    pub async fn release(self) -> Result<(), LockError> {
        self.into_hold().release().await
    }

    /// Releases several locks of one supervisor as one step: what was changed in the data of all of them is there for others
    /// at once, or, where this holder dies before, none of it ever is.
    ///
    /// # Errors
    /// [`Stale`](LockError::Stale), where one of the grants was over before: then all data is as before.
    ///
    /// # Panics
    /// The locks are of several supervisors.
    pub async fn release_together(guards: impl IntoIterator<Item = Self>) -> Result<(), LockError> {
        let holds = guards.into_iter().map(Self::into_hold).collect();
        Hold::release_all(holds).await
    }

    fn held(&self) -> &Hold {
        self.hold.as_ref().expect("a guard has its grant until it is consumed")
    }

    /// The grant, with what was changed.
    pub(super) fn into_hold(mut self) -> Hold {
        self.pack();
        self.hold.take().expect("a guard has its grant until it is consumed")
    }

    fn pack(&mut self) {
        if let Some(hold) = self.hold.as_mut().filter(|_| self.changed && !std::thread::panicking()) {
            match Parcel::new(&self.data) {
                Ok(data) => hold.data = Some(data),
                Err(_) => hold.how = Release::Unsaved,
            }
            self.changed = false;
        }
    }
}

impl<T: Payload> Drop for MutexGuard<T> {
    fn drop(&mut self) {
        self.pack();
    }
}

impl<T: Payload> Sealed for MutexGuard<T> {}
impl<T: Payload> Guard for MutexGuard<T> {}

impl<T: Payload> Answer for MutexGuard<T> {
    fn accept(reply: Reply, lock: Arc<Inner>, party: Party) -> Result<Self, LockError> {
        let (hold, data) = granted(reply, lock, party)?;
        Ok(Self { hold: Some(hold), data, changed: false })
    }
}

/// The grant and the data in an answer.
pub(super) fn granted<T: Payload>(reply: Reply, lock: Arc<Inner>, party: Party) -> Result<(Hold, T), LockError> {
    let Reply::Granted(mut granted) = reply else { return Err(nonsense()) };
    let data = granted.data.take().unwrap_or_default();
    let hold = Hold::new(lock, party, granted);
    let data = data.open().map_err(LockError::Data)?;
    Ok((hold, data))
}

impl<T: Payload> Deref for MutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: Payload> DerefMut for MutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.data
    }
}

impl<T: Payload + fmt::Debug> fmt::Debug for MutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexGuard").field("data", &self.data).finish_non_exhaustive()
    }
}
