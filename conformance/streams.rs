//! What goes over a stream.

use std::io::{self, Read, Write};
use std::thread;

use super::harness::{Test, block_on, tests};
use super::leaf::Endpoint;

pub(super) const TESTS: &[Test] = tests![
    a_vanished_peer_is_the_end_for_both_kinds_of_stream,
    unread_bytes_at_the_end_are_no_error_for_the_reader,
    what_was_sent_before_the_end_is_read,
    readiness_tells_of_bytes_and_of_room,
    much_arrives_whole_and_in_order_both_ways_at_once,
    one_thread_reads_while_another_writes,
    shutdown_wakes_a_blocked_reader,
    shutdown_wakes_a_blocked_writer,
    a_clone_reads_what_the_original_would,
];

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
    for turned in [false, true] {
        block_on(async {
            let (ours, theirs) = Endpoint::pair().unwrap();
            let (ours, theirs) = if turned { (theirs, ours) } else { (ours, theirs) };
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
        let piece = [1; 64 * 1024];
        let full = loop {
            match ours.try_write(&piece) {
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
        ours.writable().await.unwrap();
        assert!(ours.try_write(&piece).unwrap() > 0);
    });
}

fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

fn much_arrives_whole_and_in_order_both_ways_at_once() {
    const MUCH: usize = 3_000_000;
    async fn exchange(stream: super::leaf::Stream) {
        let all: Vec<u8> = (0..MUCH).map(byte).collect();
        let (mut written, mut read) = (0, 0);
        let mut buf = vec![0; 100_000];
        while written < MUCH || read < MUCH {
            let ready = stream.ready(written < MUCH).await.unwrap();
            if ready.readable {
                match stream.try_read(&mut buf) {
                    Ok(n) => {
                        assert!(n > 0, "the end after {read}");
                        assert!(buf[..n].iter().enumerate().all(|(at, got)| *got == byte(read + at)));
                        read += n;
                    }
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            if ready.writable && written < MUCH {
                match stream.try_write(&all[written..]) {
                    Ok(n) => written += n,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
        }
    }
    block_on(async {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let (ours, theirs) = (ours.into_stream().unwrap(), theirs.into_stream().unwrap());
        tokio::join!(exchange(ours), exchange(theirs));
    });
}

fn one_thread_reads_while_another_writes() {
    let (ours, theirs) = Endpoint::pair().unwrap();
    let (ours, theirs) = (ours.into_blocking().unwrap(), theirs.into_blocking().unwrap());
    thread::scope(|scope| {
        // Blocked in reading, both of them, while they write.
        let readers = [&ours, &theirs].map(|mut stream| {
            scope.spawn(move || {
                let mut all = vec![0; 500_000];
                stream.read_exact(&mut all).unwrap();
                all.iter().enumerate().all(|(at, got)| *got == byte(at))
            })
        });
        for mut stream in [&ours, &theirs] {
            scope.spawn(move || {
                let all: Vec<u8> = (0..500_000).map(byte).collect();
                stream.write_all(&all).unwrap();
            });
        }
        assert!(readers.map(|reader| reader.join().unwrap()).iter().all(|whole| *whole));
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

fn shutdown_wakes_a_blocked_writer() {
    let (ours, theirs) = Endpoint::pair().unwrap();
    let ours = ours.into_blocking().unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            loop {
                if let Err(error) = (&ours).write(&[0; 64 * 1024]) {
                    return error;
                }
            }
        });
        ours.shutdown().unwrap();
        assert_eq!(writer.join().unwrap().kind(), io::ErrorKind::BrokenPipe);
    });
    drop(theirs);
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
