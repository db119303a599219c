//! Shared memory for data that several processes write, each a part of it, before it is sealed.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use windows_sys::Win32::Foundation::{FILETIME, HANDLE, STILL_ACTIVE};
use windows_sys::Win32::System::Memory::{FILE_MAP, FILE_MAP_READ, FILE_MAP_WRITE};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetExitCodeProcess, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION,
};

use crate::memory::{self, Memory, SealedMemory, View};

/// What may be done with a section that is written in parts.
const RIGHTS: FILE_MAP = memory::RIGHTS | FILE_MAP_WRITE;

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
    section: Arc<OwnedHandle>,
    len: usize,
}

/// A part of memory that this process writes, and nobody else.
pub struct OpenPart {
    view: View,
    range: Range<usize>,
    claim: usize,
}

impl Memory {
    /// Leaves the writing to whoever [opens](PartedMemory::open) parts of it.
    ///
    /// # Errors
    /// None that is seen in practice.
    pub fn part(self) -> io::Result<PartedMemory> {
        let (section, len) = self.into_section();
        Ok(PartedMemory { section: Arc::new(section), len })
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
        let view = self.view()?;
        let [owner, renewals] = words(&view, claim);
        let stale = || renewals.load(Ordering::Acquire) != renewed;
        while !stale() {
            match owner.compare_exchange(0, this_process(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if stale() => {
                    owner.store(0, Ordering::Release);
                    break;
                }
                Ok(_) => return Ok(OpenPart { view, range, claim }),
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
        if !self.is_claim(claim) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the claim is not within the memory"));
        }
        let now = words(&self.view()?, claim)[1].load(Ordering::Acquire);
        let part = self.open(0..0, claim, now)?;
        words(&part.view, claim)[1].store(now + 1, Ordering::Release);
        Ok(now + 1)
    }

    /// Ends the writing for good. Among these bytes are the claims, all of them, in order.
    ///
    /// # Errors
    /// `ResourceBusy` while somebody has a part of it open; otherwise the process has no room for the mapping.
    ///
    /// # Platform-specific behavior
    /// On Linux it is the system that knows whether it is mapped for writing anywhere. On Windows it is not asked: what the
    /// claims say counts.
    pub fn seal(&self, claims: Range<usize>) -> io::Result<SealedMemory> {
        let view = self.view()?;
        for claim in claims.step_by(CLAIM).filter(|claim| self.is_claim(*claim)) {
            let owner = words(&view, claim)[0].load(Ordering::Acquire);
            if owner != 0 && is_alive(owner) {
                let who = owner >> 32;
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("process {who} has it open")));
            }
        }
        drop(view);
        SealedMemory::seal(&self.section, self.len)
    }

    /// What another process made, if it is memory of so many bytes that can be written; gives it back if not.
    pub(crate) fn adopt(section: OwnedHandle, len: u64) -> Result<Self, OwnedHandle> {
        let Some(len) = memory::is_memory_of(&section, len) else { return Err(section) };
        // Whether it may be written shows when it is tried.
        if View::new(&section, len, FILE_MAP_READ | FILE_MAP_WRITE).is_err() {
            return Err(section);
        }
        Ok(Self { section: Arc::new(section), len })
    }

    fn view(&self) -> io::Result<View> {
        View::new(&self.section, self.len, FILE_MAP_READ | FILE_MAP_WRITE)
    }

    fn is_claim(&self, claim: usize) -> bool {
        claim.is_multiple_of(WORD) && claim.checked_add(CLAIM).is_some_and(|end| end <= self.len)
    }
}

impl Deref for OpenPart {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: within the view, which lives as long as `self`. Only who has the claim makes a reference to this range.
        unsafe { slice::from_raw_parts(self.view.address.as_ptr().add(self.range.start), self.range.len()) }
    }
}

impl DerefMut for OpenPart {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the view can be written.
        unsafe { slice::from_raw_parts_mut(self.view.address.as_ptr().add(self.range.start), self.range.len()) }
    }
}

impl Drop for OpenPart {
    fn drop(&mut self) {
        words(&self.view, self.claim)[0].store(0, Ordering::Release);
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
fn words(view: &View, claim: usize) -> [&AtomicU64; 2] {
    debug_assert!(claim.is_multiple_of(WORD) && claim + CLAIM <= view.len);
    // SAFETY: two aligned words within the view, which starts at a page; they are only ever accessed as atomics.
    [0, WORD].map(|at| unsafe { &*view.address.as_ptr().add(claim + at).cast::<AtomicU64>() })
}

/// This process among all that live or have lived: its id, and when it was started.
fn this_process() -> u64 {
    static THIS: OnceLock<u64> = OnceLock::new();
    *THIS.get_or_init(|| {
        // SAFETY: a handle that is always there and needs no closing.
        let this = unsafe { GetCurrentProcess() };
        u64::from(std::process::id()) << 32 | u64::from(started(this).unwrap_or(0))
    })
}

fn is_alive(process: u64) -> bool {
    // SAFETY: asks for a process, of which there may be none.
    let found = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, (process >> 32) as u32) };
    if found.is_null() {
        return false;
    }
    // SAFETY: a handle that was just made and that nobody else has.
    let found = unsafe { OwnedHandle::from_raw_handle(found) };
    started(found.as_raw_handle()) == Some(process as u32)
}

/// When the process was started, if it lives.
fn started(process: HANDLE) -> Option<u32> {
    let mut times = [FILETIME::default(); 4];
    let mut code = 0;
    let [made, ended, kernel, user] = &mut times;
    // SAFETY: asks; what is written is as large as is said.
    let told = unsafe {
        GetProcessTimes(process, made, ended, kernel, user) != 0 && GetExitCodeProcess(process, &mut code) != 0
    };
    (told && code == STILL_ACTIVE as u32).then_some(times[0].dwLowDateTime)
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

    pub(crate) fn section(&self) -> &OwnedHandle {
        match self {
            Self::Sealed(memory) => memory.section(),
            Self::Parted(memory) => &memory.section,
        }
    }

    /// What its receiver may do with it.
    pub(crate) fn rights(parted: bool) -> FILE_MAP {
        if parted { RIGHTS } else { memory::RIGHTS }
    }

    pub(crate) fn is_parted(&self) -> bool {
        matches!(self, Self::Parted(_))
    }

    pub(crate) fn adopt(section: OwnedHandle, len: u64, parted: bool) -> Result<Self, OwnedHandle> {
        if parted {
            PartedMemory::adopt(section, len).map(Self::Parted)
        } else {
            SealedMemory::adopt(section, len).map(Self::Sealed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let beyond = [(0..5000, 4096), (0..1, 4097), (0..1, 4104), (0..1, usize::MAX)];
        for (range, claim) in beyond {
            assert_eq!(memory.open(range, claim, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
