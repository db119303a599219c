//! One end of a named stream.

use std::fs::OpenOptions;
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::pin::Pin;
use std::task::{Context, Poll};

use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::named_pipe::tokio::DuplexPipeStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use windows_sys::Win32::Foundation::{ERROR_PIPE_BUSY, ERROR_SEM_TIMEOUT};
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OVERLAPPED, SECURITY_IDENTIFICATION};
use windows_sys::Win32::System::Pipes::WaitNamedPipeW;

use crate::listener::pipe_name;
use crate::pipe::{broken_pipe, end_of_stream, is_gone};
use crate::{Credentials, security};

/// For how long a wait for the listener cannot be called back.
const TURN_MS: u32 = 100;

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
    stream: DuplexPipeStream<Bytes>,
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
        let path = pipe_name(name)?;
        let pipe = loop {
            match open(&path) {
                Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY as i32) => wait(path.clone()).await?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(io::Error::new(io::ErrorKind::NotFound, format!("nobody listens on {name:?}")));
                }
                pipe => break pipe?,
            }
        };
        // Whoever was there before the listener could have taken its name.
        let owner = security::owner(pipe.as_handle())?;
        let stream = DuplexPipeStream::try_from(pipe)
            .map_err(|error| error.cause.unwrap_or_else(|| io::Error::other("the runtime does not take the pipe")))?;
        // Nothing was written yet that would have to be waited for if this is dropped.
        stream.assume_flushed();
        let peer = Credentials::own(owner, stream.server_process_id().ok())?;
        Ok(Self { stream, peer })
    }

    /// Who is at the other end.
    pub fn credentials(&self) -> &Credentials {
        &self.peer
    }

    /// Looks who the peer is before anything it says is read; `None` if it is gone by now and cannot be asked.
    pub(crate) fn with_own_user(stream: DuplexPipeStream<Bytes>) -> io::Result<Option<Self>> {
        let user = match security::client(stream.as_handle()) {
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => {
                let why = format!("the peer does not let itself be told apart: {error}");
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
            Ok(user) => user,
        };
        let peer = Credentials::own(user, stream.client_process_id().ok())?;
        Ok(Some(Self { stream, peer }))
    }
}

/// Opens a pipe for a client who lets the other side know who it is, and not act in its name.
fn open(path: &str) -> io::Result<OwnedHandle> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).share_mode(0);
    options.custom_flags(FILE_FLAG_OVERLAPPED).security_qos_flags(SECURITY_IDENTIFICATION);
    Ok(options.open(path)?.into())
}

/// Waits until the listener has room for one more, or for a while.
async fn wait(path: String) -> io::Result<()> {
    let waited = tokio::task::spawn_blocking(move || {
        let path: Vec<u16> = path.encode_utf16().chain([0]).collect();
        // SAFETY: the name ends with a zero.
        if unsafe { WaitNamedPipeW(path.as_ptr(), TURN_MS) } == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    });
    match waited.await.map_err(io::Error::other)? {
        Err(error) if error.raw_os_error() == Some(ERROR_SEM_TIMEOUT as i32) => Ok(()),
        // That nobody listens any more is found out by the one who tries again.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        waited => waited,
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

    /// What was written reaches a peer that reads, even if this is dropped. To wait until it has read would be to hang on it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsHandle for Connection {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.stream.as_handle()
    }
}
