//! The program: a launcher that starts a runner for each workload, and the children of those.

mod bare;
mod figure;
mod ipc_channel;
mod launcher;
mod metric;
mod options;
mod placement;
mod procession;
mod procspawn;
mod python;
mod rayon;
mod runner;
mod system;
mod table;
mod tarpc;
mod workloads;

use std::process::ExitCode;

/// The first argument of a process that runs one workload.
pub(crate) const RUNNER: &str = "bench-runner";
/// The first argument of a child that is none of procession's and none of procspawn's.
pub(crate) const CHILD: &str = "bench-child";

/// What the process is for is in its first argument, or, for procspawn, where that puts it.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let first = arguments.first().map_or("", String::as_str);
    placement::settle(first == RUNNER);
    if first == CHILD {
        return bare::child::main(&arguments[1..]);
    }
    ::procspawn::ProcConfig::new().pass_args(false).init();
    // Workers and guardians of procession never come to the runner's body.
    if first == RUNNER || first.starts_with("procession-") { runner::main() } else { launcher::main() }
}
