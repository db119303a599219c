//! The queues of a supervisor by their names.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::ids::{Destination, TypeHash};

/// What a supervisor knows of its queues.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<String, Option<Known>>>);

/// A queue that is found by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) to: Destination,
    pub(super) item: TypeHash,
}

/// A name that is taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Claimed {
    names: Arc<Names>,
    name: String,
}

impl Names {
    /// Takes a name, if nobody has it.
    pub(super) fn claim(self: &Arc<Self>, name: &str) -> Option<Claimed> {
        let mut names = self.lock();
        if names.contains_key(name) {
            return None;
        }
        names.insert(name.to_owned(), None);
        Some(Claimed { names: self.clone(), name: name.to_owned() })
    }

    /// Says what has the name.
    pub(super) fn settle(&self, name: &str, known: Known) {
        if let Some(place) = self.lock().get_mut(name) {
            *place = Some(known);
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<Known> {
        self.lock().get(name).copied().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<Known>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
    }
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
