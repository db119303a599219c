//! Large payloads: through a socket, and in memory that both sides have.

use std::fs::File;
use std::hint::black_box;
use std::io::{ErrorKind, Read, Result, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use super::Kid;
use super::messages::timed;

/// Length, first and last byte.
type Answer = [u8; 10];

/// What a receiver answers.
pub(crate) fn answer_of(bytes: &[u8]) -> (u64, u8, u8) {
    (bytes.len() as u64, bytes.first().copied().unwrap_or_default(), bytes.last().copied().unwrap_or_default())
}

fn encoded((length, first, last): (u64, u8, u8)) -> Answer {
    let mut answer = [first; 10];
    answer[..8].copy_from_slice(&length.to_le_bytes());
    answer[9] = last;
    answer
}

fn expect(stream: &mut UnixStream, bytes: &[u8]) -> Result<()> {
    let mut answer = Answer::default();
    stream.read_exact(&mut answer)?;
    if answer == encoded(answer_of(bytes)) { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

/// Reads a length and as many bytes, always into the same buffer, and answers.
pub(super) fn receive_bytes(stream: &mut UnixStream) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        let mut length = [0; 8];
        stream.read_exact(&mut length)?;
        buffer.resize(u64::from_le_bytes(length) as usize, 0);
        stream.read_exact(&mut buffer)?;
        stream.write_all(&encoded(answer_of(&buffer)))?;
    }
}

/// How long each of `times` sendings through a socket takes.
pub(crate) fn through_socket(bytes: &[u8], times: usize) -> Result<Vec<Duration>> {
    let mut kid = Kid::start(&["bytes"])?;
    let mut send = || {
        kid.stream.write_all(&(bytes.len() as u64).to_le_bytes())?;
        kid.stream.write_all(bytes)?;
        expect(&mut kid.stream, bytes)
    };
    warm_then(times, &mut send)
}

/// How long each of `times` copies takes, within this process and into memory that is there already.
pub(crate) fn copied(bytes: &[u8], times: usize) -> Result<Vec<Duration>> {
    let mut into = vec![0; bytes.len()];
    let mut copy = || {
        into.copy_from_slice(black_box(bytes));
        black_box(&into);
        Ok(())
    };
    warm_then(times, &mut copy)
}

fn warm_then(times: usize, act: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Duration>> {
    act()?;
    (0..times)
        .map(|_| {
            let began = Instant::now();
            act()?;
            Ok(began.elapsed())
        })
        .collect()
}

/// Opens a file in memory and, at each word, answers for what is in it now.
pub(super) fn receive_file(stream: &mut UnixStream, path: &str) -> Result<()> {
    let file = File::open(path)?;
    let (mut first, mut last) = ([0], [0]);
    loop {
        stream.read_exact(&mut [0])?;
        let length = file.metadata()?.len();
        file.read_exact_at(&mut first, 0)?;
        file.read_exact_at(&mut last, length - 1)?;
        stream.write_all(&encoded((length, first[0], last[0])))?;
    }
}

/// A file that lives in memory, and a child that has opened it.
fn shared_file() -> Result<(File, Kid)> {
    let file = File::from(memfd_create("procession-bench", MemfdFlags::CLOEXEC)?);
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let kid = Kid::start(&["file", &path])?;
    Ok((file, kid))
}

/// How long each of `times` words takes about bytes that both sides have already.
pub(crate) fn handovers(bytes: &[u8], times: usize) -> Result<Vec<Duration>> {
    let (mut file, mut kid) = shared_file()?;
    file.write_all(bytes)?;
    timed(times, || {
        kid.say()?;
        expect(&mut kid.stream, bytes)
    })
}

/// How long it takes each of `times` times to fill new memory and tell of it.
pub(crate) fn through_new_memory(bytes: &[u8], times: usize) -> Result<Vec<Duration>> {
    let (mut file, mut kid) = shared_file()?;
    let mut fill = || {
        // Its pages go and come anew.
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(bytes)?;
        kid.say()?;
        expect(&mut kid.stream, bytes)
    };
    warm_then(times, &mut fill)
}
