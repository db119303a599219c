//! A worker that breaks what it can.

use std::fs::{self, File};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use procession::blob::{Blob, BlobWriter};
use procession::prelude::*;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{
    PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, getpid, getrlimit, pidfd_getfd, pidfd_open, setrlimit,
};
use serde::{Deserialize, Serialize};

/// What the worker gives in place of a blob.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Gift {
    Unsealed,
    HalfSealed,
    Short,
    Long,
    /// Sealed, and without its pages.
    Hollow,
    File,
    Socket,
    Nothing,
    Two,
    /// Descriptors, and no word of them.
    Unannounced,
    Twice,
    /// Nothing: it refers to what nobody has given it.
    Unknown,
}

/// What a process may have so much of.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Limited {
    Addresses,
    Files,
    Descriptors,
}

#[derive(Actor, Default)]
pub(crate) struct Hostile {
    kept: Vec<Blob>,
    files: Vec<File>,
}

#[handlers]
impl Hostile {
    #[call]
    pub(crate) fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    pub(crate) fn make(&mut self, len: usize) -> Blob {
        let blob = crate::written(len);
        self.kept.push(blob.clone());
        blob
    }

    #[call]
    pub(crate) fn length(&mut self, blob: Blob) -> usize {
        let len = blob.len();
        self.kept.push(blob);
        len
    }

    /// How long it is and what it begins and ends with; it is not kept.
    #[call]
    pub(crate) fn ends(&self, blob: Blob) -> (usize, u8, u8) {
        (blob.len(), blob[0], blob[blob.len() - 1])
    }

    /// The sum of a byte of each page.
    #[call(timeout = "60s")]
    pub(crate) fn touch(&mut self, blob: Blob) -> u64 {
        let sum = blob.iter().step_by(4096).map(|byte| u64::from(*byte)).sum();
        self.kept.push(blob);
        sum
    }

    /// Tries to change all memory that it has a descriptor of; how often, and what has succeeded.
    #[call(timeout = "60s")]
    pub(crate) fn attack(&mut self, blob: Blob, times: usize) -> (usize, Vec<String>) {
        self.kept.push(blob);
        let mut attempts = 0;
        let mut successes = Vec::new();
        while attempts < times {
            for file in memories() {
                let seal = |seals: SealFlags| fcntl_add_seals(&file, seals).map_err(std::io::Error::from);
                let tries: [(&str, std::io::Result<()>); 8] = [
                    ("shorter", ftruncate(&file, 10).map_err(Into::into)),
                    ("longer", ftruncate(&file, 1 << 20).map_err(Into::into)),
                    ("empty", ftruncate(&file, 0).map_err(Into::into)),
                    (
                        "a hole",
                        fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096)
                            .map_err(Into::into),
                    ),
                    ("zeroed", fallocate(&file, FallocateFlags::ZERO_RANGE, 0, 4096).map_err(Into::into)),
                    ("grown", fallocate(&file, FallocateFlags::empty(), 0, 1 << 20).map_err(Into::into)),
                    ("written", file.write_all_at(b"changed", 5)),
                    ("another seal", seal(SealFlags::FUTURE_WRITE)),
                ];
                attempts += tries.len();
                successes.extend(tries.into_iter().filter(|(_, tried)| tried.is_ok()).map(|(what, _)| what.to_owned()));
            }
        }
        (attempts, successes)
    }

    /// Makes a blob where the process may have no more than this of that.
    #[call]
    pub(crate) fn make_within(&mut self, what: Limited, limit: u64, len: usize) -> Result<Blob, Failure> {
        let which = match what {
            Limited::Addresses => Resource::As,
            Limited::Files => Resource::Fsize,
            Limited::Descriptors => Resource::Nofile,
        };
        let before = getrlimit(which);
        let limited = Rlimit { current: Some(limit), maximum: before.maximum };
        setrlimit(which, limited)?;
        let made = BlobWriter::with_len(len).and_then(BlobWriter::finish);
        setrlimit(which, before)?;
        Ok(made?)
    }

    /// From now on the process has no room for another descriptor, or has it again.
    #[call]
    pub(crate) fn fill_descriptors(&mut self, full: bool) -> Result<(), Failure> {
        self.files.clear();
        if full {
            let limited = Rlimit { current: Some(64), maximum: getrlimit(Resource::Nofile).maximum };
            setrlimit(Resource::Nofile, limited)?;
            while let Ok(file) = File::open("/dev/null") {
                self.files.push(file);
            }
        }
        Ok(())
    }

    /// Gives what is no blob, and waits for what becomes of that.
    #[call]
    pub(crate) async fn give(&mut self, gift: Gift) {
        let sealed = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        let file = tempfile::tempfile().expect("a file");
        let (one, other) = std::os::unix::net::UnixStream::pair().expect("two sockets");
        let about = |len| memory(999, 5, len);
        match gift {
            Gift::Unsealed => send(&about(10_000), &[memfd(10_000, true, SealFlags::empty()).as_fd()]),
            Gift::HalfSealed => {
                let seals = SealFlags::FUTURE_WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
                send(&about(10_000), &[memfd(10_000, true, seals).as_fd()]);
            }
            Gift::Short => send(&about(10_000), &[memfd(5_000, true, sealed).as_fd()]),
            Gift::Long => send(&about(10_000), &[memfd(20_000, true, sealed).as_fd()]),
            Gift::Hollow => send(&about(10_000), &[memfd(10_000, false, sealed).as_fd()]),
            Gift::File => send(&about(10_000), &[file.as_fd()]),
            Gift::Socket => send(&about(10_000), &[one.as_fd()]),
            Gift::Nothing => send(&about(10_000), &[]),
            Gift::Two => send(&about(10_000), &[one.as_fd(), other.as_fd()]),
            Gift::Unannounced => (0..1000).for_each(|_| send(&frame(6, 0, &[]), &[one.as_fd()])),
            Gift::Twice => (0..2).for_each(|_| send(&about(10_000), &[memfd(10_000, true, sealed).as_fd()])),
            Gift::Unknown => send(&mention(999, 6), &[]),
        }
        std::future::pending::<()>().await;
    }
}

