//! How fast a lock goes from hand to hand.

use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::sync::{LockError, Mutex};

use super::processes::{end, start, within};

const WORKERS: usize = 8;
/// Of each worker; for a figure that means something, ten thousand of an optimised build: `LOCK_ROUNDS=10000`.
const ROUNDS: u32 = 100;

fn rounds() -> u32 {
    std::env::var("LOCK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

#[derive(Actor)]
struct Racer {
    mutex: Mutex<u64>,
}

#[handlers]
impl Racer {
    #[init]
    fn new(mutex: Mutex<u64>) -> Self {
        Self { mutex }
    }

    /// Acquires and releases, again and again.
    #[call(timeout = "60s")]
    async fn run(&self, rounds: u32) -> Result<Duration, LockError> {
        let began = Instant::now();
        for _ in 0..rounds {
            *self.mutex.lock().await? += 1;
        }
        Ok(began.elapsed())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_share_one_lock_and_no_increment_is_lost() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("counter", 0_u64)).await.unwrap();
    let mut racers = Vec::new();
    for number in 0..WORKERS {
        racers.push(within(sup.spawn::<Racer>(format!("racer {number}"), mutex.clone())).await.unwrap());
    }
    let rounds = rounds();
    let alone = within(racers[0].run(rounds)).await.unwrap();
    println!("one process: {:.0} grants a second", f64::from(rounds) / alone.as_secs_f64());
    let began = Instant::now();
    let runs: Vec<_> = racers.iter().map(|racer| tokio::spawn(racer.run(rounds))).collect();
    for run in runs {
        within(run).await.unwrap().unwrap();
    }
    let all = WORKERS as f64 * f64::from(rounds);
    println!("{WORKERS} processes: {:.0} grants a second", all / began.elapsed().as_secs_f64());
    let guard = within(mutex.lock()).await.unwrap();
    assert_eq!(*guard, u64::from(rounds) * (WORKERS as u64 + 1));
    drop(guard);
    end(sup).await;
}
