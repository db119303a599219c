//! What is said between a lock's handles and the service.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Poison;
use super::info::LockInfo;
use super::kind::LockKind;
use super::table::{Release, Terms};
use crate::actor::parcel::Parcel;

/// The methods of the service, by number.
pub(super) const METHODS: [&str; 16] = [
    "open",
    "condition",
    "lock",
    "release",
    "return",
    "renew",
    "is_valid",
    "wait for a condition",
    "notify",
    "wait for an event",
    "set an event",
    "is_set",
    "wait at a barrier",
    "reset a barrier",
    "locks",
    "release together",
];

/// A request, by its method: the arguments of each.
pub(super) trait Ask: Serialize {
    const METHOD: u16;
}

macro_rules! asks {
    ($($(#[$meta:meta])* $name:ident($($field:ident: $type:ty),*) = $method:literal;)*) => {
        $($(#[$meta])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(super) struct $name { $(pub(super) $field: $type),* }

        impl Ask for $name {
            const METHOD: u16 = $method;
        })*
    };
}

asks! {
    /// The lock of a name. Answered by its number.
    Open(name: String, kind: LockKind, data: Option<Parcel>) = 0;
    /// A condition of a mutex. Answered by its number.
    NewCondition(mutex: u64) = 1;
    /// A grant.
    Acquire(lock: u64, terms: Terms) = 2;
    /// Gives a grant back, with the data if it was changed.
    GiveBack(token: u64, how: Release, data: Option<Parcel>, hearer: Hearer) = 3;
    /// Gives back a grant that nobody used.
    Return(token: u64) = 4;
    /// Lets a grant last so long from now on.
    Renew(token: u64, lease: Option<Duration>) = 5;
    /// Whether a grant lasts.
    IsValid(lock: u64, token: u64) = 6;
    /// Gives a grant back and waits for another one by a condition.
    WaitFor(mutex: u64, condition: u64, token: u64, data: Option<Parcel>) = 7;
    /// Wakes one or all. Answered by how many.
    Notify(mutex: u64, condition: u64, all: bool) = 8;
    /// Waits for an event.
    WaitEvent(event: u64) = 9;
    /// Sets or clears an event. Answered by what it was.
    SetEvent(event: u64, set: bool) = 10;
    /// Whether an event is set.
    IsSet(event: u64) = 11;
    /// Waits at a barrier. Answered by how many came before.
    WaitBarrier(barrier: u64) = 12;
    /// Makes a barrier whole.
    ResetBarrier(barrier: u64) = 13;
    /// What there is.
    List() = 14;
    /// Gives several grants back, all or none.
    GiveBackAll(grants: Vec<GiveBack>) = 15;
}

/// Who is told that a grant which is given back was over before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hearer {
    /// Whoever asks.
    Caller,
    /// It was dropped: who listens to the supervisor's events.
    Listeners,
    /// It may have been given back already, by a message that was on its way.
    Nobody,
}

/// Every answer of the service: one type, so that one that found nobody tells by itself whether it gave something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done,
    Flag(bool),
    Number(u64),
    Granted(Granted),
    Locks(Vec<LockInfo>),
}

/// A grant on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Granted {
    pub(super) token: u64,
    pub(super) data: Option<Parcel>,
    pub(super) poison: Option<Poison>,
}
