//! The blocking side of an endpoint.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use rustix::net::{SendFlags, send};

use crate::stream::{broken_pipe, end_of_stream};

/// An [`Endpoint`](crate::Endpoint) that blocks the calling thread: for what is said and heard without a runtime.
///
/// Reading answers `Ok(0)` and writing [`BrokenPipe`](io::ErrorKind::BrokenPipe) once the peer is gone; no signal is
/// raised. `&BlockingStream` reads and writes too, so that one thread can read while another writes.
#[derive(Debug)]
pub struct BlockingStream {
    socket: UnixStream,
}

impl BlockingStream {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket }
    }

    /// A second handle on the same stream; the stream ends when the last one is dropped.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        Ok(Self { socket })
    }

    /// Ends the stream in both directions, for every handle on it and for the peer.
    ///
    /// A thread of this process that is blocked in a read or a write returns: the reader with `Ok(0)`, the writer with
    /// `BrokenPipe`. Doing it again is not an error.
    ///
    /// # Errors
    /// None that is seen in practice.
    pub fn shutdown(&self) -> io::Result<()> {
        match self.socket.shutdown(Shutdown::Both) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            done => done,
        }
    }
}

impl Read for &BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        end_of_stream((&self.socket).read(buf))
    }
}

impl Write for &BlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        broken_pipe(send(&self.socket, buf, SendFlags::NOSIGNAL).map_err(io::Error::from))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for BlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
