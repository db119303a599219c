//! The peer procspawn: `thread::spawn` with processes, and its pool.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

use ipc_channel::ipc::{IpcReceiver, IpcSender, channel};
use procspawn::{JoinHandle, Pool};

use super::bare::messages::timed;
use super::system;

/// Tasks that a pool has at a time: each holds descriptors of this process, of which there are a thousand.
const OPEN: usize = 64;

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::other(error)
}

fn echo(message: [u8; 32]) -> [u8; 32] {
    message
}

fn square(x: u64) -> u64 {
    x.wrapping_mul(x)
}

/// Says that it is there, and waits for the parent's end.
fn idle((here, end): (IpcSender<()>, IpcReceiver<()>)) {
    let _ = here.send(());
    let _ = end.recv();
}

/// How long each of `count` processes takes from its start to its result.
pub(crate) fn starts(count: usize) -> Result<Vec<Duration>> {
    (0..count)
        .map(|_| {
            let began = Instant::now();
            procspawn::spawn([7; 32], echo).join().map_err(failed)?;
            Ok(began.elapsed())
        })
        .collect()
}

/// Tasks of a pool with one process, one after the other.
pub(crate) fn round_trips(count: usize) -> Result<Vec<Duration>> {
    let pool = Pool::new(1).map_err(failed)?;
    let times = timed(count, || pool.spawn([7; 32], echo).join().map(drop).map_err(failed));
    pool.shutdown();
    times
}

/// Tasks in a second by a pool.
pub(crate) fn squares(tasks: usize, workers: usize) -> Result<f64> {
    let pool = Pool::new(workers).map_err(failed)?;
    // They are there when they have answered.
    let first: Vec<_> = (0..workers).map(|_| pool.spawn(1, square)).collect();
    first.into_iter().try_for_each(|one| one.join().map(drop)).map_err(failed)?;
    let began = Instant::now();
    let mut submitted = VecDeque::new();
    let mut next = 0..tasks as u64;
    for x in 0..tasks as u64 {
        submitted.extend(next.by_ref().take(OPEN - submitted.len()).map(|x| pool.spawn(x, square)));
        let result = submitted.pop_front().ok_or(ErrorKind::NotFound)?.join().map_err(failed)?;
        if result != square(x) {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    let took = began.elapsed();
    pool.shutdown();
    Ok(tasks as f64 / took.as_secs_f64())
}

/// A process that waits, and what keeps it.
pub(crate) struct Idle {
    handle: JoinHandle<()>,
    _end: IpcSender<()>,
}

impl Idle {
    fn start() -> Result<Self> {
        let (here, told) = channel()?;
        let (end, ends) = channel()?;
        let handle = procspawn::spawn((here, ends), idle);
        told.recv().map_err(failed)?;
        Ok(Self { handle, _end: end })
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.handle.pid().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

pub(crate) fn crowd(count: usize) -> Result<Vec<Idle>> {
    (0..count).map(|_| Idle::start()).collect()
}

/// How long it takes from the kill of each of `count` processes until its `join` fails.
pub(crate) fn deaths(count: usize) -> Result<Vec<Duration>> {
    (0..count)
        .map(|_| {
            let idle = Idle::start()?;
            let pid = idle.pid()?;
            let began = Instant::now();
            system::kill(pid)?;
            match idle.handle.join() {
                Err(_) => Ok(began.elapsed()),
                Ok(()) => Err(ErrorKind::InvalidData.into()),
            }
        })
        .collect()
}
