use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytemuck::{AnyBitPattern, NoUninit};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::blob::Blob;
use super::limit::Share;
use super::reference::{self, Use};
use super::view::{self, ViewError};
use crate::router::Handles;
use crate::shm::memories::{self, Kind};
use crate::sys::{CLAIM, OpenPart, PartedMemory, SharedMemory};
use crate::wire::codec::{Handle, note_handle_once};

/// How long [`SplitBlob::finish`] waits for those who are done to have closed their parts.
const CLOSING: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(1);

/// A blob whose parts are written by several processes.
///
/// Give each [slice](Self::slices) to somebody, [put back](Self::put_back) what they are done with, and
/// [finish](Self::finish) it.
///
/// ```
/// use procession::blob::{Blob, BlobSlice, BlobWriter, FilledSlice, SplitError};
/// use procession::prelude::*;
///
/// #[procession::task]
/// fn squares(mut slice: BlobSlice) -> Result<FilledSlice, SplitError> {
///     let first = slice.range().start / 8;
///     for (at, number) in slice.view_mut::<u64>()?.iter_mut().enumerate() {
///         *number = ((first + at) as u64).pow(2);
///     }
///     Ok(slice.done())
/// }
///
/// async fn all_squares(pool: &TaskPool) -> procession::Result<Blob> {
///     let mut numbers = BlobWriter::with_len(8_000_000)?.split(10)?;
///     for done in pool.map(squares, numbers.slices()).await? {
///         numbers.put_back(&done?)?;
///     }
///     Ok(numbers.finish().await?)
/// }
/// ```
#[derive(Debug)]
pub struct SplitBlob {
    memory: Option<(Shared, PartedMemory)>,
    len: usize,
    each: usize,
    /// Where the claims begin.
    claims: usize,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    renewed: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Here,
    Out,
    Filled,
}

/// A reference to memory that is written in parts.
#[derive(Clone)]
struct Shared {
    tag: u64,
    handle: Handle,
    // Only there to be dropped.
    _use: Option<Arc<Use>>,
    _hold: Handles,
}

/// A part of a blob that one process writes: goes in a message to whoever is to fill it.
///
/// It is opened when its bytes are asked for, and nobody else can open it from then until it is dropped or
/// [done](Self::done), or until its process has ended. One that is open cannot be sent.
pub struct BlobSlice {
    shared: Shared,
    memory: PartedMemory,
    name: Name,
    open: Option<OpenPart>,
    /// Its bytes, where this process does not have the whole.
    _share: Option<Share>,
}

/// What travels of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Name {
    tag: u64,
    index: u64,
    start: u64,
    end: u64,
    claim: u64,
    renewed: u64,
}

/// What a [`BlobSlice`] is when its bytes are written: to be sent back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a slice that is not put back is missing"]
pub struct FilledSlice(Name);

/// Why a part of a blob cannot be written, or the blob not be finished.
#[derive(Debug, Error, Serialize, Deserialize)]
pub enum SplitError {
    /// Somebody has the part open.
    #[error("part {index} is in use: {why}")]
    Open {
        /// Which part.
        index: usize,
        /// Who has it, as far as is known.
        why: String,
    },
    /// The part was given to somebody else since.
    #[error("part {index} was given to somebody else since")]
    Stale {
        /// Which part.
        index: usize,
    },
    /// It is a part of another blob.
    #[error("this is a part of another blob")]
    Foreign,
    /// Parts were not put back.
    #[error("the parts {0:?} are missing")]
    Missing(Vec<usize>),
    /// The bytes are not what they are wanted as.
    #[error("{0}")]
    View(String),
    /// The process has no room to open the part.
    #[error("part {index} cannot be opened: {why}")]
    Memory {
        /// Which part.
        index: usize,
        /// What the system says.
        why: String,
    },
}

impl From<ViewError> for SplitError {
    fn from(error: ViewError) -> Self {
        Self::View(error.to_string())
    }
}

