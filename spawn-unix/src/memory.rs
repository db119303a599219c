//! Shared memory for data: written by one process, then read by many.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use memmap2::{Mmap, MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate};
use rustix::io::{pwrite, retry_on_intr};
use rustix::process::{Resource, getrlimit};

use crate::segment::memory_file;

/// With these nobody can change a byte, nor the size, nor the seals.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// So many bytes more are to be had or not, like those of any allocation.
const LITTLE: usize = 256 << 10;

/// The unit in which the system counts what a file has, whatever the size of its blocks.
const BLOCK: u64 = 512;

/// Memory that its maker writes, once, before anybody else sees it.
///
/// It is zero at first. [`seal`](Self::seal) makes it what can be given to other processes, after which nobody writes it.
///
/// # Platform-specific behavior
/// On Linux a memfd, on Windows a section of the paging file that has no name.
pub struct Memory {
    mapping: MmapMut,
    file: OwnedFd,
}

/// Memory that stays as it is, as bytes; cheap to clone.
///
/// It goes to another process by [`Stream::try_write_with`](crate::Stream::try_write_with) and lives as long as one has it.
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
    mapping: Mmap,
    file: OwnedFd,
}

impl Memory {
    /// Makes `len` bytes, all of which the system has set aside when this returns: to use them cannot fail later.
    ///
    /// # Errors
    /// `InvalidInput` for no bytes; `OutOfMemory` for more than the system has left, with both numbers; otherwise the
    /// process is out of descriptors.
    ///
    /// # Platform-specific behavior
    /// On Linux a limit that a control group sets is not foreseen: who exceeds it is killed by the system.
    pub fn create(len: usize) -> io::Result<Self> {
        let file = memory_file("procession-memory")?;
        reserve(&file, 0, len)?;
        let mapping = map_for_writing(&file, len)?;
        Ok(Self { mapping, file })
    }

    /// Changes the number of bytes. What is there stays; what is new is zero and set aside as in [`create`](Self::create).
    ///
    /// # Errors
    /// Those of [`create`](Self::create), after which nothing has changed.
    pub fn resize(&mut self, len: usize) -> io::Result<()> {
        let old = self.mapping.len();
        if len > old || len == 0 {
            reserve(&self.file, old, len)?;
        }
        // The larger one goes before its pages do.
        self.mapping = map_for_writing(&self.file, len)?;
        if len < old {
            ftruncate(&self.file, len as u64)?;
        }
        Ok(())
    }

    /// How many bytes there are.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.mapping
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.mapping
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
        let mut written = 0;
        while written < bytes.len() {
            written += retry_on_intr(|| pwrite(&self.file, &bytes[written..], (at + written) as u64))?;
        }
        Ok(())
    }

    /// Ends the writing for good.
    ///
    /// # Errors
    /// `ResourceBusy` if the system still has a part of it in use for writing, such as for a device; otherwise the
    /// process has no room for the mapping.
    pub fn seal(self) -> io::Result<SealedMemory> {
        // As long as there is a mapping that writes, the system refuses the seal.
        let (file, len) = self.into_file();
        SealedMemory::seal(file, len)
    }

    /// The file alone.
    pub(crate) fn into_file(self) -> (OwnedFd, usize) {
        (self.file, self.mapping.len())
    }
}

impl SealedMemory {
    /// Maps what another process made, if it is sealed and has just so many bytes.
    pub(crate) fn adopt(file: OwnedFd, len: u64) -> io::Result<Self> {
        let len = sealed_size(&file, SEALS, len)?;
        Self::map(file, len)
    }

    /// Ends all writing of a file of so many bytes.
    pub(crate) fn seal(file: OwnedFd, len: usize) -> io::Result<Self> {
        fcntl_add_seals(&file, SEALS)?;
        Self::map(file, len)
    }

    fn map(file: OwnedFd, len: usize) -> io::Result<Self> {
        // Private, though nobody writes: kernels before 6.7 take a shared one for one that could be written.
        // SAFETY: the file is sealed against writing and shrinking, so what is mapped neither changes nor goes away.
        let mapping = unsafe { MmapOptions::new().len(len).map_copy_read_only(&file) }?;
        Ok(Self { shared: Arc::new(Shared { mapping, file }) })
    }
}

