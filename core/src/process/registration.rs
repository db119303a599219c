//! Which actors this program can start as processes.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;

use crate::actor::message::type_hash;
use crate::actor::run::{self, Ended, Hosting};
use crate::actor::traits::{Handlers, Method};
use crate::wire::ids::TypeHash;

/// An actor type that can be started as a process. Made by `#[derive(Actor)]`, or by `register!` for one instance of a
/// generic type.
#[derive(Clone, Copy)]
pub struct ActorEntry {
    type_id: fn() -> TypeId,
    id: fn() -> String,
    pub(crate) hash: fn() -> TypeHash,
    pub(crate) methods: &'static [Method],
    pub(crate) host: fn(Hosting) -> Pin<Box<dyn Future<Output = Ended>>>,
}

inventory::collect!(ActorEntry);

impl ActorEntry {
    /// The entry of an actor type.
    #[must_use]
    pub const fn of<A: Handlers>() -> Self {
        Self {
            type_id: TypeId::of::<A>,
            id: actor_id::<A>,
            hash: type_hash::<A>,
            methods: A::METHODS,
            host: |hosting| Box::pin(run::run::<A>(hosting)),
        }
    }
}

impl fmt::Debug for ActorEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorEntry({})", (self.id)())
    }
}

/// The registered id of an actor type: its path, and where the path may not be enough, its place.
pub(crate) fn actor_id<A: Handlers>() -> String {
    format!("{} ({})", std::any::type_name::<A>(), A::LOCATION)
}

/// All registered actor types, by id; an error where two have the same.
pub(crate) fn registered() -> Result<&'static HashMap<String, ActorEntry>, String> {
    static ALL: OnceLock<Result<HashMap<String, ActorEntry>, String>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = HashMap::<String, ActorEntry>::new();
        for entry in inventory::iter::<ActorEntry> {
            let id = (entry.id)();
            if let Some(other) = all.insert(id.clone(), *entry)
                && (other.type_id)() != (entry.type_id)()
            {
                return Err(format!("two actor types have the id {id}: give one of them another name"));
            }
        }
        Ok(all)
    })
    .as_ref()
    .map_err(Clone::clone)
}

/// What tells this build of the program from others: the protocols of all its actors.
pub(crate) fn build() -> TypeHash {
    static BUILD: OnceLock<TypeHash> = OnceLock::new();
    *BUILD.get_or_init(|| {
        let mut ids: Vec<String> = inventory::iter::<ActorEntry>
            .into_iter()
            .map(|entry| format!("{}={:016x}", (entry.id)(), (entry.hash)().0))
            .collect();
        ids.sort();
        ids.push(env!("CARGO_PKG_VERSION").to_owned());
        TypeHash::of(&ids.iter().map(String::as_str).collect::<Vec<_>>())
    })
}
