//! What this process is held to.

use std::ptr;

use windows_sys::Win32::System::JobObjects::{
    JOB_OBJECT_LIMIT_PROCESS_MEMORY, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    QueryInformationJobObject,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetPriorityClass, GetProcessAffinityMask};

/// Bytes that this process may commit, by the innermost of its jobs.
pub fn memory_limit() -> Option<u64> {
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    // SAFETY: asks of the job of this process; what is written is as large as is said.
    unsafe {
        QueryInformationJobObject(
            ptr::null_mut(),
            JobObjectExtendedLimitInformation,
            (&raw mut limits).cast(),
            size_of_val(&limits) as u32,
            ptr::null_mut(),
        )
    };
    let is_held = limits.BasicLimitInformation.LimitFlags & JOB_OBJECT_LIMIT_PROCESS_MEMORY != 0;
    is_held.then_some(limits.ProcessMemoryLimit as u64)
}

/// The processors that this process may run on.
pub fn cpus() -> Vec<usize> {
    let (mut own, mut all) = (0, 0);
    // SAFETY: asks of this process; the masks are written to where they may be.
    unsafe { GetProcessAffinityMask(GetCurrentProcess(), &mut own, &mut all) };
    (0..usize::BITS as usize).filter(|cpu| own >> cpu & 1 == 1).collect()
}

/// The priority class of this process.
pub fn priority_class() -> u32 {
    // SAFETY: asks of this process.
    unsafe { GetPriorityClass(GetCurrentProcess()) }
}
