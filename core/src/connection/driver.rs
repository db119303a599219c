//! The bytes of one connection: what waits to be written, and the reading of frames.
//!
//! Nobody's reading waits for their own writing: both are tried in turn, neither blocks.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Buf, BufMut, BytesMut};
use tokio::sync::Notify;

use super::outgoing::Outgoing;
use crate::shm::outbox::{Outbox, Shared};
use crate::shm::ring::BeyondRing;
use crate::sys::{Child, SharedMemory, Stream};
use crate::wire::codec::Handle;
use crate::wire::frame::{Cut, Decoder, FRAME_LIMIT, Frame, FrameError, MemoryAbout, MemoryForm};
use crate::wire::rope::{Output, Rope};

/// Room that a read finds, and what a buffer keeps when it is idle.
const READ: usize = 64 << 10;
/// How many long frames' memory is kept for the next ones: one is read while the one before is handled.
const SPARES: usize = 3;
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
    /// Whether what was fetched for writing may be lost with this process.
    is_behind: AtomicBool,
    /// There are bytes to write.
    pub(crate) wake: Notify,
    /// Whether the driver will look by itself for what may wait a while.
    looks: AtomicBool,
}

#[derive(Debug)]
struct Writing {
    data: Outgoing<Shared>,
    control: BytesMut,
    /// Memory that goes with a byte of data, and with which one of all that were written ever.
    memories: VecDeque<(u64, SharedMemory)>,
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

/// Whence bytes to write come, and the memory that goes ahead of some of them, in order.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut Rope, &mut BytesMut) -> Vec<Given>;
/// The same, from somebody who says whether there will be more at once.
pub(crate) type Pass<'a> = &'a mut dyn FnMut(&mut Rope, &mut BytesMut) -> (Vec<Given>, bool);

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
    /// A connection whose bytes are lost with this process until they are written.
    pub(crate) fn new(data: Stream, control: Option<Stream>, child: Option<Child>) -> Self {
        Self::with_outbox(data, control, child, None)
    }

    /// One whose peer finds in the outbox what was not written.
    pub(crate) fn with_outbox(
        data: Stream,
        control: Option<Stream>,
        child: Option<Child>,
        outbox: Option<Outbox>,
    ) -> Self {
        let writing = Writing {
            data: Outgoing::new(outbox),
            control: BytesMut::new(),
            memories: VecDeque::new(),
            waiting: None,
            broken: false,
            watched: false,
        };
        Self {
            data,
            control,
            child,
            writing: Mutex::new(writing),
            is_behind: AtomicBool::new(false),
            wake: Notify::new(),
            looks: AtomicBool::new(false),
        }
    }

    /// Whether it leads to a process that this one has started.
    pub(crate) fn leads_down(&self) -> bool {
        self.child.is_some()
    }

    /// Fetches what is to be written and writes what the streams take; says what is left.
    ///
    /// A stream that is closed takes everything: its reader learns of the end by itself.
    pub(crate) fn write(&self, fill: Fill<'_>) -> Blocked {
        let mut writing = self.lock();
        let writing = &mut *writing;
        self.fetch(writing, fill);
        self.write_now(writing)
    }

    /// Fetches what is to be written. It is written now, or a little later where there will be more and the peer would have
    /// it in any case.
    pub(crate) fn pass(&self, now: Instant, pass: Pass<'_>) -> Passed {
        let mut writing = self.lock();
        let writing = &mut *writing;
        self.is_behind.store(true, Ordering::Release);
        let (given, more) = pass(writing.data.bytes_mut(), &mut writing.control);
        self.give(writing, given);
        if writing.data.is_empty() && writing.control.is_empty() {
            self.is_behind.store(false, Ordering::Release);
            return Passed::Written;
        }
        if !writing.memories.is_empty() || writing.data.is_due(more, now) {
            if self.write_now(writing) == Blocked::default() {
                return Passed::Written;
            }
            // The driver learns when the peer reads again.
            self.wake.notify_one();
        }
        match self.publish(writing) {
            true => Passed::Waiting { unwatched: !std::mem::replace(&mut writing.watched, true) },
            false => Passed::Blocked,
        }
    }

    /// Writes what has waited since somebody looked before, when the stream had taken `seen` bytes: what was taken since tells
    /// that whoever is at work here writes by themselves. False where nothing waits; if it `may_rest` nobody looks after what
    /// comes next then.
    pub(crate) fn relieve(&self, seen: &mut u64, may_rest: bool, fill: Fill<'_>) -> bool {
        let mut writing = match self.writing.try_lock() {
            Ok(writing) => writing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return true,
        };
        let writing = &mut *writing;
        let taken = writing.data.taken();
        if std::mem::replace(seen, taken) != taken {
            return true;
        }
        self.fetch(writing, fill);
        let waits = !writing.data.is_empty();
        if waits {
            self.write_now(writing);
            *seen = writing.data.taken();
        } else {
            self.publish(writing);
        }
        writing.watched = waits || !may_rest;
        waits
    }

