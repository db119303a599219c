//! Shared memory for data that several processes write, each a part of it, before it is sealed.

use std::fmt;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{SealFlags, fcntl_add_seals};

use crate::memory::{Memory, SealedMemory, sealed_size};

/// With these nobody can take a page away under who writes it, nor prevent that it is sealed in the end.
pub(crate) const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

const WORD: usize = size_of::<AtomicU64>();

/// What a claim takes up in the memory: who has it, and how often it was renewed.
pub const CLAIM: usize = 2 * WORD;

/// Memory that several processes write, each a part that it has claimed; cheap to clone.
///
/// It is mapped nowhere but where a part of it is open. Who has it can open any part that nobody else has open: it is for
/// processes that trust each other.
///
/// # Platform-specific behavior
/// On Linux a memfd whose size is sealed, on Windows a section with a handle by which it can be written.
#[derive(Clone)]
pub struct PartedMemory {
    file: Arc<OwnedFd>,
    len: usize,
}

/// A part of memory that this process writes, and nobody else.
pub struct OpenPart {
    mapping: MmapRaw,
    range: Range<usize>,
    claim: usize,
}

impl Memory {
    /// Leaves the writing to whoever [opens](PartedMemory::open) parts of it.
    ///
    /// # Errors
    /// None that is seen in practice.
    pub fn part(self) -> io::Result<PartedMemory> {
        let (file, len) = self.into_file();
        fcntl_add_seals(&file, FIXED)?;
        Ok(PartedMemory { file: Arc::new(file), len })
    }
}

impl PartedMemory {
    /// How many bytes there are, claims included.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Maps a part for writing, under the [claim](CLAIM) at this place, which nobody who lives may have, and which must have been
    /// renewed so often.
    ///
    /// # Errors
    /// `ResourceBusy` while another process, or this one, has it open; `PermissionDenied` if the claim was renewed since;
    /// `InvalidInput` for a place or a range that is not within; otherwise the process has no room for the mapping.
    pub fn open(&self, range: Range<usize>, claim: usize, renewed: u64) -> io::Result<OpenPart> {
        if range.start > range.end || range.end > self.len || !self.is_claim(claim) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the part is not within the memory"));
        }
        let mapping = MmapOptions::new().len(self.len).map_raw(&*self.file)?;
        let [owner, renewals] = words(&mapping, claim);
        let stale = || renewals.load(Ordering::Acquire) != renewed;
        while !stale() {
            match owner.compare_exchange(0, this_process(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if stale() => {
                    owner.store(0, Ordering::Release);
                    break;
                }
                Ok(_) => return Ok(OpenPart { mapping, range, claim }),
                Err(other) if is_alive(other) => {
                    let who = other >> 32;
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("process {who} has it open")));
                }
                // The dead have nothing open. Whoever is the first to say so tries again.
                Err(other) => {
                    let _ = owner.compare_exchange(other, 0, Ordering::AcqRel, Ordering::Acquire);
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "it was given to somebody else since"))
    }

    /// Takes a claim away from whoever may still come with it: says how often that makes. Nobody who lives may have it open.
    ///
    /// # Errors
    /// `ResourceBusy` while somebody has it open; `InvalidInput` for a place that is not within.
    pub fn renew(&self, claim: usize) -> io::Result<u64> {
        let now = {
            let mapping = MmapOptions::new().len(self.len).map_raw(&*self.file)?;
            if !self.is_claim(claim) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the claim is not within the memory"));
            }
            words(&mapping, claim)[1].load(Ordering::Acquire)
        };
        let part = self.open(0..0, claim, now)?;
        words(&part.mapping, claim)[1].store(now + 1, Ordering::Release);
        Ok(now + 1)
    }

    /// Ends the writing for good.
    ///
    /// # Errors
    /// `ResourceBusy` while somebody has a part of it open; otherwise the process has no room for the mapping.
    ///
    /// # Platform-specific behavior
    /// On Linux it is the system that knows whether it is mapped for writing anywhere. On Windows it is not asked: what the
    /// claims say counts.
    pub fn seal(&self, claims: Range<usize>) -> io::Result<SealedMemory> {
        let _ = claims;
        SealedMemory::seal(self.file.try_clone()?, self.len)
    }

    /// What another process made, if it has just so many bytes and keeps them.
    pub(crate) fn adopt(file: OwnedFd, len: u64) -> io::Result<Self> {
        let len = sealed_size(&file, FIXED, len)?;
        Ok(Self { file: Arc::new(file), len })
    }

    fn is_claim(&self, claim: usize) -> bool {
        claim.is_multiple_of(WORD) && claim.checked_add(CLAIM).is_some_and(|end| end <= self.len)
    }
}

