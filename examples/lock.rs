//! A lock that fifty processes share, in a pool too: garbled output without it, whole lines with it; and when its holder
//! crashes, the next one goes on at once and is told.
//!
//! Run it: `cargo run --example lock`. In Python a lock whose holder was killed stays locked for ever, and a pool refuses
//! to take one.

use std::io::Write;
use std::time::{Duration, Instant};

use procession::WorkerOutput;
use procession::prelude::*;
use procession::sync::{LockError, Mutex, MutexGuard};

/// Says one line, a word at a time, to the output that all share.
#[procession::task]
async fn say(lock: Option<Mutex>, number: u32) -> Result<(), LockError> {
    let _held = match &lock {
        Some(lock) => Some(lock.lock().await?),
        None => None,
    };
    for word in [format!("  {number}:"), " so".into(), " says".into(), " one".into(), " of fifty\n".into()] {
        let mut shared = std::io::stdout();
        let _ = shared.write_all(word.as_bytes()).and_then(|()| shared.flush());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Takes the lock, and crashes with it.
#[derive(Actor)]
struct Clumsy {
    lock: Mutex,
    held: Option<MutexGuard>,
}

#[handlers]
impl Clumsy {
    #[init]
    fn new(lock: Mutex) -> Self {
        Self { lock, held: None }
    }

    #[call]
    async fn take(&mut self) -> Result<(), LockError> {
        self.held = Some(self.lock.lock().await?);
        Ok(())
    }

    #[cast]
    fn crash(&self) {
        std::process::abort()
    }
}

#[procession::main]
async fn main() -> procession::Result<()> {
    // Nobody but the lock keeps the workers' lines apart.
    let sup = Supervisor::builder().output(WorkerOutput::Inherit).start().await?;
    let pool = sup.task_pool("fifty", PoolSize::Exactly(50)).await?;
    // The same lock for whoever asks for this name, and an argument like any other.
    let lock = sup.mutex("the terminal").await?;

    for (what, lock) in [("without the lock", None), ("with the lock", Some(lock.clone()))] {
        println!("{what}:");
        for said in pool.map(say, (1..=50).map(|number| (lock.clone(), number))).await? {
            said?;
        }
    }
    pool.finish().await;

    let clumsy = sup.spawn::<Clumsy>("clumsy", lock.clone()).await?;
    clumsy.take().await?;
    let next = tokio::spawn(lock.lock());
    let since = Instant::now();
    clumsy.crash().await?;
    let guard = next.await??;
    let within = if since.elapsed() < Duration::from_secs(1) { "within a second" } else { "late" };
    println!("granted {within}, with token {}", guard.token());
    if let Some(poison) = guard.poisoned_by() {
        println!("poisoned: {}", poison.to_string().lines().next().unwrap_or_default());
    }
    drop(guard);
    sup.shutdown().await?;
    Ok(())
}
