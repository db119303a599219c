//! Sums and changes 256 MiB of numbers with all workers of a pool, which read the same memory, beside sending them by message.
//!
//! Run it: `cargo run --release --example blob`, with another number of MiB as argument if you like. The numbers are written
//! once, in place. Each worker gets parts of them, which costs the same whatever their size, and fills parts of the result.

use std::time::Instant;

use bytes::Bytes;
use procession::blob::{self, Blob, BlobSlice, BlobWriter, FilledSlice};
use procession::prelude::*;

const PARTS: usize = 32;

#[procession::task]
fn sum(numbers: Blob) -> Result<f64, Failure> {
    Ok(numbers.view::<f64>()?.iter().sum())
}

/// Writes `2 x + 1` for each number into a part of the result.
#[procession::task]
fn change(numbers: Blob, mut changed: BlobSlice) -> Result<FilledSlice, Failure> {
    for (to, from) in changed.view_mut::<f64>()?.iter_mut().zip(numbers.view::<f64>()?) {
        *to = 2.0 * from + 1.0;
    }
    Ok(changed.done())
}

/// The same numbers as a message brings them: a copy.
#[procession::task]
fn sum_of_copy(numbers: Bytes) -> f64 {
    numbers.chunks_exact(8).map(|number| f64::from_ne_bytes(number.try_into().unwrap_or_default())).sum()
}

fn parts(numbers: &Blob) -> impl Iterator<Item = Blob> {
    let each = (numbers.len() / PARTS).next_multiple_of(16);
    (0..numbers.len()).step_by(each).map(move |at| numbers.slice(at..numbers.len().min(at + each)))
}

async fn summed(pool: &TaskPool, numbers: &Blob) -> procession::Result<f64> {
    pool.map(sum, parts(numbers)).await?.into_iter().sum()
}

fn told(what: &str, began: Instant) {
    println!("{what:<40} {:8.1} ms", began.elapsed().as_secs_f64() * 1e3);
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let mib: usize = std::env::args().nth(1).map_or(Ok(256), |mib| mib.parse())?;
    let count = (mib << 20) / 8;
    let sup = Supervisor::builder().start().await?;
    let pool = sup.task_pool("adders", PoolSize::All).await?;

    let began = Instant::now();
    let mut writer = BlobWriter::with_len(mib << 20)?;
    for (at, number) in writer.view_mut::<f64>()?.iter_mut().enumerate() {
        *number = at as f64;
    }
    let numbers = writer.finish()?;
    told(&format!("written: {mib} MiB"), began);

    let began = Instant::now();
    let total = summed(&pool, &numbers).await?;
    told("summed by all workers", began);
    let began = Instant::now();
    let mut result = BlobWriter::with_len(numbers.len())?.split(PARTS)?;
    for done in pool.map(change, parts(&numbers).zip(result.slices())).await? {
        result.put_back(&done?)?;
    }
    let changed = result.finish().await?;
    told("changed by all workers, in one new blob", began);
    let odd = summed(&pool, &changed).await?;
    println!("the sum is {total}, and {odd} of what was changed");
    println!("right: {}", total == (count * (count - 1) / 2) as f64 && odd == (count * count) as f64);
    let usage = blob::usage();
    println!("{} blobs take up {} MiB, once for all processes", usage.blobs, usage.bytes >> 20);

    let began = Instant::now();
    let copies = pool.map(sum_of_copy, parts(&numbers).map(Bytes::from_owner)).await?;
    told("summed by message, of copies", began);
    println!("the same: {}", copies.into_iter().sum::<f64>() == total);
    let memory = pool.insights().await.workers.iter().filter_map(|worker| worker.memory).sum::<u64>();
    println!("the workers have {} MiB in memory then, what they share included", memory >> 20);
    Ok(sup.shutdown().await?)
}
