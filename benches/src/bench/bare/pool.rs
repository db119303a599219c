//! A pool of two sockets: tasks out in windows, results straight into their places.

use std::io::{ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::Kid;

/// A task or a result: its place, then its value.
const ITEM: usize = 16;

/// Answers every whole task of a read with one write.
pub(super) fn square(stream: &mut UnixStream) -> Result<()> {
    let mut buffer = vec![0; 4096 * ITEM];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
        let whole = filled - filled % ITEM;
        for item in buffer[..whole].as_chunks_mut::<ITEM>().0 {
            let (place, x) = parts(item);
            *item = joined(place, x.wrapping_mul(x));
        }
        stream.write_all(&buffer[..whole])?;
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

fn parts(item: &[u8; ITEM]) -> (u64, u64) {
    let whole = u128::from_le_bytes(*item);
    (whole as u64, (whole >> 64) as u64)
}

fn joined(place: u64, value: u64) -> [u8; ITEM] {
    (u128::from(value) << 64 | u128::from(place)).to_le_bytes()
}

/// Tasks in a second by this many workers, each of which is given up to `window` of them, and more when half are done.
pub(crate) fn squares(tasks: usize, workers: usize, window: usize) -> Result<f64> {
    let mut kids: Vec<Kid> = (0..workers).map(|_| Kid::start(&["square"])).collect::<Result<_>>()?;
    // They are there when they have answered.
    for kid in &mut kids {
        kid.stream.write_all(&joined(0, 1))?;
        kid.stream.read_exact(&mut [0; ITEM])?;
    }
    let results: Vec<AtomicU64> = (0..tasks).map(|_| AtomicU64::new(0)).collect();
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        let serving: Vec<_> =
            kids.iter_mut().map(|kid| scope.spawn(|| serve(&mut kid.stream, window, &next, &results))).collect();
        serving.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| Err(ErrorKind::Other.into())))
    })?;
    let took = began.elapsed();
    let right = results.iter().enumerate().all(|(x, square)| square.load(Ordering::Relaxed) == (x * x) as u64);
    if right { Ok(tasks as f64 / took.as_secs_f64()) } else { Err(ErrorKind::InvalidData.into()) }
}

fn serve(stream: &mut UnixStream, window: usize, next: &AtomicUsize, results: &[AtomicU64]) -> Result<()> {
    let mut out = Vec::with_capacity(window * ITEM);
    let mut buffer = vec![0; 4096 * ITEM];
    let (mut filled, mut outstanding) = (0, 0);
    loop {
        if outstanding <= window / 2 {
            let first = next.fetch_add(window - outstanding, Ordering::Relaxed);
            for x in first..results.len().min(first + window - outstanding) {
                out.extend_from_slice(&joined(x as u64, x as u64));
            }
            outstanding += out.len() / ITEM;
            stream.write_all(&out)?;
            out.clear();
        }
        if outstanding == 0 {
            return Ok(());
        }
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
        let whole = filled - filled % ITEM;
        for item in buffer[..whole].as_chunks::<ITEM>().0 {
            let (place, value) = parts(item);
            let place = results.get(place as usize).ok_or(ErrorKind::InvalidData)?;
            place.store(value, Ordering::Relaxed);
        }
        outstanding -= whole / ITEM;
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}
