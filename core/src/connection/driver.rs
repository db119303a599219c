//! The bytes of one connection: what waits to be written, and the reading of frames.
//!
//! Nobody's reading waits for their own writing: both are tried in turn, neither blocks.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use tokio::sync::Notify;

use crate::sys::{Child, SharedMemory, Stream};
use crate::wire::codec::Handle;
use crate::wire::frame::{Decoder, FRAME_LIMIT, Frame, FrameError, MemoryAbout, MemoryForm};

/// Room that a read finds, and what a buffer keeps when it is idle.
const READ: usize = 64 << 10;
/// Bytes read in a row before the other side of the connection has a turn.
const READ_TURN: usize = 1 << 20;

/// A connection's streams, with the bytes that wait for them.
#[derive(Debug)]
pub(crate) struct Connection {
    data: Stream,
    control: Option<Stream>,
    /// The process at the other end, where this one has started it.
    child: Option<Child>,
    writing: Mutex<Writing>,
    /// There are bytes to write.
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct Writing {
    data: BytesMut,
    control: BytesMut,
    /// How many bytes of data were written ever.
    written: u64,
    /// Memory that goes with a byte of data, and with which one of all that were written ever.
    memories: VecDeque<(u64, SharedMemory)>,
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

/// Whence bytes to write come, and the memory that goes ahead of some of them, in order.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut BytesMut, &mut BytesMut) -> Vec<Given>;

/// Memory that the peer is to be given ahead of what refers to it.
#[derive(Debug)]
pub(crate) struct Given {
    /// Where in the data what refers to it begins.
    pub(crate) at: usize,
    pub(crate) handle: Handle,
    pub(crate) tag: u64,
    /// Nothing where the peer can only be told of it.
    pub(crate) memory: Option<SharedMemory>,
}

impl Connection {
    pub(crate) fn new(data: Stream, control: Option<Stream>, child: Option<Child>) -> Self {
        Self { data, control, child, writing: Mutex::default(), wake: Notify::new() }
    }

    /// Fetches what is to be written and writes what the streams take; says what is left.
    ///
    /// A stream that is closed takes everything: its reader learns of the end by itself.
    pub(crate) fn write(&self, fill: Fill<'_>) -> Blocked {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = &mut *writing;
        let given = fill(&mut writing.data, &mut writing.control);
        if !given.is_empty() {
            self.give(writing, given);
        }
        let control = match &self.control {
            Some(control) => !write_some(control, &mut writing.control, &mut writing.broken),
            None => false,
        };
        let data = !self.write_data(writing);
        if !data
            && !control
            && let Some(waker) = writing.flushed.take()
        {
            waker.wake();
        }
        Blocked { data, control }
    }

    /// Puts in front of what refers to memory what tells of it.
    fn give(&self, writing: &mut Writing, given: Vec<Given>) {
        let mut rest = std::mem::take(&mut writing.data);
        let mut moved = 0;
        for Given { at, handle, tag, memory } in given {
            let before = rest.split_to(at - moved);
            moved = at;
            if writing.data.is_empty() {
                writing.data = before
            } else {
                writing.data.unsplit(before)
            }
            // Who cannot be given it is told so: that costs one message, and not the connection.
            let offered = memory.and_then(|memory| {
                let told = self.data.offer_memory(self.child.as_ref(), &memory).ok()?;
                Some((told, memory))
            });
            let about = match &offered {
                Some((told, memory)) => {
                    let form = match memory {
                        SharedMemory::Sealed(_) => MemoryForm::Sealed,
                        SharedMemory::Parted(_) => MemoryForm::Parted,
                    };
                    MemoryAbout { tag, len: memory.len() as u64, told: *told, form }
                }
                None => MemoryAbout { tag, len: 0, told: 0, form: MemoryForm::Lost },
            };
            if let Some((_, memory)) = offered {
                writing.memories.push_back((writing.written + writing.data.len() as u64, memory));
            }
            Frame::Memory { handle, about }.encode(&mut writing.data);
        }
        writing.data.unsplit(rest);
    }

    /// Writes data, and the memory with its byte.
    fn write_data(&self, writing: &mut Writing) -> bool {
        while let Some((at, memory)) = writing.memories.front()
            && !writing.broken
        {
            let before = (at - writing.written) as usize;
            // No further than to the byte with which the next one goes.
            let until =
                writing.memories.get(1).map_or(writing.data.len(), |(next, _)| (next - writing.written) as usize);
            let written = match before {
                0 => self.data.try_write_with(&writing.data[..until], memory),
                before => self.data.try_write(&writing.data[..before]),
            };
            match written {
                Ok(n) => {
                    writing.data.advance(n);
                    writing.written += n as u64;
                    if before == 0 && n > 0 {
                        writing.memories.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => writing.broken = true,
            }
        }
        if writing.broken {
            writing.memories.clear();
        }
        let len = writing.data.len();
        let done = write_some(&self.data, &mut writing.data, &mut writing.broken);
        writing.written += (len - writing.data.len()) as u64;
        done
    }

    /// Takes the memory that the peer has told of; nothing where there was no room for it on its way here.
    pub(crate) fn take_memory(&self, about: &MemoryAbout) -> io::Result<Option<SharedMemory>> {
        let parted = match about.form {
            MemoryForm::Lost => return Ok(None),
            MemoryForm::Sealed => false,
            MemoryForm::Parted => true,
        };
        self.data.take_memory(self.child.as_ref(), about.told, about.len, parted)
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
                    self.decoder.take_all(&mut self.buffer, frames)?;
                    if taken >= READ_TURN {
                        return Ok(ReadEnd::Turn);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.relax();
                    return Ok(ReadEnd::Drained);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(FrameError::Memory { why: error.to_string() });
                }
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
