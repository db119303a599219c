//! The first acts of a worker, and its last.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::ptr;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{
    Pid, Signal, getpgrp, getpid, getppid, kill_current_process_group, kill_process, set_parent_process_death_signal,
};
use rustix::stdio::{dup2_stdin, stdin};
use rustix::thread::{gettid, set_name};

use crate::Endpoint;
use crate::descriptors::close_all_but;

/// Where the stream goes: out of the way of code that believes in small numbers, and within the table that a process has from its
/// start.
const HIGH: i32 = 60;

/// Longer names are cut by the kernel, in the middle of a character if need be.
const MAX_NAME: usize = 15;

/// Makes this process the worker of the process `parent`, and takes the stream that it was started with.
///
/// This must be the first act of the process: it closes every descriptor but the standard ones and the stream, no matter who
/// has opened them. Afterwards the standard input is the null device, the stream is close-on-exec, the signal mask is empty
/// and `SIGCHLD` has its default meaning. If the parent dies, this process is killed; if the parent is dead already, this
/// does not return.
///
/// The thread that calls this must live as long as the worker does: the kernel forgets the death signal of a thread that ends.
///
/// # Errors
/// `InvalidInput` if the standard input is not a stream: somebody has started the program by hand as if it were a worker.
pub fn enter_worker(parent: u32) -> io::Result<Endpoint> {
    let endpoint = take_stdin()?;
    // First the signal, then the question: a parent that ends in between is noticed by one or the other.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(|pid| pid.as_raw_nonzero().get() as u32) != Some(parent) {
        exit_now(1);
    }
    let socket = endpoint.into_descriptor();
    close_all_but(Some(&socket))?;
    reset_signals();
    Endpoint::adopt(socket)
}

/// Names this process, and the calling thread, in `ps` and `top`; at most 15 bytes of `name` are shown.
pub fn set_process_name(name: &str) {
    let name = short_name(name);
    let Ok(text) = CString::new(name) else {
        return;
    };
    // A name is decoration: a process that cannot have one works as well.
    let _ = set_name(&text);
    if Some(gettid()) != Some(getpid()) {
        // A process goes by the name of its first thread.
        let _ = fs::write("/proc/self/comm", name);
    }
}

/// Kills this process and everything in its group at once.
///
/// Only a worker leads a group of its own; in any other process only the process itself dies, and not those who share its
/// terminal.
pub fn die_with_tree() -> ! {
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    let _ = kill_process(getpid(), Signal::KILL);
    // The signal is on its way; should a sandbox have eaten it, this ends the process all the same.
    std::process::abort()
}

/// Moves the standard input away and puts the null device in its place.
fn take_stdin() -> io::Result<Endpoint> {
    let moved = match fcntl_dupfd_cloexec(stdin(), HIGH) {
        // The limit of descriptors is lower than that.
        Err(Errno::INVAL) => fcntl_dupfd_cloexec(stdin(), 3)?,
        moved => moved?,
    };
    let endpoint = Endpoint::adopt(moved).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "standard input is not a stream: a worker is started by its parent, not by hand",
        )
    })?;
    let null = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(null.as_fd())?;
    Ok(endpoint)
}

/// Undoes what this process may have inherited: both survive an exec.
pub(crate) fn reset_signals() {
    // SAFETY: the default action needs no handler, and an all-zero `sigset_t` and `sigaction` are valid values.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// Ends this process without running anything of it.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` runs no code of this process.
    unsafe { libc::_exit(code) }
}

fn short_name(name: &str) -> &str {
    let name = name.split('\0').next().unwrap_or_default();
    &name[..name.floor_char_boundary(MAX_NAME)]
}

/// The pid as the kernel's calls take it; `None` for what cannot be one.
pub(crate) fn pid_of(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn a_name_is_cut_between_characters() {
        assert_eq!(short_name("short"), "short");
        assert_eq!(short_name("exactly-fifteen-and-more"), "exactly-fifteen");
        assert_eq!(short_name("fourteen-bytesé"), "fourteen-bytes");
        assert_eq!(short_name("before\0after"), "before");
    }
}
