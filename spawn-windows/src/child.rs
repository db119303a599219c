//! A started process, to be killed.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{GetExitCodeProcess, WaitForSingleObject};

use crate::exit::{KILLED, exit_of};
use crate::job::Job;
use crate::telling::Telling;
use crate::{Exit, Unenforced};

/// A started process; cheap to clone, and dropping it does nothing to the process.
///
/// The process has a job of its own, with all its descendants in it, which is what is killed. Once the process has ended
/// nothing is: a process that was given the same id is never hit.
#[derive(Debug, Clone)]
pub struct Child {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pid: u32,
    process: OwnedHandle,
    /// There until the end of the process has been seen.
    job: Mutex<Option<Job>>,
    /// Held while something is told of the process: before `job`, where both are.
    telling: Mutex<Telling>,
    unenforced: Vec<Unenforced>,
}

impl Child {
    pub(crate) fn new(pid: u32, process: OwnedHandle, job: Job, telling: Telling, unenforced: Vec<Unenforced>) -> Self {
        let (job, telling) = (Mutex::new(Some(job)), Mutex::new(telling));
        Self { shared: Arc::new(Shared { pid, process, job, telling, unenforced }) }
    }

    /// The id of the process. The system gives it to others once the process has ended and the last `Child` is dropped.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// The limits of its [`Launch`](crate::Launch) that it is not held to as was asked, and why.
    pub fn unenforced(&self) -> &[Unenforced] {
        &self.shared.unenforced
    }

    /// Asks the process and its group to end.
    ///
    /// # Platform-specific behavior
    /// On Linux this is `SIGTERM`. On Windows there is nothing of the kind that a process without a console hears, so this does
    /// nothing: a process that did not end when it was asked over its stream has what is left of its grace, and is killed.
    pub fn terminate(&self) {}

    /// Kills the process and everything in its job.
    ///
    /// # Platform-specific behavior
    /// On Windows they end with the code `0xE0500009`, whose name is `KILLED`, and no descendant is outside the job.
    pub fn kill(&self) {
        let job = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = &*job {
            job.terminate(KILLED);
        }
    }

    /// Whether the process has ended and its [`Watch`](crate::Watch) knows: where it has just ended, it is told here and now, as
    /// it would be by the process thread, which may take a while to get there.
    ///
    /// False also while somebody else is telling something of this process.
    pub fn try_wait(&self) -> bool {
        let mut telling = match self.shared.telling.try_lock() {
            Ok(telling) => telling,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if !telling.is_over() && self.has_ended() {
            telling.end(self.bury());
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
        Vigil(())
    }

    /// The bytes of the process that are in memory at this moment; those of a process that has ended are none, or an error.
    ///
    /// # Platform-specific behavior
    /// On Linux the resident set, what is shared with others included; on Windows the working set.
    ///
    /// # Errors
    /// It has ended, or the system does not say.
    pub fn resident(&self) -> io::Result<u64> {
        // Its memory may not have been taken back yet: Wine tells of a process that is on its way out.
        if self.has_ended() {
            return Ok(0);
        }
        let mut counters = PROCESS_MEMORY_COUNTERS::default();
        let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
        // SAFETY: the handle is that of a process, with all rights; what is written is as large as is said.
        let told = unsafe { K32GetProcessMemoryInfo(self.shared.process.as_raw_handle(), &mut counters, size) };
        if told == 0 { Err(io::Error::last_os_error()) } else { Ok(counters.WorkingSetSize as u64) }
    }

    /// What is told of the process, and by nobody else meanwhile.
    pub(crate) fn telling(&self) -> MutexGuard<'_, Telling> {
        self.shared.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the end of the process, which has come, if it was not told before.
    ///
    /// The order matters. The rest of the job ends first, so that whoever inherited the output writes no more; what was written
    /// is told before the end is.
    pub(crate) fn mourn(&self) {
        let mut telling = self.telling();
        if !telling.is_over() {
            telling.end(self.bury());
        }
    }

    /// Ends what is left of the job of a process that has ended, and says how that was.
    fn bury(&self) -> Exit {
        // With a code first: what only loses its job ends as if all were well.
        self.kill();
        let _closed = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut code = 0;
        // SAFETY: the handle is that of a process, with all rights; the code is written to where it may be.
        let told = unsafe { GetExitCodeProcess(self.shared.process.as_raw_handle(), &mut code) };
        if told == 0 { Exit::UNKNOWN } else { exit_of(code) }
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        // SAFETY: the handle is that of a process, and open.
        unsafe { WaitForSingleObject(self.shared.process.as_raw_handle(), 0) == WAIT_OBJECT_0 }
    }

    /// The error of something that was done to the process: where it has ended, that is why.
    pub(crate) fn failed(&self, error: io::Error) -> io::Error {
        if self.has_ended() { io::ErrorKind::BrokenPipe.into() } else { error }
    }
}

/// Somebody looks after the end of a process: see [`Child::vigil`].
#[derive(Debug)]
#[must_use = "the process thread looks after the end again when this is dropped"]
pub struct Vigil(());

impl AsHandle for Child {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.shared.process.as_handle()
    }
}
