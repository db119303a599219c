//! One end of a named stream.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ToFsName};
use interprocess::os::unix::uds_local_socket::tokio::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Credentials;
use crate::directory::Directory;
use crate::listener::checked;
use crate::stream::{broken_pipe, end_of_stream};

/// One end of a byte stream with another program of the same user that has asked for it by name: an admin tool, a worker that
/// nobody here has started.
///
/// Once the peer is gone, reading answers with the end, after what it had sent, and writing with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe). There is no half-close: `poll_shutdown` does nothing, and the stream ends in both
/// directions when it is dropped.
///
/// # Platform-specific behavior
/// On Linux a local socket, on Windows a named pipe. On Windows the peer learns of the drop when the runtime's driver has its
/// next turn.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Credentials,
}

impl Connection {
    /// Connects to the [`Listener`](crate::Listener) that a process of this user has bound to `name`.
    ///
    /// # Cancellation
    /// Safe: the listener may see a connection that ends at once.
    ///
    /// # Errors
    /// `InvalidInput` for what is no name; `NotFound` if nobody listens there; `PermissionDenied` if whoever does, or whoever has
    /// made the place, is another user; `ResourceBusy` if more are waiting than the system keeps.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one whose IO driver is not enabled.
    ///
    /// # Platform-specific behavior
    /// On Linux this is done whether or not the listener accepts. On Windows it waits until all before it have been accepted.
    pub async fn connect(name: &str) -> io::Result<Self> {
        let name = checked(name)?;
        let path = Directory::open().map_err(|error| nobody(name, error))?.socket(name)?;
        let address = path.as_os_str().to_fs_name::<GenericFilePath>()?;
        let options = ConnectOptions::new().name(address);
        let stream = Stream::from_options(&options).await.map_err(|error| nobody(name, error))?;
        Self::with_own_user(stream).map_err(|error| match error.kind() {
            // To be told to try again later looks like being connected, but there is no peer.
            io::ErrorKind::ConnectionReset => {
                io::Error::new(io::ErrorKind::ResourceBusy, format!("too many are waiting for {name:?} to accept them"))
            }
            _ => error,
        })
    }

    /// Who is at the other end.
    pub fn credentials(&self) -> &Credentials {
        &self.peer
    }

    /// Looks who the peer is before anything it says is read.
    pub(crate) fn with_own_user(stream: Stream) -> io::Result<Self> {
        let peer = Credentials::of_peer(&stream)?;
        Ok(Self { stream, peer })
    }
}

fn nobody(name: &str, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            io::Error::new(io::ErrorKind::NotFound, format!("nobody listens on {name:?}"))
        }
        _ => error,
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        read.map(|read| end_of_stream(read.map(|()| 0)).map(drop))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf).map(broken_pipe)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
