//! Transfers between accounts by many workers, of which some crash half way: not a penny is lost or made.
//!
//! Run it: `cargo run --example bank`. An account is a mutex that carries its balance. A transfer locks two, in any order:
//! who runs into a deadlock is told and begins again. It releases both as one step, so a crash leaves both as they were.

use procession::prelude::*;
use procession::sync::{LockError, Mutex, MutexGuard};

const ACCOUNTS: usize = 8;
const TRANSFERS: u64 = 400;

/// Moves an amount; answers how often it had to begin again. One in twenty crashes somewhere on the way.
#[procession::task]
async fn transfer(accounts: Vec<Mutex<i64>>, number: u64) -> Result<u32, LockError> {
    // As good as random.
    let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let (from, to) = (dice as usize % ACCOUNTS, (dice >> 8) as usize % ACCOUNTS);
    let crash_at = (number % 20 == 7).then_some((dice >> 16) % 3);
    if from == to {
        return Ok(0);
    }
    let mut again = 0;
    loop {
        let mut source = accounts[from].lock().await?;
        let mut target = match accounts[to].lock().await {
            Ok(target) => target,
            Err(LockError::Deadlock { .. }) => {
                again += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        crash(crash_at == Some(0));
        let amount = (*source).min((dice >> 24) as i64 % 50);
        *source -= amount;
        crash(crash_at == Some(1));
        *target += amount;
        crash(crash_at == Some(2));
        MutexGuard::release_together([source, target]).await?;
        return Ok(again);
    }
}

fn crash(now: bool) {
    if now {
        std::process::abort();
    }
}

#[procession::main]
async fn main() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    let mut accounts = Vec::new();
    for number in 0..ACCOUNTS {
        accounts.push(sup.mutex_with(&format!("account {number}"), 100_i64).await?);
    }
    let pool = sup.task_pool("tellers", PoolSize::Exactly(4)).await?;

    let (mut done, mut crashed, mut again) = (0, 0, 0);
    let mut outcomes = pool.map_unordered(transfer, (0..TRANSFERS).map(|number| (accounts.clone(), number)));
    while let Some((_, outcome)) = outcomes.next().await {
        match outcome {
            Ok(retried) => {
                done += 1;
                again += retried?;
            }
            Err(TaskError::Died { .. }) => crashed += 1,
            Err(error) => return Err(error.into()),
        }
    }
    pool.finish().await;
    println!("{done} transfers, {crashed} crashed on the way, {again} deadlocks were told and begun again");

    let mut sum = 0;
    for account in &accounts {
        let balance = account.lock().await?;
        println!("{:>12}: {:>4}", account.name(), *balance);
        sum += *balance;
    }
    println!("the sum is {sum}");
    sup.shutdown().await?;
    Ok(())
}
