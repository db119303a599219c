//! Child processes.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{Endpoint, Never, unsupported};

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where the program is.
    pub path: PathBuf,
    /// The arguments after the program's name.
    pub args: Vec<OsString>,
}

/// A child to start.
#[derive(Debug)]
pub struct Launch {
    /// What to run.
    pub program: Program,
    /// What errors call the child.
    pub name: String,
    /// Becomes the child's standard input.
    pub stdin: Endpoint,
    /// Whether the child's standard output and error are read by this process and told to the [`Watch`].
    pub capture: bool,
}

/// Is told of everything a child does. Must not block.
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

/// How a process ended, as the system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exit {
    /// The kind of end.
    pub kind: ExitKind,
}

/// The kinds of end a process can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitKind {
    /// It exited with this code; a crash is a code too, an NTSTATUS.
    Code(i32),
    /// A signal ended it: never here.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
    /// It is gone and nobody can tell how.
    Unknown,
}

impl Exit {
    /// Whether it exited with code 0.
    pub fn success(&self) -> bool {
        self.kind == ExitKind::Code(0)
    }

    /// The name of the NTSTATUS, where the code is a known one.
    pub fn name(&self) -> Option<&'static str> {
        let ExitKind::Code(code) = self.kind else {
            return None;
        };
        // An NTSTATUS is written unsigned, an exit code is not.
        let name = match code as u32 {
            0x8000_0003 => "STATUS_BREAKPOINT",
            0xC000_0005 => "STATUS_ACCESS_VIOLATION",
            0xC000_0017 => "STATUS_NO_MEMORY",
            0xC000_001D => "STATUS_ILLEGAL_INSTRUCTION",
            0xC000_0094 => "STATUS_INTEGER_DIVIDE_BY_ZERO",
            0xC000_00FD => "STATUS_STACK_OVERFLOW",
            0xC000_0135 => "STATUS_DLL_NOT_FOUND",
            0xC000_013A => "STATUS_CONTROL_C_EXIT",
            0xC000_0142 => "STATUS_DLL_INIT_FAILED",
            0xC000_0374 => "STATUS_HEAP_CORRUPTION",
            0xC000_0409 => "STATUS_STACK_BUFFER_OVERRUN",
            _ => return None,
        };
        Some(name)
    }
}

/// A started process; cheap to clone, and dropping it does nothing to the process.
#[derive(Debug, Clone)]
pub struct Child(Never);

impl Child {
    /// The id of the process.
    pub fn pid(&self) -> u32 {
        match self.0 {}
    }

    /// Asks the process to end: nothing hears that here.
    pub fn terminate(&self) {
        match self.0 {}
    }

    /// Kills the process and its whole job.
    pub fn kill(&self) {
        match self.0 {}
    }
}

/// Starts a child, in a job of its own.
///
/// # Errors
/// `Unsupported`, always.
pub async fn spawn(launch: Launch, watch: Arc<dyn Watch>) -> io::Result<Child> {
    let _ = (launch, watch);
    unsupported()
}

/// Names the program that guards this process' children. The job object does that here, so the name is not used.
pub fn set_guardian(program: Program) {
    let _ = program;
}

/// Ends this process: no guardian is ever started here.
pub fn run_guardian() -> ! {
    std::process::exit(2)
}