    /// Ready when all that was passed is written, which the connection's driver goes on with meanwhile.
    pub(crate) fn poll_flush(&self, fill: Fill<'_>, cx: &mut Context<'_>) -> Poll<()> {
        self.write(fill);
        self.poll_until(cx, |writing| writing.data.is_empty() && writing.control.is_empty())
    }

    /// Ready when the peer has all that was passed, even if this process ended then.
    pub(crate) fn poll_safe(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |writing| self.publish(writing))
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

    /// Whether what was fetched for writing may be lost with this process: it is not safe yet, or somebody has it in hand.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Acquire)
    }

    fn fetch(&self, writing: &mut Writing, fill: Fill<'_>) {
        // Before it is gone from where it was.
        self.is_behind.store(true, Ordering::Release);
        let given = fill(writing.data.bytes_mut(), &mut writing.control);
        self.give(writing, given);
    }

    fn publish(&self, writing: &mut Writing) -> bool {
        let is_safe = writing.publish();
        self.is_behind.store(!is_safe, Ordering::Release);
        is_safe
    }

    fn write_now(&self, writing: &mut Writing) -> Blocked {
        let control = match &self.control {
            Some(control) => !write_control(control, &mut writing.control, &mut writing.broken),
            None => false,
        };
        let before = writing.data.taken();
        self.write_data(writing);
        if writing.broken {
            writing.memories.clear();
            writing.data.give_up();
        }
        let moved = writing.data.taken() != before;
        self.publish(writing);
        // Whoever waits looks for themselves whether it is enough.
        if moved && let Some(waker) = writing.waiting.take() {
            waker.wake();
        }
        Blocked { data: !writing.data.is_empty(), control }
    }

    /// Writes data, and memory with its byte.
    fn write_data(&self, writing: &mut Writing) {
        while !writing.data.is_empty() && !writing.broken {
            let bytes = writing.data.first();
            let taken = writing.data.taken();
            // No further than to the byte with which the next memory goes.
            let until = |at: usize| {
                writing.memories.get(at).map_or(bytes.len(), |(next, _)| bytes.len().min((next - taken) as usize))
            };
            let (written, with_memory) = match writing.memories.front() {
                Some((at, memory)) if *at == taken => (self.data.try_write_with(&bytes[..until(1)], memory), true),
                _ => (self.data.try_write(&bytes[..until(0)]), false),
            };
            match written {
                Ok(n) => {
                    writing.data.take(n);
                    if with_memory && n > 0 {
                        writing.memories.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => writing.broken = true,
            }
        }
    }

    /// Puts in front of what refers to memory what tells of it.
    fn give(&self, writing: &mut Writing, given: Vec<Given>) {
        if given.is_empty() {
            return;
        }
        let taken = writing.data.taken();
        let data = writing.data.bytes_mut();
        let mut rest = std::mem::take(data);
        let mut moved = 0;
        for Given { at, handle, tag, memory } in given {
            let mut before = rest.split_to(at - moved);
            moved = at;
            data.take(&mut before);
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
                writing.memories.push_back((taken + data.len() as u64, memory));
            }
            Frame::Memory { handle, about }.encode(data);
        }
        data.take(&mut rest);
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

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same as [`write`](Self::write), for whoever is not the connection's driver; left to that where it cannot be done
    /// at once.
    pub(crate) fn write_from_outside(&self, fill: Fill<'_>) {
        let writing = match self.writing.try_lock() {
            Ok(writing) => Some(writing),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let written = writing.is_some_and(|mut writing| {
            let writing = &mut *writing;
            self.fetch(writing, fill);
            self.write_now(writing) == Blocked::default()
        });
        if !written {
            self.wake.notify_one();
        }
    }

    /// There are bytes to write that may wait a while.
    pub(crate) fn flush_later(&self) {
        if !self.looks.load(Ordering::Acquire) {
            self.wake.notify_one();
        }
    }

    /// Whether its driver will look by itself for such bytes, so that it need not be told of them.
    pub(crate) fn set_looks(&self, looks: bool) {
        self.looks.store(looks, Ordering::Release);
    }

    /// Whether there is something new to write, as its driver would be told.
    pub(crate) fn is_told(&self) -> bool {
        pin!(self.wake.notified()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Waits until there is something to read, something new to write, or room for what is blocked.
    ///
    /// Nothing to read counts while the connection is `stalled`.
    pub(crate) async fn ready(&self, blocked: Blocked, stalled: bool) -> Woken {
        let control = async {
            match &self.control {
                Some(control) if blocked.control => {
                    let _ = control.ready(true).await;
                }
                _ => std::future::pending().await,
            }
        };
        let data = async {
            if stalled {
                let _ = self.data.writable().await;
                return Woken::Writable;
            }
            match self.data.ready(blocked.data).await {
                Ok(ready) if !ready.readable => Woken::Writable,
                _ => Woken::Readable,
            }
        };
        tokio::select! {
            biased;
            woken = data => woken,
            () = control => Woken::Writable,
            () = self.wake.notified() => Woken::Told,
        }
    }
}

/// Why a driver goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is something to read, or the end.
    Readable,
    /// A stream takes bytes again.
    Writable,
    /// There is something to write.
    Told,
}

impl Writing {
    /// Whether the peer has all of it, even if this process ends now. Memory does not go by the outbox, nor what comes after.
    fn publish(&mut self) -> bool {
        let first = self.memories.front().map_or(usize::MAX, |(at, _)| (at - self.data.taken()) as usize);
        self.data.publish(first)
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
    long: Option<Long>,
    /// What the last long frames were in.
    spares: VecDeque<Long>,
    decoder: Decoder,
    /// Bytes that have come over the stream.
    received: u64,
}

/// A long frame that has not all arrived. Nothing else is read into its memory, so nobody's small payload keeps that.
#[derive(Debug)]
struct Long {
    bytes: BytesMut,
    /// How many there will be.
    len: usize,
    /// How many its memory has room for.
    room: usize,
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
        Self {
            buffer: BytesMut::new(),
            long: None,
            spares: VecDeque::new(),
            decoder: Decoder::new(FRAME_LIMIT),
            received: 0,
        }
    }

    /// Reads what is there and cuts every whole frame out of it.
    pub(crate) fn read(&mut self, connection: &Connection, cuts: &mut Vec<Cut>) -> Result<ReadEnd, FrameError> {
        // Of what was looked at.
        self.cut(cuts)?;
        let mut taken = 0;
        loop {
            let (into, room) = self.room();
            match connection.data.try_read_buf(&mut into.limit(room)) {
                Ok(0) => return Ok(ReadEnd::Closed),
                Ok(n) => {
                    taken += n;
                    self.received += n as u64;
                    self.cut(cuts)?;
                    // Where there is more after all, the stream stays readable.
                    if n < room {
                        return Ok(ReadEnd::Drained);
                    }
                    if taken >= READ_TURN {
                        return Ok(ReadEnd::Turn);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(ReadEnd::Drained),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(FrameError::Memory { why: error.to_string() });
                }
                Err(_) => return Ok(ReadEnd::Closed),
            }
        }
    }

    /// Reads what is there, though nobody has told of it; whether there is anything to [`read`](Self::read), which then
    /// begins with it.
    pub(crate) fn look(&mut self, connection: &Connection) -> bool {
        let (into, room) = self.room();
        match connection.data.look(&mut into.limit(room)) {
            Ok(0) => true,
            Ok(n) => {
                self.received += n as u64;
                true
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Reads on in the outbox of a process that has ended, where its stream has ended.
    pub(crate) fn read_on(&mut self, outbox: &Outbox, frames: &mut Vec<Frame>) -> Result<(), LastWordsError> {
        let rest = outbox.rest(self.received)?;
        self.received += rest.len() as u64;
        let mut rest = &rest[..];
        while !rest.is_empty() {
            let (into, room) = self.room();
            let part;
            (part, rest) = rest.split_at(room.min(rest.len()));
            into.extend_from_slice(part);
            let mut cuts = Vec::new();
            let cut = self.cut(&mut cuts);
            for frame in cuts.iter().flat_map(Cut::frames) {
                frames.push(frame.decode()?);
            }
            cut?;
        }
        Ok(())
    }

    /// Where to the next bytes are read, and how many at most.
    fn room(&mut self) -> (&mut BytesMut, usize) {
        match &mut self.long {
            Some(Long { bytes, len, .. }) => {
                let missing = *len - bytes.len();
                (bytes, missing)
            }
            None => {
                self.buffer.reserve(READ);
                let room = self.buffer.capacity() - self.buffer.len();
                (&mut self.buffer, room)
            }
        }
    }

    /// Memory for a frame of so many bytes: what one was in that nobody has any more, if it was not much longer, since to read
    /// into new memory takes longer than the reading.
    fn long(&mut self, len: usize) -> Long {
        let fit = self
            .spares
            .iter_mut()
            .position(|spare| (len..=2 * len).contains(&spare.room) && spare.bytes.try_reclaim(len));
        match fit.and_then(|at| self.spares.remove(at)) {
            Some(spare) => Long { len, ..spare },
            None => Long { bytes: BytesMut::with_capacity(len), len, room: len },
        }
    }

    /// Whether it keeps memory for the next long frames.
    pub(crate) fn has_spares(&self) -> bool {
        !self.spares.is_empty()
    }

    /// Lets go of that.
    pub(crate) fn drop_spares(&mut self) {
        self.spares = VecDeque::new();
    }

    /// Cuts every whole frame out of what was read.
    fn cut(&mut self, cuts: &mut Vec<Cut>) -> Result<(), FrameError> {
        if let Some(Long { bytes, len, .. }) = &mut self.long {
            if bytes.len() < *len {
                return Ok(());
            }
            self.decoder.cut(bytes, cuts)?;
            self.spares.extend(self.long.take());
            if self.spares.len() > SPARES {
                self.spares.pop_front();
            }
        }
        self.decoder.cut(&mut self.buffer, cuts)?;
        if let Some(len) = self.decoder.long(&self.buffer) {
            let mut long = self.long(len);
            long.bytes.extend_from_slice(&self.buffer);
            self.buffer.clear();
            self.long = Some(long);
        }
        Ok(())
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
