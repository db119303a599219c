//! A started process, to be signalled.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use crate::Unenforced;

/// A started process; cheap to clone, and dropping it does nothing to the process.
///
/// The process leads a group of its own, which is what the signals go to. Once it was reaped they do nothing: a process that
/// was given the same id is never hit.
#[derive(Debug, Clone)]
pub struct Child {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pid: Pid,
    /// Held while signalling and while reaping: between the two the pid changes its owner.
    state: Mutex<State>,
    unenforced: Vec<Unenforced>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Running or a zombie: the pid and the group id are its own.
    Ours,
    Reaped,
}

impl Child {
    pub(crate) fn new(pid: Pid, unenforced: Vec<Unenforced>) -> Self {
        let state = Mutex::new(State::Ours);
        Self { shared: Arc::new(Shared { pid, state, unenforced }) }
    }

    /// The id of the process, which is also the id of its group. The system gives it to others once the process was reaped.
    pub fn pid(&self) -> u32 {
        self.shared.pid.as_raw_nonzero().get() as u32
    }

    /// The limits of its [`Launch`](crate::Launch) that it is not held to as was asked, and why.
    pub fn unenforced(&self) -> &[Unenforced] {
        &self.shared.unenforced
    }

    /// Asks the process and its group to end: `SIGTERM`.
    ///
    /// A stopped process does not hear it before it is continued.
    ///
    /// # Platform-specific behavior
    /// On Windows nothing hears a signal, so this does nothing.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills the process and its whole group, stopped ones too.
    ///
    /// # Platform-specific behavior
    /// On Linux `SIGKILL` to the group: processes that made a group or a session of their own are not in it.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// The bytes of the process that are in memory at this moment; those of a process that has ended are none, or an error.
    ///
    /// # Platform-specific behavior
    /// On Linux the resident set, what is shared with others included; on Windows the working set.
    ///
    /// # Errors
    /// It has ended, or the system does not say.
    pub fn resident(&self) -> io::Result<u64> {
        // Held, so that no other process can have the pid meanwhile.
        let state = self.state();
        if *state == State::Reaped {
            return Err(io::ErrorKind::NotFound.into());
        }
        let told = std::fs::read_to_string(format!("/proc/{}/statm", self.pid()))?;
        let pages: Option<u64> = told.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    pub(crate) fn group(&self) -> Pid {
        self.shared.pid
    }

    /// Reaps the zombie behind `pidfd`, after which nothing is signalled any more.
    pub(crate) fn reap(&self, pidfd: &OwnedFd) {
        let mut state = self.state();
        let reaped = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        debug_assert!(matches!(reaped, Ok(Some(_)) | Err(rustix::io::Errno::CHILD)), "{reaped:?}");
        *state = State::Reaped;
    }

    fn signal(&self, signal: Signal) {
        let state = self.state();
        if *state == State::Reaped {
            return;
        }
        let group = kill_process_group(self.group(), signal);
        // A child may have gone over to another group of its session.
        if group.is_err() || signal == Signal::KILL {
            // It may be a zombie, or belong to another user by now: there is nothing left to do about either.
            let _ = kill_process(self.group(), signal);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kills a process that was started but cannot be watched, and waits for its end.
pub(crate) fn discard(pid: Pid) -> io::Result<()> {
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = kill_process(pid, Signal::KILL);
    rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED))?;
    Ok(())
}
