//! A started process, to be signalled.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, pidfd_send_signal, waitid,
};

use crate::exit::exit_of;
use crate::guardian::Guardian;
use crate::poller::Watched;
use crate::processes;
use crate::telling::Telling;
use crate::{Exit, Unenforced};

/// How long to look whether somebody else has told what there is to tell, before this thread is put to sleep for it.
const SOON: Duration = Duration::from_micros(100);

/// A started process; cheap to clone, and dropping it does nothing to the process.
///
/// The process leads a group of its own, which is what the signals go to. Once it was reaped they do nothing: a process that
/// was given the same id is never hit.
///
/// # Platform-specific behavior
/// On Linux the system is asked about the process by its pidfd, so that it is told from any other with the same id even where
/// another part of this program has waited for it: that is an end of [`ExitKind::Unknown`](crate::ExitKind::Unknown). What
/// is left of its group is then not killed: the id of the group may be somebody else's.
#[derive(Debug, Clone)]
pub struct Child {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pid: Pid,
    /// Held while signalling and while reaping: between the two the pid changes its owner.
    state: Mutex<State>,
    /// Its end, for the process thread.
    watched: Watched,
    /// Held while something is told of the process: before `state`, where both are.
    telling: Mutex<Telling>,
    guardian: Arc<Mutex<Guardian>>,
    unenforced: Vec<Unenforced>,
}

#[derive(Debug)]
enum State {
    /// Running or a zombie: the pid and the group id are its own, unless somebody else in this program has waited for it.
    Ours(Arc<OwnedFd>),
    Reaped,
}

impl Child {
    /// The process with this id, which is that of `pidfd`.
    pub(crate) fn new(
        pid: Pid,
        pidfd: Arc<OwnedFd>,
        watched: Watched,
        telling: Telling,
        guardian: Arc<Mutex<Guardian>>,
        unenforced: Vec<Unenforced>,
    ) -> Self {
        let (state, telling) = (Mutex::new(State::Ours(pidfd)), Mutex::new(telling));
        Self { shared: Arc::new(Shared { pid, state, watched, telling, guardian, unenforced }) }
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

    /// Whether the process has ended and its [`Watch`](crate::Watch) knows: where it has just ended, it is told here and now, as
    /// it would be by the process thread, which may take a while to get there.
    ///
    /// False also where this is the process thread's to do: while somebody else is telling something of this process or a
    /// guardian is started, or if another part of this program has waited for it.
    pub fn try_wait(&self) -> bool {
        let Some(mut telling) = try_lock(&self.shared.telling) else { return false };
        let unlist = |group| try_lock(&self.shared.guardian).is_some_and(|mut guardian| guardian.try_remove(group));
        if !telling.is_over()
            && let Ok(exit) = self.mourn_with(&mut telling, unlist)
        {
            telling.end(exit);
        }
        telling.is_over()
    }

    /// Looks after the end of the process in place of the process thread, which is not woken up for it as long as this is held: by
    /// [`Child::try_wait`], as somebody must.
    ///
    /// # Platform-specific behavior
    /// On Linux a dying process wakes up whoever waits for its end before it can be found dead, and the thread would take the core
    /// of whoever finds it. On Windows this does nothing.
    pub fn vigil(&self) -> Vigil {
        let pidfd = match &*self.state() {
            State::Ours(pidfd) => Some(Arc::clone(pidfd)),
            State::Reaped => None,
        };
        if let Some(pidfd) = &pidfd {
            self.shared.watched.pause(pidfd);
        }
        Vigil { shared: Arc::clone(&self.shared), pidfd }
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
        if !state.is_ours() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let told = std::fs::read_to_string(format!("/proc/{}/statm", self.pid()))?;
        let pages: Option<u64> = told.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        let pages = pages.ok_or(io::ErrorKind::InvalidData)?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// Its end, as the process thread is told of it.
    pub(crate) fn watched(&self) -> &Watched {
        &self.shared.watched
    }

    pub(crate) fn group(&self) -> Pid {
        self.shared.pid
    }

    /// What is told of the process, and by nobody else meanwhile.
    pub(crate) fn telling(&self) -> MutexGuard<'_, Telling> {
        self.shared.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same. Whoever is telling of its end is done with it in a moment, and would have to wake up this thread if it slept.
    fn telling_soon(&self) -> MutexGuard<'_, Telling> {
        let until = Instant::now() + SOON;
        loop {
            match try_lock(&self.shared.telling) {
                Some(telling) => return telling,
                None if Instant::now() < until => thread::yield_now(),
                None => return self.telling(),
            }
        }
    }

    /// The end of the process, if that has come; to be told by whoever hears of it here, unless it was told before. `unlist` takes its
    /// group off the guardian's list.
    pub(crate) fn mourn(&self, mut unlist: impl FnMut(Pid)) -> Mourned<'_> {
        let mut telling = self.telling_soon();
        if telling.is_over() {
            return Mourned::Told;
        }
        let ended = self.mourn_with(&mut telling, |group| {
            unlist(group);
            true
        });
        match ended {
            Ok(exit) => Mourned::Ended { telling, exit },
            Err(Alive::NotYet) => Mourned::NotYet,
            Err(Alive::Stolen) => {
                telling.drain();
                unlist(self.group());
                *self.state() = State::Reaped;
                Mourned::Ended { telling, exit: Exit::UNKNOWN }
            }
        }
    }

