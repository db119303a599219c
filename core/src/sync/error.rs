//! Why a lock was not granted, and what its last holder left behind.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::kind::LockKind;
use crate::error::call::{CallError, NotDelivered};
use crate::error::exit::{DownReason, Exit};
use crate::wire::codec::DecodeError;

/// Every way in which an operation on a lock can fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum LockError {
    /// All these wait for each other, and this was the youngest wait. Release what you hold and begin again.
    #[error("deadlock: {}", told(cycle))]
    Deadlock {
        /// Who waits for what of whom; the last one waits for the first, which is the one that is told.
        cycle: Vec<DeadlockStep>,
    },
    /// The time that was set, or that of the message whose handler waits, is over.
    #[error("it was not granted in time")]
    TimedOut,
    /// Somebody else has it, or waits before; only said to who tries.
    #[error("somebody else has it, or waits before")]
    WouldBlock,
    /// The grant is over: it was released, its lease has ended, or its holder has.
    #[error("the grant is over: the token is stale")]
    Stale,
    /// The name stands for something else.
    #[error("{name} is a {kind}")]
    OtherKind {
        /// The name that was asked for.
        name: String,
        /// What it stands for.
        kind: LockKind,
    },
    /// So much will never be free; or it was asked for nothing at all.
    #[error("{asked} of {of} can never be granted")]
    NeverFits {
        /// How many permits.
        asked: u32,
        /// Of how many.
        of: u32,
    },
    /// The supervisor has as many locks, or a name is as long, as may be.
    #[error("there are as many locks, or the name is as long, as may be")]
    TooMany,
    /// The handle names a lock that its supervisor has not.
    #[error("its supervisor has no such lock")]
    NoSuchLock,
    /// Not all will come to the barrier.
    #[error("the barrier is broken: {0}")]
    Broken(BarrierBreach),
    /// The supervisor that has the lock has ended.
    #[error("the supervisor of the lock has ended")]
    Stopped,
    /// The data that the lock carries is not what the handle says.
    #[error("failed to decode the data of the lock: {0}")]
    Data(DecodeError),
    /// What was made of the data cannot be encoded; it is as before.
    #[error("the data of a lock could not be encoded")]
    Unsaved,
    /// The supervisor could not be asked.
    #[error(transparent)]
    Failed(CallError),
}

/// One who waits in a deadlock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlockStep {
    /// The actor that waits.
    pub who: String,
    /// What it waits for.
    pub wants: Wanted,
    /// The actor that has it: the next one of the cycle.
    pub of: String,
}

/// What an actor in a deadlock waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Wanted {
    /// The lock of this name.
    Lock(String),
    /// The answer to a call of this method.
    Answer(String),
}

impl fmt::Display for DeadlockStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, wants, of } = self;
        match wants {
            Wanted::Lock(lock) => write!(f, "{who} waits for the lock {lock}, which {of} holds"),
            Wanted::Answer(method) => write!(f, "{who} waits for the answer of {of} to {method}"),
        }
    }
}

fn told(cycle: &[DeadlockStep]) -> String {
    let steps: Vec<String> = cycle.iter().map(ToString::to_string).collect();
    steps.join("; ")
}

/// Why not all will come to a barrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum BarrierBreach {
    /// One that takes part has ended.
    #[error("{who} has ended")]
    Ended {
        /// Its name.
        who: String,
        /// How it ended.
        reason: DownReason,
    },
    /// One that waited has given up.
    #[error("{who} waits no more")]
    Left {
        /// Its name.
        who: String,
    },
    /// It was reset.
    #[error("it was reset")]
    Reset,
}

/// What the next holder of a lock is told where the last one did not release it in order: what the lock protects may be
/// half done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poison {
    pub(super) holder: String,
    pub(super) cause: PoisonCause,
}

/// How a holder ended its grant, other than by a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PoisonCause {
    /// It ended.
    Ended(DownReason),
    /// It panicked, and the guard was dropped by that.
    Panicked,
    /// Its lease was over.
    LeaseOver,
    /// What it had made of the data could not be encoded; the data is as before.
    Unsaved,
}

impl Poison {
    /// The name of the last holder.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// What happened to it.
    #[must_use]
    pub fn cause(&self) -> &PoisonCause {
        &self.cause
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        match &self.cause {
            PoisonCause::Ended(DownReason::Exit(exit)) => Some(exit),
            _ => None,
        }
    }
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = &self.holder;
        match &self.cause {
            PoisonCause::Ended(DownReason::Exit(exit)) => write!(f, "{holder} held it and ended: {exit}"),
            PoisonCause::Ended(DownReason::NotDelivered(why)) => write!(f, "{holder} held it and is gone: {why}"),
            PoisonCause::Panicked => write!(f, "{holder} panicked while it held it"),
            PoisonCause::LeaseOver => write!(f, "{holder} held it for longer than its lease"),
            PoisonCause::Unsaved => write!(f, "{holder} could not bring its data back"),
        }
    }
}

impl From<CallError<LockError>> for LockError {
    fn from(error: CallError<LockError>) -> Self {
        match error {
            CallError::Handler(error) => error,
            CallError::TimedOut { .. } => Self::TimedOut,
            CallError::NotDelivered(NotDelivered::Stopped) | CallError::Died { .. } => Self::Stopped,
            CallError::NotDelivered(why) => Self::Failed(CallError::NotDelivered(why)),
            CallError::Panicked(panic) => Self::Failed(CallError::Panicked(panic)),
            CallError::Cancelled => Self::Failed(CallError::Cancelled),
            CallError::NoReply => Self::Failed(CallError::NoReply),
            CallError::Codec(error) => Self::Failed(CallError::Codec(error)),
            CallError::Version(why) => Self::Failed(CallError::Version(why)),
            CallError::WouldDeadlock { path } => Self::Failed(CallError::WouldDeadlock { path }),
        }
    }
}
