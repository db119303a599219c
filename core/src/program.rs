//! The program around its supervisors: its runtime, its signals, its end.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tokio::sync::watch;

use crate::actor::leaving::{self, Leaving};
use crate::process::{entry, output};
use crate::supervisor::handle::{Winding, alive, refuse_to_start};
use crate::sys::{ShutdownSignal, ShutdownSignals};

/// How long the last lines of workers may take to be printed.
const LAST_LINES: Duration = Duration::from_secs(2);
/// How long a line of this program's own on standard error is waited for.
const SAYING: Duration = Duration::from_millis(100);
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
    let first = hear_signals();
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
    let (result, signalled) = runtime.block_on(run(body(), first));
    match signalled {
        Some(code) => {
            // What main has left running elsewhere is not waited for any longer than main was.
            runtime.shutdown_timeout(AFTER_DRAIN);
            drop(flush);
            drop(result);
            std::process::exit(code)
        }
        None => {
            drop(runtime);
            drop(flush);
            // The drain of a signal that comes this late is through already.
            result
        }
    }
}

/// Prints what workers have said before the program ends, by whichever way it does.
struct Flush;

impl Drop for Flush {
    fn drop(&mut self) {
        output::flush(LAST_LINES);
    }
}

async fn run<T>(body: impl Future<Output = T>, mut first: Signalled) -> (T, Option<i32>) {
    let mut body = std::pin::pin!(leaving::collect_at_end(body));
    let signal = tokio::select! {
        (result, left) = &mut body => {
            // What main held to its end, or somebody else holds still, ends in order. A first signal has nothing to add to
            // that, nor to what main says of its own success.
            end_in_order(left).await;
            return (result, None);
        }
        signal = first.recv() => signal,
    };
    refuse_to_start();
    // Lives until everything has ended: it may hold what main has dropped meanwhile, which would be killed with it.
    let mut drained = std::pin::pin!(async {
        end_in_order(Vec::new()).await;
        tokio::time::sleep(AFTER_DRAIN).await;
    });
    let ended = tokio::select! {
        ended = &mut body => Some(ended),
        () = &mut drained => None,
    };
    match ended {
        Some((result, left)) => {
            end_in_order(left).await;
            (result, Some(signal.exit_code))
        }
        None => {
            output::flush(LAST_LINES);
            std::process::exit(signal.exit_code)
        }
    }
}

/// The first signal, for the runtime of main.
struct Signalled(watch::Receiver<Option<ShutdownSignal>>);

impl Signalled {
    async fn recv(&mut self) -> ShutdownSignal {
        match self.0.wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(signal)) => signal,
            // Nobody hears signals here.
            _ => std::future::pending().await,
        }
    }
}

/// Takes over the signals, on a thread of its own: the second one must end this program whatever its other threads are at.
fn hear_signals() -> Signalled {
    let (tell, first) = watch::channel(None);
    let (installed, ready) = channel();
    let unheard = |error| say(format!("procession: no signal handlers, Ctrl-C ends this program at once: {error}"));
    let hearing = move || {
        let Err(error) = hear(&installed, &tell);
        unheard(error);
    };
    match std::thread::Builder::new().name("procession-signals".to_owned()).spawn(hearing) {
        // Main begins with the handlers in place, or knowing that there are none.
        Ok(_) => drop(ready.recv()),
        Err(error) => unheard(error),
    }
    Signalled(first)
}

fn hear(installed: &Sender<()>, tell: &watch::Sender<Option<ShutdownSignal>>) -> io::Result<Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _runtime = runtime.enter();
        ShutdownSignals::install()?
    };
    let _ = installed.send(());
    let first = runtime.block_on(signals.recv());
    tell.send_replace(Some(first));
    say(format!("procession: {}: finishing what runs; once more kills", first.name));
    let second = runtime.block_on(signals.recv());
    say(format!("procession: {}: killed", second.name));
    // Its workers go with it.
    std::process::exit(second.exit_code)
}

/// Writes a line on standard error, and does not wait for a reader that does not read.
fn say(line: String) {
    let (said, done) = channel();
    let spawned = std::thread::Builder::new().spawn(move || {
        eprintln!("{line}");
        let _ = said.send(());
    });
    if spawned.is_ok() {
        let _ = done.recv_timeout(SAYING);
    }
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
