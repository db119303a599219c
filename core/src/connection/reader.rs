//! The reading of frames, and the memory into which they are read.

use std::collections::VecDeque;
use std::io;

use bytes::{BufMut, BytesMut};

use super::driver::Connection;
use crate::shm::outbox::Outbox;
use crate::shm::ring::BeyondRing;
use crate::wire::frame::{Cut, Decoder, FRAME_LIMIT, Frame, FrameError};

/// Room that a read finds.
const READ: usize = 64 << 10;
/// How many long frames' memory is kept for the next ones: one is read while the one before is handled.
const SPARES: usize = 3;
/// Bytes read in a row before the other side of the connection has a turn.
const READ_TURN: usize = 1 << 20;

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

    /// Memory for a frame of so many bytes: what one was in that nobody has any more, if it was not much longer, since whoever
    /// gets what is in it may keep it: to read into new memory takes longer than the reading.
    fn long(&mut self, len: usize) -> Long {
        let fit = self
            .spares
            .iter_mut()
            .position(|spare| (len..=len + len / 4).contains(&spare.room) && spare.bytes.try_reclaim(len));
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
