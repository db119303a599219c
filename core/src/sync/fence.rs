//! What refuses a holder that is not one any more.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::LockError;
use super::handle::{Lock, Role, nonsense};
use super::mutex::Mutex;
use super::protocol::{IsValid, Reply};
use super::rwlock::RwLock;
use crate::actor::fence::{FencingToken, Standing};

/// Lets through who holds a lock now, and nobody else: for an actor that does what only a holder may do.
///
/// A holder that was frozen for longer than its lease does not know that it is none any more. It sends the
/// [token](FencingToken) of its grant along with what it wants done, and whoever does it asks a fence first.
///
/// A handle, as a [`Mutex`] is one.
#[derive(Clone, Serialize, Deserialize)]
pub struct Fence {
    lock: Lock<FenceRole>,
}

struct FenceRole;

impl Role for FenceRole {
    fn describe() -> String {
        "Fence".to_owned()
    }
}

impl Fence {
    /// A fence for the holders of this lock.
    pub fn new<T>(mutex: &Mutex<T>) -> Self {
        Self { lock: mutex.lock.as_role() }
    }

    /// A fence for those who hold this lock, for reading or for writing.
    pub fn of_rwlock<T>(lock: &RwLock<T>) -> Self {
        Self { lock: lock.lock.as_role() }
    }

    /// Whether the grant of this token lasts.
    ///
    /// # Errors
    /// [`Stale`](LockError::Stale), where it is over, or is of another lock.
    pub async fn admit(&self, token: FencingToken) -> Result<(), LockError> {
        let lock = &self.lock.inner;
        let valid = match token.standing(lock.key()) {
            Standing::Valid => true,
            Standing::Stale => false,
            Standing::Elsewhere => match lock.ask(IsValid { lock: lock.number, token: token.number }).await? {
                Reply::Flag(valid) => valid,
                _ => return Err(nonsense()),
            },
        };
        if valid { Ok(()) } else { Err(LockError::Stale) }
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock.fmt(f)
    }
}
