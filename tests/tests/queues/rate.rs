use std::time::Instant;

use procession::prelude::*;
use procession::queue::Sender;
use procession::task;

use crate::processes::{end, start, within};

#[task]
async fn sends_each(to: Sender<u64>, items: u64) -> Result<(), Failure> {
    for item in 0..items {
        to.send(item).await?;
    }
    Ok(())
}

#[task]
async fn sends_all(to: Sender<u64>, items: u64) -> Result<(), Failure> {
    Ok(to.send_all(0..items).await?)
}

#[tokio::test]
async fn how_fast_a_worker_sends_and_the_main_process_receives() -> procession::Result<()> {
    let sup = start().await;
    let pool = within(sup.task_pool("pool", 1)).await?;
    for (name, items, batched) in [("each by itself", 5_000, false), ("in batches", 200_000, true)] {
        let (tx, rx) = sup.queue::<u64>(name, 4096)?;
        let begun = Instant::now();
        let task = if batched { pool.submit(sends_all, (tx, items)) } else { pool.submit(sends_each, (tx, items)) };
        let mut received = 0;
        loop {
            let some = if batched {
                within(rx.recv_many(4096)).await?
            } else {
                within(rx.recv()).await?.into_iter().collect()
            };
            if some.is_empty() {
                break;
            }
            received += some.len() as u64;
        }
        within(task).await?.expect("it ends well");
        assert_eq!(received, items);
        let rate = items as f64 / begun.elapsed().as_secs_f64();
        println!("{name}: {rate:.0} items a second, sent and received");
    }
    within(pool.finish()).await;
    end(sup).await;
    Ok(())
}
