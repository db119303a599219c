//! What the process thread waits on.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY, PostQueuedCompletionStatus,
};
use windows_sys::Win32::System::Threading::INFINITE;

use crate::Output;

/// One completion port, whose events say what happened in this crate's words.
#[derive(Debug)]
pub(crate) struct Port(OwnedHandle);

/// The name of one process for as long as the program lives; pids are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64);

/// Something to look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody has a request.
    Request,
    /// This child has ended.
    Exit(Key),
    /// A read of this child's output is over.
    Output(Key, Output),
}

/// How many events are taken at a time.
const TURN: usize = 128;

impl Port {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: makes a new port.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a handle that was just made and that nobody else has.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(port) }))
    }

    /// Reports `event` once for each operation on `pipe` that is over.
    pub(crate) fn watch(&self, pipe: BorrowedHandle<'_>, event: Event) -> io::Result<()> {
        // SAFETY: both handles are open; the port holds on to the pipe by itself.
        let port =
            unsafe { CreateIoCompletionPort(pipe.as_raw_handle(), self.0.as_raw_handle(), event.encode() as usize, 0) };
        if port.is_null() { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Reports `event` once.
    pub(crate) fn post(&self, event: Event) {
        // SAFETY: the port is open. It fails only where the system is out of memory.
        unsafe { PostQueuedCompletionStatus(self.0.as_raw_handle(), 0, event.encode() as usize, ptr::null()) };
    }

    /// Waits, or only looks, and puts what happened into `events`.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, only_look: bool) -> io::Result<()> {
        let mut entries = [OVERLAPPED_ENTRY::default(); TURN];
        let mut count = 0;
        events.clear();
        // SAFETY: the port is open, and there is room for as many entries as is said.
        let taken = unsafe {
            GetQueuedCompletionStatusEx(
                self.0.as_raw_handle(),
                entries.as_mut_ptr(),
                TURN as u32,
                &mut count,
                if only_look { 0 } else { INFINITE },
                0,
            )
        };
        if taken == 0 {
            // That there is nothing to be seen is told as an error.
            return if only_look { Ok(()) } else { Err(io::Error::last_os_error()) };
        }
        events.extend(entries.iter().take(count as usize).map(|entry| Event::decode(entry.lpCompletionKey as u64)));
        Ok(())
    }
}

impl Event {
    const KINDS: u64 = 4;

    fn encode(self) -> u64 {
        let (kind, key) = match self {
            Self::Request => (0, 0),
            Self::Exit(Key(key)) => (1, key),
            Self::Output(Key(key), Output::Stdout) => (2, key),
            Self::Output(Key(key), Output::Stderr) => (3, key),
        };
        key * Self::KINDS + kind
    }

    fn decode(data: u64) -> Self {
        let key = Key(data / Self::KINDS);
        match data % Self::KINDS {
            1 => Self::Exit(key),
            2 => Self::Output(key, Output::Stdout),
            3 => Self::Output(key, Output::Stderr),
            _ => Self::Request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Key};
    use crate::Output;

    #[test]
    fn an_event_survives_its_encoding() {
        for event in [
            Event::Request,
            Event::Exit(Key(1)),
            Event::Output(Key(2), Output::Stdout),
            Event::Output(Key(1 << 40), Output::Stderr),
        ] {
            assert_eq!(Event::decode(event.encode()), event);
        }
    }
}
