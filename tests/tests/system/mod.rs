//! What tests do to processes from outside, and see of them: the platform door of all tests of processes.

// Each test program uses a part of this.
#![allow(dead_code, unused_imports)]

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(windows)]
pub(crate) use windows::*;

/// A way to die that a system has its own word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Killed from outside.
    Kill,
    /// `abort`, and what Rust does at a stack overflow.
    Abort,
    /// A memory fault.
    Fault,
}

/// A way to kill a program that a test has started: what it is called, and what does it, to whoever has this only argument.
pub(crate) type Killing = (&'static str, fn(&mut std::process::Child, &str));

/// The process of this id, which lives.
#[track_caller]
pub(crate) fn living(pid: u32) -> Process {
    Process::open(pid).expect("a living process")
}

/// Whether any of them lives.
pub(crate) fn is_any_alive(processes: &[Process]) -> bool {
    processes.iter().any(Process::is_alive)
}