impl SplitBlob {
    pub(super) fn new(memory: Option<PartedMemory>, len: usize, each: usize, claims: usize) -> Self {
        let memory = memory.map(|memory| {
            let (tag, handle, hold) = reference::made(SharedMemory::Parted(memory.clone()));
            (Shared { tag, handle, _use: Some(Arc::new(Use::made(handle))), _hold: hold }, memory)
        });
        let parts = vec![Part { renewed: 0, state: State::Here }; len.div_ceil(each)];
        Self { memory, len, each, claims, parts }
    }

    /// How many parts there are.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// All parts that were not given out, in order. They are out from now on.
    #[must_use]
    pub fn slices(&mut self) -> Vec<BlobSlice> {
        (0..self.parts.len()).filter_map(|index| self.take(index)).collect()
    }

    /// One part, if it was not given out.
    #[must_use]
    pub fn take(&mut self, index: usize) -> Option<BlobSlice> {
        let part = self.parts.get_mut(index).filter(|part| part.state == State::Here)?;
        part.state = State::Out;
        let renewed = part.renewed;
        self.slice(index, renewed)
    }

    /// A part that was given out before, for somebody else: who had it cannot open it any more, nor put it back. What was
    /// written in it is still there.
    ///
    /// # Errors
    /// [`SplitError::Open`] while a process that lives has it open.
    ///
    /// # Panics
    /// If there is no such part.
    pub fn take_again(&mut self, index: usize) -> Result<BlobSlice, SplitError> {
        let claim = self.claim(index);
        let (_, memory) = self.memory.as_ref().ok_or(SplitError::Foreign)?;
        let renewed = memory.renew(claim).map_err(|error| failed(index, &error))?;
        self.parts[index] = Part { renewed, state: State::Out };
        self.slice(index, renewed).ok_or(SplitError::Foreign)
    }

    /// Takes a part back that is done.
    ///
    /// # Errors
    /// [`SplitError::Stale`] if it was [given to somebody else](Self::take_again) since, [`SplitError::Foreign`] if it is of another
    /// blob.
    pub fn put_back(&mut self, filled: &FilledSlice) -> Result<(), SplitError> {
        let Name { tag, index, renewed, .. } = filled.0;
        let own = self.memory.as_ref().is_some_and(|(shared, _)| shared.tag == tag);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let part = self.parts.get_mut(index).filter(|_| own).ok_or(SplitError::Foreign)?;
        if part.renewed != renewed {
            return Err(SplitError::Stale { index });
        }
        part.state = State::Filled;
        Ok(())
    }

    /// The parts that are not back.
    #[must_use]
    pub fn missing(&self) -> Vec<usize> {
        let parts = self.parts.iter().enumerate();
        parts.filter(|(_, part)| part.state != State::Filled).map(|(index, _)| index).collect()
    }

    /// Ends the writing: nobody changes a byte from now on. What is left of this has no parts.
    ///
    /// Waits for processes that are done and have not closed their part yet, for at most 5 s.
    ///
    /// # Errors
    /// [`SplitError::Missing`] if parts are not back; [`SplitError::Open`] if somebody still has one open. It can be tried
    /// again.
    ///
    /// # Platform-specific behavior
    /// On Linux the system makes sure that nobody can write. On Windows that rests on those who were given parts.
    pub async fn finish(&mut self) -> Result<Blob, SplitError> {
        let missing = self.missing();
        if !missing.is_empty() {
            return Err(SplitError::Missing(missing));
        }
        let Some((_, memory)) = &self.memory else {
            return Ok(Blob::default());
        };
        let until = Instant::now() + CLOSING;
        loop {
            match memory.seal(self.claims..memory.len()) {
                Ok(sealed) => {
                    let blob = Blob::new(sealed, self.len);
                    (self.memory, self.len) = (None, 0);
                    self.parts.clear();
                    return Ok(blob);
                }
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => {
                    // Which one it is, if one of ours.
                    let open = (0..self.parts.len()).find_map(|index| {
                        let opened = memory.open(0..0, self.claim(index), self.parts[index].renewed);
                        Some(failed(index, &opened.err()?))
                    });
                    return Err(open.unwrap_or_else(|| failed(0, &error)));
                }
            }
        }
    }

