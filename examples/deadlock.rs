//! Two workers, two locks, taken in opposite orders: one of them is told who waits for whom, gives way, and both get done.
//!
//! Run it: `cargo run --example deadlock`. In Python both would wait for ever.

use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::sync::{Barrier, LockError, Mutex};

/// Needs two locks at once.
#[derive(Actor)]
struct Worker {
    first: Mutex,
    second: Mutex,
    barrier: Barrier,
}

#[handlers]
impl Worker {
    #[init]
    fn new(first: Mutex, second: Mutex, barrier: Barrier) -> Self {
        Self { first, second, barrier }
    }

    /// What it was told on the way, where it had to begin again.
    #[call(timeout = "30s")]
    async fn work(&self) -> Result<Option<String>, LockError> {
        let held = self.first.lock().await?;
        // So that both hold one when they ask for the other.
        self.barrier.wait().await?;
        let asked = Instant::now();
        let told = match self.second.lock().await {
            Ok(_both) => return Ok(None),
            Err(error @ LockError::Deadlock { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        let after = if asked.elapsed() < Duration::from_secs(1) { "soon" } else { "late" };
        drop(held);
        let _second = self.second.lock().await?;
        let _first = self.first.lock().await?;
        Ok(Some(format!("told {after}: {told}")))
    }
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    let (fork, knife) = (sup.mutex("fork").await?, sup.mutex("knife").await?);
    let barrier = sup.barrier("both have one", 2).await?;
    let left = sup.spawn::<Worker>("left", (fork.clone(), knife.clone(), barrier.clone())).await?;
    let right = sup.spawn::<Worker>("right", (knife, fork, barrier)).await?;

    let (left, right) = tokio::join!(left.work(), right.work());
    for (name, told) in [("left", left?), ("right", right?)] {
        match told {
            None => println!("{name} got both"),
            Some(told) => println!("{name} was {told}"),
        }
    }
    sup.shutdown().await?;
    Ok(())
}
