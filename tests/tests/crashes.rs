//! Workers that end in every way at every stage of their work: it is told as it was, once, and touches nobody else.

mod pools;
mod processes;

// The root of a test crate is not a `mod.rs`: its parts say where they are.
#[path = "crashes/actors.rs"]
mod actors;
#[path = "crashes/fuse.rs"]
mod fuse;
#[path = "crashes/halves.rs"]
mod halves;
#[path = "crashes/tasks.rs"]
mod tasks;

use processes::system;

procession::test_workers!();
