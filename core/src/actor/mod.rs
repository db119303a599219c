//! Actors: state behind a mailbox, reached by address.

pub(crate) mod address;
pub(crate) mod call;
pub(crate) mod claim;
pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod fence;
pub(crate) mod held;
pub(crate) mod incoming;
pub(crate) mod leaving;
pub(crate) mod lookup;
pub(crate) mod message;
pub(crate) mod node;
pub(crate) mod parcel;
pub(crate) mod party;
pub(crate) mod restart;
pub(crate) mod run;
pub(crate) mod running;
pub(crate) mod service;
pub(crate) mod stopwatch;
pub(crate) mod target;
pub(crate) mod traits;
pub(crate) mod wheel;
