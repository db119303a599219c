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
    use std::io::{self, IoSlice, Read, Write};
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::process::ExitCode;
    use std::sync::atomic::Ordering;
    use std::thread;
    use std::time::{Duration, Instant};

    use procession_spawn_unix::{Endpoint, Segment, enter_worker};
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use crate::harness::{self, PATIENCE, block_on, code, ended, guarded, linger, say, start_raw, tests};

    pub(crate) fn main() -> ExitCode {
        harness::main(
            tests![
                a_greeting_arrives_whole_and_its_journal_is_shared_both_ways,
                the_journal_outlives_the_one_who_wrote_it,
                the_largest_greeting_is_sent_to_a_child_that_does_not_read,
                a_greeting_that_is_too_long_is_refused_by_the_sender,
                a_segment_is_handed_over_once,
                a_greeting_to_the_dead_is_a_broken_pipe,
                a_dead_parent_is_an_unexpected_end,
                a_silent_parent_times_out,
                a_greeting_is_read_exactly,
                a_greeting_in_pieces_is_put_together,
                an_announced_length_beyond_the_limit_is_refused,
                any_other_number_of_descriptors_is_refused_and_closed,
                descriptors_that_come_late_are_refused_and_closed,
                whatever_is_not_a_segment_is_refused_and_closed,
                whatever_is_not_a_stream_is_refused_and_closed,
                a_segment_has_a_sane_size,
                a_vanished_peer_is_the_end_for_both_kinds_of_stream,
                unread_bytes_at_the_end_are_no_error_for_the_reader,
                what_was_sent_before_the_end_is_read,
                readiness_tells_of_bytes_and_of_room,
                shutdown_wakes_a_blocked_reader,
                a_clone_reads_what_the_original_would,
            ],
            &[
                ("greeted", greeted),
                ("ungreeted", |args| {
                    linger(&harness::enter(args));
                }),
            ],
        )
    }

    /// Answers a greeting by the journal, over the control stream.
    fn greeted(args: &[String]) {
        let endpoint = enter_worker(args[0].parse().unwrap()).unwrap();
        let greeting = endpoint.receive_greeting(PATIENCE).unwrap();
        let words = greeting.journal.words();
        let asked = words[0].load(Ordering::Acquire);
        words[words.len() - 1].store(asked + 1, Ordering::Release);
        let control = greeting.control.into_blocking().unwrap();
        say(&control, String::from_utf8(greeting.bytes).unwrap());
        linger(&control);
        words[1].store(7, Ordering::Release);
    }

    fn a_greeting_arrives_whole_and_its_journal_is_shared_both_ways() {
        guarded();
        let (child, stream, seen) = start_raw("greeted", &[]);
        let (control, theirs) = Endpoint::pair().unwrap();
        let journal = Segment::create(512).unwrap();
        assert!(journal.words().iter().all(|word| word.load(Ordering::Relaxed) == 0));
        journal.words()[0].store(41, Ordering::Release);
        stream.send_greeting(&child, b"hello", theirs, &journal).unwrap();
        let control = control.into_blocking().unwrap();
        assert_eq!(harness::read_line(&control), "hello");
        assert_eq!(journal.words().len(), 512);
        assert_eq!(journal.words()[511].load(Ordering::Acquire), 42);
        drop(control);
        assert_eq!(ended(&seen).2, code(0));
        assert_eq!(journal.words()[1].load(Ordering::Acquire), 7);
    }

    fn the_journal_outlives_the_one_who_wrote_it() {
        guarded();
        let (child, stream, seen) = start_raw("greeted", &[]);
        let (control, theirs) = Endpoint::pair().unwrap();
        let journal = Segment::create(2).unwrap();
        stream.send_greeting(&child, b"", theirs, &journal).unwrap();
        let control = control.into_blocking().unwrap();
        assert_eq!(harness::read_line(&control), "");
        child.kill();
        ended(&seen);
        assert_eq!(journal.words()[1].load(Ordering::Acquire), 1);
    }

    /// A child to name where its process does not matter.
    fn some_child() -> (procession_spawn_unix::Child, Endpoint) {
        guarded();
        let (child, stream, _) = start_raw("ungreeted", &[]);
        (child, stream)
    }

    fn send(stream: &Endpoint, bytes: &[u8]) -> io::Result<()> {
        let (child, _keep) = some_child();
        let (_, control) = Endpoint::pair()?;
        stream.send_greeting(&child, bytes, control, &Segment::create(8)?)
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

    fn a_greeting_that_is_too_long_is_refused_by_the_sender() {
        let (ours, _theirs) = Endpoint::pair().unwrap();
        let refused = send(&ours, &[7; 64 * 1024 + 1]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    fn a_segment_is_handed_over_once() {
        let (child, _keep) = some_child();
        let (ours, _theirs) = Endpoint::pair().unwrap();
        let journal = Segment::create(8).unwrap();
        let control = || Endpoint::pair().unwrap().1;
        ours.send_greeting(&child, b"", control(), &journal).unwrap();
        let refused = ours.send_greeting(&child, b"", control(), &journal).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    fn a_greeting_to_the_dead_is_a_broken_pipe() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        drop(theirs);
        let broken = send(&ours, b"anybody?").unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    }

    fn a_dead_parent_is_an_unexpected_end() {
        for half in [&b""[..], b"\x05\0", b"\x05\0\0\0he"] {
            let (ours, theirs) = Endpoint::pair().unwrap();
            let mut ours = ours.into_blocking().unwrap();
            ours.write_all(half).unwrap();
            drop(ours);
            let ended = theirs.receive_greeting(PATIENCE).unwrap_err();
            assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    fn a_silent_parent_times_out() {
        let (_ours, theirs) = Endpoint::pair().unwrap();
        let started = Instant::now();
        let late = theirs.receive_greeting(Duration::from_millis(50)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= Duration::from_millis(50));
    }

    fn a_greeting_is_read_exactly() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        send(&ours, b"hello").unwrap();
        let mut ours = ours.into_blocking().unwrap();
        ours.write_all(b"more").unwrap();
        drop(ours);
        assert_eq!(theirs.receive_greeting(PATIENCE).unwrap().bytes, b"hello");
        let mut rest = Vec::new();
        theirs.into_blocking().unwrap().read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"more");
    }

    fn a_greeting_in_pieces_is_put_together() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let (_, control) = Endpoint::pair().unwrap();
        let journal = sealed(64);
        let sender = thread::spawn(move || {
            send_with(&ours, b"\x05", &[control.as_fd(), journal.as_fd()]);
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
        let (control, _peer) = Endpoint::pair().unwrap();
        let journal = sealed(64);
        let (control, journal) = (control.as_fd(), journal.as_fd());
        is_refused(HELLO, &[]);
        is_refused(HELLO, &[control]);
        is_refused(HELLO, &[control, journal, control]);
        is_refused(HELLO, &[journal; 8]);
        is_refused(HELLO, &[journal; 9]);
        is_refused(HELLO, &[journal; 100]);
    }

    fn descriptors_that_come_late_are_refused_and_closed() {
        let (control, _peer) = Endpoint::pair().unwrap();
        let journal = sealed(64);
        let (ours, theirs) = Endpoint::pair().unwrap();
        let before = open_descriptors();
        send_with(&ours, &HELLO[..4], &[control.as_fd(), journal.as_fd()]);
        send_with(&ours, &HELLO[4..], &[journal.as_fd()]);
        let refused = theirs.receive_greeting(PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        assert_eq!(open_descriptors(), before);
    }

    fn whatever_is_not_a_segment_is_refused_and_closed() {
        let (control, _peer) = Endpoint::pair().unwrap();
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
            ("a stream", control.as_fd().try_clone_to_owned().unwrap()),
        ] {
            println!("{what}");
            is_refused(HELLO, &[control.as_fd(), journal.as_fd()]);
        }
        // The system refuses this one, in its own words.
        let (ours, theirs) = Endpoint::pair().unwrap();
        send_with(&ours, HELLO, &[control.as_fd(), sealed_for_writing.as_fd()]);
        assert!(theirs.receive_greeting(PATIENCE).is_err());
    }

    fn whatever_is_not_a_stream_is_refused_and_closed() {
        let journal = sealed(64);
        let file = fs::File::open("/dev/null").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let datagrams = std::os::unix::net::UnixDatagram::unbound().unwrap();
        for control in [file.as_fd(), listener.as_fd(), datagrams.as_fd()] {
            is_refused(HELLO, &[control, journal.as_fd()]);
        }
    }

    fn a_segment_has_a_sane_size() {
        for words in [0, (1 << 17) + 1, usize::MAX] {
            let refused = Segment::create(words).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(Segment::create(1 << 17).unwrap().words().len(), 1 << 17);
    }

    fn a_vanished_peer_is_the_end_for_both_kinds_of_stream() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let mut ours = ours.into_blocking().unwrap();
        drop(theirs);
        assert_eq!(ours.read(&mut [0; 8]).unwrap(), 0);
        let broken = ours.write(b"anybody?").unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
        block_on(async {
            let (ours, theirs) = Endpoint::pair().unwrap();
            let ours = ours.into_stream().unwrap();
            drop(theirs);
            assert!(ours.ready(false).await.unwrap().readable);
            assert_eq!(ours.try_read(&mut [0; 8]).unwrap(), 0);
            assert!(ours.ready(true).await.unwrap().writable);
            let broken = ours.try_write(b"anybody?").unwrap_err();
            assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
        });
    }

    fn unread_bytes_at_the_end_are_no_error_for_the_reader() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let mut ours = ours.into_blocking().unwrap();
        ours.write_all(b"never read").unwrap();
        drop(theirs);
        assert_eq!(ours.read(&mut [0; 8]).unwrap(), 0);
        for write_first in [true, false] {
            block_on(async {
                let (ours, theirs) = Endpoint::pair().unwrap();
                let ours = ours.into_stream().unwrap();
                ours.ready(true).await.unwrap();
                assert_eq!(ours.try_write(b"never read").unwrap(), 10);
                drop(theirs);
                if write_first {
                    let broken = ours.try_write(b"more").unwrap_err();
                    assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
                }
                ours.ready(false).await.unwrap();
                assert_eq!(ours.try_read_buf(&mut Vec::with_capacity(8)).unwrap(), 0);
            });
        }
    }

    fn what_was_sent_before_the_end_is_read() {
        block_on(async {
            let (ours, theirs) = Endpoint::pair().unwrap();
            let ours = ours.into_stream().unwrap();
            ours.ready(true).await.unwrap();
            ours.try_write(b"never read").unwrap();
            theirs.into_blocking().unwrap().write_all(b"last words").unwrap();
            ours.ready(false).await.unwrap();
            let mut buf = [0; 32];
            assert_eq!(ours.try_read(&mut buf).unwrap(), 10);
            assert_eq!(&buf[..10], b"last words");
            ours.ready(false).await.unwrap();
            assert_eq!(ours.try_read(&mut buf).unwrap(), 0);
        });
    }

    fn readiness_tells_of_bytes_and_of_room() {
        block_on(async {
            let (ours, theirs) = Endpoint::pair().unwrap();
            let (ours, theirs) = (ours.into_stream().unwrap(), theirs.into_stream().unwrap());
            let ready = ours.ready(true).await.unwrap();
            assert!(ready.writable);
            assert!(!ready.readable);
            let blocked = ours.try_read(&mut [0; 8]).unwrap_err();
            assert_eq!(blocked.kind(), io::ErrorKind::WouldBlock);
            let mut sent = 0;
            let full = loop {
                match ours.try_write(&[1; 64 * 1024]) {
                    Ok(n) => sent += n,
                    Err(error) => break error,
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            let mut read = 0;
            while read < sent {
                assert!(theirs.ready(false).await.unwrap().readable);
                let mut buf = bytes::BytesMut::with_capacity(64 * 1024);
                match theirs.try_read_buf(&mut buf) {
                    Ok(n) => read += n,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            assert!(ours.ready(true).await.unwrap().writable);
            assert_eq!(ours.try_write(b"room").unwrap(), 4);
        });
    }

    fn shutdown_wakes_a_blocked_reader() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let ours = ours.into_blocking().unwrap();
        let mut theirs = theirs.into_blocking().unwrap();
        thread::scope(|scope| {
            let reader = scope.spawn(|| (&ours).read(&mut [0; 8]));
            // Before or after it blocks: it returns.
            ours.shutdown().unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), 0);
        });
        ours.shutdown().unwrap();
        assert_eq!(theirs.read(&mut [0; 8]).unwrap(), 0);
        drop(theirs);
        ours.shutdown().unwrap();
    }

    fn a_clone_reads_what_the_original_would() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let ours = ours.into_blocking().unwrap();
        let mut clone = ours.try_clone().unwrap();
        drop(ours);
        let mut theirs = theirs.into_blocking().unwrap();
        theirs.write_all(b"ab").unwrap();
        let mut buf = [0; 2];
        clone.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"ab");
    }
}
