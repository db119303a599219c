//! The services of a supervisor: locks, queues, shared values.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use crate::actor::service::{self, Service, Serving};
use crate::error::start::StartError;
use crate::wire::ids::Destination;

/// What lives beside a supervisor's children and ends after them, so that they can use it to their last moment.
pub(crate) struct Services {
    owner: u64,
    runtime: Handle,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    closed: bool,
    serving: Vec<Serving>,
    /// One of each type: what a kind of service keeps for the whole supervisor.
    slots: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Services {
    /// None yet; they will run on the runtime of the caller.
    pub(super) fn new(owner: u64) -> Self {
        Self { owner, runtime: Handle::current(), inner: Mutex::default() }
    }

    /// Starts a service.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub(crate) fn serve<S: Service>(&self, name: &str, service: S) -> Result<Destination, StartError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(StartError::SupervisorEnded);
        }
        // A supervisor may outlive any number of them.
        inner.serving.retain(|serving| !serving.is_over());
        let (serving, run) = service::open(self.owner, name, service);
        let to = serving.destination();
        inner.serving.push(serving);
        drop(inner);
        self.runtime.spawn(run);
        Ok(to)
    }

    /// The one value of this type that belongs to the supervisor; made when it is first asked for.
    pub(crate) fn slot<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut inner = self.lock();
        let slot = inner.slots.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default())).clone();
        drop(inner);
        slot.downcast().unwrap_or_default()
    }

    /// Ends all of them; there will be no more.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let (serving, slots) = (std::mem::take(&mut inner.serving), std::mem::take(&mut inner.slots));
        // Not dropped under the lock: they may hold what asks for it.
        drop(inner);
        serving.iter().for_each(Serving::close);
        drop(slots);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("owner", &self.owner).finish_non_exhaustive()
    }
}
