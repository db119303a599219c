use std::fmt;
use std::io::{self, Read, Write};
use std::ops::{Deref, DerefMut};

use bytemuck::{AnyBitPattern, NoUninit};

use super::blob::Blob;
use super::error::BlobError;
use super::limit::Share;
use super::split::SplitBlob;
use super::view::{self, ViewError};
use crate::shm::memories::Kind;
use crate::sys::{CLAIM, Memory};

/// What a growing one has at first.
const FIRST: usize = 64 << 10;
/// As much is read at a time.
const BUFFER: usize = 128 << 10;

/// Bytes that will be a [`Blob`]: written in place, as a [`Write`], or from a reader.
///
/// It has the length it was [made with](Self::with_len) or [resized](Self::resize) to, and what is written at its end beyond
/// that. What was not written is zero.
#[must_use = "nothing is sent before it is finished"]
pub struct BlobWriter {
    /// None where there is no room yet.
    memory: Option<Memory>,
    len: usize,
    share: Share,
}

impl BlobWriter {
    /// One without bytes, to be written at its end.
    pub const fn new() -> Self {
        Self { memory: None, len: 0, share: Share::of(Kind::Written) }
    }

    /// One of so many bytes, all zero, to be written in place.
    ///
    /// # Errors
    /// [`BlobError::Limit`] or [`BlobError::WorkerLimit`] where the process may not have so many, [`BlobError::Memory`] where the system has not: memory,
    /// addresses, descriptors. Once it is made no access fails.
    ///
    /// # Platform-specific behavior
    /// On Linux the limit of memory that a control group sets is not foreseen: who exceeds it is killed by the system. The
    /// limits of the process are (`RLIMIT_AS`, `RLIMIT_FSIZE`, `RLIMIT_NOFILE`).
    pub fn with_len(len: usize) -> Result<Self, BlobError> {
        let mut writer = Self::with_capacity(len)?;
        writer.len = len;
        Ok(writer)
    }

    /// One without bytes that has room for so many.
    ///
    /// # Errors
    /// Those of [`with_len`](Self::with_len).
    pub fn with_capacity(capacity: usize) -> Result<Self, BlobError> {
        let mut writer = Self::new();
        writer.set_capacity(capacity)?;
        Ok(writer)
    }

