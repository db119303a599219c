//! The program around its supervisors: its runtime, its signals, its end.

use std::time::Duration;

use crate::actor::leaving::{self, Leaving};
use crate::process::{entry, output};
use crate::supervisor::handle::{Winding, alive};
use crate::sys::{ShutdownSignal, ShutdownSignals};

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
    // Also where the body panics: the last lines may say why.
    let flush = Flush;
    let (result, signalled) = runtime.block_on(run(body()));
    drop(runtime);
    drop(flush);
    match signalled {
        Some(code) => {
            drop(result);
            std::process::exit(code)
        }
        None => result,
    }
}

/// Prints what workers have said before the program ends, by whichever way it does.
struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        output::flush(LAST_LINES);
    }
}

async fn run<T>(body: impl Future<Output = T>) -> (T, Option<i32>) {
    let mut signals = match ShutdownSignals::install() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("procession: no signal handlers, Ctrl-C ends this program at once: {error}");
            let (result, left) = leaving::collect_at_end(body).await;
            end_in_order(left).await;
            return (result, None);
        }
    };
    let mut body = std::pin::pin!(leaving::collect_at_end(body));
    let first = tokio::select! {
        (result, left) = &mut body => {
            // What main held to its end, or somebody else holds still, ends in order. A signal has nothing to add to that,
            // nor to what main says of its own success; the second one kills.
            tokio::select! {
                () = end_in_order(left) => {}
                second = second(&mut signals) => killed(&second),
            }
            return (result, None);
        }
        signal = signals.recv() => signal,
    };
    announce(&first);
    // Lives until everything has ended: it may hold what main has dropped meanwhile, which would be killed with it.
    let mut drained = std::pin::pin!(async {
        end_in_order(Vec::new()).await;
        tokio::time::sleep(AFTER_DRAIN).await;
    });
    let ended = tokio::select! {
        ended = &mut body => Some(ended),
        () = &mut drained => None,
        second = signals.recv() => killed(&second),
    };
    match ended {
        Some((result, left)) => {
            tokio::select! {
                () = end_in_order(left) => {}
                second = signals.recv() => killed(&second),
            }
            (result, Some(first.exit_code))
        }
        None => {
            output::flush(LAST_LINES);
            std::process::exit(first.exit_code)
        }
    }
}

/// Waits for the second signal.
async fn second(signals: &mut ShutdownSignals) -> ShutdownSignal {
    announce(&signals.recv().await);
    signals.recv().await
}

fn announce(first: &ShutdownSignal) {
    eprintln!("procession: {}: finishing what runs; once more kills", first.name);
}

/// Ends this program; its workers go with it.
fn killed(second: &ShutdownSignal) -> ! {
    eprintln!("procession: {}: killed", second.name);
    std::process::exit(second.exit_code)
}

async fn end_in_order(left: Vec<Leaving>) {
    leaving::end_in_order(left).await;
    for supervisor in alive() {
        supervisor.wind_up(Winding::Drain).await;
    }
    for supervisor in alive() {
        let _ = supervisor.shutdown().await;
    }
}
