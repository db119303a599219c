//! Which processors there are.

use std::io;

use windows_sys::Win32::System::Threading::{ALL_PROCESSOR_GROUPS, GetActiveProcessorCount};

use crate::Limits;

/// What no child could be held to, before any is started.
///
/// # Errors
/// `InvalidInput`, as [`Limits::check`] has it.
pub fn check_limits(limits: &Limits) -> io::Result<()> {
    limits.check(|cpus| {
        // SAFETY: asks.
        let count = unsafe { GetActiveProcessorCount(ALL_PROCESSOR_GROUPS) } as usize;
        let unknown = cpus.iter().find(|cpu| **cpu >= count)?;
        Some((*unknown, format!("0-{}", count.saturating_sub(1))))
    })
}