/// What this process has a descriptor of and whose name begins so.
fn held(name: &str) -> Vec<u32> {
    let listed = fs::read_dir("/proc/self/fd").expect("it is our own").flatten();
    let named =
        listed.filter(|entry| entry.path().read_link().is_ok_and(|what| what.to_string_lossy().starts_with(name)));
    named.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// All memory that this process has a descriptor of, opened anew for writing: nothing forbids that.
fn memories() -> Vec<File> {
    let found = held("/memfd:procession-memory").into_iter();
    let opened = found.map(|number| File::options().read(true).write(true).open(format!("/proc/self/fd/{number}")));
    let opened: Vec<_> = opened.collect::<Result<_, _>>().expect("it may be opened");
    assert!(opened.len() >= 2, "there is something to attack");
    opened
}

/// Sends bytes and descriptors to whoever listens: one of the sockets is that of the data.
fn send(bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let me = pidfd_open(getpid(), PidfdFlags::empty()).expect("this process");
    for number in held("socket:") {
        let socket = pidfd_getfd(&me, number as i32, PidfdGetfdFlags::empty()).expect("its socket");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        // Some may have no room, or be gone.
        let _ = sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

fn frame(kind: u8, handles: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = (12 + rest.len() as u32).to_le_bytes().to_vec();
    bytes.extend([1, kind, 0, handles]);
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(rest);
    bytes
}

fn handle(node: u64, number: u64) -> Vec<u8> {
    [node, 6 << 56 | number].into_iter().flat_map(u64::to_le_bytes).collect()
}

/// What tells of memory.
fn memory(node: u64, number: u64, len: u64) -> Vec<u8> {
    let about = [77, len, 0, 1].into_iter().flat_map(u64::to_le_bytes);
    frame(18, 0, &handle(node, number).into_iter().chain(about).collect::<Vec<_>>())
}

/// A reply that refers to memory.
fn mention(node: u64, number: u64) -> Vec<u8> {
    frame(3, 1, &handle(node, number))
}

fn memfd(len: u64, is_whole: bool, seals: SealFlags) -> OwnedFd {
    let file = memfd_create("hostile", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memfd");
    ftruncate(&file, len).expect("its length");
    if is_whole {
        fallocate(&file, FallocateFlags::empty(), 0, len).expect("its pages");
    }
    fcntl_add_seals(&file, seals).expect("its seals");
    file
}
