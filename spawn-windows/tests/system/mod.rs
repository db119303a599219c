//! How tests see processes on Windows.

// A test program may use a part of this.
#![allow(dead_code, unused_imports)]

use std::fs;
use std::io;
use std::os::windows::io::AsHandle;
use std::process::{Child, Command};

use procession_inspect_windows::{self as inspect, Job};
use procession_spawn_windows::{Limit, Priority};

pub(crate) use procession_inspect_windows::{cpus, fault, memory_limit};

/// What a memory fault, an abort and a kill are called.
pub(crate) const FAULT: &str = "STATUS_ACCESS_VIOLATION";
pub(crate) const ABORT: &str = "STATUS_STACK_BUFFER_OVERRUN";
pub(crate) const KILL: &str = "KILLED";

/// A process that was seen alive.
pub(crate) struct Process(inspect::Process);

impl Process {
    pub(crate) fn open(pid: u32) -> Option<Self> {
        inspect::Process::open(pid).map(Self)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    pub(crate) fn kill(&self) {
        self.0.terminate(9);
    }
}

/// A process and all that it starts.
pub(crate) struct Started {
    pub(crate) process: Child,
    job: Job,
}

impl Started {
    pub(crate) fn by(command: &mut Command, _mark: &str) -> io::Result<Self> {
        let process = command.spawn()?;
        // It needs more time than this before it can start another.
        let job = Job::of(&process);
        Ok(Self { process, job })
    }

    /// How many of them live.
    pub(crate) fn left(&self) -> usize {
        self.job.living() as usize
    }

    pub(crate) fn kill_all(&self) {
        self.job.terminate();
    }
}

/// The limits that this system does not enforce: Windows enforces all of them, Wine none.
pub(crate) fn unenforced() -> Vec<Limit> {
    let wine = inspect::is_wine();
    if wine { vec![Limit::Memory, Limit::Processes, Limit::Cpus, Limit::Priority] } else { vec![] }
}

/// How urgent the work of this process is.
pub(crate) fn priority() -> Option<Priority> {
    match inspect::priority_class() {
        0x40 => Some(Priority::Idle),
        0x4000 => Some(Priority::BelowNormal),
        0x20 => Some(Priority::Normal),
        0x8000 => Some(Priority::AboveNormal),
        _ => None,
    }
}

/// How many handles this process has open.
pub(crate) fn open_handles() -> usize {
    inspect::open_handles() as usize
}

/// Whether shared memory can be changed by whoever has a handle of it, in any of the ways there are.
pub(crate) fn can_be_written(memory: &impl AsHandle) -> bool {
    inspect::can_be_written(memory.as_handle())
}

/// The user of this process, as credentials name it.
pub(crate) fn user() -> String {
    inspect::user()
}

/// Whether the system refuses a second listener of a name, which Wine does not.
pub(crate) fn keeps_names() -> bool {
    !inspect::is_wine()
}

/// Whether anybody can see that there is a listener of this name.
pub(crate) fn is_listed(name: &str) -> bool {
    let pipes = fs::read_dir(r"\\.\pipe\").into_iter().flatten().flatten();
    pipes.filter_map(|entry| entry.file_name().into_string().ok()).any(|listed| listed.contains(name))
}
