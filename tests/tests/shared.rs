//! Shared state with real processes: nothing is lost, nothing is half done, and every end is told.

#[path = "shared/handles.rs"]
mod handles;
#[path = "shared/hands.rs"]
mod hands;
#[path = "shared/objects.rs"]
mod objects;
mod processes;
#[path = "shared/rate.rs"]
mod rate;
#[path = "shared/watching.rs"]
mod watching;
#[path = "shared/writers.rs"]
mod writers;

procession::test_workers!();
