//! Memory that is written once and then read by many.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::harness::{PATIENCE, Role, Test, code, ended, linger, read_line, say, start_raw, tests};
use super::leaf::{Endpoint, Memory, SealedMemory, Segment, enter_worker};
use super::system;

pub(super) const TESTS: &[Test] = tests![
    memory_is_zero_at_first_and_stays_as_it_was_written,
    memory_arrives_byte_for_byte,
    nobody_writes_sealed_memory,
    memory_outlives_the_handle_of_its_maker,
    many_memories_arrive_in_order_after_the_greeting,
    memory_is_handed_on_to_a_child_of_the_child,
    no_bytes_and_more_than_there_are_cannot_be_had,
    what_is_not_memory_is_refused,
    memory_for_the_dead_is_a_broken_pipe,
    memory_from_the_dead_is_an_unexpected_end,
    memory_that_does_not_come_times_out,
    nothing_is_left_of_memory_that_both_have_dropped,
];

pub(super) const ROLES: &[Role] = &[("memory", memory), ("memory-after-greeting", greeted), ("memory-on", hand_on)];

/// Takes as many memories as it is told to expect and drops them; tells of each its bytes and whether it can be written, and then
/// how many handles and mappings there are more than after the first.
fn memory(args: &[String]) {
    let endpoint = enter_worker(args[0].parse().unwrap()).unwrap();
    let mut lines = Vec::new();
    let mut take = || {
        let memory = endpoint.receive_memory(PATIENCE).unwrap();
        lines.push(fingerprint(&memory));
        lines.push(system::can_be_written(&memory).to_string());
    };
    take();
    let more = args[1].parse::<usize>().unwrap() - 1;
    if more > 0 {
        let before = system::open_handles() as isize;
        (0..more).for_each(|_| take());
        lines.push((system::open_handles() as isize - before).to_string());
    }
    let stream = endpoint.into_blocking().unwrap();
    for line in lines {
        say(&stream, line);
    }
    linger(&stream);
}

fn greeted(args: &[String]) {
    let endpoint = enter_worker(args[0].parse().unwrap()).unwrap();
    let control = endpoint.receive_greeting(PATIENCE).unwrap().control.into_blocking().unwrap();
    for _ in 0..args[1].parse::<usize>().unwrap() {
        say(&control, fingerprint(&endpoint.receive_memory(PATIENCE).unwrap()));
    }
    linger(&control);
}

/// Hands on what it gets, and what its own child says of it.
fn hand_on(args: &[String]) {
    let endpoint = enter_worker(args[0].parse().unwrap()).unwrap();
    let memory = endpoint.receive_memory(PATIENCE).unwrap();
    let (child, below, _seen) = start_raw("memory", &["1"]);
    below.send_memory(&child, &memory).unwrap();
    let below = below.into_blocking().unwrap();
    let stream = endpoint.into_blocking().unwrap();
    say(&stream, read_line(&below));
    say(&stream, read_line(&below));
    linger(&stream);
}

