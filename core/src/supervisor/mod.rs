//! Supervision: which child starts when, what follows when one ends, and when to give up.
#![cfg_attr(not(test), expect(dead_code, reason = "nothing restarts a child yet"))]
#![expect(
    unreachable_pub,
    unused_imports,
    reason = "the crate root re-exports these together with the supervisor itself"
)]

pub(crate) mod backoff;
pub(crate) mod intensity;

pub use backoff::{Backoff, BadBackoff};
pub use intensity::Intensity;