    /// The order matters. As long as the leader is a zombie its group id is its own: until then the rest of the group can be
    /// killed and the guardian's list be changed without hitting a stranger. What was written is told before the end is.
    fn mourn_with(&self, telling: &mut Telling, unlist: impl FnOnce(Pid) -> bool) -> Result<Exit, Alive> {
        let state = self.state();
        let status = match state.wait(WaitIdOptions::NOWAIT) {
            Ok(Some(status)) => status,
            Ok(None) => return Err(Alive::NotYet),
            // The group id is no longer ours to signal.
            Err(_) => return Err(Alive::Stolen),
        };
        // Whoever is left of it; there may be nobody.
        let _ = kill_process_group(self.group(), Signal::KILL);
        // Whoever is told may want to signal it. Nobody else reaps it meanwhile: that takes what is told.
        drop(state);
        telling.drain();
        if !unlist(self.group()) {
            return Err(Alive::NotYet);
        }
        let mut state = self.state();
        let reaped = state.wait(WaitIdOptions::empty());
        debug_assert!(matches!(reaped, Ok(Some(_)) | Err(Errno::CHILD)), "{reaped:?}");
        *state = State::Reaped;
        drop(state);
        Ok(exit_of(&status))
    }

    fn signal(&self, signal: Signal) {
        let state = self.state();
        // Whoever has waited for it behind our back may have given its id to another.
        let State::Ours(pidfd) = &*state else { return };
        if !state.is_ours() {
            return;
        }
        let group = kill_process_group(self.group(), signal);
        // A child may have gone over to another group of its session.
        if group.is_err() || signal == Signal::KILL {
            // It may be a zombie, or belong to another user by now: there is nothing left to do about either.
            let _ = pidfd_send_signal(pidfd, signal);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody looks after the end of a process: see [`Child::vigil`].
#[derive(Debug)]
#[must_use = "the process thread looks after the end again when this is dropped"]
pub struct Vigil {
    shared: Arc<Shared>,
    /// Open, so that no other has its number meanwhile.
    pidfd: Option<Arc<OwnedFd>>,
}

impl Drop for Vigil {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.pidfd
            && let Err(key) = self.shared.watched.resume(pidfd)
        {
            processes::look_after(key);
        }
    }
}

impl State {
    /// Asks for the status of the process. An error where there is none to be had: it was reaped.
    fn wait(&self, options: WaitIdOptions) -> rustix::io::Result<Option<WaitIdStatus>> {
        let Self::Ours(pidfd) = self else { return Err(Errno::CHILD) };
        let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options))
    }

    /// Whether nobody has reaped it.
    fn is_ours(&self) -> bool {
        self.wait(WaitIdOptions::NOWAIT).is_ok()
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// What is known of the end of a process.
pub(crate) enum Mourned<'a> {
    /// It lives, or is dead and its tracer is told first.
    NotYet,
    /// It is told already.
    Told,
    /// It has come just now, and is to be told.
    Ended { telling: MutexGuard<'a, Telling>, exit: Exit },
}

/// Why there is no end to tell.
enum Alive {
    NotYet,
    /// Somebody else has reaped it.
    Stolen,
}

/// Kills a process that was started but cannot be watched, and waits for its end.
pub(crate) fn discard(pid: Pid) -> io::Result<()> {
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = kill_process(pid, Signal::KILL);
    rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::{Arc, Mutex};

    use rustix::process::{PidfdFlags, pidfd_open};

    use super::{Child, Mourned};
    use crate::pipes::Pipes;
    use crate::poller::Poller;
    use crate::telling::Telling;
    use crate::worker::pid_of;
    use crate::{Exit, Output, Watch};

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<Exit>>);

    impl Watch for Told {
        fn output(&self, _: Output, _: &[u8]) {}

        fn exited(&self, exit: Exit) {
            self.0.lock().unwrap().push(exit);
        }
    }

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    /// A child that was reaped behind our back, and whose id was then given to `heir`.
    fn stolen(heir: &std::process::Child, told: &Arc<Told>) -> Child {
        let mut gone = sleeper();
        let pidfd = pidfd_open(pid_of(gone.id()).unwrap(), PidfdFlags::empty()).unwrap();
        gone.kill().unwrap();
        gone.wait().unwrap();
        let telling = Telling::new(Pipes::default(), told.clone());
        let mut poller = Poller::new().unwrap();
        let key = poller.next_key();
        let watched = poller.watched(key);
        Child::new(pid_of(heir.id()).unwrap(), Arc::new(pidfd), watched, telling, Arc::default(), Vec::new())
    }

    #[test]
    fn a_process_with_the_id_of_a_child_that_others_have_reaped_is_neither_signalled_nor_asked_about() {
        let told = Arc::new(Told::default());
        let mut heir = sleeper();
        let child = stolen(&heir, &told);
        child.terminate();
        child.kill();
        assert!(child.resident().is_err());
        assert!(!child.try_wait(), "its end is the process thread's to tell");
        assert_eq!(heir.try_wait().unwrap(), None);
        heir.kill().unwrap();
        heir.wait().unwrap();
    }

    #[test]
    fn the_end_of_a_child_that_others_have_reaped_is_told_as_unknown_even_while_another_has_its_id() {
        let told = Arc::new(Told::default());
        let mut heir = sleeper();
        let child = stolen(&heir, &told);
        let mut unlisted = Vec::new();
        match child.mourn(|group| unlisted.push(group)) {
            Mourned::Ended { mut telling, exit } => telling.end(exit),
            Mourned::NotYet | Mourned::Told => panic!("the heir was taken for the child"),
        }
        assert_eq!(*told.0.lock().unwrap(), [Exit::UNKNOWN]);
        assert_eq!(unlisted, [child.group()]);
        assert!(matches!(child.mourn(|_| panic!("unlisted twice")), Mourned::Told));
        assert_eq!(heir.try_wait().unwrap(), None, "it lives, and its status is still to be had");
        heir.kill().unwrap();
        heir.wait().unwrap();
    }
}
