//! The contract that both leaves fulfil.

#[cfg(target_os = "linux")]
#[path = "../../conformance/mod.rs"]
mod conformance;
#[cfg(target_os = "linux")]
mod system;

#[cfg(target_os = "linux")]
use procession_spawn_unix as leaf;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    conformance::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
