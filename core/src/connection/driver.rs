//! The bytes of one connection: what waits to be written, and the reading of frames.
//!
//! Nobody's reading waits for their own writing: both are tried in turn, neither blocks.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use tokio::sync::Notify;

use crate::sys::Stream;
use crate::wire::frame::{Decoder, FRAME_LIMIT, Frame, FrameError};

/// Room that a read finds, and what a buffer keeps when it is idle.
const READ: usize = 64 << 10;
/// Bytes read in a row before the other side of the connection has a turn.
const READ_TURN: usize = 1 << 20;

/// A connection's streams, with the bytes that wait for them.
#[derive(Debug)]
pub(crate) struct Connection {
    data: Stream,
    control: Option<Stream>,
    writing: Mutex<Writing>,
    /// There are bytes to write.
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct Writing {
    data: BytesMut,
    control: BytesMut,
    /// Who waits for everything to be written.
    flushed: Option<Waker>,
    broken: bool,
}

/// Which streams have bytes left that they do not take now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) data: bool,
    pub(crate) control: bool,
}

/// Whence bytes to write come.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut BytesMut, &mut BytesMut);

impl Connection {
    pub(crate) fn new(data: Stream, control: Option<Stream>) -> Self {
        Self { data, control, writing: Mutex::default(), wake: Notify::new() }
    }

    /// Fetches what is to be written and writes what the streams take; says what is left.
    ///
    /// A stream that is closed takes everything: its reader learns of the end by itself.
    pub(crate) fn write(&self, fill: Fill<'_>) -> Blocked {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = &mut *writing;
        fill(&mut writing.data, &mut writing.control);
        let control = match &self.control {
            Some(control) => !write_some(control, &mut writing.control, &mut writing.broken),
            None => false,
        };
        let data = !write_some(&self.data, &mut writing.data, &mut writing.broken);
        if !data
            && !control
            && let Some(waker) = writing.flushed.take()
        {
            waker.wake();
        }
        Blocked { data, control }
    }

    /// Ready when all is written, which the connection's driver goes on with meanwhile.
    pub(crate) fn poll_flush(&self, fill: Fill<'_>, cx: &mut Context<'_>) -> Poll<()> {
        let blocked = self.write(fill);
        if !blocked.data && !blocked.control {
            return Poll::Ready(());
        }
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.data.is_empty() && writing.control.is_empty() {
            return Poll::Ready(());
        }
        writing.flushed = Some(cx.waker().clone());
        self.wake.notify_one();
        Poll::Pending
    }

    /// Waits until there is something to read, something new to write, or room for what is blocked.
    pub(crate) async fn ready(&self, blocked: Blocked) {
        let control = async {
            match &self.control {
                Some(control) if blocked.control => {
                    let _ = control.ready(true).await;
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.data.ready(blocked.data) => {}
            () = control => {}
            () = self.wake.notified() => {}
        }
    }
}

fn write_some(stream: &Stream, bytes: &mut BytesMut, broken: &mut bool) -> bool {
    while !bytes.is_empty() && !*broken {
        match stream.try_write(bytes) {
            Ok(n) => bytes.advance(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => *broken = true,
        }
    }
    if *broken || bytes.capacity() > 4 * READ {
        *bytes = BytesMut::new();
    }
    true
}

/// The reading half of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: BytesMut,
    decoder: Decoder,
}

/// What a turn of reading found at its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// Nothing more for now.
    Drained,
    /// There may be more; others first.
    Turn,
    /// The peer is gone.
    Closed,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { buffer: BytesMut::new(), decoder: Decoder::new(FRAME_LIMIT) }
    }

    /// Reads what is there and takes every whole frame out of it.
    pub(crate) fn read(&mut self, connection: &Connection, frames: &mut Vec<Frame>) -> Result<ReadEnd, FrameError> {
        let mut taken = 0;
        loop {
            self.buffer.reserve(READ);
            match connection.data.try_read_buf(&mut self.buffer) {
                Ok(0) => return Ok(ReadEnd::Closed),
                Ok(n) => {
                    taken += n;
                    while let Some(frame) = self.decoder.next(&mut self.buffer)? {
                        frames.push(frame);
                    }
                    if taken >= READ_TURN {
                        return Ok(ReadEnd::Turn);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.relax();
                    return Ok(ReadEnd::Drained);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(ReadEnd::Closed),
            }
        }
    }

    /// Lets go of a large buffer that has become empty.
    fn relax(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * READ {
            self.buffer = BytesMut::new();
        }
    }
}
