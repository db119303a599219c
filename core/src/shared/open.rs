//! How shared objects come to be: by name, or unnamed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use super::counter::Counter;
use super::dict::Dict;
use super::keeper::{Keeper, Kept};
use super::list::List;
use super::number::Number;
use super::store;
use super::store::bounds::{Bounds, WhenFull};
use super::store::cell::Cell;
use super::store::refusal::Refusal;
use super::value::Value;
use crate::actor::fence::{Guarding, LockKey};
use crate::actor::held::{Held, SHARED};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::start::StartError;
use crate::supervisor::handle::Supervisor;
use crate::wire::codec::EncodeError;
use crate::wire::ids::{Destination, TypeHash};

/// Operations that an object keeps for watchers that have not read them.
const LAG: usize = 1024;

/// A shared object to be: its name, if it has one, and its bounds. A mere name is one: `sup.list::<u32>("found")`.
///
/// Under a name, everybody who has the supervisor opens the same object, and it is there until the supervisor ends. One
/// without a name is there while anybody holds a handle of it: a value in any process, another shared object, a message on its
/// way. (Objects that hold each other are held by nobody else, and yet are there until their supervisor ends.)
///
/// Its bounds are those that it was first opened with. By default 16,777,216 elements and 1 GiB of encoded keys and values,
/// without what it needs beside them, about 100 bytes for each element; what does not fit is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it is given to `list`, `dict`, `counter` or `value` of a supervisor"]
pub struct SharedSpec {
    name: Option<String>,
    bounds: Option<Bounds>,
    lag: usize,
    guard: Option<LockKey>,
}

impl SharedSpec {
    /// The object of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), bounds: None, lag: LAG, guard: None }
    }

    /// A new object, without a name.
    pub fn unnamed() -> Self {
        Self { name: None, bounds: None, lag: LAG, guard: None }
    }

    /// How many elements a list, or keys a dict, may have.
    pub fn max_len(mut self, elements: u64) -> Self {
        self.bounds.get_or_insert_default().max_len = elements;
        self
    }

    /// How many bytes the encoded values and keys may have together.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bounds.get_or_insert_default().max_bytes = bytes;
        self
    }

    /// What it does with what is to be added when it is full.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.bounds.get_or_insert_default().when_full = when_full;
        self
    }

    /// Nothing is written to it but under a grant of this lock, which has to be of the same process: by handles that
    /// [`guarded_by`](List::guarded_by) has made of its tokens. Who only reads needs none.
    ///
    /// So a holder that was stopped, and comes back after its lease, cannot write over what its successor has written.
    pub fn guarded_by(mut self, lock: &impl Guarding) -> Self {
        self.guard = Some(lock.lock_key());
        self
    }

    /// How many operations it keeps for a watcher that has not read them, 1,024 by default, of at most 64 MiB.
    pub fn watch_lag(mut self, operations: usize) -> Self {
        self.lag = operations.max(1);
        self
    }
}

impl From<&str> for SharedSpec {
    fn from(name: &str) -> Self {
        Self::named(name)
    }
}

impl From<&String> for SharedSpec {
    fn from(name: &String) -> Self {
        Self::named(name)
    }
}

impl From<String> for SharedSpec {
    fn from(name: String) -> Self {
        Self::named(name)
    }
}

