//! One read or write of a pipe, from its start to its end.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::ptr;
use std::time::Instant;

use windows_sys::Win32::Foundation::{
    ERROR_IO_PENDING, ERROR_OPERATION_ABORTED, HANDLE, WAIT_FAILED, WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Threading::{INFINITE, WaitForMultipleObjects, WaitForSingleObject};

use crate::event::Event;

/// How long an operation may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until<'a> {
    /// Until then.
    Deadline(Instant),
    /// Until somebody sets this.
    Closed(&'a Event),
}

/// Reads some bytes into `buf`; `None` when its time is over.
pub(crate) fn read(pipe: BorrowedHandle<'_>, buf: &mut [u8], until: Until<'_>) -> io::Result<Option<usize>> {
    let operation = Operation::begin(pipe.as_raw_handle(), |pipe, overlapped| {
        // SAFETY: the handle is open; the buffer is exclusively ours, and `finish` does not return before the operation is
        // over, nor does it panic.
        unsafe { ReadFile(pipe, buf.as_mut_ptr(), clamped(buf.len()), ptr::null_mut(), overlapped) }
    })?;
    operation.finish(until)
}

/// Writes `buf`; `None` when its time is over, with an unknown part of it written.
pub(crate) fn write(pipe: BorrowedHandle<'_>, buf: &[u8], until: Until<'_>) -> io::Result<Option<usize>> {
    let operation = Operation::begin(pipe.as_raw_handle(), |pipe, overlapped| {
        // SAFETY: the handle is open; the buffer lives longer than `finish` takes, which does not return before the
        // operation is over, nor does it panic.
        unsafe { WriteFile(pipe, buf.as_ptr(), clamped(buf.len()), ptr::null_mut(), overlapped) }
    })?;
    operation.finish(until)
}

fn clamped(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// An operation that has begun. Dropping it cancels it and waits until the system has let go of its memory.
#[derive(Debug)]
pub(crate) struct Operation {
    pipe: HANDLE,
    /// From `Box::into_raw`: while the operation goes on it is the system's.
    overlapped: *mut OVERLAPPED,
    event: Event,
    /// Whether its end has been seen.
    over: bool,
}

impl Operation {
    /// Begins one by `start`, which returns what `ReadFile` and `WriteFile` do.
    ///
    /// The pipe must stay open, and the buffer valid, until the operation is dropped.
    pub(crate) fn begin(pipe: HANDLE, start: impl FnOnce(HANDLE, *mut OVERLAPPED) -> i32) -> io::Result<Self> {
        let event = Event::for_operation()?;
        // With its lowest bit set, the end of the operation is told by the event and not to a completion port: where a
        // runtime has the pipe on its own port it would take our memory for its own.
        let tagged = event.handle().map_addr(|address| address | 1);
        let overlapped = Box::into_raw(Box::new(OVERLAPPED { hEvent: tagged, ..OVERLAPPED::default() }));
        let mut operation = Self { pipe, overlapped, event, over: false };
        if start(pipe, overlapped) == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(ERROR_IO_PENDING as i32) {
                operation.over = true;
                return Err(error);
            }
        } else {
            operation.over = true;
        }
        Ok(operation)
    }

    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over || self.event.is_set()
    }

    /// How it ended, if it has.
    pub(crate) fn result(&mut self) -> Option<io::Result<usize>> {
        if !self.is_over() {
            return None;
        }
        self.over = true;
        let mut moved = 0;
        // SAFETY: the handle is open and `overlapped` that of an operation on it, which is over.
        let done = unsafe { GetOverlappedResult(self.pipe, self.overlapped, &mut moved, 0) };
        Some(if done == 0 { Err(io::Error::last_os_error()) } else { Ok(moved as usize) })
    }

    fn finish(mut self, until: Until<'_>) -> io::Result<Option<usize>> {
        if self.result_is_there(until)? {
            return self.result().unwrap_or(Ok(0)).map(Some);
        }
        self.cancel();
        // It may have been quicker than the cancelling.
        match self.result() {
            Some(Ok(moved)) => Ok(Some(moved)),
            Some(Err(error)) if error.raw_os_error() != Some(ERROR_OPERATION_ABORTED as i32) => Err(error),
            _ => Ok(None),
        }
    }

    fn result_is_there(&self, until: Until<'_>) -> io::Result<bool> {
        let waited = match until {
            Until::Deadline(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Rounded up, so that the time is over when this says so; what is too long to be told is for ever.
                let millis = u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(INFINITE);
                // SAFETY: the handle is that of an event, and open.
                unsafe { WaitForSingleObject(self.event.handle(), millis) }
            }
            Until::Closed(closed) => {
                let handles = [self.event.handle(), closed.handle()];
                // SAFETY: the handles are those of events, and open.
                unsafe { WaitForMultipleObjects(2, handles.as_ptr(), 0, INFINITE) }
            }
        };
        match waited {
            WAIT_FAILED => Err(io::Error::last_os_error()),
            WAIT_OBJECT_0 => Ok(true),
            WAIT_TIMEOUT => Ok(false),
            _ => Ok(false),
        }
    }

    /// Cancels it and waits for its end, which comes at once.
    fn cancel(&mut self) {
        // SAFETY: the handle is open, and `overlapped` that of an operation on it. That it has ended meanwhile is no harm.
        unsafe { CancelIoEx(self.pipe, self.overlapped) };
        // SAFETY: the handle is that of an event, and open.
        unsafe { WaitForSingleObject(self.event.handle(), INFINITE) };
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.is_over() {
            self.cancel();
        }
        // SAFETY: from `Box::into_raw`, and the operation is over: the system will not touch it any more.
        drop(unsafe { Box::from_raw(self.overlapped) });
    }
}
