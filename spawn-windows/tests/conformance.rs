//! The contract that both leaves fulfil.

#[cfg(windows)]
#[path = "../../conformance/mod.rs"]
mod conformance;
#[cfg(windows)]
mod system;

#[cfg(windows)]
use procession_spawn_windows as leaf;

#[cfg(windows)]
fn main() -> std::process::ExitCode {
    conformance::main()
}

#[cfg(not(windows))]
fn main() {}
