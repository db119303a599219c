//! Pools under test: a supervisor that must leave no process behind, and tasks that do what a test wants.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::time::Duration;

use procession::prelude::*;
use procession::{Event, Events, task, task_context};
use serde::{Deserialize, Serialize};

use crate::processes::{self, Probe, ProbeApi, start, system, within};

#[task]
pub(crate) fn square(n: u64) -> u64 {
    n * n
}

#[task]
pub(crate) fn pid() -> u32 {
    std::process::id()
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Fate {
    Survive,
    Exit(i32),
    Abort,
    Fault,
    Killed,
}

#[task]
pub(crate) fn meets(fate: Fate) {
    match fate {
        Fate::Survive => {}
        Fate::Exit(code) => {
            eprintln!("leaving with {code}");
            std::process::exit(code)
        }
        Fate::Abort => std::process::abort(),
        Fate::Fault => system::fault(),
        Fate::Killed => loop {
            system::kill(std::process::id());
        },
    }
}

#[task]
pub(crate) async fn passes(probe: Address<Probe>, gate: String) -> Result<String, CallError> {
    probe.pass(gate.clone()).no_timeout().await?;
    Ok(gate)
}

/// Says that it is there, and computes until it is not wanted any more.
#[task]
pub(crate) async fn computes(probe: Address<Probe>) -> bool {
    let context = task_context().expect("a worker runs this");
    probe.note("computing".to_owned()).await.expect("a probe");
    tokio::task::spawn_blocking(move || while !context.is_cancelled() {}).await.is_ok()
}

/// A supervisor with one pool, and what becomes of their processes.
pub(crate) struct Place {
    pub(crate) sup: Supervisor,
    pub(crate) events: Events,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let sup = start().await;
        let events = sup.events();
        Self { sup, events }
    }

    pub(crate) async fn with_pool(workers: usize) -> (Self, TaskPool) {
        let place = Self::new().await;
        let pool = within(place.sup.task_pool("pool", workers)).await.expect("a pool");
        (place, pool)
    }

    /// Ends the supervisor and fails if a process that was ever started is left.
    pub(crate) async fn end(mut self) {
        processes::end(self.sup).await;
        let mut pids = Vec::new();
        while let Ok(Ok(event)) = tokio::time::timeout(Duration::ZERO, self.events.next()).await {
            if let Event::Started { pid, .. } = event {
                pids.push(pid);
            }
        }
        pids.retain(|&pid| pid != std::process::id());
        assert_eq!(system::left_of(pids), [], "these processes are left");
    }
}

/// Ends a pool in order and its supervisor, and returns the pool's report.
pub(crate) async fn end(place: Place, pool: TaskPool) -> PoolReport {
    let report = within(pool.finish()).await;
    assert_eq!(within(pool.finish()).await, report, "a second finish waits for the same end");
    place.end().await;
    let told = report.done + report.failed + report.lost + report.cancelled + report.killed + report.no_workers;
    let ended = told + report.timed_out + report.aborted;
    assert_eq!(ended, report.submitted, "{report}");
    report
}
