//! Memory that two processes share.

pub(crate) mod journal;
pub(crate) mod memories;
pub(crate) mod progress;
