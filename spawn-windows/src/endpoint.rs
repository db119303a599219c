//! One end of a private byte stream, before it is bound to a way of waiting.

use std::io;
use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};

use crate::{BlockingStream, Stream, pipe};

/// One end of a private byte stream between two processes, not bound to any runtime yet.
///
/// It has no name that another process could find, carries bytes both ways, and the peer's death is the end of the
/// stream. It is not inherited: a child gets it only as the standard input that [`Launch::stdin`](crate::Launch::stdin)
/// makes of it.
///
/// # Platform-specific behavior
/// On Linux one side of a socketpair, on Windows one side of a pipe with a single instance. Its name is 128 random bits,
/// only the user of this process may open it, and nobody can once this process has done so itself.
#[derive(Debug)]
pub struct Endpoint {
    pipe: OwnedHandle,
}

impl Endpoint {
    /// Makes both ends of a new stream. The second is the one to give to a child.
    ///
    /// # Errors
    /// The system is out of memory or has no random numbers.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (server, client) = pipe::duplex()?;
        Ok((Self { pipe: server }, Self { pipe: client }))
    }

    /// Binds this end to the tokio runtime of the caller.
    ///
    /// # Errors
    /// The runtime's driver refuses the handle.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one whose IO driver is not enabled.
    pub fn into_stream(self) -> io::Result<Stream> {
        Stream::new(self.pipe)
    }

    /// Makes this end one that blocks the calling thread.
    ///
    /// # Errors
    /// The system is out of memory.
    pub fn into_blocking(self) -> io::Result<BlockingStream> {
        BlockingStream::new(self.pipe)
    }

    /// Adopts a handle that came from elsewhere, if it is what [`Endpoint::pair`] makes for a child; gives it back if not.
    pub(crate) fn adopt(handle: OwnedHandle) -> Result<Self, OwnedHandle> {
        if pipe::is_childs_end(handle.as_handle()) { Ok(Self { pipe: handle }) } else { Err(handle) }
    }

    pub(crate) fn into_handle(self) -> OwnedHandle {
        self.pipe
    }
}

impl AsHandle for Endpoint {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.pipe.as_handle()
    }
}
