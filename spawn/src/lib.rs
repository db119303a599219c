//! What is said of a child process on every system: what to start, who is told of it, what it may use, how it ended.
//!
//! The two leaves of procession, one for each system, do it; they have these names as their own.

mod exit;
mod launch;
mod limits;

pub use exit::{Exit, ExitKind};
pub use launch::{Launch, Output, Program, Watch};
pub use limits::{Limit, Limits, Priority, Unenforced};