/// What it is, to be given to another process.
impl AsFd for PartedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Deref for OpenPart {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: within the mapping, which lives as long as `self` and loses no page, for the file's size is sealed. Only who has
        // the claim makes a reference to this range.
        unsafe { slice::from_raw_parts(self.mapping.as_ptr().add(self.range.start), self.range.len()) }
    }
}

impl DerefMut for OpenPart {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the mapping can be written.
        unsafe { slice::from_raw_parts_mut(self.mapping.as_mut_ptr().add(self.range.start), self.range.len()) }
    }
}

impl Drop for OpenPart {
    fn drop(&mut self) {
        words(&self.mapping, self.claim)[0].store(0, Ordering::Release);
    }
}

impl fmt::Debug for PartedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartedMemory").field("len", &self.len).finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenPart").field("range", &self.range).finish_non_exhaustive()
    }
}

/// Who has a claim, and how often it was renewed.
fn words(mapping: &MmapRaw, claim: usize) -> [&AtomicU64; 2] {
    debug_assert!(claim.is_multiple_of(WORD) && claim + CLAIM <= mapping.len());
    // SAFETY: two aligned words within the mapping, which is as long as its file and starts at a page; they are only ever
    // accessed as atomics.
    [0, WORD].map(|at| unsafe { &*mapping.as_ptr().add(claim + at).cast::<AtomicU64>() })
}

/// This process among all that live or have lived: its id, and when it was started.
fn this_process() -> u64 {
    static THIS: OnceLock<u64> = OnceLock::new();
    *THIS.get_or_init(|| {
        let pid = std::process::id();
        u64::from(pid) << 32 | u64::from(started(pid).unwrap_or(0))
    })
}

fn is_alive(process: u64) -> bool {
    started((process >> 32) as u32) == Some(process as u32)
}

/// When the process was started, if it lives.
fn started(pid: u32) -> Option<u32> {
    let about = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may have any character.
    let mut fields = about.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let ticks: u64 = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(ticks as u32)
}

/// Memory of either kind, as it goes to another process.
#[derive(Clone, Debug)]
pub enum SharedMemory {
    /// It stays as it is.
    Sealed(SealedMemory),
    /// It is written in parts.
    Parted(PartedMemory),
}

impl SharedMemory {
    /// How many bytes there are.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        match self {
            Self::Sealed(memory) => memory.len(),
            Self::Parted(memory) => memory.len(),
        }
    }

    pub(crate) fn adopt(file: OwnedFd, len: u64, parted: bool) -> io::Result<Self> {
        if parted {
            PartedMemory::adopt(file, len).map(Self::Parted)
        } else {
            SealedMemory::adopt(file, len).map(Self::Sealed)
        }
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Sealed(memory) => memory.as_fd(),
            Self::Parted(memory) => memory.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_it_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        let process = u64::from(pid) << 32 | u64::from(started(pid).unwrap());
        assert!(is_alive(process) && is_alive(this_process()) && !is_alive(process + 1) && !is_alive(0));
        child.kill().unwrap();
        // A zombie has nothing mapped any more.
        while is_alive(process) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_part_is_open_once_and_not_under_an_old_claim() {
        let memory = Memory::create(4096 + CLAIM).unwrap().part().unwrap();
        let mut part = memory.open(10..20, 4096, 0).unwrap();
        part.fill(1);
        assert_eq!(memory.open(10..20, 4096, 0).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(memory.renew(4096).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(memory.seal(4096..4096 + CLAIM).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(part);
        assert_eq!(memory.renew(4096).unwrap(), 1);
        assert_eq!(memory.open(10..20, 4096, 0).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let part = memory.open(10..20, 4096, 1).unwrap();
        assert_eq!(part[..], [1; 10]);
        drop(part);
        let sealed = memory.seal(4096..4096 + CLAIM).unwrap();
        assert_eq!((&sealed[10..20], sealed[20]), (&[1; 10][..], 0));
        assert!(memory.open(10..20, 4096, 1).is_err());
        let beyond = [(0..5000, 4096), (0..1, 4097), (0..1, 4104), (0..1, usize::MAX)];
        for (range, claim) in beyond {
            assert_eq!(memory.open(range, claim, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
