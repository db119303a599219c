//! Shared state: five processes append to one list and one dict, and count together; nothing is lost.
//!
//! Run it: `cargo run --example shared_state`. In Python's `Manager` a change inside of a value is lost without a word, and
//! of `d['c'] += 1` by 3 processes, 150 times each, 332 of 450 arrived. Here a change is one operation, or a compare-and-set.

use procession::prelude::*;
use procession::shared::{Counter, Dict, DictChange, List, Value};
use serde::{Deserialize, Serialize};

/// What the workers share: handles are data like any other.
#[derive(Clone, Serialize, Deserialize)]
struct Board {
    lines: List<String>,
    found: Dict<String, Vec<u64>>,
    counts: Dict<String, u64>,
    hits: Counter,
    longest: Value<(u64, u32)>,
}

#[procession::task]
async fn work(worker: u32, board: Board) -> procession::Result<()> {
    board.lines.push(format!("worker {worker} is process {}", std::process::id())).await?;
    for n in 0..150 {
        // A list inside of the dict is appended to where it is.
        board.found.append_to("nested", u64::from(worker * 1000 + n)).await?;
        if worker < 3 {
            board.hits.add(1).await?;
            // Any code: it runs again where another worker was faster.
            board.counts.update("c", |count| Some(count.unwrap_or(0) + 1)).await?;
        }
    }
    let steps = collatz(u64::from(worker) + 25);
    board.longest.update(move |best| best.max((steps, worker))).await?;
    Ok(())
}

fn collatz(mut n: u64) -> u64 {
    let mut steps = 0;
    while n > 1 {
        n = if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
        steps += 1;
    }
    steps
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    let board = Board {
        lines: sup.list("lines")?,
        found: sup.dict("found")?,
        counts: sup.dict("counts")?,
        hits: sup.counter("hits")?,
        longest: sup.value("longest", (0, 0))?,
    };
    let mut watch = board.counts.watch().await?;
    let pool = sup.task_pool("workers", 5).await?;
    for result in pool.map(work, (0..5).map(|worker| (worker, board.clone()))).await? {
        result?;
    }
    for line in board.lines.snapshot().await?.values {
        println!("{line}");
    }
    let nested = board.found.get("nested").await?.unwrap_or_default();
    println!(
        "{} hits, {:?} counts, {} nested appends",
        board.hits.get().await?,
        board.counts.get("c").await?,
        nested.len()
    );
    println!("most steps: {:?}", board.longest.get().await?);
    let (mut told, mut last) = (0, 0);
    while last < 450 {
        let changed = watch.next().await?;
        for change in changed.changes {
            if let DictChange::Set { value, .. } = change {
                (told, last) = (told + 1, value);
            }
        }
    }
    println!("the watcher was told {told} times, of version {} last", board.counts.snapshot().await?.version);
    // All or nothing, and only if nobody else has changed it.
    let stale = board.counts.get_versioned("c").await?.map(|found| found.version).unwrap_or_default();
    board.counts.add("c", 1).await?;
    let transaction = board.counts.transaction().expect("c", stale).set("c", 0).set("d", 0).commit().await?;
    println!("a stale transaction: {}", transaction.expect_err("it was changed"));
    pool.finish().await;
    sup.shutdown().await?;
    Ok(())
}
