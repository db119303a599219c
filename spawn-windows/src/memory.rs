//! Shared memory for data: written by one process, then read by many.

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use windows_sys::Win32::Foundation::{DuplicateHandle, HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
    PAGE_READWRITE, SEC_COMMIT, SEC_FILE, SEC_IMAGE, SEC_RESERVE, UnmapViewOfFile,
};
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use crate::security::Descriptor;

/// What may be done with a section whose writing has ended: to be mapped for reading, and to be asked for its size.
pub(crate) const RIGHTS: FILE_MAP = FILE_MAP_READ | SECTION_QUERY;

const SECTION_QUERY: FILE_MAP = 1;

/// Nobody gets more of it than the handle has that they were given, not even the user whose it is: without a list, or without
/// the line for the owner, who has a handle for reading could make one for writing of it.
const NO_MORE: &str = "D:P(A;;RC;;;S-1-3-4)";

/// The unit in which sections are mapped.
const PAGE: u64 = 4096;

/// Memory that its maker writes, once, before anybody else sees it.
///
/// It is zero at first. [`seal`](Self::seal) makes it what can be handed to a child, after which nobody writes it.
///
/// # Platform-specific behavior
/// On Linux a memfd, on Windows a section of the paging file that has no name.
pub struct Memory {
    view: View,
    section: OwnedHandle,
}

/// Memory that stays as it is, as bytes; cheap to clone.
///
/// It goes to a child by [`Endpoint::send_memory`](crate::Endpoint::send_memory) and lives as long as one process has it.
///
/// # Platform-specific behavior
/// On Linux the system itself refuses every write from then on, by anybody: a memfd with the seals `WRITE`, `SHRINK`, `GROW`
/// and `SEAL`, which who receives it checks. On Windows there are no seals. Who receives it has a handle that can only be mapped
/// for reading; that nobody else has a view to write it by is so because its maker has given up its own. A receiver must trust
/// the maker in that.
#[derive(Clone)]
pub struct SealedMemory {
    shared: Arc<Shared>,
}

struct Shared {
    view: View,
    section: OwnedHandle,
}

impl Memory {
    /// Makes `len` bytes, all of which the system has set aside when this returns: to use them cannot fail later.
    ///
    /// # Errors
    /// `InvalidInput` for no bytes; `OutOfMemory` for more than the system has left, with both numbers.
    ///
    /// # Platform-specific behavior
    /// On Linux a limit that a control group sets is not foreseen: who exceeds it is killed by the system.
    pub fn create(len: usize) -> io::Result<Self> {
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "shared memory has at least 1 byte, not 0"));
        }
        let available = available_memory()?;
        if len as u64 > available {
            return Err(too_much(len, &format!("the system has {available} available")));
        }
        let attributes = Descriptor::new(NO_MORE)?;
        let attributes = attributes.attributes();
        let (high, low) = ((len as u64 >> 32) as u32, len as u32);
        // SAFETY: makes a section of its own, without a name; the attributes live until the call returns.
        let section = unsafe {
            CreateFileMappingW(INVALID_HANDLE_VALUE, &attributes, PAGE_READWRITE | SEC_COMMIT, high, low, ptr::null())
        };
        if section.is_null() {
            return Err(too_much(len, &io::Error::last_os_error().to_string()));
        }
        // SAFETY: a handle that was just made and that nobody else has.
        let section = unsafe { OwnedHandle::from_raw_handle(section) };
        let view = View::new(&section, len, FILE_MAP_READ | FILE_MAP_WRITE)?;
        Ok(Self { view, section })
    }

    /// Changes the number of bytes. What is there stays; what is new is zero and set aside as in [`create`](Self::create).
    ///
    /// # Errors
    /// Those of [`create`](Self::create), after which nothing has changed.
    pub fn resize(&mut self, len: usize) -> io::Result<()> {
        // A section keeps its size: it is made anew.
        let mut resized = Self::create(len)?;
        let kept = len.min(self.len());
        resized.as_mut_slice()[..kept].copy_from_slice(&self.as_slice()[..kept]);
        *self = resized;
        Ok(())
    }

    /// How many bytes there are.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.view.len
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the view lives as long as `self`; nobody else has the section.
        unsafe { slice::from_raw_parts(self.view.address.as_ptr(), self.view.len) }
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the view is for writing and lives as long as `self`; nobody else has the section.
        unsafe { slice::from_raw_parts_mut(self.view.address.as_ptr(), self.view.len) }
    }

    /// Copies bytes to this place. For many this is much faster than to copy them into [`as_mut_slice`](Self::as_mut_slice), on
    /// Linux: new pages are not cleared before.
    ///
    /// # Errors
    /// None that is seen in practice.
    ///
    /// # Panics
    /// If they are not within.
    pub fn write_at(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        assert!(
            at.checked_add(bytes.len()).is_some_and(|end| end <= self.len()),
            "the bytes are not within the memory"
        );
        self.as_mut_slice()[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    /// Ends the writing for good.
    ///
    /// # Errors
    /// The process has no room for the mapping; on Linux also `ResourceBusy` if the system still has a part of it in use for
    /// writing, such as for a device.
    pub fn seal(self) -> io::Result<SealedMemory> {
        // The handle that could write goes here, and the view before.
        let (section, len) = self.into_section();
        SealedMemory::seal(&section, len)
    }

    /// The section alone.
    pub(crate) fn into_section(self) -> (OwnedHandle, usize) {
        (self.section, self.view.len)
    }
}

impl SealedMemory {
    /// Maps what another process made, if it is memory of so many bytes; gives it back if not.
    pub(crate) fn adopt(section: OwnedHandle, len: u64) -> Result<Self, OwnedHandle> {
        let Some(len) = is_memory_of(&section, len) else { return Err(section) };
        match View::new(&section, len, FILE_MAP_READ) {
            Ok(view) => Ok(Self { shared: Arc::new(Shared { view, section }) }),
            Err(_) => Err(section),
        }
    }

    pub(crate) fn section(&self) -> &OwnedHandle {
        &self.shared.section
    }

    /// The same memory with a handle that can only read.
    pub(crate) fn seal(section: &OwnedHandle, len: usize) -> io::Result<Self> {
        let section = without_writing(section)?;
        let view = View::new(&section, len, FILE_MAP_READ)?;
        Ok(Self { shared: Arc::new(Shared { view, section }) })
    }
}

impl Deref for SealedMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let view = &self.shared.view;
        // SAFETY: the view lives as long as `self`. Nobody writes: who made the section has given up its view and its handle for
        // that before it gave anybody another, and no handle can be had from those that could write.
        unsafe { slice::from_raw_parts(view.address.as_ptr(), view.len) }
    }
}

