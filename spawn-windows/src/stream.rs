//! The tokio side of an endpoint.

use std::future::{Future, poll_fn};
use std::io;
use std::os::windows::io::{AsRawHandle, IntoRawHandle, OwnedHandle};
use std::pin::pin;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use bytes::BufMut;
use tokio::net::windows::named_pipe::NamedPipeClient;
use tokio::sync::Notify;
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE,
};

use crate::greeting::{fetched, give, kept, received};
use crate::operation::Operation;
use crate::pipe::{broken_pipe, end_of_stream};
use crate::{Child, SharedMemory};

/// As much as is written at a time: the pipe has room for it as soon as its reader has read as much.
const PIECE: usize = 64 * 1024;

/// An [`Endpoint`](crate::Endpoint) that is bound to a tokio runtime and never blocks.
///
/// The driver of a connection waits with [`ready`](Self::ready) and then moves as many bytes as will go with the `try_`
/// calls. A peer that is gone looks the same on every system: reading answers `Ok(0)`, writing
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe), and no signal is raised.
///
/// # Platform-specific behavior
/// On Windows the peer learns of a dropped stream when the runtime's driver has its next turn: the driver has a read in
/// progress that holds the pipe. Whoever drops a stream and then blocks the only thread of its runtime keeps the peer waiting.
#[derive(Debug)]
pub struct Stream {
    /// What does not fit into the pipe yet. Before the pipe, so that it ends before.
    writing: Mutex<Option<Pending>>,
    /// Told when that has fitted.
    written: Arc<Notify>,
    /// Reads; tokio's writes cannot tell what has reached the pipe and what would be lost with this process. To tokio the ends
    /// of a connected pipe are the same.
    pipe: NamedPipeClient,
}

/// What a [`Stream`] is ready for. Either may turn out to be stale: the `try_` call then says `WouldBlock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Reading will give bytes, the end of the stream or an error.
    pub readable: bool,
    /// Writing will take bytes or give an error.
    pub writable: bool,
}

impl Stream {
    pub(crate) fn new(pipe: OwnedHandle) -> io::Result<Self> {
        // SAFETY: one end of a pipe that does not block, which belongs to nobody else from here on.
        let pipe = unsafe { NamedPipeClient::from_raw_handle(pipe.into_raw_handle()) }?;
        Ok(Self { writing: Mutex::default(), written: Arc::default(), pipe })
    }

    /// Waits until the stream is readable or, if `write` is set, writable as well.
    ///
    /// # Cancellation
    /// Safe: nothing is read or written.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn ready(&self, write: bool) -> io::Result<Ready> {
        let mut readable = pin!(self.pipe.readable());
        let mut written = pin!(self.written.notified());
        poll_fn(|cx| {
            let readable = match readable.as_mut().poll(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
            };
            // A permit may be left of an earlier write; only what is so counts.
            while write && !self.is_writable() && written.as_mut().poll(cx).is_ready() {
                written.set(self.written.notified());
            }
            let ready = Ready { readable, writable: self.is_writable() };
            if ready.readable || (write && ready.writable) { Poll::Ready(Ok(ready)) } else { Poll::Pending }
        })
        .await
    }

    /// Waits until the stream is writable, whatever there is to read.
    ///
    /// # Cancellation
    /// Safe: nothing is written.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn writable(&self) -> io::Result<()> {
        while !self.is_writable() {
            // A permit may be left of an earlier write; only what is so counts.
            self.written.notified().await;
        }
        Ok(())
    }

    /// Reads what is there into `buf`, which must not be empty; `Ok(0)` means that the peer is gone.
    ///
    /// What the peer had sent before its end is read first.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        debug_assert!(!buf.is_empty(), "an empty buffer cannot tell the end of the stream");
        end_of_stream(self.pipe.try_read(buf))
    }

    /// Reads what is there into the spare room of `buf`, which must have some; `Ok(0)` means that the peer is gone.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        debug_assert!(buf.has_remaining_mut(), "a full buffer cannot tell the end of the stream");
        end_of_stream(self.pipe.try_read_buf(buf))
    }

    /// The same, whether or not the runtime has been told that there is anything.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    ///
    /// # Platform-specific behavior
    /// On Windows the runtime itself reads ahead, and nothing is found that it has not told of.
    pub fn look<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        self.try_read_buf(buf)
    }

    /// Writes as much of `buf` as fits now and says how much that was. What was written outlives this process.
    ///
    /// After `WouldBlock` the next call must begin with the same bytes: they may be on their way already.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits, `BrokenPipe` if the peer is gone.
    ///
    /// # Platform-specific behavior
    /// On Linux nothing is on its way. On Windows a write that does not fit goes on until it does, and its bytes are
    /// told as written by the call that comes after.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut writing = self.writing();
        if let Some(pending) = &mut *writing {
            let Some(written) = pending.result() else {
                return Err(io::ErrorKind::WouldBlock.into());
            };
            debug_assert!(buf.starts_with(&pending.bytes), "what is on its way cannot be called back");
            *writing = None;
            return broken_pipe(written);
        }
        if buf.is_empty() {
            return Ok(0);
        }
        let mut write = match Pending::begin(self.pipe.as_raw_handle(), &buf[..buf.len().min(PIECE)]) {
            Ok(write) => write,
            Err(error) => return broken_pipe(Err(error)),
        };
        if let Some(written) = write.result() {
            return broken_pipe(written);
        }
        write.tell(&self.written)?;
        *writing = Some(write);
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What the peer has to be told of memory that it is about to be given, for its [`take_memory`](Self::take_memory). `to` is
    /// the process at the other end where this one has started it.
    ///
    /// # Errors
    /// The peer is gone, or out of handles.
    ///
    /// # Platform-specific behavior
    /// On Linux there is nothing to tell. On Windows the handle is duplicated into a child, while a parent fetches it, which is
    /// possible for as long as this process lives and has the memory.
    pub fn offer_memory(&self, to: Option<&Child>, memory: &SharedMemory) -> io::Result<u64> {
        match to {
            Some(child) => give(child, memory.section(), SharedMemory::rights(memory.is_parted())),
            None => Ok(memory.section().as_raw_handle().addr() as u64),
        }
    }

    /// Writes as much of `buf`, which must not be empty, as fits now, and says how much that was; `memory` goes with the first
    /// byte. What is in `buf` must tell the peer to [take](Self::take_memory) it.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_with(&self, buf: &[u8], memory: &SharedMemory) -> io::Result<usize> {
        let _ = memory;
        self.try_write(buf)
    }

    /// Takes the memory that the peer has announced as so many bytes, sealed or to be written in parts, with what [`offer_memory`](Self::offer_memory) told
    /// there. Memory must be taken in the order in which it is announced. `None` is memory that came and that this process had
    /// no room for in its table of descriptors. `from` is the process at the other end where this one has started it.
    ///
    /// # Errors
    /// `InvalidData` for whatever is not memory that nobody can change, or of another size, and if nothing came. It is told so
    /// before a byte of it is mapped. Otherwise the process has no room for the mapping.
    ///
    /// # Platform-specific behavior
    /// On Windows memory of a child that has ended is gone, if nobody has taken it: `NotFound`.
    pub fn take_memory(
        &self,
        from: Option<&Child>,
        told: u64,
        len: u64,
        parted: bool,
    ) -> io::Result<Option<SharedMemory>> {
        let memory = match from {
            Some(child) => SharedMemory::adopt(fetched(child, told, SharedMemory::rights(parted))?, len, parted).ok(),
            None => kept(received(told).map(|section| SharedMemory::adopt(section, len, parted))),
        };
        let refused = || io::Error::new(io::ErrorKind::InvalidData, "the handle is not one of so much memory");
        memory.map(Some).ok_or_else(refused)
    }

    fn is_writable(&self) -> bool {
        self.writing().as_mut().is_none_or(|pending| pending.is_over())
    }

    fn writing(&self) -> MutexGuard<'_, Option<Pending>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that the system may still be performing, and its bytes. Dropping it calls it back.
