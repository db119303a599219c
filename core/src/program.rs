//! The program around its supervisors: its runtime, its signals, its end.

use std::time::Duration;

use crate::process::{entry, output};
use crate::supervisor::handle::{Winding, alive};
use crate::sys::ShutdownSignals;

/// How long the last lines of workers may take to be printed.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How long main's own code has to come to its end after a signal has drained everything it supervises.
const AFTER_DRAIN: Duration = Duration::from_secs(5);

/// Which runtime `#[procession::main]` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// One thread.
    CurrentThread,
    /// One thread for each core, or as many as said.
    MultiThread {
        /// The number of threads.
        worker_threads: Option<usize>,
    },
}

/// What `#[procession::main]` makes of main: a worker's way in, then a runtime for the body, the signals, and an orderly
/// end of what the body left running.
pub fn main<T, F: Future<Output = T>>(flavor: Flavor, body: impl FnOnce() -> F) -> T {
    entry::enter_main();
    let mut builder = match flavor {
        Flavor::CurrentThread => tokio::runtime::Builder::new_current_thread(),
        Flavor::MultiThread { worker_threads } => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            if let Some(threads) = worker_threads {
                builder.worker_threads(threads);
            }
            builder
        }
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("procession: failed to build the runtime: {error}");
            std::process::exit(70);
        }
    };
    let (result, signalled) = runtime.block_on(run(body()));
    drop(runtime);
    output::flush(LAST_LINES);
    match signalled {
        Some(code) => {
            drop(result);
            std::process::exit(code)
        }
        None => result,
    }
}

async fn run<T>(body: impl Future<Output = T>) -> (T, Option<i32>) {
    let mut signals = match ShutdownSignals::install() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("procession: no signal handlers, Ctrl-C ends this program at once: {error}");
            let result = body.await;
            end_in_order().await;
            return (result, None);
        }
    };
    let mut body = std::pin::pin!(body);
    let first = tokio::select! {
        result = &mut body => {
            // Pools and children that main still holds, or forgot, end in order; a signal meanwhile hurries.
            let ending = end_in_order();
            let mut ending = std::pin::pin!(ending);
            let first = tokio::select! {
                () = &mut ending => return (result, None),
                signal = signals.recv() => signal,
            };
            tokio::select! {
                () = ending => return (result, Some(first.exit_code)),
                second = signals.recv() => std::process::exit(second.exit_code),
            }
        }
        signal = signals.recv() => signal,
    };
    eprintln!("procession: {}: finishing what runs; once more kills", first.name);
    let drained = async {
        end_in_order().await;
        tokio::time::sleep(AFTER_DRAIN).await;
    };
    let result = tokio::select! {
        result = &mut body => Some(result),
        () = drained => None,
        second = signals.recv() => {
            eprintln!("procession: {}: killed", second.name);
            std::process::exit(second.exit_code);
        }
    };
    match result {
        Some(result) => {
            tokio::select! {
                () = end_in_order() => {}
                second = signals.recv() => std::process::exit(second.exit_code),
            }
            (result, Some(first.exit_code))
        }
        None => {
            output::flush(LAST_LINES);
            std::process::exit(first.exit_code)
        }
    }
}

async fn end_in_order() {
    for supervisor in alive() {
        supervisor.wind_up(Winding::Drain).await;
    }
    for supervisor in alive() {
        let _ = supervisor.shutdown().await;
    }
}
