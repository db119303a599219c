//! What a parent hands to its child.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::harness::{PATIENCE, Role, Test, code, ended, eventually, linger, read_line, say, start_raw, tests};
use super::leaf::{Endpoint, Segment, enter_worker};

pub(super) const TESTS: &[Test] = tests![
    a_greeting_arrives_whole_and_its_journal_is_shared_both_ways,
    the_journal_outlives_the_one_who_wrote_it,
    the_largest_greeting_is_sent_to_a_child_that_does_not_read,
    a_greeting_that_is_too_long_is_refused_by_the_sender,
    a_segment_is_handed_over_once,
    a_greeting_to_the_dead_is_a_broken_pipe,
    a_dead_parent_is_an_unexpected_end,
    a_silent_parent_times_out,
    a_greeting_is_read_exactly,
    an_announced_length_beyond_the_limit_is_refused,
    a_segment_has_a_sane_size,
];

pub(super) const ROLES: &[Role] = &[("greeted", greeted), ("greeted-late", greeted_late), ("reader", reader)];

/// Answers a greeting by the journal, and over the stream that it came by.
fn greeted(args: &[String]) {
    let endpoint = enter_worker(args[0].parse().unwrap()).unwrap();
    let greeting = endpoint.receive_greeting(PATIENCE).unwrap();
    let words = greeting.journal.words();
    let asked = words[0].load(Ordering::Acquire);
    words[words.len() - 1].store(asked + 1, Ordering::Release);
    let stream = endpoint.into_blocking().unwrap();
    say(&stream, String::from_utf8(greeting.bytes).unwrap());
    linger(&stream);
    words[1].store(7, Ordering::Release);
}

/// Reads its greeting when it is told to by a file.
fn greeted_late(args: &[String]) {
    let endpoint = enter_worker(args[0].parse().unwrap()).unwrap();
    eventually("the parent is done", || Path::new(&args[1]).exists());
    let greeting = endpoint.receive_greeting(PATIENCE).unwrap();
    let stream = endpoint.into_blocking().unwrap();
    say(&stream, greeting.bytes.iter().filter(|byte| **byte == 7).count());
    say(&stream, greeting.journal.words().len());
}

/// Reads its greeting and all that comes after it, and prints both.
fn reader(args: &[String]) {
    let endpoint = enter_worker(args[0].parse().unwrap()).unwrap();
    let greeting = endpoint.receive_greeting(PATIENCE).unwrap();
    let mut rest = String::new();
    endpoint.into_blocking().unwrap().read_to_string(&mut rest).unwrap();
    println!("{} {rest}", String::from_utf8(greeting.bytes).unwrap());
}

fn a_greeting_arrives_whole_and_its_journal_is_shared_both_ways() {
    let (child, stream, seen) = start_raw("greeted", &[]);
    let journal = Segment::create(512).unwrap();
    assert!(journal.words().iter().all(|word| word.load(Ordering::Relaxed) == 0));
    journal.words()[0].store(41, Ordering::Release);
    stream.send_greeting(&child, b"hello", &journal).unwrap();
    let stream = stream.into_blocking().unwrap();
    assert_eq!(read_line(&stream), "hello");
    assert_eq!(journal.words().len(), 512);
    assert_eq!(journal.words()[511].load(Ordering::Acquire), 42);
    drop(stream);
    assert_eq!(ended(&seen).2, code(0));
    assert_eq!(journal.words()[1].load(Ordering::Acquire), 7);
}

fn the_journal_outlives_the_one_who_wrote_it() {
    let (child, stream, seen) = start_raw("greeted", &[]);
    let journal = Segment::create(2).unwrap();
    stream.send_greeting(&child, b"", &journal).unwrap();
    let stream = stream.into_blocking().unwrap();
    assert_eq!(read_line(&stream), "");
    child.kill();
    ended(&seen);
    assert_eq!(journal.words()[1].load(Ordering::Acquire), 1);
}

fn the_largest_greeting_is_sent_to_a_child_that_does_not_read() {
    let done = std::env::temp_dir().join(format!("leaf-greeting-{}", process::id()));
    let (child, stream, seen) = start_raw("greeted-late", &[done.to_str().unwrap()]);
    let started = Instant::now();
    stream.send_greeting(&child, &[7; 64 * 1024], &Segment::create(8).unwrap()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(3));
    fs::write(&done, b"").unwrap();
    let stream = stream.into_blocking().unwrap();
    assert_eq!((read_line(&stream), read_line(&stream)), ((64 * 1024).to_string(), "8".to_owned()));
    assert_eq!(ended(&seen).2, code(0));
    fs::remove_file(&done).unwrap();
}

fn a_greeting_that_is_too_long_is_refused_by_the_sender() {
    let (child, stream, _seen) = start_raw("linger", &[]);
    let segment = Segment::create(8).unwrap();
    let refused = stream.send_greeting(&child, &[7; 64 * 1024 + 1], &segment).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

fn a_segment_is_handed_over_once() {
    let (child, _keep, _seen) = start_raw("linger", &[]);
    let (ours, _theirs) = Endpoint::pair().unwrap();
    let journal = Segment::create(8).unwrap();
    ours.send_greeting(&child, b"", &journal).unwrap();
    let refused = ours.send_greeting(&child, b"", &journal).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

fn a_greeting_to_the_dead_is_a_broken_pipe() {
    let (child, stream, seen) = start_raw("hello", &[]);
    ended(&seen);
    let broken = stream.send_greeting(&child, b"anybody?", &Segment::create(8).unwrap()).unwrap_err();
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
    let (child, stream, seen) = start_raw("reader", &[]);
    stream.send_greeting(&child, b"hello", &Segment::create(8).unwrap()).unwrap();
    let mut stream = stream.into_blocking().unwrap();
    stream.write_all(b"more").unwrap();
    drop(stream);
    let (stdout, _, exit) = ended(&seen);
    assert_eq!(stdout, b"hello more\n");
    assert_eq!(exit, code(0));
}

fn an_announced_length_beyond_the_limit_is_refused() {
    let (ours, theirs) = Endpoint::pair().unwrap();
    let mut ours = ours.into_blocking().unwrap();
    ours.write_all(&[0xff; 64]).unwrap();
    let refused = theirs.receive_greeting(PATIENCE).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
}

fn a_segment_has_a_sane_size() {
    for words in [0, (1 << 17) + 1, usize::MAX] {
        let refused = Segment::create(words).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(Segment::create(1 << 17).unwrap().words().len(), 1 << 17);
}
