//! Events: what an operation of the system sets when it is done.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::Foundation::{HANDLE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{CreateEventW, SetEvent, WaitForSingleObject};

/// A flag of the system that stays set until it is used again.
///
/// Most operations on a pipe are over at once and need one for a moment only, so those that are given back are kept: a
/// stream costs no handle but its own.
#[derive(Debug)]
pub(crate) struct Event(Option<OwnedHandle>);

static SPARE: Mutex<Vec<OwnedHandle>> = Mutex::new(Vec::new());

/// As many as threads may be in the middle of an operation at the same time, without making new ones.
const KEPT: usize = 32;

impl Event {
    /// One for an operation, which clears it by itself when it begins.
    pub(crate) fn for_operation() -> io::Result<Self> {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match spare {
            Some(event) => Ok(Self(Some(event))),
            None => Self::new(),
        }
    }

    /// A new one that is not set.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no security attributes and no name; manual reset, not set.
        let event = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a handle that was just made and that nobody else has.
        Ok(Self(Some(unsafe { OwnedHandle::from_raw_handle(event) })))
    }

    pub(crate) fn handle(&self) -> HANDLE {
        self.0.as_ref().map_or(ptr::null_mut(), AsRawHandle::as_raw_handle)
    }

    pub(crate) fn set(&self) {
        // SAFETY: the handle is that of an event, and open.
        unsafe { SetEvent(self.handle()) };
    }

    pub(crate) fn is_set(&self) -> bool {
        // SAFETY: the handle is that of an event, and open.
        unsafe { WaitForSingleObject(self.handle(), 0) == WAIT_OBJECT_0 }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.extend(self.0.take());
        }
    }
}
