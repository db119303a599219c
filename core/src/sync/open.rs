//! The locks of a supervisor, by name.

use std::any::type_name;
use std::sync::{Mutex as StdMutex, PoisonError};

use super::barrier::Barrier;
use super::condition::Condition;
use super::error::LockError;
use super::event::Event;
use super::handle::{Lock, ask, nonsense};
use super::info::LockInfo;
use super::kind::LockKind;
use super::mutex::Mutex;
use super::protocol::{List, Open, Reply};
use super::rwlock::RwLock;
use super::semaphore::Semaphore;
use super::service::LockService;
use crate::actor::fence;
use crate::actor::held::{Held, LOCK};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::call::{CallError, CodecError};
use crate::supervisor::handle::Supervisor;
use crate::wire::ids::Destination;

/// The service of a supervisor, once it was asked for.
#[derive(Default)]
struct Service(StdMutex<Option<Destination>>);

impl Supervisor {
    /// The mutex of this name. Whoever asks for the name gets the same one.
    ///
    /// # Errors
    /// [`OtherKind`](LockError::OtherKind), where the name stands for something else; the supervisor has ended.
    pub async fn mutex(&self, name: &str) -> Result<Mutex, LockError> {
        self.mutex_with(name, ()).await
    }

    /// The mutex of this name, which carries data. The value is what it carries at first: where it exists, it keeps what it
    /// has.
    ///
    /// # Errors
    /// As of [`mutex`](Self::mutex).
    pub async fn mutex_with<T: Payload>(&self, name: &str, value: T) -> Result<Mutex<T>, LockError> {
        let kind = LockKind::Mutex { data: type_name::<T>().to_owned() };
        Ok(Mutex { lock: self.open_lock(name, kind, Some(value)).await? })
    }

    /// The lock of this name for readers and writers.
    ///
    /// # Errors
    /// As of [`mutex`](Self::mutex).
    pub async fn rwlock(&self, name: &str) -> Result<RwLock, LockError> {
        self.rwlock_with(name, ()).await
    }

    /// The same, which carries data, as [`mutex_with`](Self::mutex_with) does.
    ///
    /// # Errors
    /// As of [`mutex`](Self::mutex).
    pub async fn rwlock_with<T: Payload>(&self, name: &str, value: T) -> Result<RwLock<T>, LockError> {
        let kind = LockKind::RwLock { data: type_name::<T>().to_owned() };
        Ok(RwLock { lock: self.open_lock(name, kind, Some(value)).await? })
    }

    /// The semaphore of this name, with so many permits, at least one.
    ///
    /// # Errors
    /// As of [`mutex`](Self::mutex); another number of permits is another kind.
    pub async fn semaphore(&self, name: &str, permits: u32) -> Result<Semaphore, LockError> {
        Ok(Semaphore { lock: self.open_lock(name, LockKind::Semaphore { permits }, None::<()>).await? })
    }

    /// The event of this name. It is not set at first.
    ///
    /// # Errors
    /// As of [`mutex`](Self::mutex).
    pub async fn event(&self, name: &str) -> Result<Event, LockError> {
        Ok(Event { lock: self.open_lock(name, LockKind::Event, None::<()>).await? })
    }

    /// The barrier of this name, for so many, at least one.
    ///
    /// # Errors
    /// As of [`mutex`](Self::mutex); another number of parties is another kind.
    pub async fn barrier(&self, name: &str, parties: u32) -> Result<Barrier, LockError> {
        Ok(Barrier { lock: self.open_lock(name, LockKind::Barrier { parties }, None::<()>).await? })
    }

    /// A new condition of this mutex.
    ///
    /// # Errors
    /// The supervisor of the mutex has ended.
    pub async fn condition<T: Payload>(&self, mutex: &Mutex<T>) -> Result<Condition<T>, LockError> {
        mutex.condition().await
    }

    /// All locks: who holds them and who waits, for how long.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn locks(&self) -> Result<Vec<LockInfo>, LockError> {
        match ask(self.lock_service()?.destination(), List {}).await? {
            Reply::Locks(locks) => Ok(locks),
            _ => Err(nonsense()),
        }
    }

    async fn open_lock<R, T: Payload>(
        &self,
        name: &str,
        kind: LockKind,
        value: Option<T>,
    ) -> Result<Lock<R>, LockError> {
        let held = self.lock_service()?;
        let unencodable =
            |error| LockError::Failed(CallError::Codec(CodecError::Arguments { method: "open".to_owned(), error }));
        let data = value.as_ref().map(Parcel::new).transpose().map_err(unencodable)?;
        match ask(held.destination(), Open { name: name.to_owned(), kind, data }).await? {
            Reply::Number(number) => Ok(Lock::new(held, number, name.to_owned())),
            _ => Err(nonsense()),
        }
    }

    /// The supervisor's lock table, which begins with the first lock.
    fn lock_service(&self) -> Result<Held<LOCK>, LockError> {
        let slot = self.services().slot::<Service>();
        let mut slot = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        let to = match *slot {
            Some(to) => to,
            None => {
                let to = self.services().serve("the locks", LockService::new()).map_err(|_| LockError::Stopped)?;
                fence::open(to.node, to.actor);
                *slot.insert(to)
            }
        };
        Ok(Held::new(to))
    }
}
