//! What every leaf must do, as one text that both leaves' tests include.
//!
//! Whoever includes this has in the module above a `leaf`, the crate that is tested, and a `system`: how the tests see processes
//! there, kill them, and find those that a test has left behind.

mod death;
mod endpoints;
mod greeting;
mod harness;
mod limits;
mod memory;
mod orphans;
mod processes;
mod streams;

use std::process::ExitCode;

use super::{leaf, system};

pub(crate) fn main() -> ExitCode {
    let tests = [
        death::TESTS,
        endpoints::TESTS,
        greeting::TESTS,
        limits::TESTS,
        memory::TESTS,
        orphans::TESTS,
        processes::TESTS,
        streams::TESTS,
    ]
    .concat();
    let roles = [
        death::ROLES,
        endpoints::ROLES,
        greeting::ROLES,
        limits::ROLES,
        memory::ROLES,
        orphans::ROLES,
        processes::ROLES,
        harness::ROLES,
    ]
    .concat();
    harness::main(&tests, &roles)
}
