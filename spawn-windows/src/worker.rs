//! The first acts of a worker, and its last.

use std::io;

use crate::{Endpoint, unsupported};

/// Makes this process the worker of the process `parent`, and takes the stream that it was started with.
///
/// # Errors
/// `Unsupported`, always.
pub fn enter_worker(parent: u32) -> io::Result<Endpoint> {
    let _ = parent;
    unsupported()
}

/// Names this process where the system shows such a name: nowhere yet.
pub fn set_process_name(name: &str) {
    let _ = name;
}

/// Kills this process and everything in its job at once; as yet, only the process.
pub fn die_with_tree() -> ! {
    std::process::abort()
}
