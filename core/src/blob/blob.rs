use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::{Bound, Deref, RangeBounds};
use std::path::Path;
use std::sync::Arc;

use bytemuck::AnyBitPattern;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::BlobError;
use super::reference::{self, Use};
use super::view::{self, ViewError};
use super::writer::BlobWriter;
use crate::router::Handles;
use crate::sys::{SealedMemory, SharedMemory};
use crate::wire::codec::{Handle, note_handle_once};

/// Bytes that nobody changes any more, or a part of them, in memory that processes share.
///
/// It is cheap to [clone](Clone), to [cut](Self::slice) and to send: see [`blob`](super). It is equal to another of the same
/// bytes, wherever they are.
#[derive(Clone, Default)]
pub struct Blob {
    /// None where there are no bytes.
    whole: Option<Arc<Whole>>,
    start: usize,
    len: usize,
}

/// A reference of this process to shared memory.
struct Whole {
    tag: u64,
    handle: Handle,
    memory: SealedMemory,
    // Only there to be dropped.
    _use: Use,
    _hold: Handles,
}

impl Blob {
    /// A blob of a copy of these bytes.
    ///
    /// # Errors
    /// Those of [`BlobWriter::with_len`].
    pub fn copy_from(bytes: &[u8]) -> Result<Self, BlobError> {
        let mut writer = BlobWriter::with_capacity(bytes.len())?;
        writer.append(bytes)?;
        writer.finish()
    }

    /// A blob of all that a reader gives.
    ///
    /// # Errors
    /// Those of [`BlobWriter::read_from`].
    pub fn from_reader(reader: impl Read) -> Result<Self, BlobError> {
        let mut writer = BlobWriter::new();
        writer.read_from(reader)?;
        writer.finish()
    }

    /// A blob of a copy of what a file has, from its begin.
    ///
    /// # Errors
    /// The file cannot be read, and those of [`BlobWriter::read_from`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, BlobError> {
        let file = File::open(path).map_err(BlobError::Read)?;
        let len = file.metadata().map_err(BlobError::Read)?.len();
        // What the file says of its length may be wrong a moment later: it only saves growing.
        let mut writer = BlobWriter::with_capacity(usize::try_from(len).unwrap_or(0))?;
        writer.read_from(file)?;
        writer.finish()
    }

    /// What a writer has finished, which may be longer.
    pub(super) fn new(memory: SealedMemory, len: usize) -> Self {
        let (tag, handle, hold) = reference::made(SharedMemory::Sealed(memory.clone()));
        Self {
            whole: Some(Arc::new(Whole { tag, handle, memory, _use: Use::made(handle), _hold: hold })),
            start: 0,
            len,
        }
    }

    /// A part of it, which keeps all of it.
    ///
    /// # Panics
    /// If the range is not within the blob, or ends before it begins.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let from = match range.start_bound() {
            Bound::Included(&from) => from,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(&last) => last + 1,
            Bound::Excluded(&to) => to,
            Bound::Unbounded => self.len,
        };
        assert!(
            from <= to && to <= self.len,
            "the range {from}..{to} is not within the {} bytes of the blob",
            self.len
        );
        if from == to {
            return Self::default();
        }
        Self { whole: self.whole.clone(), start: self.start + from, len: to - from }
    }

    /// The bytes as a slice of plain data, such as `f64` or an array of `u32`. They have the byte order of the machine.
    ///
    /// # Errors
    /// They do not begin where a `T` may, or are no whole number of them.
    pub fn view<T: AnyBitPattern>(&self) -> Result<&[T], ViewError> {
        view::view(self)
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.whole.as_ref().map_or(&[], |whole| &whole.memory[self.start..self.start + self.len])
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.whole, &other.whole) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.handle == other.handle,
            _ => false,
        };
        (same && (self.start, self.len) == (other.start, other.len)) || **self == **other
    }
}

impl Eq for Blob {}

/// What travels of a blob: the tag of its memory, which is one of the message's, and which part of that.
#[derive(Serialize, Deserialize)]
struct Named {
    tag: u64,
    start: u64,
    len: u64,
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(whole) = &self.whole else {
            return Named { tag: 0, start: 0, len: 0 }.serialize(serializer);
        };
        if !note_handle_once(whole.handle) {
            return Err(S::Error::custom("a blob travels in messages only: send it to an actor or give it to a task"));
        }
        Named { tag: whole.tag, start: self.start as u64, len: self.len as u64 }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Named { tag, start, len } = Named::deserialize(deserializer)?;
        if len == 0 {
            return Ok(Self::default());
        }
        let (handle, memory) = reference::opened::<D::Error>(tag)?;
        let SharedMemory::Sealed(memory) = memory else {
            return Err(D::Error::custom("this is memory that is still written, and no blob"));
        };
        let range = usize::try_from(start).ok().zip(usize::try_from(len).ok());
        let (start, len) = range
            .filter(|(start, len)| start.checked_add(*len).is_some_and(|end| end <= memory.len()))
            .ok_or_else(|| D::Error::custom(format_args!("{len} bytes from {start} are not within the blob")))?;
        let used = Use::given(handle).map_err(D::Error::custom)?;
        let whole = Whole { tag, handle, memory, _use: used, _hold: reference::held(handle) };
        Ok(Self { whole: Some(Arc::new(whole)), start, len })
    }
}

/// Not the bytes: they may be many, and a secret.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.whole.as_ref().map_or(0, |whole| whole.tag);
        write!(f, "Blob({tag:x}, {} bytes)", self.len)
    }
}
