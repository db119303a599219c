//! What the table asks of its shell, and the words that it uses for it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::deadlock::Step;
use crate::sync::kind::LockKind;

/// A lock of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LockId(pub(crate) u64);

/// A request that waits for its answer, as the shell numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Request(pub(crate) u64);

/// The number of a grant: it grows over the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(pub(crate) u64);

/// A condition that is bound to a mutex; it is nothing but a number until somebody waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConditionId(pub(crate) u64);

/// Who asks for locks, holds them, and ends: one strand of several that live and die together.
pub(crate) trait Who: Copy + Ord + std::fmt::Debug {
    /// The same for all that live and die together; a guard may be moved from one of them to another.
    fn root(self) -> Self;
}

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// Of how many units.
    pub(crate) share: Share,
    /// The grant ends by itself so long after it was given.
    pub(crate) lease: Option<Duration>,
    /// Whether to wait for it.
    pub(crate) wait: bool,
}

/// How much of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Share {
    /// All of it: a mutex, or a lock for writing.
    All,
    /// With other readers.
    Read,
    /// So many permits of a semaphore.
    Permits(u32),
}

/// How a grant ended that was not released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Poison<P, E> {
    /// Who held it.
    pub(crate) by: P,
    /// What happened.
    pub(crate) how: How<E>,
}

/// What happened to a holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How<E> {
    /// It ended.
    Ended(E),
    /// It released the lock while it panicked.
    Panicked,
    /// It released the lock, and what it had made of the data could not be carried.
    Unsaved,
    /// Its lease was over.
    Lapsed,
}

/// Why a barrier lets nobody pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Breach<P, E> {
    /// One that had taken part ended.
    Ended(P, E),
    /// One that waited waits no more.
    Left(P),
    /// It was reset while others waited.
    Reset,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal<P, E> {
    /// There is no lock of this number.
    NoSuchLock,
    /// The name stands for something else, or what it stands for cannot do this.
    OtherKind { name: Arc<str>, kind: LockKind },
    /// Not even a free lock has so much, or it was for nothing at all.
    NeverFits { asked: u32, of: u32 },
    /// The table has as many locks as it may.
    TooMany,
    /// Others hold it, or wait before.
    WouldBlock,
    /// The token is of a grant that is over, or of somebody else's.
    Stale,
    /// All these wait for each other.
    Deadlock(Vec<Step<P>>),
    /// The barrier is broken.
    Broken(Breach<P, E>),
}

/// What the shell is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action<P, D, E> {
    /// Tell when this party and all that live with it end; said again whenever one of them has begun to hold or to wait.
    Watch(P),
    /// From now on this token is valid.
    Began { lock: LockId, token: Token },
    /// From now on it is not.
    Over { lock: LockId, token: Token },
    /// The lock was granted.
    Granted { request: Request, lock: LockId, token: Token, data: Option<D>, poison: Option<Poison<P, E>> },
    /// The event is set.
    Opened { request: Request },
    /// All have come to the barrier; this one came after `before` others.
    Passed { request: Request, before: u32 },
    /// It ends in this.
    Refused { request: Request, why: Refusal<P, E> },
}

/// How a grant comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Release {
    Done,
    /// Its holder panics.
    Panicked,
    /// The data could not be brought back.
    Unsaved,
}
