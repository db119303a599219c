//! Task pools: functions that run in other processes, each to exactly one end.

use std::time::Duration;

use procession::prelude::*;
use procession::{ExitCause, task};

procession::test_workers!();

#[task]
fn square(n: u64) -> u64 {
    n * n
}

#[task]
fn panics_at(n: u64, at: u64) -> u64 {
    assert_ne!(n, at, "{n} is not wanted");
    n
}

#[task]
fn pid() -> u32 {
    std::process::id()
}

#[task]
fn dies(how: u8) -> u8 {
    match how {
        0 => std::process::exit(0),
        3 => std::process::exit(3),
        6 => std::process::abort(),
        other => other,
    }
}

async fn pool_of(workers: usize) -> procession::Result<(Supervisor, TaskPool)> {
    let sup = Supervisor::builder().start().await?;
    let pool = sup.task_pool("pool", workers).await?;
    Ok((sup, pool))
}

#[tokio::test]
async fn a_map_keeps_the_order_of_its_input() -> procession::Result<()> {
    let (sup, pool) = pool_of(2).await?;
    let squares = pool.map(square, 0..10_000).await?;
    assert_eq!(squares, (0..10_000).map(|n| n * n).collect::<Vec<_>>());
    let report = pool.finish().await;
    assert_eq!((report.submitted, report.done, report.workers_lost), (10_000, 10_000, 0));
    sup.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_task_that_panics_fails_alone_and_its_worker_lives() -> procession::Result<()> {
    let (sup, pool) = pool_of(1).await?;
    let before = pool.submit(pid, ()).await?;
    let failed = pool.map(panics_at, (0..9).map(|n| (n, 4))).await.unwrap_err();
    let failures: Vec<_> = failed.failures().map(|(index, error)| (index, error.to_string())).collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].0, 4);
    assert!(failures[0].1.contains("4 is not wanted"), "{failures:?}");
    assert_eq!(pool.submit(pid, ()).await?, before);
    assert_eq!(pool.finish().await.failed, 1);
    sup.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_worker_that_dies_fails_its_task_only_and_is_replaced() -> procession::Result<()> {
    let (sup, pool) = pool_of(1).await?;
    for (how, cause) in [(0, ExitCause::Code(0)), (3, ExitCause::Code(3))] {
        let before = pool.submit(pid, ()).await?;
        let Err(TaskError::Died { exit, executed, .. }) = pool.submit(dies, how).await else { panic!("it died") };
        assert_eq!((exit.pid, &exit.cause, executed), (before, &cause, Executed::Maybe));
        assert_ne!(pool.submit(pid, ()).await?, before);
    }
    let report = pool.finish().await;
    assert_eq!((report.submitted, report.done, report.lost, report.workers_lost), (6, 4, 2, 2));
    tokio::time::timeout(Duration::from_secs(5), sup.shutdown()).await??;
    Ok(())
}
