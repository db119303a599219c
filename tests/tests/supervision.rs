//! Supervisors keep their promises with real processes: who is restarted, how often, in which order, and who hears of it.

mod life;

// The root of a test crate is not a `mod.rs`: its parts say where they are.
#[path = "supervision/ends.rs"]
mod ends;
#[path = "supervision/intensity.rs"]
mod intensity;
#[path = "supervision/order.rs"]
mod order;
#[path = "supervision/restarts.rs"]
mod restarts;
#[path = "supervision/told.rs"]
mod told;

use std::time::Duration;

use procession::{Backoff, SupervisorBuilder};

use life::quiet;

procession::test_workers!();

/// So many restarts, all at once, that no test that is not about them reaches their end.
fn lenient() -> SupervisorBuilder {
    quiet().intensity(1000, Duration::from_secs(30)).backoff(Backoff::none())
}
