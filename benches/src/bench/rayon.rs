//! The peer rayon: threads of one process, no isolation.

use std::hint::black_box;
use std::io::{Error, Result};
use std::time::{Duration, Instant};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::workloads::w5_cpu::burn;

fn pool(workers: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(workers).build().map_err(Error::other)
}

/// Tasks in a second.
pub(crate) fn squares(tasks: usize, workers: usize) -> Result<f64> {
    let pool = pool(workers)?;
    let square = || (0..tasks as u64).into_par_iter().map(|x| black_box(x).wrapping_mul(x)).collect::<Vec<u64>>();
    pool.install(square);
    let began = Instant::now();
    black_box(pool.install(square));
    Ok(tasks as f64 / began.elapsed().as_secs_f64())
}

/// How long the workers take for all tasks, each of which takes so much of a core.
pub(crate) fn burns(tasks: usize, workers: usize, each: Duration) -> Result<Duration> {
    let pool = pool(workers)?;
    pool.install(rayon::current_num_threads);
    let began = Instant::now();
    pool.install(|| (0..tasks).into_par_iter().for_each(|_| burn(each)));
    Ok(began.elapsed())
}