impl AsRef<[u8]> for SealedMemory {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// What it is, to be looked at: nobody can write by it.
impl AsHandle for SealedMemory {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.shared.section.as_handle()
    }
}

// Not the bytes: they may be many, and a secret.

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("len", &self.view.len).finish_non_exhaustive()
    }
}

impl fmt::Debug for SealedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedMemory").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Where a section is in this process.
pub(crate) struct View {
    pub(crate) address: NonNull<u8>,
    pub(crate) len: usize,
}

// SAFETY: the view is owned and lives until its drop; who has it shared only reads.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    pub(crate) fn new(section: &OwnedHandle, len: usize, rights: FILE_MAP) -> io::Result<Self> {
        // SAFETY: a new view at an address of the system's choice touches no existing memory; one that is larger than the
        // section is refused.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), rights, 0, 0, len) };
        let address = NonNull::new(view.Value.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { address, len })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: self.address.as_ptr().cast() };
        // SAFETY: this is the view that `new` made, and all borrows of it have ended.
        let unmapped = unsafe { UnmapViewOfFile(view) };
        debug_assert_ne!(unmapped, 0);
    }
}

/// What the system tells of a section.
#[repr(C)]
struct Basics {
    base: *mut c_void,
    attributes: u32,
    size: i64,
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtQuerySection(section: HANDLE, class: i32, told: *mut c_void, room: usize, length: *mut usize) -> i32;
}

impl Basics {
    fn of(section: &OwnedHandle) -> Option<Self> {
        let mut basics = Self { base: ptr::null_mut(), attributes: 0, size: 0 };
        // SAFETY: asks, and a handle that is none of a section is answered so; class 0 is what `Basics` has room for.
        let status = unsafe {
            NtQuerySection(section.as_raw_handle(), 0, (&raw mut basics).cast(), size_of::<Self>(), ptr::null_mut())
        };
        (status == 0).then_some(basics)
    }

    /// Whether this is memory, all of it set aside, and not a file that may change, with just so many bytes in whole pages.
    fn are_memory_of(&self, len: u64) -> bool {
        let size = self.size.cast_unsigned();
        self.attributes & SEC_COMMIT != 0
            && self.attributes & (SEC_FILE | SEC_IMAGE | SEC_RESERVE) == 0
            && len > 0
            && len.div_ceil(PAGE) == size.div_ceil(PAGE)
    }
}

/// The length, if this is memory of so many bytes.
pub(crate) fn is_memory_of(section: &OwnedHandle, len: u64) -> Option<usize> {
    let is_it = Basics::of(section).is_some_and(|basics| basics.are_memory_of(len));
    usize::try_from(len).ok().filter(|_| is_it)
}

/// A handle on the same section that can only be mapped for reading.
fn without_writing(section: &OwnedHandle) -> io::Result<OwnedHandle> {
    let mut reduced = ptr::null_mut();
    // SAFETY: the handles are those of this process and of a section of ours; the new one is written to where it may be.
    let done = unsafe {
        let this = GetCurrentProcess();
        DuplicateHandle(this, section.as_raw_handle(), this, &mut reduced, RIGHTS, 0, 0)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a handle that was just made and that nobody else has.
    Ok(unsafe { OwnedHandle::from_raw_handle(reduced) })
}

fn too_much(len: usize, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, format!("{len} bytes of shared memory cannot be had: {why}"))
}

/// How many bytes this process could be promised.
fn available_memory() -> io::Result<u64> {
    let mut status = MEMORYSTATUSEX { dwLength: size_of::<MEMORYSTATUSEX>() as u32, ..MEMORYSTATUSEX::default() };
    // SAFETY: asks; what is written is as large as is said.
    let told = unsafe { GlobalMemoryStatusEx(&mut status) };
    if told == 0 { Err(io::Error::last_os_error()) } else { Ok(status.ullAvailPageFile) }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::{Basics, SEC_COMMIT, SEC_FILE, SEC_RESERVE};

    #[test]
    fn a_length_is_believed_within_its_last_page_only() {
        let basics = |attributes, size| Basics { base: ptr::null_mut(), attributes, size };
        for (len, believed) in [(0, false), (1, false), (4096, false), (4097, true), (8192, true), (8193, false)] {
            assert_eq!(basics(SEC_COMMIT, 8192).are_memory_of(len), believed, "{len}");
        }
        assert!(!basics(SEC_COMMIT, 8192).are_memory_of(u64::MAX));
        assert!(!basics(SEC_FILE, 8192).are_memory_of(8192));
        assert!(!basics(SEC_RESERVE, 8192).are_memory_of(8192));
    }
}