    fn slice(&self, index: usize, renewed: u64) -> Option<BlobSlice> {
        let (shared, memory) = self.memory.clone()?;
        let start = index * self.each;
        let name = Name {
            tag: shared.tag,
            index: index as u64,
            start: start as u64,
            end: (start + self.each).min(self.len) as u64,
            claim: self.claim(index) as u64,
            renewed,
        };
        Some(BlobSlice { shared, memory, name, open: None, _share: None })
    }

    fn claim(&self, index: usize) -> usize {
        assert!(index < self.parts.len(), "there are {} parts, and no {index}", self.parts.len());
        self.claims + index * CLAIM
    }
}

impl BlobSlice {
    /// Which of the parts it is.
    #[must_use]
    pub fn index(&self) -> usize {
        self.name.index as usize
    }

    /// Where in the blob it is.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.name.start as usize..self.name.end as usize
    }

    /// How many bytes it has; at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.range().len()
    }

    /// Its bytes, to be written. The first time opens it.
    ///
    /// # Errors
    /// [`SplitError::Open`] if somebody has it open; [`SplitError::Stale`] if it was given to somebody else;
    /// [`SplitError::Memory`] if this process has no room for it.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], SplitError> {
        let (range, claim, renewed, index) = (self.range(), self.name.claim as usize, self.name.renewed, self.index());
        let open = match self.open.take() {
            Some(open) => open,
            None => self.memory.open(range, claim, renewed).map_err(|error| failed(index, &error))?,
        };
        Ok(self.open.insert(open))
    }

    /// The same as a slice of plain data.
    ///
    /// # Errors
    /// Those of [`bytes_mut`](Self::bytes_mut), and [`SplitError::View`] if it is no whole number of `T`, or does not begin where
    /// one may.
    pub fn view_mut<T: AnyBitPattern + NoUninit>(&mut self) -> Result<&mut [T], SplitError> {
        Ok(view::view_mut(self.bytes_mut()?)?)
    }

    /// Closes it: it is written.
    pub fn done(self) -> FilledSlice {
        FilledSlice(self.name)
    }
}

impl FilledSlice {
    /// Which of the parts it was.
    #[must_use]
    pub fn index(&self) -> usize {
        self.0.index as usize
    }
}

impl Serialize for BlobSlice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.open.is_some() {
            return Err(S::Error::custom("a slice that is open cannot be sent: send what it is done as"));
        }
        if !note_handle_once(self.shared.handle) {
            return Err(S::Error::custom(
                "a slice of a blob travels in messages only: send it to an actor or give it to a task",
            ));
        }
        self.name.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BlobSlice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Name::deserialize(deserializer)?;
        let (handle, memory) = reference::opened::<D::Error>(name.tag)?;
        let SharedMemory::Parted(memory) = memory else {
            return Err(D::Error::custom("this blob is finished"));
        };
        // Whatever is not within it is refused when it is opened.
        let is_range = name.start < name.end && name.end <= memory.len() as u64;
        if !is_range {
            return Err(D::Error::custom("the slice is not within the blob"));
        }
        let share = match memories::is_used(handle.actor.0) {
            true => None,
            false => {
                let mut share = Share::of(Kind::Part);
                share.resize(name.end - name.start).map_err(D::Error::custom)?;
                Some(share)
            }
        };
        let shared = Shared { tag: name.tag, handle, _use: None, _hold: reference::held(handle) };
        Ok(Self { shared, memory, name, open: None, _share: share })
    }
}

fn failed(index: usize, error: &io::Error) -> SplitError {
    match error.kind() {
        io::ErrorKind::ResourceBusy => SplitError::Open { index, why: error.to_string() },
        io::ErrorKind::PermissionDenied => SplitError::Stale { index },
        _ => SplitError::Memory { index, why: error.to_string() },
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.tag)
    }
}

impl fmt::Debug for BlobSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobSlice({} of {:x}, {} bytes)", self.name.index, self.shared.tag, self.len())
    }
}
