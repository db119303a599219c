//! Several routers in one test: a hub, its workers, hubs below it; joined by wires of bytes, on a hand-driven clock.

mod world;

mod delivery;

use world::{World, failure, text};
