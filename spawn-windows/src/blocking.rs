//! The blocking side of an endpoint.

use std::io::{self, Read, Write};
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Event;
use crate::operation::{self, Until};
use crate::pipe::{broken_pipe, end_of_stream};

/// An [`Endpoint`](crate::Endpoint) that blocks the calling thread: for what is said and heard without a runtime.
///
/// Reading answers `Ok(0)` and writing [`BrokenPipe`](io::ErrorKind::BrokenPipe) once the peer is gone; no signal is
/// raised. `&BlockingStream` reads and writes too, so that one thread can read while another writes.
#[derive(Debug)]
pub struct BlockingStream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// There until the stream is shut down. Whoever is in the middle of an operation holds it too.
    pipe: Mutex<Option<Arc<OwnedHandle>>>,
    /// Set when the stream is shut down: calls back whoever is in the middle of an operation.
    closed: Event,
}

impl BlockingStream {
    pub(crate) fn new(pipe: OwnedHandle) -> io::Result<Self> {
        let pipe = Mutex::new(Some(Arc::new(pipe)));
        Ok(Self { shared: Arc::new(Shared { pipe, closed: Event::new()? }) })
    }

    /// A second handle on the same stream; the stream ends when the last one is dropped.
    ///
    /// # Errors
    /// None here; on Linux the process may be out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { shared: Arc::clone(&self.shared) })
    }

    /// Ends the stream in both directions, for every handle on it and for the peer.
    ///
    /// A thread of this process that is blocked in a read or a write returns: the reader with `Ok(0)`, the writer with
    /// `BrokenPipe`. Doing it again is not an error.
    ///
    /// # Errors
    /// None that is seen in practice.
    ///
    /// # Platform-specific behavior
    /// On Windows a pipe has no half that could be closed: this closes it, as soon as those who are called back have
    /// returned. What was written before stays readable.
    pub fn shutdown(&self) -> io::Result<()> {
        let pipe = self.shared.pipe.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.closed.set();
        drop(pipe);
        Ok(())
    }

    fn pipe(&self) -> Option<Arc<OwnedHandle>> {
        self.shared.pipe.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Read for &BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let Some(pipe) = self.pipe() else {
            return Ok(0);
        };
        let read = operation::read(pipe.as_handle(), buf, Until::Closed(&self.shared.closed));
        end_of_stream(read.map(Option::unwrap_or_default))
    }
}

impl Write for &BlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let Some(pipe) = self.pipe() else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        match broken_pipe(
            operation::write(pipe.as_handle(), buf, Until::Closed(&self.shared.closed)).map(Option::unwrap_or_default),
        )? {
            0 => Err(io::ErrorKind::BrokenPipe.into()),
            written => Ok(written),
        }
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
