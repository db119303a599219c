//! What the tests of life and death share: an actor that does as it is told, and the processes as the system sees them.

// Each test program uses a part of this.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod families;
pub mod probe;
pub mod programs;
#[path = "../system/mod.rs"]
pub mod system;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Event, Events, SupervisorBuilder, WorkerOutput};

use system::Process;

/// How long anything may take that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a whole test may take.
const TEST: Duration = Duration::from_secs(120);

/// Runs the body of a test on a runtime of its own, alone in this process, and sees to it that no process is left of it
/// on any path.
pub fn alone<F: Future<Output = procession::Result>>(body: impl FnOnce() -> F) {
    alone_on(tokio::runtime::Builder::new_multi_thread().worker_threads(2), body);
}

/// The same on the runtime that is given.
pub fn alone_on<F: Future<Output = procession::Result>>(
    runtime: &mut tokio::runtime::Builder,
    body: impl FnOnce() -> F,
) {
    alone_blocking(|| on(runtime, body()));
}

/// The same without a runtime.
pub fn alone_blocking(body: impl FnOnce()) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    system::adopt_orphans();
    let left = Left;
    body();
    left.nobody();
}

/// Runs a part of a test on a runtime that ends with it.
pub fn on(runtime: &mut tokio::runtime::Builder, part: impl Future<Output = procession::Result>) {
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match tokio::time::timeout(TEST, part).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => panic!("{failure}"),
            Err(_) => panic!("it did not end; the processes: {:?}", system::family()),
        }
    });
}

/// Kills whoever is left when a test has failed.
struct Left;

impl Left {
    fn nobody(self) {
        std::mem::forget(self);
        let left = settled(system::family);
        kill_all(&left);
        assert!(left.is_empty(), "processes are left: {left:?}");
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        kill_all(&settled(system::family));
    }
}

/// Whoever is still there once the dying have died.
fn settled(who: impl Fn() -> Vec<Process>) -> Vec<Process> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let left = who();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill_all(left: &[Process]) {
    for process in left {
        process.kill();
    }
}

/// A supervisor whose workers' output is for nobody to read.
pub fn quiet() -> SupervisorBuilder {
    Supervisor::builder().output(WorkerOutput::To(std::sync::Arc::new(|_| {})))
}

/// Polls a state of other processes.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for what must come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, pin!(future)).await {
        Ok(value) => value,
        Err(_) => panic!("never: {what}"),
    }
}

/// The events up to the first of which this holds, that one included.
pub async fn until(events: &mut Events, what: &str, mut last: impl FnMut(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = match tokio::time::timeout(PATIENCE, events.next()).await {
            Ok(event) => event.expect("this listener keeps up"),
            Err(_) => panic!("never: {what}; seen: {seen:#?}"),
        };
        let done = last(&event);
        seen.push(event);
        if done {
            return seen;
        }
    }
}

/// An event in short: its kind and its child.
pub fn short(event: &Event) -> String {
    match event {
        Event::Started { child, incarnation, .. } => format!("started {child} {incarnation}"),
        Event::StartFailed { child, .. } => format!("start failed {child}"),
        Event::Exited { child, exit } => format!("exited {child}: {}", exit.cause),
        Event::Restarting { child, attempt, .. } => format!("restarting {child} {attempt}"),
        Event::Ended { child, .. } => format!("ended {child}"),
        Event::Escalated { child, restarts, .. } => format!("escalated {child} {restarts}"),
        Event::Killed { child } => format!("killed {child}"),
        Event::DeadLetters { actor, count } => format!("dead letters {actor} {count}"),
        other => format!("{other:?}"),
    }
}

pub fn shorts(events: &[Event]) -> Vec<String> {
    events.iter().map(short).collect()
}

/// A folder of a test's own.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The lines that workers have written into a file, none where there is no file.
    pub fn lines(&self, name: &str) -> Vec<String> {
        lines(&self.file(name))
    }
}

pub fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

pub fn touch(path: &Path) {
    std::fs::write(path, "").expect("a file");
}