/// Why a shared object could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Something else has this name.
    #[error("{name:?} is {found}, not {wanted}")]
    OtherType {
        /// The name.
        name: String,
        /// What has it.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// It was opened before, with other bounds than these, or another guard.
    #[error("{name:?} was opened before, with other bounds or another guard")]
    OtherBounds {
        /// The name.
        name: String,
    },
    /// The initial value could not be encoded.
    #[error("failed to encode the initial value: {0}")]
    Initial(#[from] EncodeError),
    /// The initial value does not fit.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The supervisor has ended.
    #[error(transparent)]
    Ended(#[from] StartError),
}

/// The named objects of one supervisor.
#[derive(Default)]
struct Names(Mutex<HashMap<String, Named>>);

struct Named {
    to: Destination,
    element: TypeHash,
    what: String,
    bounds: Bounds,
    guard: Option<LockKey>,
}

impl Supervisor {
    /// The shared list of this name, or a new one: see [`SharedSpec`] for unnamed ones and for bounds.
    ///
    /// ```
    /// # async fn open(sup: procession::Supervisor) -> procession::Result<()> {
    /// use procession::shared::{SharedSpec, WhenFull};
    ///
    /// let found = sup.list::<String>("found")?;
    /// found.push("first".to_owned()).await?;
    /// let latest = SharedSpec::named("latest").max_len(1000).when_full(WhenFull::DropOldest);
    /// let latest = sup.list::<u64>(latest)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Where something else has the name, or the same list other bounds; where the supervisor has ended.
    pub fn list<T: Payload>(&self, spec: impl Into<SharedSpec>) -> Result<List<T>, OpenError> {
        let make = |bounds| Ok(store::list::List::new(bounds));
        open(self, spec.into(), List::<T>::element(), List::<T>::describe(), make).map(List::of)
    }

    /// The shared dict of this name, or a new one.
    ///
    /// # Errors
    /// As for [`list`](Self::list).
    pub fn dict<K: Payload, V: Payload>(&self, spec: impl Into<SharedSpec>) -> Result<Dict<K, V>, OpenError> {
        let make = |bounds| Ok(store::dict::Dict::new(bounds));
        open(self, spec.into(), Dict::<K, V>::element(), Dict::<K, V>::describe(), make).map(Dict::of)
    }

    /// The shared counter of this name, or a new one that is zero: of `i64`, or of what the binding says, as in
    /// `let load: Counter<f64> = sup.counter("load")?`.
    ///
    /// # Errors
    /// As for [`list`](Self::list).
    pub fn counter<N: Number>(&self, spec: impl Into<SharedSpec>) -> Result<Counter<N>, OpenError> {
        let make = |bounds| Ok(Cell::new(Parcel::new(&N::default())?, bounds)?);
        open(self, spec.into(), Counter::<N>::element(), Counter::<N>::describe(), make).map(Counter::of)
    }

    /// The shared value of this name, or a new one with this initial value, which is of no meaning where there is one.
    ///
    /// # Errors
    /// As for [`list`](Self::list); where the initial value cannot be encoded, or does not fit.
    pub fn value<T: Payload>(&self, spec: impl Into<SharedSpec>, initial: T) -> Result<Value<T>, OpenError> {
        let make = |bounds| Ok(Cell::new(Parcel::new(&initial)?, bounds)?);
        open(self, spec.into(), Value::<T>::element(), Value::<T>::describe(), make).map(Value::of)
    }
}

fn open<S: Kept>(
    sup: &Supervisor,
    spec: SharedSpec,
    element: TypeHash,
    what: String,
    make: impl FnOnce(Bounds) -> Result<S, OpenError>,
) -> Result<Held<SHARED>, OpenError> {
    let bounds = spec.bounds.unwrap_or_default();
    let Some(name) = spec.name else {
        let keeper = Keeper::new(make(bounds)?, spec.lag, spec.guard, false);
        return Ok(Held::new(sup.services().serve(&what, keeper)?));
    };
    let names = sup.services().slot::<Names>();
    let mut names = names.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(named) = names.get(&name) {
        if named.element != element {
            return Err(OpenError::OtherType { name, found: named.what.clone(), wanted: what });
        }
        let other_guard = spec.guard.is_some() && spec.guard != named.guard;
        if other_guard || spec.bounds.is_some_and(|bounds| bounds != named.bounds) {
            return Err(OpenError::OtherBounds { name });
        }
        return Ok(Held::new(named.to));
    }
    let to = sup.services().serve(&name, Keeper::new(make(bounds)?, spec.lag, spec.guard, true))?;
    names.insert(name, Named { to, element, what, bounds, guard: spec.guard });
    Ok(Held::new(to))
}
