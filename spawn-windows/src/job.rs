//! The job that a child and all its descendants are in.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::JobObjects::{
    CreateJobObjectW, JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, QueryInformationJobObject,
    SetInformationJobObject, TerminateJobObject,
};

/// A job whose processes end with its last handle. This process has the only one, so they end when it does, however it does.
#[derive(Debug)]
pub(crate) struct Job(OwnedHandle);

impl Job {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: makes a job without a name; it is not inherited.
        let job = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a handle that was just made and that nobody else has.
        let job = Self(unsafe { OwnedHandle::from_raw_handle(job) });
        job.set_limits(&Self::least_limits())?;
        Ok(job)
    }

    /// What every job has.
    pub(crate) fn least_limits() -> JOBOBJECT_EXTENDED_LIMIT_INFORMATION {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        // A crash ends the process and asks nobody: there may be nobody at the screen.
        limits.BasicLimitInformation.LimitFlags =
            JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
        limits
    }

    /// Sets all of its limits anew.
    pub(crate) fn set_limits(&self, limits: &JOBOBJECT_EXTENDED_LIMIT_INFORMATION) -> io::Result<()> {
        // SAFETY: the handle is that of a job; what is read is as large as is said.
        let set = unsafe {
            SetInformationJobObject(
                self.handle(),
                JobObjectExtendedLimitInformation,
                (&raw const *limits).cast(),
                size_of_val(limits) as u32,
            )
        };
        if set == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The limits that it has.
    pub(crate) fn limits(&self) -> io::Result<JOBOBJECT_EXTENDED_LIMIT_INFORMATION> {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        // SAFETY: the handle is that of a job; what is written is as large as is said.
        let told = unsafe {
            QueryInformationJobObject(
                self.handle(),
                JobObjectExtendedLimitInformation,
                (&raw mut limits).cast(),
                size_of_val(&limits) as u32,
                ptr::null_mut(),
            )
        };
        if told == 0 { Err(io::Error::last_os_error()) } else { Ok(limits) }
    }

    /// Ends every process in the job, with this exit code.
    pub(crate) fn terminate(&self, code: u32) {
        // SAFETY: the handle is that of a job, and open. It cannot fail for a job with all rights.
        unsafe { TerminateJobObject(self.handle(), code) };
    }

    pub(crate) fn handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }
}
