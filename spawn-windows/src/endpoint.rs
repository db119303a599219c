//! Private byte streams between two processes.

use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::BufMut;

use crate::{Child, Never, Segment, unsupported};

/// One end of a private byte stream between two processes, not bound to any runtime yet.
#[derive(Debug)]
pub struct Endpoint(Never);

impl Endpoint {
    /// Makes both ends of a new stream.
    ///
    /// # Errors
    /// `Unsupported`, always.
    pub fn pair() -> io::Result<(Self, Self)> {
        unsupported()
    }

    /// Binds this end to the tokio runtime of the caller.
    ///
    /// # Errors
    /// The runtime's driver refuses the handle.
    pub fn into_stream(self) -> io::Result<Stream> {
        match self.0 {}
    }

    /// Makes this end one that blocks the calling thread.
    ///
    /// # Errors
    /// The mode of the handle cannot be set.
    pub fn into_blocking(self) -> io::Result<BlockingStream> {
        match self.0 {}
    }

    /// Parent: hands over the greeting, which must be the first thing that is sent on this stream.
    ///
    /// # Errors
    /// As in the Linux leaf.
    pub fn send_greeting(&self, child: &Child, bytes: &[u8], control: Endpoint, journal: &Segment) -> io::Result<()> {
        let _ = (child, bytes, control, journal);
        match self.0 {}
    }

    /// Child: waits for the greeting, at most `timeout`, and reads exactly that.
    ///
    /// # Errors
    /// As in the Linux leaf.
    pub fn receive_greeting(&self, timeout: Duration) -> io::Result<Greeting> {
        let _ = timeout;
        match self.0 {}
    }
}

/// What a child got from its parent at its start.
#[derive(Debug)]
pub struct Greeting {
    /// The parent's bytes, uninterpreted.
    pub bytes: Vec<u8>,
    /// The child's end of the control stream.
    pub control: Endpoint,
    /// The memory that the child shares with its parent.
    pub journal: Segment,
}

/// An [`Endpoint`] that is bound to a tokio runtime and never blocks.
#[derive(Debug)]
pub struct Stream(Never);

/// What a [`Stream`] is ready for. Either may turn out to be stale: the `try_` call then says `WouldBlock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Reading will give bytes, the end of the stream or an error.
    pub readable: bool,
    /// Writing will take bytes or give an error.
    pub writable: bool,
}

impl Stream {
    /// Waits until the stream is readable or, if `write` is set, writable as well.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn ready(&self, write: bool) -> io::Result<Ready> {
        let _ = write;
        match self.0 {}
    }

    /// Reads what is there into `buf`, which must not be empty; `Ok(0)` means that the peer is gone.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let _ = buf;
        match self.0 {}
    }

    /// Reads what is there into the spare room of `buf`, which must have some; `Ok(0)` means that the peer is gone.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let _ = buf;
        match self.0 {}
    }

    /// Writes as much of `buf` as fits now and says how much that was.
    ///
    /// # Errors
    /// `WouldBlock` if nothing fits, `BrokenPipe` if the peer is gone.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let _ = buf;
        match self.0 {}
    }
}

/// An [`Endpoint`] that blocks the calling thread.
#[derive(Debug)]
pub struct BlockingStream(Never);

impl BlockingStream {
    /// A second handle on the same stream; the stream ends when the last one is dropped.
    ///
    /// # Errors
    /// The process is out of handles.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self.0 {}
    }

    /// Ends the stream in both directions, for every handle on it and for the peer.
    ///
    /// # Errors
    /// As in the Linux leaf.
    pub fn shutdown(&self) -> io::Result<()> {
        match self.0 {}
    }
}

impl Read for &BlockingStream {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

impl Write for &BlockingStream {
    fn write(&mut self, _buf: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}

impl Read for BlockingStream {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

impl Write for BlockingStream {
    fn write(&mut self, _buf: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
