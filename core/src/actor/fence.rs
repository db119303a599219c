//! Which grants of locks are valid, for whoever in this process has to refuse a holder that is not one any more.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::wire::ids::{ActorId, NodeId};

/// Which lock: the service that has it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LockKey {
    pub(crate) node: NodeId,
    pub(crate) actor: ActorId,
    pub(crate) lock: u64,
}

/// A lock by whose tokens something else can be guarded: a mutex, or a lock for readers and writers.
pub trait Guarding {
    /// Which lock it is.
    #[doc(hidden)]
    fn lock_key(&self) -> LockKey;
}

/// The proof of one grant of one lock, to be sent along with what is done under it.
///
/// Over all locks of a supervisor its number grows with every grant. Once the grant is over, by a release, by the death of
/// its holder or by the end of its lease, the token is stale: shared state that is guarded by the lock, and a
/// [`Fence`](crate::sync::Fence), refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencingToken {
    pub(crate) number: u64,
    pub(crate) lock: LockKey,
}

impl FencingToken {
    /// Its number: larger than that of every earlier grant.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is of this lock and its grant not over, as far as this process can know.
    pub(crate) fn standing(&self, guard: LockKey) -> Standing {
        let grants = grants();
        match (self.lock == guard, grants.served.contains(&(guard.node, guard.actor))) {
            (false, _) => Standing::Stale,
            (true, false) => Standing::Elsewhere,
            (true, true) if grants.valid.contains(self) => Standing::Valid,
            (true, true) => Standing::Stale,
        }
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)
    }
}

/// What can be said of a token here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its grant lasts.
    Valid,
    /// Its grant is over, or it is of another lock.
    Stale,
    /// The lock is served in another process, which has to be asked.
    Elsewhere,
}

/// The locks of this process and their valid grants.
#[derive(Debug)]
struct Grants {
    served: BTreeSet<(NodeId, ActorId)>,
    valid: BTreeSet<FencingToken>,
}

static GRANTS: Mutex<Grants> = Mutex::new(Grants { served: BTreeSet::new(), valid: BTreeSet::new() });

fn grants() -> MutexGuard<'static, Grants> {
    GRANTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process serves locks under this address.
pub(crate) fn open(node: NodeId, actor: ActorId) {
    grants().served.insert((node, actor));
}

/// It does so no more; all its grants are over.
pub(crate) fn close(node: NodeId, actor: ActorId) {
    let mut grants = grants();
    grants.served.remove(&(node, actor));
    grants.valid.retain(|token| (token.lock.node, token.lock.actor) != (node, actor));
}

/// A grant begins: told before its holder is.
pub(crate) fn begin(token: FencingToken) {
    grants().valid.insert(token);
}

/// A grant is over: told before the next holder is.
pub(crate) fn end(token: FencingToken) {
    grants().valid.remove(&token);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_from_its_grant_to_its_end() {
        let (node, actor) = (NodeId(7_001), ActorId(1));
        let lock = LockKey { node, actor, lock: 3 };
        let token = FencingToken { number: 10, lock };
        assert_eq!(token.standing(lock), Standing::Elsewhere);
        open(node, actor);
        assert_eq!(token.standing(lock), Standing::Stale);
        begin(token);
        assert_eq!(token.standing(lock), Standing::Valid);
        assert_eq!(token.standing(LockKey { lock: 4, ..lock }), Standing::Stale, "of another lock");
        assert_eq!(FencingToken { number: 9, lock }.standing(lock), Standing::Stale);
        end(token);
        assert_eq!(token.standing(lock), Standing::Stale);
        begin(token);
        close(node, actor);
        assert_eq!(token.standing(lock), Standing::Elsewhere);
        open(node, actor);
        assert_eq!(token.standing(lock), Standing::Stale);
        close(node, actor);
    }
}
