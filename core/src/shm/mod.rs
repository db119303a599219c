//! Memory that two processes share.

pub(crate) mod journal;
