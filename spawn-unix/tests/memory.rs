//! What is refused as memory, told over the bare socket.

#[cfg(target_os = "linux")]
mod harness;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::{self, IoSlice};
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::process::ExitCode;
    use std::ptr;

    use procession_spawn_unix::{Endpoint, Memory, SealedMemory, SharedMemory};
    use rustix::fs::{
        FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create,
    };
    use rustix::io::Errno;
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use crate::harness::{self, tests};

    pub(crate) fn main() -> ExitCode {
        harness::main(
            tests![
                what_is_sealed_and_set_aside_is_received,
                what_is_not_sealed_in_every_way_is_refused_and_closed,
                another_size_than_announced_is_refused_and_closed,
                memory_with_holes_is_refused_and_closed,
                what_is_no_memory_is_refused_and_closed,
                any_other_number_of_descriptors_is_refused_and_closed,
                a_write_mapping_of_what_was_received_is_refused,
                memory_that_was_never_sealed_leaves_nothing,
            ],
            &[],
        )
    }

    const ALL: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

    fn memory(size: u64, seals: SealFlags) -> OwnedFd {
        let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        if size > 0 {
            fallocate(&file, FallocateFlags::empty(), 0, size).unwrap();
        }
        fcntl_add_seals(&file, seals).unwrap();
        file
    }

    fn send(stream: &Endpoint, len: u64, descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        let bytes = len.to_le_bytes();
        let sent = sendmsg(stream, &[IoSlice::new(&bytes)], &mut control, SendFlags::empty());
        assert_eq!(sent, Ok(8));
    }

    fn open_descriptors() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    fn mappings() -> usize {
        fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.contains("memfd:")).count()
    }

    /// Descriptors and mappings, those included that the first runtime makes for all.
    fn before() -> (usize, usize) {
        harness::block_on(async {});
        (open_descriptors(), mappings())
    }

    /// What comes over a bare socket and is announced as sealed memory.
    fn received(stream: Endpoint) -> io::Result<SealedMemory> {
        harness::block_on(async {
            let stream = stream.into_stream()?;
            let mut len = [0; 8];
            stream.ready(false).await?;
            assert_eq!(stream.try_read(&mut len)?, 8);
            match stream.take_memory(None, 0, u64::from_le_bytes(len), false)? {
                Some(SharedMemory::Sealed(memory)) => Ok(memory),
                other => panic!("{other:?} is not sealed memory"),
            }
        })
    }

    /// Refused for what it brings, of which nothing stays open and nothing was mapped.
    fn is_refused(len: u64, descriptors: &[BorrowedFd<'_>]) {
        let before = before();
        let (ours, theirs) = Endpoint::pair().unwrap();
        send(&ours, len, descriptors);
        let refused = received(theirs).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
        drop(ours);
        assert_eq!((open_descriptors(), mappings()), before);
    }

    fn what_is_sealed_and_set_aside_is_received() {
        let before = before();
        for size in [1, 4096, 5000] {
            let (ours, theirs) = Endpoint::pair().unwrap();
            send(&ours, size, &[memory(size, ALL).as_fd()]);
            assert_eq!(received(theirs).unwrap()[..], vec![0; size as usize]);
        }
        assert_eq!((open_descriptors(), mappings()), before);
    }

    fn what_is_not_sealed_in_every_way_is_refused_and_closed() {
        is_refused(5000, &[memory(5000, SealFlags::empty()).as_fd()]);
        for missing in [SealFlags::WRITE, SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL] {
            is_refused(5000, &[memory(5000, ALL.difference(missing)).as_fd()]);
        }
        // Who has it mapped for writing goes on writing.
        let future = ALL.difference(SealFlags::WRITE).union(SealFlags::FUTURE_WRITE);
        is_refused(5000, &[memory(5000, future).as_fd()]);
    }

    fn another_size_than_announced_is_refused_and_closed() {
        let file = memory(5000, ALL);
        for len in [0, 1, 4096, 4999, 5001, 8192, 1 << 40, 1 << 60, u64::MAX] {
            is_refused(len, &[file.as_fd()]);
        }
        is_refused(0, &[memory(0, ALL).as_fd()]);
    }

    /// To read in a hole is to ask for memory, and who asks when there is none is killed.
    fn memory_with_holes_is_refused_and_closed() {
        let file = memory(0, SealFlags::empty());
        ftruncate(&file, 1 << 40).unwrap();
        fcntl_add_seals(&file, ALL).unwrap();
        is_refused(1 << 40, &[file.as_fd()]);
    }

    fn what_is_no_memory_is_refused_and_closed() {
        let file = fs::File::open("/proc/self/exe").unwrap();
        is_refused(file.metadata().unwrap().len(), &[file.as_fd()]);
        let (stream, _peer) = Endpoint::pair().unwrap();
        is_refused(1, &[stream.as_fd()]);
    }

    fn any_other_number_of_descriptors_is_refused_and_closed() {
        let file = memory(64, ALL);
        is_refused(64, &[]);
        for many in [2, 8, 9, 20] {
            is_refused(64, &vec![file.as_fd(); many]);
        }
    }

    fn a_write_mapping_of_what_was_received_is_refused() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        send(&ours, 4096, &[Memory::create(4096).unwrap().seal().unwrap().as_fd()]);
        let received = received(theirs).unwrap();
        for protection in [ProtFlags::WRITE, ProtFlags::READ | ProtFlags::WRITE] {
            // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
            let mapped = unsafe { mmap(ptr::null_mut(), 4096, protection, MapFlags::SHARED, &received, 0) };
            assert_eq!(mapped, Err(Errno::PERM));
        }
        assert_eq!(rustix::io::pwrite(&received, b"!", 0), Err(Errno::PERM));
        assert!(fcntl_get_seals(&received).unwrap().contains(ALL));
        assert_eq!(received[..], [0; 4096]);
    }

    fn memory_that_was_never_sealed_leaves_nothing() {
        let before = (open_descriptors(), mappings());
        let mut memory = Memory::create(100_000).unwrap();
        memory.as_mut_slice().fill(1);
        assert_eq!((open_descriptors(), mappings()), (before.0 + 1, before.1 + 1));
        drop(memory);
        assert_eq!((open_descriptors(), mappings()), before);
    }
}
