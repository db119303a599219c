//! Shared memory of whole 64-bit words.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const WORD: usize = size_of::<AtomicU64>();

/// A segment is a page or a few, never a way to move data.
const MAX_WORDS: usize = (1 << 20) / WORD;

/// With these the mapping can never lose a page under its reader.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Memory that two processes share, as 64-bit words that are zero at first.
///
/// The process that makes it hands it over in a greeting, once; from then on both see each other's stores as two threads
/// would. The memory lives as long as one of them has it mapped, so it can be read after the other's death.
///
/// # Platform-specific behavior
/// On Linux a memfd that is sealed against shrinking and growing. It is close-on-exec, and its descriptor is closed once
/// it has been handed over or received.
#[derive(Debug)]
pub struct Segment {
    address: NonNull<AtomicU64>,
    words: usize,
    /// There until the segment has been handed over.
    file: Mutex<Option<OwnedFd>>,
}

// SAFETY: the mapping is owned by the segment and lives until its drop; all access goes through atomics.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// Makes a segment of `words` words.
    ///
    /// # Errors
    /// `InvalidInput` for no words or for more than a mebibyte of them; otherwise the process is out of descriptors or
    /// the system out of memory.
    pub fn create(words: usize) -> io::Result<Self> {
        if !(1..=MAX_WORDS).contains(&words) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a segment has between 1 and {MAX_WORDS} words, not {words}"),
            ));
        }
        let file = memory_file("procession-segment")?;
        ftruncate(&file, (words * WORD) as u64)?;
        fcntl_add_seals(&file, SEALS)?;
        let address = map(&file, words)?;
        Ok(Self { address, words, file: Mutex::new(Some(file)) })
    }

    /// The words. Another process may change each of them at any time.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `address` is the start of a mapping of at least `words` aligned words, which lives as long as `self`
        // and whose file cannot shrink; atomics may be shared with whoever else has it mapped.
        unsafe { slice::from_raw_parts(self.address.as_ptr(), self.words) }
    }

    /// Maps what another process made, if it is a segment.
    pub(crate) fn adopt(file: OwnedFd) -> io::Result<Self> {
        let refused = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        // Whatever is no memfd at all has no seals to ask for.
        let seals = fcntl_get_seals(&file).map_err(|_| refused("the descriptor is not shared memory".into()))?;
        if !seals.contains(SEALS) {
            return Err(refused("the shared memory is not sealed against shrinking and growing".into()));
        }
        let size = fstat(&file)?.st_size;
        let words = usize::try_from(size).unwrap_or(usize::MAX) / WORD;
        if !(1..=MAX_WORDS).contains(&words) || (words * WORD) as i64 != size {
            return Err(refused(format!("{size} bytes of shared memory are not a segment")));
        }
        let address = map(&file, words)?;
        Ok(Self { address, words, file: Mutex::new(None) })
    }

    /// Gives the descriptor away, to be sent and closed.
    pub(crate) fn take_file(&self) -> io::Result<OwnedFd> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.take()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the segment has been handed over already"))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, and the borrows that `words` gave out have ended.
        let unmapped = unsafe { munmap(self.address.as_ptr().cast(), self.words * WORD) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// A file of memory that can be sealed. The name is for those who look into `/proc`.
pub(crate) fn memory_file(name: &str) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Systems can be set up to refuse memory that might be executed; kernels before 6.3 don't know the flag.
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => Ok(memfd_create(name, flags)?),
        file => Ok(file?),
    }
}

fn map(file: &OwnedFd, words: usize) -> io::Result<NonNull<AtomicU64>> {
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let address =
        unsafe { mmap(ptr::null_mut(), words * WORD, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0) }?;
    NonNull::new(address.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
