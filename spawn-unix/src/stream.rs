//! The tokio side of an endpoint.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use bytes::BufMut;
use rustix::io::Errno;
use rustix::net::{ReturnFlags, SendFlags, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::greeting::{receive_with, send_with};
use crate::room::Room;
use crate::{Child, SharedMemory};

/// Descriptors that may have arrived and not been taken: more than one message can announce.
const UNTAKEN: usize = 256;

/// An [`Endpoint`](crate::Endpoint) that is bound to a tokio runtime and never blocks.
///
/// The driver of a connection waits with [`ready`](Self::ready) and then moves as many bytes as will go with the `try_`
/// calls. A peer that is gone looks the same on every system: reading answers `Ok(0)`, writing
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe), and no signal is raised.
#[derive(Debug)]
pub struct Stream {
    /// Watched for what there is to read only: whoever is told of room too is woken up whenever the peer reads anything.
    socket: AsyncFd<net::UnixStream>,
    room: Room,
    arrived: Mutex<VecDeque<Arrived>>,
}

/// What came with bytes of the peer.
#[derive(Debug)]
enum Arrived {
    Descriptor(OwnedFd),
    /// This process had no room for it.
    Lost,
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
    pub(crate) fn new(socket: net::UnixStream) -> io::Result<Self> {
        // SAFETY: the socket owns its descriptor, which stays open, and is the same, for as long as it lives.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self { socket, room: Room::default(), arrived: Mutex::default() })
    }

    /// Waits until the stream is readable or, if `write` is set, writable as well.
    ///
    /// # Cancellation
    /// Safe: nothing is read or written.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn ready(&self, write: bool) -> io::Result<Ready> {
        if !write {
            // One task waits at a time, so it needs no place of its own in a list of those who do.
            poll_fn(|cx| self.socket.poll_read_ready(cx).map_ok(drop)).await?;
            return Ok(Ready { readable: true, writable: false });
        }
        let room = self.room.watch(&self.socket).await?;
        poll_fn(|cx| {
            let readable = self.socket.poll_read_ready(cx)?.is_ready();
            let writable = match &room {
                Some(room) => room.poll_write_ready(cx)?.is_ready(),
                None => true,
            };
            if readable || writable { Poll::Ready(Ok(Ready { readable, writable })) } else { Poll::Pending }
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
        if let Some(room) = self.room.watch(&self.socket).await? {
            room.writable().await?.retain_ready();
        }
        Ok(())
    }

    /// Reads what is there into `buf`, which must not be empty; `Ok(0)` means that the peer is gone.
    ///
    /// What the peer had sent before its end is read first. Memory that comes with the bytes waits for
    /// [`take_memory`](Self::take_memory).
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; `InvalidData` for a peer that sends descriptors which it never announces.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        debug_assert!(!buf.is_empty(), "an empty buffer cannot tell the end of the stream");
        end_of_stream(self.socket.try_io(Interest::READABLE, |_| Ok(self.receive(buf)?.0)))
    }

    /// Reads what is there into the spare room of `buf`, which must have some; `Ok(0)` means that the peer is gone.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        debug_assert!(buf.has_remaining_mut(), "a full buffer cannot tell the end of the stream");
        let room = buf.chunk_mut();
        // SAFETY: the bytes are only written to, by the system.
        let room = unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr(), room.len()) };
        // A read that leaves room has found all there was: to say so here, before anything new can have come unseen, saves
        // a read that finds nothing. With descriptors it may have ended early.
        let mut drained = None;
        let read = self.socket.try_io(Interest::READABLE, |_| {
            let (read, is_plain) = self.receive(room)?;
            if is_plain && 0 < read && read < room.len() {
                drained = Some(read);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(read)
        });
        let read = match drained {
            Some(read) => read,
            None => end_of_stream(read)?,
        };
        // SAFETY: the system has written so many.
        unsafe { buf.advance_mut(read) };
        Ok(read)
    }

    /// The same, whether or not the runtime has been told that there is anything.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    ///
    /// # Platform-specific behavior
    /// On Windows the runtime itself reads ahead, and nothing is found that it has not told of.
    pub fn look<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        debug_assert!(buf.has_remaining_mut(), "a full buffer cannot tell the end of the stream");
        let room = buf.chunk_mut();
        // SAFETY: the bytes are only written to, by the system.
        let room = unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr(), room.len()) };
        let (read, _) = self.receive(room).or_else(|error| end_of_stream(Err(error)).map(|read| (read, true)))?;
        // SAFETY: the system has written so many.
        unsafe { buf.advance_mut(read) };
        Ok(read)
    }

    /// How much was read, and whether nothing came with it.
    fn receive(&self, buf: &mut [u8]) -> io::Result<(usize, bool)> {
        let mut descriptors = Vec::new();
        let (read, flags) = receive_with(self.socket.as_fd(), buf, &mut descriptors)?;
        if descriptors.is_empty() && !flags.contains(ReturnFlags::CTRUNC) {
            return Ok((read, true));
        }
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        // Each comes alone: then it is also known which one this process had no room for.
        match <[OwnedFd; 1]>::try_from(descriptors) {
            Ok([file]) if !flags.contains(ReturnFlags::CTRUNC) => arrived.push_back(Arrived::Descriptor(file)),
            Err(none) if none.is_empty() => arrived.push_back(Arrived::Lost),
            _ => return Err(invalid("several descriptors came at once")),
        }
        if arrived.len() > UNTAKEN {
            return Err(invalid("descriptors came that were not announced"));
        }
        Ok((read, false))
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
        let _ = (to, memory);
        Ok(0)
    }

    /// Writes as much of `buf`, which must not be empty, as fits now, and says how much that was; `memory` goes with the first
    /// byte. What is in `buf` must tell the peer to [take](Self::take_memory) it.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_with(&self, buf: &[u8], memory: &SharedMemory) -> io::Result<usize> {
        let written = self.room.try_write(|| {
            match send_with(self.socket.as_fd(), &[IoSlice::new(buf)], &[memory.as_fd()]) {
                // As many descriptors are under way as the system will have: there is room when the peer has read.
                Err(Errno::TOOMANYREFS) => Err(io::ErrorKind::WouldBlock.into()),
                written => Ok(written?),
            }
        });
        broken_pipe(written)
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
        let _ = (from, told);
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match arrived {
            Some(Arrived::Descriptor(file)) => SharedMemory::adopt(file, len, parted).map(Some),
            Some(Arrived::Lost) => Ok(None),
            None => Err(invalid("memory was announced and did not come")),
        }
    }

    /// Writes as much of `buf` as fits now and says how much that was.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits, `BrokenPipe` if the peer is gone.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let written = self.room.try_write(|| Ok(send(&self.socket, buf, SendFlags::NOSIGNAL)?));
        broken_pipe(written)
    }
}

/// A peer that ended with our bytes unread is reported once as a reset; that is an end like any other.
pub(crate) fn end_of_stream(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        read => read,
    }
}

/// The same for the writing side, whose word for it is `BrokenPipe`.
pub(crate) fn broken_pipe(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if is_gone(error.kind()) => Err(io::ErrorKind::BrokenPipe.into()),
        written => written,
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn is_gone(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}
