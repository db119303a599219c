//! Servers in this process, and children that are their clients: a lock and a list.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::Kid;

/// What a client asks a lock for, and what it is told.
const ACQUIRE: u8 = b'a';
const RELEASE: u8 = b'r';
const GRANTED: u8 = b'g';

/// An item of a list.
const ITEM: usize = 32;

/// Acquires and releases a lock this often, when told to begin.
pub(super) fn lock(stream: &mut UnixStream, times: usize) -> Result<()> {
    stream.write_all(&[1])?;
    stream.read_exact(&mut [0])?;
    // What comes after a release goes out with it.
    stream.write_all(&[ACQUIRE])?;
    for turn in 1..=times {
        stream.read_exact(&mut [0])?;
        stream.write_all(&[RELEASE])?;
        if turn < times {
            stream.write_all(&[ACQUIRE])?;
        }
    }
    stream.read_exact(&mut [0])
}

/// Acquisitions of one lock in a second by this many clients, first come, first served.
pub(crate) fn acquisitions(clients: usize, times: usize) -> Result<f64> {
    let mut kids = clients_of(clients, &["lock", &times.to_string()])?;
    let began = Instant::now();
    kids.iter_mut().try_for_each(Kid::say)?;
    let (mut held, mut granted, mut released) = (false, 0, 0);
    let mut waiting = VecDeque::new();
    while released < clients * times {
        for at in readable(&kids)? {
            let mut words = [0; 64];
            let read = kids[at].stream.read(&mut words)?;
            for word in &words[..read] {
                match *word {
                    ACQUIRE => waiting.push_back(at),
                    RELEASE => {
                        held = false;
                        released += 1;
                    }
                    _ => return Err(ErrorKind::InvalidData.into()),
                }
            }
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        if !held && let Some(next) = waiting.pop_front() {
            held = true;
            granted += 1;
            kids[next].stream.write_all(&[GRANTED])?;
        }
    }
    let took = began.elapsed();
    if granted == released { Ok(granted as f64 / took.as_secs_f64()) } else { Err(ErrorKind::InvalidData.into()) }
}

/// Children that have begun.
fn clients_of(clients: usize, work: &[&str]) -> Result<Vec<Kid>> {
    let mut kids: Vec<Kid> = (0..clients).map(|_| Kid::start(work)).collect::<Result<_>>()?;
    kids.iter_mut().try_for_each(Kid::await_word)?;
    Ok(kids)
}

/// Waits until some have something to say; which.
fn readable(kids: &[Kid]) -> Result<Vec<usize>> {
    let mut fds: Vec<_> = kids.iter().map(|kid| PollFd::new(&kid.stream, PollFlags::IN)).collect();
    poll(&mut fds, None)?;
    let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
    Ok(fds.iter().enumerate().filter(|(_, fd)| is_ready(fd)).map(|(at, _)| at).collect())
}

/// Appends items, when told to begin, up to `window` of them not acknowledged.
pub(super) fn append(stream: &mut UnixStream, items: usize, window: usize) -> Result<()> {
    stream.write_all(&[1])?;
    stream.read_exact(&mut [0])?;
    let batch = vec![7; window * ITEM];
    let (mut sent, mut known) = (0, 0);
    while known < items {
        let room = (window - (sent - known)).min(items - sent);
        stream.write_all(&batch[..room * ITEM])?;
        sent += room;
        let mut acknowledged = [0; 4];
        stream.read_exact(&mut acknowledged)?;
        known += u32::from_le_bytes(acknowledged) as usize;
    }
    stream.read_exact(&mut [0])
}

/// Appends to one list in a second by this many clients; acknowledged once for each read.
pub(crate) fn appends(clients: usize, items: usize, window: usize) -> Result<f64> {
    let mut kids = clients_of(clients, &["append", &items.to_string(), &window.to_string()])?;
    let mut list: Vec<[u8; ITEM]> = Vec::new();
    let mut parts = vec![Vec::new(); clients];
    let mut buffer = vec![0; 64 << 10];
    let began = Instant::now();
    kids.iter_mut().try_for_each(Kid::say)?;
    while list.len() < clients * items {
        for at in readable(&kids)? {
            let read = kids[at].stream.read(&mut buffer)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let part = &mut parts[at];
            part.extend_from_slice(&buffer[..read]);
            let (whole, _) = part.as_chunks::<ITEM>();
            list.extend_from_slice(whole);
            let count = whole.len();
            part.drain(..count * ITEM);
            if count > 0 {
                kids[at].stream.write_all(&(count as u32).to_le_bytes())?;
            }
        }
    }
    Ok(list.len() as f64 / began.elapsed().as_secs_f64())
}
