//! Supervision: which child starts when, what follows when one ends, and when to give up.
//!
//! Everything that order or time decides is in [`policy`], which neither spawns nor waits: the shell around it feeds it
//! what happened and performs the actions it answers with.
#![cfg_attr(not(test), expect(dead_code, reason = "the shell that drives the policy is not there yet"))]
#![expect(
    unreachable_pub,
    unused_imports,
    reason = "the crate root re-exports these together with the supervisor itself"
)]

pub(crate) mod backoff;
pub(crate) mod intensity;
pub(crate) mod policy;

pub use backoff::{Backoff, BadBackoff};
pub use intensity::Intensity;
pub use policy::Strategy;
