//! The tokio side of an endpoint.

use std::io;
use std::os::unix::net;

use bytes::BufMut;
use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// An [`Endpoint`](crate::Endpoint) that is bound to a tokio runtime and never blocks.
///
/// The driver of a connection waits with [`ready`](Self::ready) and then moves as many bytes as will go with the `try_`
/// calls. A peer that is gone looks the same on every system: reading answers `Ok(0)`, writing
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe), and no signal is raised.
#[derive(Debug)]
pub struct Stream {
    socket: UnixStream,
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
        let socket = UnixStream::from_std(socket)?;
        Ok(Self { socket })
    }

    /// Waits until the stream is readable or, if `write` is set, writable as well.
    ///
    /// # Cancellation
    /// Safe: nothing is read or written.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn ready(&self, write: bool) -> io::Result<Ready> {
        let interest = if write { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let ready = self.socket.ready(interest).await?;
        Ok(Ready { readable: ready.is_readable(), writable: ready.is_writable() })
    }

    /// Reads what is there into `buf`, which must not be empty; `Ok(0)` means that the peer is gone.
    ///
    /// What the peer had sent before its end is read first.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        debug_assert!(!buf.is_empty(), "an empty buffer cannot tell the end of the stream");
        end_of_stream(self.socket.try_read(buf))
    }

    /// Reads what is there into the spare room of `buf`, which must have some; `Ok(0)` means that the peer is gone.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        debug_assert!(buf.has_remaining_mut(), "a full buffer cannot tell the end of the stream");
        end_of_stream(self.socket.try_read_buf(buf))
    }

    /// Writes as much of `buf` as fits now and says how much that was.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits, `BrokenPipe` if the peer is gone.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let written = self.socket.try_io(Interest::WRITABLE, || Ok(send(&self.socket, buf, SendFlags::NOSIGNAL)?));
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

fn is_gone(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}
