//! Results of tasks, in order and as they come: each task ends exactly once, in its value or with the cause of its failure.
//!
//! Run it: `cargo run --example results`. In Python's `Pool` the first failure hides all other results, and a lost worker
//! means that `get` waits for ever.

use std::time::Duration;

use procession::prelude::*;

#[procession::task]
fn thirds(n: u32) -> Result<u32, String> {
    if n.is_multiple_of(3) { Ok(n / 3) } else { Err(format!("{n} is no multiple of 3")) }
}

/// Ends in one of the ways in which a task can end. The slow one is begun first and done last.
#[procession::task]
async fn meets(fate: String) -> String {
    match fate.as_str() {
        "panic" => panic!("this one panics"),
        "exit" => std::process::exit(3),
        "slow" => tokio::time::sleep(Duration::from_millis(300)).await,
        _ => {}
    }
    fate
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    let pool = sup.task_pool("pool", 2).await?;
    let fates = || ["slow", "quick", "panic", "exit", "quick"].map(str::to_owned);

    println!("in order, with nothing hidden:");
    match pool.map(meets, fates()).await {
        Ok(values) => println!("  all are done: {values:?}"),
        Err(failed) => {
            for (index, outcome) in failed.outcomes.iter().enumerate() {
                match outcome {
                    Ok(value) => println!("  {index}: {value}"),
                    Err(error) => println!("  {index}: failed: {error}"),
                }
            }
        }
    }

    println!("as they come, with all that is known:");
    let mut outcomes = pool.outcomes(meets, fates());
    while let Some(done) = outcomes.next().await {
        let worker = done.worker.map_or_else(|| "nobody".to_owned(), |worker| worker.name);
        let said = done.outcome.unwrap_or_else(|error| format!("failed: {error}"));
        println!("  {}, input {}, {} ms on {worker}: {said}", done.task, done.index, done.duration.as_millis());
    }

    println!("an error that the function returns is a value, or ends a try_map:");
    println!("  {:?}", pool.map(thirds, 6..9).await?);
    println!("  {:?}", pool.try_map(thirds, [3, 6, 9]).await);
    match pool.try_map(thirds, (0..).map(|n| if n == 7 { 22 } else { 3 * n })).await {
        Ok(_) => println!("  endless"),
        Err(error) => println!("  stopped at {error}"),
    }

    let report = pool.finish().await;
    println!("{report}");
    sup.shutdown().await?;
    Ok(())
}