    /// How many bytes there is room for before it has to grow.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::len)
    }

    /// Changes its length. What is new is zero, or what was written there before it was made shorter.
    ///
    /// # Errors
    /// Those of [`with_len`](Self::with_len); nothing has changed then.
    pub fn resize(&mut self, len: usize) -> Result<(), BlobError> {
        if len > self.capacity() {
            self.set_capacity(len)?;
        }
        self.len = len;
        Ok(())
    }

    /// Makes room for so many more at its end.
    ///
    /// # Errors
    /// Those of [`with_len`](Self::with_len); nothing has changed then.
    pub fn reserve(&mut self, more: usize) -> Result<(), BlobError> {
        let need = self.len.saturating_add(more);
        if need > self.capacity() {
            let doubled = self.capacity().saturating_mul(2).max(FIRST).max(need);
            // Where twice as much is too much, just enough may do.
            if doubled == need || self.set_capacity(doubled).is_err() {
                self.set_capacity(need)?;
            }
        }
        Ok(())
    }

    /// Writes all that a reader gives at its end; says how many bytes that were.
    ///
    /// # Errors
    /// [`BlobError::Read`] and those of [`with_len`](Self::with_len). What was read before is in it.
    pub fn read_from(&mut self, mut reader: impl Read) -> Result<u64, BlobError> {
        let begin = self.len;
        // By way of a small buffer: it stays in the processor's cache, and new memory would be cleared before it is written.
        let mut buffer = vec![0; BUFFER];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok((self.len - begin) as u64),
                Ok(read) => self.append(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BlobError::Read(error)),
            }
        }
    }

    /// Writes bytes at its end. This is the fastest way to write many.
    ///
    /// # Errors
    /// Those of [`with_len`](Self::with_len).
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.reserve(bytes.len())?;
        let Some(memory) = self.memory.as_mut().filter(|_| !bytes.is_empty()) else { return Ok(()) };
        let failed = |source| BlobError::Memory { len: bytes.len() as u64, source };
        memory.write_at(self.len, bytes).map_err(failed)?;
        self.len += bytes.len();
        Ok(())
    }

    /// The bytes as a slice of plain data, to be written.
    ///
    /// # Errors
    /// They are no whole number of `T`.
    pub fn view_mut<T: AnyBitPattern + NoUninit>(&mut self) -> Result<&mut [T], ViewError> {
        view::view_mut(self)
    }

    /// Ends the writing: nobody changes a byte from now on.
    ///
    /// # Errors
    /// [`BlobError::Memory`] if a part of it is still in use for writing, such as for a device, or if the process has no room for
    /// another mapping.
    pub fn finish(mut self) -> Result<Blob, BlobError> {
        let len = self.len;
        let Some(mut memory) = self.memory.take().filter(|_| len > 0) else {
            return Ok(Blob::default());
        };
        let failed = |source| BlobError::Memory { len: len as u64, source };
        if memory.len() != len {
            memory.resize(len).map_err(failed)?;
        }
        Ok(Blob::new(memory.seal().map_err(failed)?, len))
    }

    /// Leaves the writing to others: each writes one of so many parts, which are about equally long and begin at multiples of
    /// 16 bytes, so that each is a whole number of numbers where all of it is. What was written before stays.
    ///
    /// # Errors
    /// [`BlobError::Memory`] if there is no room for the claims of the parts.
    ///
    /// # Panics
    /// For no parts.
    pub fn split(self, parts: usize) -> Result<SplitBlob, BlobError> {
        assert!(parts > 0, "a blob is split into at least one part");
        let each = self.len.div_ceil(parts).next_multiple_of(16);
        self.split_every(each.max(1))
    }

    /// The same, each of so many bytes but for the last, which may be shorter.
    ///
    /// # Errors
    /// Those of [`split`](Self::split).
    ///
    /// # Panics
    /// For parts of no bytes.
    pub fn split_every(mut self, bytes: usize) -> Result<SplitBlob, BlobError> {
        assert!(bytes > 0, "a part has at least one byte");
        let len = self.len;
        let claims = len.next_multiple_of(CLAIM);
        let total = claims + len.div_ceil(bytes) * CLAIM;
        let failed = |source| BlobError::Memory { len: total as u64, source };
        let memory = match self.memory.take().filter(|_| len > 0) {
            None => None,
            Some(mut memory) => {
                self.share.resize(total as u64)?;
                if memory.len() != total {
                    memory.resize(total).map_err(failed)?;
                }
                // Nobody has claimed anything, whatever was there before.
                memory.as_mut_slice()[len..].fill(0);
                Some(memory.part().map_err(failed)?)
            }
        };
        Ok(SplitBlob::new(memory, len, bytes, claims))
    }

    fn set_capacity(&mut self, capacity: usize) -> Result<(), BlobError> {
        if capacity == 0 {
            return Ok(());
        }
        let before = self.capacity() as u64;
        self.share.resize(capacity as u64)?;
        let resized = match &mut self.memory {
            Some(memory) => memory.resize(capacity),
            None => Memory::create(capacity).map(|memory| self.memory = Some(memory)),
        };
        resized.map_err(|source| {
            // Less than before is always to be had.
            let _ = self.share.resize(before);
            BlobError::Memory { len: capacity as u64, source }
        })
    }
}

impl Default for BlobWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for BlobWriter {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], |memory| &memory.as_slice()[..self.len])
    }
}

impl DerefMut for BlobWriter {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut().map_or(&mut [], |memory| &mut memory.as_mut_slice()[..self.len])
    }
}

/// At its end.
impl Write for BlobWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.append(buf)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobWriter({} bytes)", self.len)
    }
}
