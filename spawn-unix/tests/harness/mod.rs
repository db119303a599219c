//! What tests need that name things only Linux has, beside what the tests of both leaves share.
#![cfg(target_os = "linux")]
// Each of the test programs uses a part of this.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)]

#[path = "../../../conformance/harness.rs"]
mod portable;
#[path = "../system/mod.rs"]
mod system;

use std::fs;
use std::panic;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use procession_spawn_unix as leaf;
use procession_spawn_unix::{Exit, ExitKind};

pub(crate) use portable::{
    PATIENCE, Seen, Worker, block_on, code, command, ended, enter, eventually, guarded, launch, linger, main, plain,
    program, read_line, recorder, say, sleep_for_ever, start, start_limited, start_raw, tests,
};
pub(crate) use system::{cpus, is_alive, kill, pids, stat};

pub fn all_die(pids: &[u32]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let alive: Vec<u32> = pids.iter().copied().filter(|pid| is_alive(*pid)).collect();
        if alive.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            for pid in &alive {
                eprintln!("{pid}: {:?}", fs::read_to_string(format!("/proc/{pid}/stat")));
                kill(*pid, libc::SIGKILL);
            }
            panic!("still alive: {alive:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The number of the signal that ended a process.
pub fn signal(exit: Exit) -> Option<i32> {
    match exit.kind {
        ExitKind::Signal { number, .. } => Some(number),
        _ => None,
    }
}

pub fn stop_self() {
    kill(process::id(), libc::SIGSTOP);
}

pub fn eventually_stopped(pid: u32) {
    eventually("it is stopped", || stat(pid).is_some_and(|(state, _)| state == 'T'));
}

pub fn panics(act: impl FnOnce() + panic::UnwindSafe) -> bool {
    panic::catch_unwind(act).is_err()
}

/// A stranger with a pid of our choice that leads a group of its own, where this process may choose.
pub struct Impostor(u32);

impl Impostor {
    pub fn new(pid: u32) -> Option<Self> {
        let wanted = [pid as libc::pid_t];
        // SAFETY: an all-zero `clone_args` asks for nothing; `wanted` outlives the call. What runs in the new process makes
        // system calls only, as it must in the copy of a program with threads.
        unsafe {
            let mut args: libc::clone_args = std::mem::zeroed();
            args.exit_signal = libc::SIGCHLD as u64;
            args.set_tid = wanted.as_ptr() as u64;
            args.set_tid_size = 1;
            match libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) {
                0 => loop {
                    libc::pause();
                },
                pid if pid > 0 => {
                    assert_eq!(libc::setpgid(pid as i32, pid as i32), 0);
                    Some(Self(pid as u32))
                }
                _ => None,
            }
        }
    }

    /// Whether no deadly signal has come, not even one that has yet to be heard.
    pub fn is_unharmed(&self) -> bool {
        kill(self.0, libc::SIGSTOP);
        let state = || stat(self.0).map(|(state, _)| state);
        eventually("it is stopped or dead", || matches!(state(), Some('T' | 'Z') | None));
        state() == Some('T')
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        kill(self.0, libc::SIGKILL);
        // SAFETY: waits for a child.
        unsafe { libc::waitpid(self.0 as i32, std::ptr::null_mut(), 0) };
    }
}
