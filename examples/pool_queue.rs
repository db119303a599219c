//! Queues as arguments of tasks in a pool, like any other value; and one whose items survive the worker that took them.
//!
//! Run it: `cargo run --example pool_queue`. In Python a plain `Queue` cannot be given to a `Pool`, and the error is seen
//! only by who asks for the result.

use procession::prelude::*;
use procession::queue::{AckReceiver, Receiver, Sender};

/// Counts the words of the lines it receives, until there are no more.
#[procession::task]
async fn count_words(lines: Receiver<String>, counts: Sender<usize>) -> Result<usize, Failure> {
    let mut handled = 0;
    while let Some(line) = lines.recv().await? {
        counts.send(line.split_whitespace().count()).await?;
        handled += 1;
    }
    Ok(handled)
}

/// Does jobs, and acknowledges each when it is done. Job 13 kills whoever tries it.
#[procession::task]
async fn work(jobs: AckReceiver<u64>, done: Sender<u64>) -> Result<(), Failure> {
    while let Some(job) = jobs.recv().await? {
        if *job == 13 {
            eprintln!("job 13, attempt {}", job.attempt());
            std::process::abort();
        }
        done.send(*job).await?;
        job.ack().await?;
    }
    Ok(())
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    let pool = sup.task_pool("pool", 3).await?;

    let (to_count, lines) = sup.queue("lines", 100)?;
    let (counts, counted) = sup.queue::<usize>("counts", 100)?;
    let counters: Vec<_> = (0..3).map(|_| pool.submit(count_words, (lines.clone(), counts.clone()))).collect();
    // The stream of counts ends with the last task that may send one.
    drop((lines, counts));
    // Beside the reading: both queues are bounded, and what is full makes its senders wait.
    let sending = tokio::spawn(async move { to_count.send_all((0..1000).map(|n| "word ".repeat(n % 10))).await });
    let mut words = 0;
    while let Some(count) = counted.recv().await? {
        words += count;
    }
    sending.await??;
    let mut lines = 0;
    for counter in counters {
        lines += counter.await?.map_err(|failure| Failure::new(failure.to_string()))?;
    }
    println!("{words} words in {lines} lines");

    // An item that is not acknowledged is handed out again, here at most twice; then it is a dead letter.
    let (jobs, to_do) = sup.queue_builder::<u64>("jobs").acknowledged(2).open()?;
    let (done, finished) = sup.queue::<u64>("done", 100)?;
    let workers: Vec<_> = (0..3).map(|_| pool.submit(work, (to_do.clone(), done.clone()))).collect();
    drop((to_do, done));
    jobs.send_all(0..30).await?;
    let queue = jobs.queue();
    jobs.join().await?;
    for letter in queue.take_dead_letters(10).await? {
        println!("job {} is a dead letter after {} attempts: {}", letter.item?, letter.attempts, letter.why);
    }
    drop(jobs);
    let mut all = Vec::new();
    while let Some(job) = finished.recv().await? {
        all.push(job);
    }
    all.sort_unstable();
    all.dedup();
    println!("{} jobs are done, each by a worker that lived to say so", all.len());
    let mut lost = 0;
    for worker in workers {
        lost += usize::from(worker.await.is_err());
    }
    println!("{lost} workers were lost");
    println!("{}", pool.finish().await);
    sup.shutdown().await?;
    Ok(())
}
