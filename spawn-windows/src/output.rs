//! The output of one child.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, OwnedHandle};
use std::ptr;
use std::time::Instant;

use windows_sys::Win32::Foundation::ERROR_IO_PENDING;
use windows_sys::Win32::Storage::FileSystem::ReadFile;
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::PeekNamedPipe;

use crate::operation::{self, Until};
use crate::port::{Event, Key, Port};
use crate::{Output, pipe};

/// How much a pipe may say at a time: each has so much room of its own.
const TURN: usize = 16 * 1024;

/// The reading ends of a child's standard output and error, for as long as they are open.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    stdout: Option<Reading>,
    stderr: Option<Reading>,
}

impl Pipes {
    /// Pipes that report to the port, and the ends for the child.
    pub(crate) fn new(key: Key, port: &Port) -> io::Result<(Self, [OwnedHandle; 2])> {
        let open = |from| {
            let (ours, theirs) = pipe::inbound()?;
            port.watch(ours.as_handle(), Event::Output(key, from))?;
            Ok::<_, io::Error>((Some(Reading::new(ours)), theirs))
        };
        let (stdout, childs_stdout) = open(Output::Stdout)?;
        let (stderr, childs_stderr) = open(Output::Stderr)?;
        Ok((Self { stdout, stderr }, [childs_stdout, childs_stderr]))
    }

    /// Begins to read.
    pub(crate) fn begin(&mut self) {
        for pipe in [&mut self.stdout, &mut self.stderr] {
            pipe.take_if(|pipe| pipe.begin().is_err());
        }
    }

    /// Tells what was read, and goes on; closes the pipe at its end.
    pub(crate) fn read(&mut self, from: Output, told: impl FnOnce(&[u8])) {
        self.pipe(from).take_if(|pipe| {
            let read = pipe.finish();
            match read {
                Ok([]) => {}
                Ok(bytes) => told(bytes),
                Err(_) => return true,
            }
            pipe.begin().is_err()
        });
    }

    /// Tells what is in the pipes now, and closes them.
    ///
    /// The child is dead, so what it wrote is there. Somebody who has got hold of the other end may go on writing for ever: that
    /// is neither waited for nor read.
    pub(crate) fn drain(&mut self, mut told: impl FnMut(Output, &[u8])) {
        for from in [Output::Stdout, Output::Stderr] {
            if let Some(pipe) = self.pipe(from).take() {
                pipe.drain(|bytes| told(from, bytes));
            }
        }
    }

    fn pipe(&mut self, from: Output) -> &mut Option<Reading> {
        match from {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        }
    }
}

/// A pipe with a read that is always in progress.
#[derive(Debug)]
struct Reading {
    pipe: OwnedHandle,
    /// From `Box::into_raw`: while a read is in progress it is the system's.
    room: *mut Room,
    in_progress: bool,
}

struct Room {
    overlapped: OVERLAPPED,
    bytes: [u8; TURN],
}

// SAFETY: the room belongs to the one value that points to it.
unsafe impl Send for Reading {}

impl Reading {
    fn new(pipe: OwnedHandle) -> Self {
        let room = Box::new(Room { overlapped: OVERLAPPED::default(), bytes: [0; TURN] });
        Self { pipe, room: Box::into_raw(room), in_progress: false }
    }

    /// Begins a read, whose end is reported to the port.
    fn begin(&mut self) -> io::Result<()> {
        debug_assert!(!self.in_progress);
        // SAFETY: no read is in progress, so the room is ours; it stays where it is until the read has ended, which `drop` sees to.
        let begun = unsafe {
            (*self.room).overlapped = OVERLAPPED::default();
            ReadFile(
                self.pipe.as_raw_handle(),
                (&raw mut (*self.room).bytes).cast(),
                TURN as u32,
                ptr::null_mut(),
                &raw mut (*self.room).overlapped,
            )
        };
        if begun == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(ERROR_IO_PENDING as i32) {
                return Err(error);
            }
        }
        self.in_progress = true;
        Ok(())
    }

    /// Waits for the end of the read in progress, which is there already when the port has reported it.
    fn finish(&mut self) -> io::Result<&[u8]> {
        if !self.in_progress {
            return Ok(&[]);
        }
        let mut read = 0;
        // SAFETY: the read is that of this pipe, on which there is no other, so that the wait is for this one.
        let done =
            unsafe { GetOverlappedResult(self.pipe.as_raw_handle(), &raw const (*self.room).overlapped, &mut read, 1) };
        let error = io::Error::last_os_error();
        self.in_progress = false;
        if done == 0 {
            return Err(error);
        }
        // SAFETY: no read is in progress any more, so the room is ours.
        Ok(unsafe { &(&(*self.room).bytes)[..(read as usize).min(TURN)] })
    }

    fn cancel(&mut self) {
        if self.in_progress {
            // SAFETY: the read is that of this pipe. That it has ended meanwhile is no harm.
            unsafe { CancelIoEx(self.pipe.as_raw_handle(), &raw const (*self.room).overlapped) };
        }
    }

    fn drain(mut self, mut told: impl FnMut(&[u8])) {
        self.cancel();
        match self.finish() {
            Ok(bytes) if !bytes.is_empty() => told(bytes),
            _ => {}
        }
        let mut left = 0;
        // SAFETY: the pipe is open; the number is written to where it may be.
        let peeked = unsafe {
            PeekNamedPipe(self.pipe.as_raw_handle(), ptr::null_mut(), 0, ptr::null_mut(), &mut left, ptr::null_mut())
        };
        let mut left = if peeked == 0 { 0 } else { left as usize };
        while left > 0 {
            // SAFETY: no read is in progress, so the room is ours.
            let room = unsafe { &mut (&mut (*self.room).bytes)[..left.min(TURN)] };
            // It is there, so this does not wait.
            match operation::read(self.pipe.as_handle(), room, Until::Deadline(Instant::now())) {
                Ok(Some(read)) if read > 0 => {
                    left -= read;
                    told(&room[..read]);
                }
                _ => break,
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.cancel();
        let _ = self.finish();
        // SAFETY: from `Box::into_raw`, and no read is in progress: the system will not touch it any more.
        drop(unsafe { Box::from_raw(self.room) });
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
