//! Closing what came along.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Closes every descriptor from 3 on except `keep`.
pub(crate) fn close_all_but(keep: Option<&OwnedFd>) -> io::Result<()> {
    match keep.map(AsRawFd::as_raw_fd) {
        None => close_from_to(3, RawFd::MAX),
        Some(keep) => {
            if keep > 3 {
                close_from_to(3, keep - 1)?;
            }
            close_from_to(keep.max(2) + 1, RawFd::MAX)
        }
    }
}

fn close_from_to(first: RawFd, last: RawFd) -> io::Result<()> {
    // By number, for the C library's wrapper is younger than the call.
    // SAFETY: closes descriptors, which the callers of `close_all_but` own by contract: they are the first thing that runs
    // in this process, so nobody else has opened one that is still in use.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return Ok(());
    }
    // Kernels before 5.9 don't have it, and some sandboxes forbid what they don't know.
    close_listed(first, last)
}

fn close_listed(first: RawFd, last: RawFd) -> io::Result<()> {
    let mut open = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        open.extend(name.to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    // The listing's own descriptor is among them and closed by now.
    for descriptor in open {
        if (first..=last).contains(&descriptor) {
            // SAFETY: as in `close_from_to`.
            unsafe { libc::close(descriptor) };
        }
    }
    Ok(())
}
