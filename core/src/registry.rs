//! Names of actors, typed: what a supervisor knows by name, any actor of its can look up.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::actor::lookup::Named;
use crate::actor::node::{LocalEnd, Node};
use crate::router::{EntryKey, Handles, NewEntry, Outcome};
use crate::wire::budget::Budget;
use crate::wire::codec;
use crate::wire::frame::PAYLOAD_LIMIT;
use crate::wire::ids::{Destination, TypeHash};

/// Lookups that wait at a registry.
const WAITING: u32 = 1024;

/// The names of one supervisor, and the mailbox at which other processes ask for them.
pub(crate) struct Registry {
    names: Mutex<HashMap<String, Named>>,
    entry: EntryKey,
    to: Destination,
}

impl Registry {
    /// Opens a registry; it answers while `serve` is polled.
    pub(crate) fn open(owner: u64) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let node = Node::here();
        let about = NewEntry {
            owner,
            name: "the registry".into(),
            type_hash: protocol(),
            capacity: WAITING,
            methods: vec!["lookup"],
        };
        let (entry, to) = node.with(|router| router.own(about));
        let end = Arc::new(LocalEnd::default());
        node.add_local(entry, &end);
        node.with(|router| router.attach_local(entry));
        let registry = Arc::new(Self { names: Mutex::default(), entry, to });
        let served = registry.clone();
        (registry, async move {
            loop {
                while let Some(taken) = node.take(entry) {
                    let found = codec::decode_slice::<String>(&taken.message.payload, Budget::default())
                        .ok()
                        .and_then(|name| served.get(&name));
                    let answer = codec::encode(&found, PAYLOAD_LIMIT).unwrap_or_default();
                    node.with(|router| {
                        router.answer(taken.call, Outcome::Value(answer.into(), Handles::none()));
                        router.finish(entry, &taken);
                    });
                }
                end.wake.notified().await;
            }
        })
    }

    pub(crate) fn destination(&self) -> Destination {
        self.to
    }

    /// Gives a name to an actor; false where it is taken.
    pub(crate) fn insert(&self, name: &str, named: Named) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        match names.entry(name.to_owned()) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(named);
                true
            }
        }
    }

    pub(crate) fn remove(&self, name: &str) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    pub(crate) fn get(&self, name: &str) -> Option<Named> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Ends it; later lookups are not delivered.
    pub(crate) fn close(&self) {
        let node = Node::here();
        node.with(|router| router.retire(self.entry, &crate::error::call::NotDelivered::Stopped, None));
        node.remove_local(self.entry);
    }
}

fn protocol() -> TypeHash {
    TypeHash::of(&["procession registry", env!("CARGO_PKG_VERSION")])
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("to", &self.to).finish_non_exhaustive()
    }
}
