//! Several routers in one test: a hub, its workers, hubs below it; joined by wires of bytes, on a hand-driven clock.

mod world;

mod cancel;
mod casts;
mod deadlines;
mod deadlock;
mod deaths;
mod delivery;
mod exhaustive;
mod full;
mod hostile;
mod memories;
mod model;
mod monitors;
mod peers;
mod references;
mod restarts;
mod speed;

use world::{Owned, Worker, World, body, down, failure, killed, text};

use crate::error::call::{CallError, Executed, NotDelivered};
use crate::router::Outcome;
