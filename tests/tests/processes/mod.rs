//! The processes around a test: supervisors that must leave none of them behind, and what a test awaits of them.

#![allow(dead_code, unused_imports, reason = "every test file uses a part of it")]

mod probe;
#[path = "../system/mod.rs"]
pub(crate) mod system;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use procession::prelude::*;
use procession::{Backoff, Event, Events, SupervisorBuilder, WorkerOutput};

pub(crate) use probe::{Probe, ProbeApi};

/// How long anything that must happen may take on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A supervisor to be that restarts at once and as often as a test wants, and whose workers print nothing.
pub(crate) fn quiet() -> SupervisorBuilder {
    Supervisor::builder()
        .intensity(1000, Duration::from_secs(60))
        .backoff(Backoff::none())
        .output(WorkerOutput::To(Arc::new(|_| ())))
}

/// The same, started.
pub(crate) async fn start() -> Supervisor {
    within(quiet().start()).await.expect("a supervisor")
}

/// Ends a supervisor in order and fails if a process of it is left.
pub(crate) async fn end(sup: Supervisor) {
    let pids: Vec<u32> = sup.children().await.into_iter().filter_map(|child| child.pid).collect();
    within(sup.shutdown()).await.expect("an orderly end");
    let ended = sup.exit_reports().into_iter().map(|report| report.exit.pid);
    assert_eq!(system::left_of(pids.into_iter().chain(ended)), [], "these processes are left");
    // Where each test has a process to itself, nobody else can have started any.
    if std::env::var_os("NEXTEST_EXECUTION_MODE").is_some_and(|mode| mode == "process-per-test") {
        assert_eq!(system::workers_of_this_process(), [], "these processes are left, and no report names them");
    }
}

/// A probe in the test's own process.
pub(crate) async fn probe(sup: &Supervisor) -> Address<Probe> {
    within(sup.spawn_local::<Probe>("probe", ())).await.expect("a probe")
}

/// Awaits what must come.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("what was awaited at {caller} did not come within {PATIENCE:?}"),
        }
    }
}

/// The next event of the wanted kind.
#[track_caller]
pub(crate) fn event(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> impl Future<Output = Event> {
    within(async move {
        loop {
            let event = events.next().await.expect("no event is missed");
            if wanted(&event) {
                return event;
            }
        }
    })
}

/// Polls a future once: sends a request and does not wait for its outcome.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future once that must not be ready.
#[track_caller]
pub(crate) fn begin<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(poll_once(future.as_mut()).is_pending(), "it ended at once");
    future
}