#[derive(Debug)]
struct Pending {
    /// Before the operation, whose event it waits for.
    wait: Option<Wait>,
    /// Before the bytes, which are the system's for as long as it lasts.
    operation: Operation,
    bytes: Box<[u8]>,
}

// SAFETY: the operation is the system's to perform, whichever thread looks after it.
unsafe impl Send for Pending {}

impl Pending {
    fn begin(pipe: HANDLE, bytes: &[u8]) -> io::Result<Self> {
        let bytes: Box<[u8]> = bytes.into();
        let operation = Operation::begin(pipe, |pipe, overlapped| {
            // SAFETY: the stream keeps the pipe open, and `Pending` the bytes where they are, until the operation is dropped.
            unsafe { WriteFile(pipe, bytes.as_ptr(), bytes.len() as u32, ptr::null_mut(), overlapped) }
        })?;
        Ok(Self { wait: None, operation, bytes })
    }

    /// Notifies whoever waits when it is over.
    fn tell(&mut self, written: &Arc<Notify>) -> io::Result<()> {
        self.wait = Some(Wait::new(self.operation.event().handle(), Arc::clone(written))?);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.operation.is_over()
    }

    fn result(&mut self) -> Option<io::Result<usize>> {
        self.operation.result()
    }
}

/// Notifies somebody once an event is set.
#[derive(Debug)]
struct Wait {
    wait: HANDLE,
    /// What the system's thread refers to.
    _told: Arc<Notify>,
}

impl Wait {
    fn new(event: HANDLE, told: Arc<Notify>) -> io::Result<Self> {
        unsafe extern "system" fn tell(told: *mut core::ffi::c_void, _timed_out: bool) {
            // SAFETY: the `Notify` of the `Wait` that has registered this, which waits for us before it lets go of it.
            unsafe { &*told.cast::<Notify>() }.notify_one();
        }
        let mut wait = ptr::null_mut();
        // SAFETY: the event is open until the wait is taken back, and what is referred to lives as long.
        let registered = unsafe {
            RegisterWaitForSingleObject(
                &mut wait,
                event,
                Some(tell),
                Arc::as_ptr(&told).cast(),
                INFINITE,
                WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD,
            )
        };
        if registered == 0 { Err(io::Error::last_os_error()) } else { Ok(Self { wait, _told: told }) }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // SAFETY: taken back once, and not by the callback itself; waits until that has returned.
        unsafe { UnregisterWaitEx(self.wait, INVALID_HANDLE_VALUE) };
    }
}
