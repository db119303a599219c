//! Memory that two processes share.

pub(crate) mod chunk;
pub(crate) mod claims;
pub(crate) mod journal;
mod layout;
pub(crate) mod memories;
pub(crate) mod outbox;
pub(crate) mod progress;
pub(crate) mod ring;
