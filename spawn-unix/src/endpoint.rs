//! One end of a private byte stream, before it is bound to a way of waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

use crate::{BlockingStream, Stream};

/// One end of a private byte stream between two processes, not bound to any runtime yet.
///
/// It has no name that another process could find, carries bytes both ways, and the peer's death is the end of the
/// stream. It is close-on-exec: a child gets it only as the standard input that [`Launch::stdin`](crate::Launch::stdin)
/// makes of it.
///
/// # Platform-specific behavior
/// On Linux one side of a socketpair, on Windows one side of a single-instance pipe.
#[derive(Debug)]
pub struct Endpoint {
    socket: OwnedFd,
}

impl Endpoint {
    /// Makes both ends of a new stream.
    ///
    /// # Errors
    /// The process is out of descriptors or the system out of memory.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// Binds this end to the tokio runtime of the caller.
    ///
    /// # Errors
    /// The runtime's driver refuses the descriptor.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one whose IO driver is not enabled.
    pub fn into_stream(self) -> io::Result<Stream> {
        let socket = UnixStream::from(self.socket);
        socket.set_nonblocking(true)?;
        Stream::new(socket)
    }

    /// Makes this end one that blocks the calling thread.
    ///
    /// # Errors
    /// The mode of the descriptor cannot be set; not seen in practice.
    pub fn into_blocking(self) -> io::Result<BlockingStream> {
        let socket = UnixStream::from(self.socket);
        socket.set_nonblocking(false)?;
        Ok(BlockingStream::new(socket))
    }

    /// Adopts a descriptor that came from elsewhere, if it is what [`Endpoint::pair`] makes.
    pub(crate) fn adopt(socket: OwnedFd) -> io::Result<Self> {
        // `ENOTSOCK` is the answer for whatever is no socket at all.
        let domain = sockopt::socket_domain(&socket).ok();
        let kind = sockopt::socket_type(&socket).ok();
        if domain == Some(AddressFamily::UNIX) && kind == Some(SocketType::STREAM) {
            Ok(Self { socket })
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the descriptor is not a local stream socket"))
        }
    }

    pub(crate) fn into_descriptor(self) -> OwnedFd {
        self.socket
    }
}

impl AsFd for Endpoint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
