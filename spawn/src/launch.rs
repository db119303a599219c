//! What to start, and who is told of it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::{Exit, Limits};

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where the program is; looked up in `PATH` if it is a name only.
    pub path: PathBuf,
    /// The arguments after the program's name.
    pub args: Vec<OsString>,
}

/// A child to start, whose standard input is an `S`.
#[derive(Debug)]
pub struct Launch<S> {
    /// What to run.
    pub program: Program,
    /// What errors call the child.
    pub name: String,
    /// Becomes the child's standard input.
    pub stdin: S,
    /// Whether the child's standard output and error are read by this process and told to the [`Watch`]; if not, the child
    /// inherits this process' own.
    pub capture: bool,
    /// What it may use of the machine.
    pub limits: Limits,
}

/// Is told of everything a child does.
///
/// All calls come from the one process thread of this program, but for those of whoever finds the child dead by
/// `Child::try_wait`; and one at a time. They must not block: while one does, no other child is started, heard of or reaped. A
/// panic is caught and has no effect but its message.
pub trait Watch: Send + Sync + 'static {
    /// The child, or one that inherited its output, has written `bytes`: a piece of any size, in order, not a line.
    fn output(&self, from: Output, bytes: &[u8]);

    /// The child has ended. Called exactly once, after all that it had written was told.
    fn exited(&self, exit: Exit);
}

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}
