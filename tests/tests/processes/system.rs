//! What a test does to processes from outside, and sees of them: the platform door of the tests of actors.

use procession::{ExitCause, Limit};

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

#[cfg(unix)]
pub(crate) use linux::*;

#[cfg(unix)]
mod linux {
    use std::fs;
    use std::path::Path;

    use rustix::process::{Pid, Signal, getpid, kill_process};
    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::{Death, ExitCause, Limit};

    /// Whether a cause is what this system says of such a death.
    pub(crate) fn is_death_by(death: Death, cause: &ExitCause) -> bool {
        let wanted = match death {
            Death::Kill => (9, "SIGKILL"),
            Death::Abort => (6, "SIGABRT"),
            Death::Fault => (11, "SIGSEGV"),
        };
        matches!(cause, ExitCause::Signal { number, name, .. } if (*number, name.as_str()) == wanted)
    }

    pub(crate) fn kill(pid: u32) {
        signal(pid, Signal::KILL);
    }

    /// Kills a process that may have ended; whether it was there.
    pub(crate) fn kill_if_there(pid: u32) -> bool {
        let pid = Pid::from_raw(pid.try_into().expect("a pid")).expect("a pid");
        kill_process(pid, Signal::KILL).is_ok()
    }

    /// Holds a process, and every thread of it, where it is.
    pub(crate) fn freeze(pid: u32) {
        signal(pid, Signal::STOP);
        // The signal is on its way; a thread that runs goes on until it meets it.
        while !threads_are_stopped(pid) {
            std::thread::yield_now();
        }
    }

    pub(crate) fn thaw(pid: u32) {
        signal(pid, Signal::CONT);
    }

    /// Dies as at a memory fault.
    pub(crate) fn fault() -> ! {
        loop {
            // Rust's own handler takes itself back at the first one, for a fault that is none of its stack's.
            let _ = kill_process(getpid(), Signal::SEGV);
        }
    }

    fn signal(pid: u32, signal: Signal) {
        let pid = Pid::from_raw(pid.try_into().expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("a living process");
    }

    /// Whether a worker that this very process has started is still there, a zombie included.
    pub(crate) fn is_worker_of_this_process(pid: u32) -> bool {
        parent_of(pid) == Some(std::process::id()) && is_worker(pid)
    }

    /// Whether a process is there and no zombie.
    pub(crate) fn is_alive(pid: u32) -> bool {
        field(format!("/proc/{pid}/stat").as_ref(), 0).is_some_and(|state| state != "Z" && state != "X")
    }

    pub(crate) fn workers_of_this_process() -> Vec<u32> {
        workers_of(std::process::id())
    }

    /// The workers of another process.
    pub(crate) fn workers_of(parent: u32) -> Vec<u32> {
        let all = fs::read_dir("/proc").expect("/proc");
        all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|&pid| parent_of(pid) == Some(parent) && is_worker(pid))
            .collect()
    }

    /// A program that ends at once, whatever its arguments, and one that takes its time.
    pub(crate) const FOREIGN: [&str; 2] = ["/bin/true", "/bin/cat"];

    /// Bytes of memory that this process has in use.
    pub(crate) fn memory_of_this_process() -> usize {
        let statm = fs::read_to_string("/proc/self/statm").expect("/proc");
        let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
        pages * rustix::param::page_size()
    }

    /// The limits that nobody is held to here.
    pub(crate) fn unenforced_limits() -> Vec<Limit> {
        vec![Limit::Processes]
    }

    /// The processors that this process may run on.
    pub(crate) fn cpus() -> Vec<usize> {
        let cpus = sched_getaffinity(None).expect("this process is there");
        (0..CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu)).collect()
    }

    fn threads_are_stopped(pid: u32) -> bool {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a living process");
        threads.flatten().all(|thread| field(&thread.path().join("stat"), 0).is_none_or(|state| state == "T"))
    }

    fn parent_of(pid: u32) -> Option<u32> {
        field(format!("/proc/{pid}/stat").as_ref(), 1)?.parse().ok()
    }

    /// A field of what the system says of a process, counted from behind its name, which may have anything in it.
    fn field(stat: &Path, at: usize) -> Option<String> {
        let stat = fs::read_to_string(stat).ok()?;
        Some(stat.rsplit_once(") ")?.1.split(' ').nth(at)?.to_owned())
    }

    /// A zombie has no arguments any more.
    fn is_worker(pid: u32) -> bool {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.is_empty() || String::from_utf8_lossy(&arguments).contains("procession-worker:")
    }
}

#[cfg(windows)]
pub(crate) use windows::*;

#[cfg(windows)]
mod windows {
    use procession_inspect_windows::{self as inspect, Process};

    use super::{Death, ExitCause, Limit};

    /// What a test's own kill ends a process with.
    const KILLED: u32 = 9;

    /// Whether a cause is what this system says of such a death.
    pub(crate) fn is_death_by(death: Death, cause: &ExitCause) -> bool {
        let is_status = |wanted: &[&str]| matches!(cause, ExitCause::Status { name, .. } if wanted.contains(&&**name));
        match death {
            Death::Kill => *cause == ExitCause::Code(KILLED.cast_signed()),
            // An abort is told as the overrun of a buffer, whatever its reason was.
            Death::Abort => is_status(&["STATUS_STACK_BUFFER_OVERRUN", "STATUS_STACK_OVERFLOW"]),
            Death::Fault => is_status(&["STATUS_ACCESS_VIOLATION"]),
        }
    }

    pub(crate) fn kill(pid: u32) {
        living(pid).terminate(KILLED);
    }

    /// Kills a process that may have ended; whether it was there.
    pub(crate) fn kill_if_there(pid: u32) -> bool {
        Process::open(pid).map(|process| process.terminate(KILLED)).is_some()
    }

    /// Holds a process, and every thread of it, where it is.
    pub(crate) fn freeze(pid: u32) {
        living(pid).suspend();
    }

    pub(crate) fn thaw(pid: u32) {
        living(pid).resume();
    }

    /// Dies as at a memory fault.
    pub(crate) fn fault() -> ! {
        inspect::fault()
    }

    fn living(pid: u32) -> Process {
        Process::open(pid).expect("a living process")
    }

    /// Whether a worker that this very process has started is still there.
    pub(crate) fn is_worker_of_this_process(pid: u32) -> bool {
        workers_of_this_process().contains(&pid) && is_alive(pid)
    }

    /// Whether a process is there.
    pub(crate) fn is_alive(pid: u32) -> bool {
        Process::open(pid).is_some_and(|process| process.is_alive())
    }

    pub(crate) fn workers_of_this_process() -> Vec<u32> {
        workers_of(std::process::id())
    }

    /// The workers of another process: it has no other children.
    pub(crate) fn workers_of(parent: u32) -> Vec<u32> {
        inspect::children_of(parent)
    }

    /// A program that ends at once, whatever its arguments, and one that takes its time.
    pub(crate) const FOREIGN: [&str; 2] = ["hostname.exe", "ping.exe"];

    /// Bytes of memory that this process has in use.
    pub(crate) fn memory_of_this_process() -> usize {
        inspect::memory()
    }

    /// The limits that nobody is held to here: none on Windows, all under Wine.
    pub(crate) fn unenforced_limits() -> Vec<Limit> {
        let wine = inspect::is_wine();
        if wine { vec![Limit::Memory, Limit::Processes, Limit::Cpus, Limit::Priority] } else { vec![] }
    }

    pub(crate) use inspect::cpus;
}