/// The number of the bytes, and a number that another order or another byte would change.
fn fingerprint(bytes: &[u8]) -> String {
    let mixed = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |mixed, byte| (mixed ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    format!("{} {mixed:x}", bytes.len())
}

fn written(len: usize) -> SealedMemory {
    let mut memory = Memory::create(len).unwrap();
    for (at, byte) in memory.as_mut_slice().iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    memory.seal().unwrap()
}

fn memory_is_zero_at_first_and_stays_as_it_was_written() {
    let mut memory = Memory::create(10_000).unwrap();
    assert_eq!(memory.as_mut_slice(), [0; 10_000]);
    memory.as_mut_slice()[9_999] = 7;
    let sealed = memory.seal().unwrap();
    let clone = sealed.clone();
    drop(sealed);
    assert_eq!((clone.len(), clone[0], clone[9_999]), (10_000, 0, 7));
}

const SIZES: [usize; 6] = [1, 4095, 4096, 4097, 70_000, 3_000_001];

fn memory_arrives_byte_for_byte() {
    for len in SIZES {
        let (child, stream, seen) = start_raw("memory", &["1"]);
        let memory = written(len);
        stream.send_memory(&child, &memory).unwrap();
        let stream = stream.into_blocking().unwrap();
        assert_eq!(read_line(&stream), fingerprint(&memory));
        assert_eq!(read_line(&stream), "false");
        drop(stream);
        assert_eq!(ended(&seen).2, code(0));
    }
}

fn nobody_writes_sealed_memory() {
    let (child, stream, _seen) = start_raw("memory", &["1"]);
    let memory = written(5000);
    assert!(!system::can_be_written(&memory));
    stream.send_memory(&child, &memory).unwrap();
    let stream = stream.into_blocking().unwrap();
    read_line(&stream);
    assert_eq!(read_line(&stream), "false");
}

fn memory_outlives_the_handle_of_its_maker() {
    let (child, stream, _seen) = start_raw("memory", &["2"]);
    let first = written(20_000);
    let expected = fingerprint(&first);
    stream.send_memory(&child, &first).unwrap();
    drop(first);
    stream.send_memory(&child, &written(1)).unwrap();
    let stream = stream.into_blocking().unwrap();
    assert_eq!(read_line(&stream), expected);
}

fn many_memories_arrive_in_order_after_the_greeting() {
    let (child, stream, seen) = start_raw("memory-after-greeting", &["20"]);
    let (control, theirs) = Endpoint::pair().unwrap();
    stream.send_greeting(&child, b"hello", theirs, &Segment::create(8).unwrap()).unwrap();
    let memories: Vec<_> = (0..20).map(|turn| written(1000 + turn)).collect();
    for memory in &memories {
        stream.send_memory(&child, memory).unwrap();
    }
    let control = control.into_blocking().unwrap();
    for memory in &memories {
        assert_eq!(read_line(&control), fingerprint(memory));
    }
    drop(control);
    assert_eq!(ended(&seen).2, code(0));
}

fn memory_is_handed_on_to_a_child_of_the_child() {
    let (child, stream, _seen) = start_raw("memory-on", &[]);
    let memory = written(12_345);
    stream.send_memory(&child, &memory).unwrap();
    let stream = stream.into_blocking().unwrap();
    assert_eq!((read_line(&stream), read_line(&stream)), (fingerprint(&memory), "false".to_owned()));
}

fn no_bytes_and_more_than_there_are_cannot_be_had() {
    let refused = Memory::create(0).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    for len in [1 << 60, isize::MAX as usize, usize::MAX] {
        let refused = Memory::create(len).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory, "{refused}");
        assert!(refused.to_string().contains(&len.to_string()), "{refused}");
    }
}

fn what_is_not_memory_is_refused() {
    for bytes in [[0; 64], [0xff; 64], [1; 64]] {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let mut ours = ours.into_blocking().unwrap();
        ours.write_all(&bytes).unwrap();
        let refused = theirs.receive_memory(PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
    }
}

fn memory_for_the_dead_is_a_broken_pipe() {
    let (child, stream, seen) = start_raw("hello", &[]);
    ended(&seen);
    let broken = stream.send_memory(&child, &written(1)).unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
}

fn memory_from_the_dead_is_an_unexpected_end() {
    for half in [&b""[..], b"\x05\0"] {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let mut ours = ours.into_blocking().unwrap();
        ours.write_all(half).unwrap();
        drop(ours);
        let ended = theirs.receive_memory(PATIENCE).unwrap_err().kind();
        assert_eq!(ended, io::ErrorKind::UnexpectedEof);
    }
}

fn memory_that_does_not_come_times_out() {
    let (_ours, theirs) = Endpoint::pair().unwrap();
    let started = Instant::now();
    let late = theirs.receive_memory(Duration::from_millis(50)).unwrap_err();
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    assert!(started.elapsed() >= Duration::from_millis(50));
}

const FEW: usize = 3;

fn nothing_is_left_of_memory_that_both_have_dropped() {
    let (child, stream, _seen) = start_raw("memory", &["50"]);
    // The first brings what this process keeps.
    stream.send_memory(&child, &written(1)).unwrap();
    let before = system::open_handles();
    for turn in 1..50 {
        stream.send_memory(&child, &written(4000 + turn)).unwrap();
    }
    // A system may keep one or the other for itself, but not one for each.
    assert!(system::open_handles() <= before + FEW);
    let stream = stream.into_blocking().unwrap();
    for _ in 0..50 {
        read_line(&stream);
        assert_eq!(read_line(&stream), "false");
    }
    let left: isize = read_line(&stream).parse().unwrap();
    assert!(left <= FEW as isize, "{left} handles and mappings are left in the child");
}
