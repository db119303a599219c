//! What goes over a stream, and what is refused.

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

    use std::thread;
    use std::time::{Duration, Instant};

    use procession_spawn_unix::{Endpoint, Segment};
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use crate::harness::{self, PATIENCE, guarded, linger, start_raw, tests};

    pub(crate) fn main() -> ExitCode {
        harness::main(
            tests![
                the_largest_greeting_is_sent_to_a_child_that_does_not_read,
                a_greeting_to_the_dead_is_a_broken_pipe,
                a_greeting_in_pieces_is_put_together,
                an_announced_length_beyond_the_limit_is_refused,
                any_other_number_of_descriptors_is_refused_and_closed,
                descriptors_that_come_late_are_refused_and_closed,
                whatever_is_not_a_segment_is_refused_and_closed,
            ],
            &[("ungreeted", |args| {
                linger(&harness::enter(args));
            })],
        )
    }

    /// A child to name where its process does not matter.
    fn some_child() -> (procession_spawn_unix::Child, Endpoint) {
        guarded();
        let (child, stream, _) = start_raw("ungreeted", &[]);
        (child, stream)
    }

    fn send(stream: &Endpoint, bytes: &[u8]) -> io::Result<()> {
        let (child, _keep) = some_child();
        stream.send_greeting(&child, bytes, &Segment::create(8)?)
    }

    fn the_largest_greeting_is_sent_to_a_child_that_does_not_read() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let started = Instant::now();
        send(&ours, &[7; 64 * 1024]).unwrap();
        assert!(started.elapsed() < Duration::from_secs(3));
        let greeting = theirs.receive_greeting(PATIENCE).unwrap();
        assert_eq!(greeting.bytes, vec![7; 64 * 1024]);
        assert_eq!(greeting.journal.words().len(), 8);
    }

    fn a_greeting_to_the_dead_is_a_broken_pipe() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        drop(theirs);
        let broken = send(&ours, b"anybody?").unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    }

    fn a_greeting_in_pieces_is_put_together() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let journal = sealed(64);
        let sender = thread::spawn(move || {
            send_with(&ours, b"\x05", &[journal.as_fd()]);
            for piece in ["\0\0", "\0", "he", "l", "lo"] {
                thread::sleep(Duration::from_millis(2));
                send_with(&ours, piece.as_bytes(), &[]);
            }
            ours
        });
        assert_eq!(theirs.receive_greeting(PATIENCE).unwrap().bytes, b"hello");
        sender.join().unwrap();
    }

    const HELLO: &[u8] = b"\x05\0\0\0hello";

    fn send_with(stream: &Endpoint, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(100))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        let sent = sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::empty());
        assert_eq!(sent, Ok(bytes.len()));
    }

    fn memory(size: u64, seals: SealFlags) -> OwnedFd {
        let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&file, size).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file
    }

    fn sealed(size: u64) -> OwnedFd {
        memory(size, SealFlags::SHRINK | SealFlags::GROW)
    }

    fn open_descriptors() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    /// Refused for what it brings, of which nothing stays open.
    fn is_refused(bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let before = open_descriptors();
        send_with(&ours, bytes, descriptors);
        let refused = theirs.receive_greeting(PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
        drop(ours);
        drop(theirs);
        assert_eq!(open_descriptors(), before - 2);
    }

    fn an_announced_length_beyond_the_limit_is_refused() {
        is_refused(&u32::MAX.to_le_bytes(), &[]);
    }

    fn any_other_number_of_descriptors_is_refused_and_closed() {
        let (stream, _peer) = Endpoint::pair().unwrap();
        let journal = sealed(64);
        let (stream, journal) = (stream.as_fd(), journal.as_fd());
        is_refused(HELLO, &[]);
        is_refused(HELLO, &[stream, journal]);
        is_refused(HELLO, &[journal, stream]);
        for many in [2, 8, 9, 100] {
            is_refused(HELLO, &vec![journal; many]);
        }
    }

    fn descriptors_that_come_late_are_refused_and_closed() {
        let journal = sealed(64);
        let (ours, theirs) = Endpoint::pair().unwrap();
        let before = open_descriptors();
        send_with(&ours, &HELLO[..4], &[journal.as_fd()]);
        send_with(&ours, &HELLO[4..], &[journal.as_fd()]);
        let refused = theirs.receive_greeting(PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        assert_eq!(open_descriptors(), before);
    }

    fn whatever_is_not_a_segment_is_refused_and_closed() {
        let (stream, _peer) = Endpoint::pair().unwrap();
        let file = fs::File::open("/dev/zero").unwrap();
        let sealed_for_writing = memory(64, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE);
        for (what, journal) in [
            ("unsealed", memory(64, SealFlags::empty())),
            ("may shrink", memory(64, SealFlags::GROW)),
            ("may grow", memory(64, SealFlags::SHRINK)),
            ("empty", sealed(0)),
            ("half a word", sealed(60)),
            ("huge", sealed(1 << 40)),
            ("a file", file.into()),
            ("a stream", stream.as_fd().try_clone_to_owned().unwrap()),
        ] {
            println!("{what}");
            is_refused(HELLO, &[journal.as_fd()]);
        }
        // The system refuses this one, in its own words.
        let (ours, theirs) = Endpoint::pair().unwrap();
        send_with(&ours, HELLO, &[sealed_for_writing.as_fd()]);
        assert!(theirs.receive_greeting(PATIENCE).is_err());
    }
}
