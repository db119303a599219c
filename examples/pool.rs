//! A pool of processes whose size is never 0, and a task that kills its worker: nothing hangs, nothing is lost unseen.
//!
//! Run it: `cargo run --example pool`, with `-- --bar` to see how far it is. In Python's `Pool` a size of `cpu_count() - 1` is an error on one core, and one
//! killed worker makes `join` wait for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use indicatif::ProgressBar;
use procession::ProgressStream;
use procession::prelude::*;

/// A function like any other, which a pool can run in another process.
#[procession::task]
fn is_prime(n: u64) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

#[procession::task]
fn pid(_: u32) -> u32 {
    std::process::id()
}

/// What the kernel does to a worker that uses too much memory, and a native library to one that it was fed rubbish.
#[procession::task]
fn crashes(say: String) -> u64 {
    eprintln!("{say}");
    std::process::abort()
}

/// A bar for a pool. The stream ends with the pool, and does not keep it alive.
async fn shows(mut progress: ProgressStream) {
    let bar = ProgressBar::new(0);
    while let Some(now) = progress.next().await {
        bar.set_length(now.done + now.failed + now.running + now.queued);
        bar.set_position(now.done + now.failed);
    }
    bar.finish();
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    let pool = sup.task_pool("primes", PoolSize::LeaveOne).await?;
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores, {} workers, all started by process {}", pool.size(), std::process::id());

    if std::env::args().any(|arg| arg == "--bar") {
        tokio::spawn(shows(pool.progress(Duration::from_millis(50))));
    }

    // A map is in order, and its tasks are in as many processes as there are workers.
    let primes = pool.map(is_prime, 0..10_000).await?.into_iter().filter(|prime| *prime).count();
    println!("{primes} primes below 10000");
    let pids: BTreeSet<u32> = pool.map(pid, 0..100).await?.into_iter().collect();
    println!("found by processes {pids:?}");

    // One task takes its worker with it. The others are run by the one that replaces it.
    let crash = pool.submit(crashes, "these are my last words".to_owned());
    let after: Vec<_> = [7919, 7920].map(|n| pool.submit(is_prime, n)).into();
    match crash.await {
        Ok(_) => println!("it survived"),
        Err(error) => println!("one task failed: {error}"),
    }
    for task in after {
        println!("one went on: {}", task.await?);
    }

    // Close and join: no more is taken, all is run, every process has ended.
    let report = pool.finish().await;
    println!("{report}");
    sup.shutdown().await?;
    Ok(())
}
