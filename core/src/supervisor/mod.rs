//! Supervision: which child starts when, what follows when one ends, and when to give up.
//!
//! Everything that order or time decides is in [`policy`], which neither spawns nor waits: the [`shell`] around it feeds
//! it what happened and performs the actions it answers with. [`handle`] is what a user holds.

pub(crate) mod backoff;
pub(crate) mod builder;
pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod handle;
pub(crate) mod intensity;
pub(crate) mod over;
pub(crate) mod policy;
pub(crate) mod reports;
pub(crate) mod services;
pub(crate) mod shell;
pub(crate) mod spec;