impl Deref for SealedMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.shared.mapping
    }
}

impl AsRef<[u8]> for SealedMemory {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// What it is, to be looked at: nobody can write by it.
impl AsFd for SealedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.file.as_fd()
    }
}

// Not the bytes: they may be many, and a secret.

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("len", &self.mapping.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for SealedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedMemory").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The size of what another process made, if it has these seals and is just so large.
pub(crate) fn sealed_size(file: &OwnedFd, seals: SealFlags, len: u64) -> io::Result<usize> {
    // Whatever is no memfd at all has no seals to ask for.
    let found = fcntl_get_seals(file).map_err(|_| refused("the descriptor is not shared memory".into()))?;
    if !found.contains(seals) {
        return Err(refused("the shared memory is not sealed".into()));
    }
    // What is sealed stays as it is, so that this holds as long as the mapping.
    let about = fstat(file)?;
    let size = about.st_size as u64;
    if size == 0 || size != len {
        return Err(refused(format!("{size} bytes of shared memory are not the {len} that were announced")));
    }
    // A page that has to be found when it is first read may not be there: that reader is killed.
    if (about.st_blocks as u64).saturating_mul(BLOCK) < size {
        return Err(refused(format!("not all of the {size} bytes of shared memory are set aside")));
    }
    usize::try_from(len).map_err(|_| refused(format!("{len} bytes are more than there are addresses")))
}

pub(crate) fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Sets aside what a file has more when it has `len` bytes in place of `old`.
fn reserve(file: &OwnedFd, old: usize, len: usize) -> io::Result<()> {
    if len == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "shared memory has at least 1 byte, not 0"));
    }
    // To fill the last page of a system wakes its killer, so what cannot be had is not even asked for. To learn how much there
    // is takes longer than to fill a little.
    let more = len - old;
    if more > LITTLE {
        let available = available_memory()?;
        if more as u64 > available {
            return Err(too_much(len, &format!("the system has {available} available")));
        }
    }
    // Who exceeds this one is not told by an error but by a signal.
    if let Some(limit) = getrlimit(Resource::Fsize).current.filter(|&limit| len as u64 > limit) {
        return Err(too_much(len, &format!("this process may have no file of more than {limit}")));
    }
    retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, len as u64))
        .map_err(|error| too_much(len, &io::Error::from(error).to_string()))
}

fn map_for_writing(file: &OwnedFd, len: usize) -> io::Result<MmapMut> {
    // SAFETY: only its maker has the file, so that it does not change but through the mapping.
    unsafe { MmapOptions::new().len(len).map_mut(file) }
}

fn too_much(len: usize, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, format!("{len} bytes of shared memory cannot be had: {why}"))
}

/// How many bytes could be had without anybody being killed for them, as far as the system can tell.
fn available_memory() -> io::Result<u64> {
    let counts = fs::read_to_string("/proc/meminfo")?;
    available(&counts).ok_or_else(|| io::Error::other("the system does not say how much memory it has available"))
}

/// What is free or can be freed, and the free swap.
fn available(counts: &str) -> Option<u64> {
    let kibibytes = |name: &str| -> Option<u64> {
        let line = counts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some((kibibytes("MemAvailable")? + kibibytes("SwapFree").unwrap_or(0)) * 1024)
}

#[cfg(test)]
mod tests {
    use super::available;

    #[test]
    fn what_is_available_is_memory_and_swap() {
        let counts = "MemTotal: 99 kB\nMemFree:  1 kB\nMemAvailable:     70 kB\nSwapTotal: 9 kB\nSwapFree:    5 kB\n";
        assert_eq!(available(counts), Some(75 * 1024));
        assert_eq!(available("MemAvailable: 3 kB\n"), Some(3 * 1024));
        assert_eq!(available("MemFree: 3 kB\n"), None);
    }
}
