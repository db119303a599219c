//! How tests see processes on Linux.

// A test program may use a part of this.
#![allow(dead_code)]

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::ptr;

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, ftruncate, open};
use rustix::mm::{MapFlags, ProtFlags, mmap};

use procession_spawn_unix::{Limit, Priority};
use rustix::process::{Resource, getpriority_process, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

/// What a memory fault, an abort and a kill are called.
pub(crate) const FAULT: &str = "SIGSEGV";
pub(crate) const ABORT: &str = "SIGABRT";
pub(crate) const KILL: &str = "SIGKILL";

/// By which what a test has started is found: everybody inherits the environment.
const MARK: &str = "LEAF_TEST_MARK";

/// A process that was seen alive.
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn open(pid: u32) -> Option<Self> {
        is_alive(pid).then_some(Self(pid))
    }

    pub(crate) fn is_alive(&self) -> bool {
        is_alive(self.0)
    }

    pub(crate) fn kill(&self) {
        kill(self.0, libc::SIGKILL);
    }
}

/// A process and all that it starts.
pub(crate) struct Started {
    pub(crate) process: Child,
    mark: String,
}

impl Started {
    pub(crate) fn by(command: &mut Command, mark: &str) -> io::Result<Self> {
        let process = command.env(MARK, mark).process_group(0).spawn()?;
        Ok(Self { process, mark: format!("{MARK}={mark}") })
    }

    /// How many of them live.
    pub(crate) fn left(&self) -> usize {
        self.living().len()
    }

    pub(crate) fn kill_all(&self) {
        for pid in self.living() {
            kill(pid, libc::SIGKILL);
        }
    }

    fn living(&self) -> Vec<u32> {
        let carries_mark = |pid: &u32| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes()))
        };
        pids().into_iter().filter(carries_mark).filter(|pid| is_alive(*pid)).collect()
    }
}

pub(crate) fn pids() -> Vec<u32> {
    fs::read_dir("/proc")
        .expect("proc is mounted")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// The state letter and the parent of a process.
pub(crate) fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

pub(crate) fn kill(pid: u32, signal: i32) {
    // SAFETY: sends a signal.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Writes to where nothing may be written.
pub(crate) fn fault() -> ! {
    loop {
        // SAFETY: none, on purpose: this process ends here.
        unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    }
}

/// The limits that this system does not enforce.
pub(crate) fn unenforced() -> Vec<Limit> {
    vec![Limit::Processes]
}

/// Bytes of memory that this process is held to.
pub(crate) fn memory_limit() -> Option<u64> {
    getrlimit(Resource::Data).current
}

/// The processors that this process may run on.
pub(crate) fn cpus() -> Vec<usize> {
    let cpus = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu)).collect()
}

/// How urgent the work of this process is.
pub(crate) fn priority() -> Option<Priority> {
    match getpriority_process(None).unwrap() {
        19 => Some(Priority::Idle),
        10 => Some(Priority::BelowNormal),
        0 => Some(Priority::Normal),
        -5 => Some(Priority::AboveNormal),
        _ => None,
    }
}

/// How many descriptors this process has open, and how many mappings of shared memory.
pub(crate) fn open_handles() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("proc is mounted");
    let mappings = maps.lines().filter(|line| line.contains("memfd:procession-memory")).count();
    fs::read_dir("/proc/self/fd").expect("proc is mounted").count() + mappings
}

/// Whether shared memory can be changed by whoever has a descriptor of it, in any of the ways there are.
pub(crate) fn can_be_written(memory: &impl AsFd) -> bool {
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&memory.as_fd()));
    let again = open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).expect("it was made for writing");
    [memory.as_fd(), again.as_fd()].into_iter().any(|file| {
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let mapped = unsafe { mmap(ptr::null_mut(), 1, ProtFlags::WRITE, MapFlags::SHARED, file, 0) };
        mapped.is_ok()
            || rustix::io::pwrite(file, b"!", 0).is_ok()
            || ftruncate(file, 0).is_ok()
            || ftruncate(file, 1 << 30).is_ok()
            || fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 1).is_ok()
    })
}

/// The user of this process, as credentials name it.
pub(crate) fn user() -> String {
    rustix::process::geteuid().as_raw().to_string()
}

/// Whether the system refuses a second listener of a name.
pub(crate) fn keeps_names() -> bool {
    true
}

/// Whether anybody can see that there is, or was, a listener of this name.
pub(crate) fn is_listed(name: &str) -> bool {
    fs::read_to_string("/proc/net/unix").expect("proc is mounted").lines().any(|line| line.contains(name))
}
