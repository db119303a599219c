//! Shared memory of whole 64-bit words.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
    PAGE_READWRITE, UnmapViewOfFile,
};

const WORD: usize = size_of::<AtomicU64>();

/// A segment is a page or a few, never a way to move data.
const MAX_WORDS: usize = (1 << 20) / WORD;

/// What may be done with a section: to be mapped for reading and writing, and nothing else.
pub(crate) const RIGHTS: FILE_MAP = FILE_MAP_READ | FILE_MAP_WRITE;

/// Memory that two processes share, as 64-bit words that are zero at first.
///
/// The process that makes it hands it over in a greeting, once; from then on both see each other's stores as two threads
/// would. The memory lives as long as one of them has it mapped, so it can be read after the other's death.
///
/// # Platform-specific behavior
/// On Windows a section of the paging file that has no name; its size is fixed. It is not inherited, and its handle is
/// closed once it has been handed over or received.
#[derive(Debug)]
pub struct Segment {
    address: NonNull<AtomicU64>,
    words: usize,
    /// There until the segment has been handed over.
    section: Mutex<Option<OwnedHandle>>,
}

// SAFETY: the mapping is owned by the segment and lives until its drop; all access goes through atomics.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// Makes a segment of `words` words.
    ///
    /// # Errors
    /// `InvalidInput` for no words or for more than a mebibyte of them; otherwise the system is out of memory.
    pub fn create(words: usize) -> io::Result<Self> {
        if !(1..=MAX_WORDS).contains(&words) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a segment has between 1 and {MAX_WORDS} words, not {words}"),
            ));
        }
        let size = (words * WORD) as u32;
        // SAFETY: makes a section of its own, without a name or security attributes.
        let section =
            unsafe { CreateFileMappingW(INVALID_HANDLE_VALUE, ptr::null(), PAGE_READWRITE, 0, size, ptr::null()) };
        if section.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a handle that was just made and that nobody else has.
        let section = unsafe { OwnedHandle::from_raw_handle(section) };
        let address = map(&section, words)?;
        Ok(Self { address, words, section: Mutex::new(Some(section)) })
    }

    /// The words. Another process may change each of them at any time.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `address` is the start of a view of at least `words` aligned words, which lives as long as `self` and
        // whose section cannot shrink; atomics may be shared with whoever else has it mapped.
        unsafe { slice::from_raw_parts(self.address.as_ptr(), self.words) }
    }

    /// Maps what another process made, if it is a segment of so many words; gives it back if not.
    pub(crate) fn adopt(section: OwnedHandle, words: usize) -> Result<Self, OwnedHandle> {
        if !(1..=MAX_WORDS).contains(&words) {
            return Err(section);
        }
        match map(&section, words) {
            Ok(address) => Ok(Self { address, words, section: Mutex::new(None) }),
            // Not a section at all, or a smaller one.
            Err(_) => Err(section),
        }
    }

    /// Gives the handle away, to be duplicated and closed.
    pub(crate) fn take_section(&self) -> io::Result<OwnedHandle> {
        let mut section = self.section.lock().unwrap_or_else(PoisonError::into_inner);
        section
            .take()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the segment has been handed over already"))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: self.address.as_ptr().cast() };
        // SAFETY: this is the view that `map` made, and the borrows that `words` gave out have ended.
        let unmapped = unsafe { UnmapViewOfFile(view) };
        debug_assert_ne!(unmapped, 0);
    }
}

fn map(section: &OwnedHandle, words: usize) -> io::Result<NonNull<AtomicU64>> {
    // SAFETY: a new view at an address of the system's choice touches no existing memory; one that is larger than the section
    // is refused.
    let view = unsafe { MapViewOfFile(section.as_raw_handle(), RIGHTS, 0, 0, words * WORD) };
    NonNull::new(view.Value.cast()).ok_or_else(io::Error::last_os_error)
}
