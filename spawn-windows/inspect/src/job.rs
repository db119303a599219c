//! Everybody that a test has started.

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicAccountingInformation,
    JobObjectBasicProcessIdList, JobObjectExtendedLimitInformation, QueryInformationJobObject, SetInformationJobObject,
    TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, WaitForSingleObject};

/// A job for a process and all that it starts: ends them when it is dropped, and counts them.
#[derive(Debug)]
pub struct Job(OwnedHandle);

impl Job {
    /// One with a process in it that has not yet started others.
    ///
    /// # Panics
    /// The system has no job for it.
    pub fn of(process: &std::process::Child) -> Self {
        let job = Self::new();
        // SAFETY: the handles are those of a job and of a process.
        unsafe {
            // One that has ended by now has started nobody.
            let assigned = AssignProcessToJobObject(job.0.as_raw_handle(), process.as_raw_handle()) != 0;
            assert!(assigned || WaitForSingleObject(process.as_raw_handle(), 0) == WAIT_OBJECT_0);
        }
        job
    }

    /// One with this process in it, which from now on starts others: they end when it does, if the job was not dropped before.
    ///
    /// # Panics
    /// The system has no job for it.
    pub fn of_this_process() -> Self {
        let job = Self::new();
        // SAFETY: the handles are those of a job and of this process.
        assert_ne!(unsafe { AssignProcessToJobObject(job.0.as_raw_handle(), GetCurrentProcess()) }, 0);
        job
    }

    fn new() -> Self {
        // SAFETY: makes a job without a name; it is not inherited.
        let job = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
        assert!(!job.is_null());
        // SAFETY: a handle that was just made and that nobody else has.
        let job = Self(unsafe { OwnedHandle::from_raw_handle(job) });
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        // SAFETY: the handle is that of a job; what is read is as large as is said.
        unsafe {
            let size = size_of_val(&limits) as u32;
            let limits = (&raw const limits).cast();
            assert_ne!(
                SetInformationJobObject(job.0.as_raw_handle(), JobObjectExtendedLimitInformation, limits, size),
                0
            );
        }
        job
    }

    /// The ids of those that live, or did a moment ago.
    ///
    /// # Panics
    /// They are more than any test has.
    pub fn members(&self) -> Vec<u32> {
        // Two counts in the first word, of all and of those that follow.
        let mut list = vec![0_usize; 4096];
        // SAFETY: the handle is that of a job; what is written is as large as is said.
        let told = unsafe {
            QueryInformationJobObject(
                self.0.as_raw_handle(),
                JobObjectBasicProcessIdList,
                list.as_mut_ptr().cast(),
                size_of_val(&list[..]) as u32,
                ptr::null_mut(),
            )
        };
        assert_ne!(told, 0, "{}", std::io::Error::last_os_error());
        let listed = list[0] >> 32;
        list[1..].iter().take(listed).map(|pid| *pid as u32).collect()
    }

    /// How many of them live.
    pub fn living(&self) -> u32 {
        let mut counts = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        // SAFETY: the handle is that of a job; what is written is as large as is said.
        unsafe {
            QueryInformationJobObject(
                self.0.as_raw_handle(),
                JobObjectBasicAccountingInformation,
                (&raw mut counts).cast(),
                size_of_val(&counts) as u32,
                ptr::null_mut(),
            )
        };
        counts.ActiveProcesses
    }

    /// Ends them all.
    pub fn terminate(&self) {
        // SAFETY: the handle is that of a job, and open.
        unsafe { TerminateJobObject(self.0.as_raw_handle(), 1) };
    }
}
