//! The bytes of one connection: what waits to be written, and the reading of frames.
//!
//! Nobody's reading waits for their own writing: both are tried in turn, neither blocks.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Buf, BytesMut};
use tokio::sync::Notify;

use super::outgoing::Outgoing;
use crate::shm::outbox::{Outbox, Shared};
use crate::shm::ring::BeyondRing;
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

#[derive(Debug)]
struct Writing {
    data: Outgoing<Shared>,
    control: BytesMut,
    /// Who waits until what there is has been written, or is safe.
    waiting: Option<Waker>,
    broken: bool,
    /// Whether somebody will look after what waits to be written.
    watched: bool,
}

/// Which streams have bytes left that they do not take now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) data: bool,
    pub(crate) control: bool,
}

/// What became of bytes that were to be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// They are written.
    Written,
    /// They wait for others; the peer has them even if this process ends now.
    Waiting {
        /// Whether nobody has been asked yet to look after them.
        unwatched: bool,
    },
    /// Neither, since the peer does not read: [`Connection::poll_safe`].
    Blocked,
}

/// Whence bytes to write come.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut BytesMut, &mut BytesMut);
/// The same, from somebody who says whether there will be more at once.
pub(crate) type Pass<'a> = &'a mut dyn FnMut(&mut BytesMut, &mut BytesMut) -> bool;

impl Connection {
    /// A connection whose bytes are lost with this process until they are written.
    pub(crate) fn new(data: Stream, control: Option<Stream>) -> Self {
        Self::with_outbox(data, control, None)
    }

    /// One whose peer finds in the outbox what was not written.
    pub(crate) fn with_outbox(data: Stream, control: Option<Stream>, outbox: Option<Outbox>) -> Self {
        let writing = Writing {
            data: Outgoing::new(outbox),
            control: BytesMut::new(),
            waiting: None,
            broken: false,
            watched: false,
        };
        Self { data, control, writing: Mutex::new(writing), wake: Notify::new() }
    }

    /// Fetches what is to be written and writes what the streams take; says what is left.
    ///
    /// A stream that is closed takes everything: its reader learns of the end by itself.
    pub(crate) fn write(&self, fill: Fill<'_>) -> Blocked {
        let mut writing = self.lock();
        let writing = &mut *writing;
        fill(writing.data.bytes_mut(), &mut writing.control);
        self.write_now(writing)
    }

    /// Fetches what is to be written. It is written now, or a little later where there will be more and the peer would have
    /// it in any case.
    pub(crate) fn pass(&self, now: Instant, pass: Pass<'_>) -> Passed {
        let mut writing = self.lock();
        let writing = &mut *writing;
        let more = pass(writing.data.bytes_mut(), &mut writing.control);
        if writing.data.is_empty() && writing.control.is_empty() {
            return Passed::Written;
        }
        if writing.data.is_due(more, now) {
            if self.write_now(writing) == Blocked::default() {
                return Passed::Written;
            }
            // The driver learns when the peer reads again.
            self.wake.notify_one();
        }
        match writing.data.publish() {
            true => Passed::Waiting { unwatched: !std::mem::replace(&mut writing.watched, true) },
            false => Passed::Blocked,
        }
    }

    /// Writes what has waited; false, and nobody looks after what comes next, where there was nothing.
    pub(crate) fn relieve(&self, fill: Fill<'_>) -> bool {
        let mut writing = self.lock();
        let writing = &mut *writing;
        fill(writing.data.bytes_mut(), &mut writing.control);
        writing.watched = !writing.data.is_empty();
        if writing.watched {
            self.write_now(writing);
        }
        writing.watched
    }

    /// Ready when all that was passed is written, which the connection's driver goes on with meanwhile.
    pub(crate) fn poll_flush(&self, fill: Fill<'_>, cx: &mut Context<'_>) -> Poll<()> {
        self.write(fill);
        self.poll_until(cx, |writing| writing.data.is_empty() && writing.control.is_empty())
    }

    /// Ready when the peer has all that was passed, even if this process ended then.
    pub(crate) fn poll_safe(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |writing| writing.data.publish())
    }

    fn poll_until(&self, cx: &mut Context<'_>, is_so: impl FnOnce(&mut Writing) -> bool) -> Poll<()> {
        let mut writing = self.lock();
        if is_so(&mut writing) {
            return Poll::Ready(());
        }
        writing.waiting = Some(cx.waker().clone());
        self.wake.notify_one();
        Poll::Pending
    }

    fn write_now(&self, writing: &mut Writing) -> Blocked {
        let control = match &self.control {
            Some(control) => !write_control(control, &mut writing.control, &mut writing.broken),
            None => false,
        };
        let mut moved = false;
        while !writing.data.is_empty() && !writing.broken {
            match self.data.try_write(writing.data.bytes()) {
                Ok(n) => {
                    writing.data.take(n);
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => writing.broken = true,
            }
        }
        if writing.broken {
            writing.data.give_up();
            moved = true;
        }
        writing.data.publish();
        // Whoever waits looks for themselves whether it is enough.
        if moved && let Some(waker) = writing.waiting.take() {
            waker.wake();
        }
        Blocked { data: !writing.data.is_empty(), control }
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
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

fn write_control(stream: &Stream, bytes: &mut BytesMut, broken: &mut bool) -> bool {
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
    /// Bytes that have come over the stream.
    received: u64,
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
        Self { buffer: BytesMut::new(), decoder: Decoder::new(FRAME_LIMIT), received: 0 }
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
                    self.received += n as u64;
                    self.cut(frames)?;
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

    /// Reads on in the outbox of a process that has ended, where its stream has ended.
    pub(crate) fn read_on(&mut self, outbox: &Outbox, frames: &mut Vec<Frame>) -> Result<(), LastWordsError> {
        let rest = outbox.rest(self.received)?;
        self.received += rest.len() as u64;
        self.buffer.extend_from_slice(&rest);
        Ok(self.cut(frames)?)
    }

    fn cut(&mut self, frames: &mut Vec<Frame>) -> Result<(), FrameError> {
        while let Some(frame) = self.decoder.next(&mut self.buffer)? {
            frames.push(frame);
        }
        Ok(())
    }

    /// Lets go of a large buffer that has become empty.
    fn relax(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * READ {
            self.buffer = BytesMut::new();
        }
    }
}

/// Why the last words of a process are not heard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LastWordsError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Outbox(#[from] BeyondRing),
}
