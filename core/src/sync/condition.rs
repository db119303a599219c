//! What the holders of a mutex wait for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::LockError;
use super::handle::nonsense;
use super::mutex::{Mutex, MutexGuard};
use super::protocol::{Notify, Reply};
use super::wait::Wait;
use crate::actor::traits::Payload;

/// A condition of what a [`Mutex`] protects: who holds the mutex can wait for others to change it.
///
/// A handle, as the mutex is one.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Condition<T = ()> {
    mutex: Mutex<T>,
    number: u64,
}

impl<T: Payload> Condition<T> {
    pub(super) fn new(mutex: Mutex<T>, number: u64) -> Self {
        Self { mutex, number }
    }

    /// Releases the mutex, waits to be notified, and waits for the mutex again, as one step that misses nothing.
    ///
    /// # Errors
    /// As of [`Mutex::lock`]; and [`Stale`](LockError::Stale), where the grant was over. The mutex is then not held: who
    /// wants to go on locks it again.
    ///
    /// # Panics
    /// The guard is of another mutex.
    ///
    /// # Cancellation
    /// Once it was polled, dropping it leaves the mutex released. A notification of one that it had got goes to another.
    pub fn wait(&self, guard: MutexGuard<T>) -> Wait<MutexGuard<T>> {
        let hold = guard.into_hold();
        assert_eq!(hold.lock.key(), self.mutex.lock.inner.key(), "the guard is of another mutex than the condition");
        Wait::for_condition(self.number, hold)
    }

    /// Waits as long as `goes_on` says so of the data.
    ///
    /// # Errors
    /// As of [`wait`](Self::wait).
    pub async fn wait_while(
        &self,
        mut guard: MutexGuard<T>,
        mut goes_on: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<T>, LockError> {
        while goes_on(&mut guard) {
            guard = self.wait(guard).await?;
        }
        Ok(guard)
    }

    /// Wakes the one that has waited longest. Answers whether there was one.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn notify_one(&self) -> Result<bool, LockError> {
        Ok(self.notify(false).await? > 0)
    }

    /// Wakes all that wait. Answers how many.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn notify_all(&self) -> Result<u64, LockError> {
        self.notify(true).await
    }

    async fn notify(&self, all: bool) -> Result<u64, LockError> {
        let mutex = &self.mutex.lock.inner;
        match mutex.ask(Notify { mutex: mutex.number, condition: self.number, all }).await? {
            Reply::Number(woken) => Ok(woken),
            _ => Err(nonsense()),
        }
    }

    /// The mutex that it belongs to.
    #[must_use]
    pub fn mutex(&self) -> &Mutex<T> {
        &self.mutex
    }
}

impl<T> Clone for Condition<T> {
    fn clone(&self) -> Self {
        Self { mutex: self.mutex.clone(), number: self.number }
    }
}

impl<T> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("mutex", &self.mutex).field("number", &self.number).finish()
    }
}
