//! Queues between processes: bounded, counted, with an end, and nothing lost unseen.

mod processes;

#[path = "queues/acknowledged.rs"]
mod acknowledged;
#[path = "queues/bounds.rs"]
mod bounds;
#[path = "queues/bytes.rs"]
mod bytes;
#[path = "queues/counted.rs"]
mod counted;
#[path = "queues/dropped.rs"]
mod dropped;
#[path = "queues/ends.rs"]
mod ends;
#[path = "queues/handles.rs"]
mod handles;
#[path = "queues/porter.rs"]
mod porter;
#[path = "queues/rate.rs"]
mod rate;

procession::test_workers!();
