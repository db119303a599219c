//! The guardian, which is the system here.

use crate::Program;

/// Names the program that guards this process' children.
///
/// # Platform-specific behavior
/// On Linux a process of its own kills what this one leaves behind, and must be named before the first
/// [`spawn`](crate::spawn). On Windows the system does that, for it ends every child's job with this process: the name is not
/// used.
pub fn set_guardian(program: Program) {
    let _ = program;
}

/// Becomes the guardian of the process that has started this one: on Windows none ever does, so this ends the process with
/// an error.
pub fn run_guardian() -> ! {
    eprintln!("a guardian is not started by hand, and on Windows by nobody");
    std::process::exit(2)
}
