//! Messages of 32 bytes: one outstanding, and many.

use std::hint::black_box;
use std::io::{ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Kid;
use super::frames::{self, Frames};

/// A message with what it takes to know its answer by.
#[derive(Debug, Serialize, Deserialize)]
struct Numbered {
    number: u64,
    body: [u8; 32],
}

/// Round trips before the first that counts.
pub(crate) const WARM_UP: usize = 100;

// One outstanding, blocking.

pub(super) fn echo(stream: &mut UnixStream) -> Result<()> {
    let mut message = [0; 32];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}

pub(crate) fn round_trips(count: usize) -> Result<Vec<Duration>> {
    let mut kid = Kid::start(&["echo"])?;
    let mut message = [7; 32];
    timed(count, || {
        kid.stream.write_all(&message)?;
        kid.stream.read_exact(&mut message)
    })
}

/// The times of `count` acts, after some that do not count.
pub(crate) fn timed(count: usize, mut act: impl FnMut() -> Result<()>) -> Result<Vec<Duration>> {
    for _ in 0..WARM_UP.min(count) {
        act()?;
    }
    (0..count)
        .map(|_| {
            let began = Instant::now();
            act()?;
            Ok(began.elapsed())
        })
        .collect()
}

// The same, polled: whoever has nothing to read yields the core and looks again.

pub(super) fn echo_yielding(stream: &mut UnixStream) -> Result<()> {
    stream.set_nonblocking(true)?;
    let mut message = [0; 32];
    loop {
        read_yielding(stream, &mut message)?;
        stream.write_all(&message)?;
    }
}

pub(crate) fn round_trips_yielding(count: usize) -> Result<Vec<Duration>> {
    let mut kid = Kid::start(&["echo-yield"])?;
    kid.stream.set_nonblocking(true)?;
    let mut message = [7; 32];
    timed(count, || {
        kid.stream.write_all(&message)?;
        read_yielding(&mut kid.stream, &mut message)
    })
}

fn read_yielding(stream: &mut UnixStream, mut into: &mut [u8]) -> Result<()> {
    while !into.is_empty() {
        match stream.read(into) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => into = &mut into[read..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => yield_now(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

// The same on tokio, one thread on each side.

pub(crate) fn one_thread() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

pub(crate) fn onto_tokio(stream: UnixStream) -> Result<tokio::net::UnixStream> {
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}

pub(super) fn echo_tokio(stream: UnixStream) -> Result<()> {
    one_thread()?.block_on(async {
        let mut stream = onto_tokio(stream)?;
        let mut message = [0; 32];
        loop {
            stream.read_exact(&mut message).await?;
            stream.write_all(&message).await?;
        }
    })
}

pub(crate) fn round_trips_tokio(count: usize) -> Result<Vec<Duration>> {
    let kid = Kid::start(&["echo-tokio"])?;
    one_thread()?.block_on(async {
        let mut stream = onto_tokio(kid.stream.try_clone()?)?;
        let mut message = [7; 32];
        let mut times = Vec::with_capacity(count);
        for turn in 0..count + WARM_UP.min(count) {
            let began = Instant::now();
            stream.write_all(&message).await?;
            stream.read_exact(&mut message).await?;
            if turn >= WARM_UP.min(count) {
                times.push(began.elapsed());
            }
        }
        Ok(times)
    })
}

// Many outstanding.

/// Answers every whole frame of a read, with one write for all or one for each.
pub(super) fn answer(stream: &mut UnixStream, each: bool) -> Result<()> {
    let mut frames = Frames::new();
    let mut out = Vec::new();
    loop {
        frames.fill(stream)?;
        while let Some(frame) = frames.next()? {
            frames::push(&frames::value::<Numbered>(frame)?, &mut out)?;
            if each {
                flush(stream, &mut out)?;
            }
        }
        flush(stream, &mut out)?;
    }
}

/// Requests answered in a second while `window` are outstanding.
///
/// Both sides block in their writes, so what is outstanding must fit into the sockets: with one write for each message
/// that is a quarter of a thousand.
pub(crate) fn request_reply(count: usize, window: usize, each: bool) -> Result<f64> {
    let mut kid = Kid::start(&["answer", if each { "each" } else { "all" }])?;
    let mut frames = Frames::new();
    let mut out = Vec::new();
    let began = Instant::now();
    let (mut asked, mut answered) = (0, 0);
    while answered < count {
        while asked < count && asked - answered < window {
            frames::push(&Numbered { number: asked as u64, body: [7; 32] }, &mut out)?;
            asked += 1;
            if each {
                flush(&mut kid.stream, &mut out)?;
            }
        }
        flush(&mut kid.stream, &mut out)?;
        frames.fill(&mut kid.stream)?;
        while let Some(frame) = frames.next()? {
            black_box(frames::value::<Numbered>(frame)?);
            answered += 1;
        }
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

fn flush(stream: &mut UnixStream, out: &mut Vec<u8>) -> Result<()> {
    stream.write_all(out)?;
    out.clear();
    Ok(())
}

/// Takes messages until one has the number 0, which it answers.
pub(super) fn count(stream: &mut UnixStream) -> Result<()> {
    let mut frames = Frames::new();
    loop {
        frames.fill(stream)?;
        while let Some(frame) = frames.next()? {
            if black_box(frames::value::<Numbered>(frame)?).number == 0 {
                stream.write_all(&[1])?;
            }
        }
    }
}

/// Messages taken in a second by a child that answers only the last, in batches of `batch` to a write.
pub(crate) fn one_way(count: usize, batch: usize) -> Result<f64> {
    let mut kid = Kid::start(&["count"])?;
    let mut out = Vec::new();
    let began = Instant::now();
    for number in (0..count as u64).rev() {
        frames::push(&Numbered { number, body: [7; 32] }, &mut out)?;
        if (number as usize).is_multiple_of(batch) {
            flush(&mut kid.stream, &mut out)?;
        }
    }
    kid.await_word()?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
