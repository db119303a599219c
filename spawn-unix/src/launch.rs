//! How a program is run.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Endpoint, Program};

/// A child to start.
pub type Launch = procession_spawn::Launch<Endpoint>;

/// A command for this program in the way every child is started. It never needs code between fork and exec, so it
/// stays on the fast path that does not copy this process' page tables.
pub(crate) fn command_for(program: &Program) -> Command {
    let mut command = Command::new(&program.path);
    command.arg0(real_path(program)).args(&program.args);
    command
}

/// A path that means something in `ps`, where the program is given as `/proc/self/exe`.
fn real_path(program: &Program) -> PathBuf {
    let through_proc = program.path.starts_with(Path::new("/proc"));
    match through_proc.then(|| program.path.read_link()) {
        Some(Ok(real)) => real,
        _ => program.path.clone(),
    }
}
