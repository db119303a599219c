//! A supervisor before it is started.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::backoff::Backoff;
use super::child::ExitReport;
use super::handle::{Inner, Supervisor, is_ending};
use super::intensity::Intensity;
use super::policy::{Config, Policy, Strategy};
use super::reports::Reports;
use super::services::Services;
use super::shell::Shell;
use super::spec::{ChildSpec, Home, Spec};
use crate::actor::node::{Node, random};
use crate::actor::traits::Handlers;
use crate::error::start::StartError;
use crate::process::entry::Children;
use crate::process::launcher::Launcher;
use crate::process::output;
use crate::process::place;
use crate::process::registration::registered;
use crate::process::witness::LineSink;
use crate::registry::Registry;

/// What becomes of what workers print.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum WorkerOutput {
    /// Whole lines, each with the worker's name in front, on this process's own standard output and error.
    #[default]
    Lines,
    /// Whatever the workers write, as they write it: they have this process's own standard output and error. The last
    /// lines of standard error are not known then.
    Inherit,
    /// Whole lines, handed to this function with the worker's name. It must not block.
    To(Arc<dyn Fn(OutputLine<'_>) + Send + Sync>),
}

/// One line of a worker.
#[derive(Clone, Copy, Debug)]
pub struct OutputLine<'a> {
    /// The worker's name.
    pub worker: &'a str,
    /// Whether it came on standard error.
    pub is_error: bool,
    /// The line, without its line feed; at most 64 KiB, longer ones come in pieces.
    pub line: &'a [u8],
}

/// Settings of a supervisor that is not started yet.
#[must_use = "a builder does nothing until it is started"]
pub struct SupervisorBuilder {
    strategy: Strategy,
    intensity: Intensity,
    backoff: Backoff,
    output: WorkerOutput,
    program: Option<std::path::PathBuf>,
    poll_for: Duration,
    children: Vec<Spec>,
    on_exit: Option<ExitHook>,
}

static OWNERS: AtomicU64 = AtomicU64::new(1);

/// How deep a supervisor may stand.
fn check_depth() -> Result<(), StartError> {
    let depth = place::depth();
    if depth >= place::DEEPEST {
        return Err(StartError::TooDeep { depth, limit: place::DEEPEST - 1 });
    }
    Ok(())
}

/// Called with the exits of a supervisor's children.
type ExitHook = Box<dyn FnOnce(&[ExitReport]) + Send>;

impl SupervisorBuilder {
    pub(super) fn new() -> Self {
        Self {
            strategy: Strategy::default(),
            intensity: Intensity::default(),
            backoff: Backoff::default(),
            output: WorkerOutput::default(),
            program: None,
            poll_for: Duration::ZERO,
            children: Vec::new(),
            on_exit: None,
        }
    }

    /// Which children are restarted when one fails.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many restarts within how much time are allowed before the supervisor gives up.
    pub fn intensity(mut self, restarts: u32, within: Duration) -> Self {
        self.intensity = Intensity::new(restarts, within);
        self
    }

    /// How long to wait before a restart.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What becomes of what workers print.
    pub fn output(mut self, output: WorkerOutput) -> Self {
        self.output = output;
        self
    }

    /// Workers run this program in place of the present one. It must be of the same build: a worker that knows other
    /// actors or other messages is refused at its start.
    pub fn program(mut self, program: impl Into<std::path::PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Has both ends of the connections to workers look for the next message for so long behind one, before they wait to be
    /// woken by the system: for calls one at a time, each of which depends on the answer to the one before. Off unless set;
    /// more than 10 ms is 10 ms.
    ///
    /// Where worker and supervisor have a core each, two wake-ups are most of what a lone call takes. Looking saves them
    /// and takes up both cores meanwhile, but only while messages come within the window of each other: an idle worker, and
    /// one that gets messages more seldom than that, costs nothing. Between two looks a process gives way to whoever else wants
    /// its core. 100 us suits most; it gains nothing with more busy workers than cores. The supervisor's process gains most
    /// on a `current_thread` runtime, where no other thread is to be woken.
    pub fn poll_for(mut self, window: Duration) -> Self {
        self.poll_for = window;
        self
    }

    /// Adds a child that is started with the supervisor, after those added before.
    pub fn child<A: Handlers>(mut self, spec: ChildSpec<A>) -> Self {
        self.children.push(spec.spec);
        self
    }

    /// Called once, in this process, after the last child was reaped.
    pub fn on_exit(mut self, hook: impl FnOnce(&[ExitReport]) + Send + 'static) -> Self {
        self.on_exit = Some(Box::new(hook));
        self
    }

    /// Starts the supervisor, and its children one after another, each when the one before is ready.
    ///
    /// Needs a tokio runtime, on which the supervisor lives: when that ends, its children are killed.
    ///
    /// # Errors
    /// Where the program has no entry for workers, a child spec is bad, or a child does not start: those started before
    /// it are stopped then, in reverse.
    pub async fn start(self) -> Result<Supervisor, StartError> {
        let Self { strategy, intensity, backoff, output, program, poll_for, children: specs, on_exit } = self;
        check_depth()?;
        if is_ending() {
            return Err(StartError::ProgramEnding);
        }
        backoff.check().map_err(|error| StartError::BadSpec(error.to_string()))?;
        registered().map_err(StartError::DuplicateId)?;
        let mut children = Children::of_this_program()?;
        if let Some(program) = program {
            children.program.path = program;
        }
        for spec in &specs {
            check(spec, true)?;
        }
        let owner = OWNERS.fetch_add(1, Ordering::Relaxed);
        let (registry, serve) = Registry::open(owner);
        let serving = tokio::spawn(serve);
        let services = Arc::new(Services::new(owner));
        let closing = services.clone();
        let launcher = Launcher {
            owner,
            children: Some(children),
            lines: sink(output),
            registry: registry.destination(),
            poll_for,
        };
        let (commands, inbox) = mpsc::unbounded_channel();
        let (over_tx, over) = watch::channel(None);
        let (reports_tx, reports) = watch::channel(Reports::default());
        let config = Config { strategy, intensity, backoff, seed: random() };
        let shell = Shell::new(
            Policy::new(config),
            launcher.clone(),
            registry.clone(),
            inbox,
            commands.clone(),
            over_tx,
            reports_tx,
        );
        let (started_tx, started) = oneshot::channel();
        let reported = reports.clone();
        // The node below announces itself to the process above, so that addresses find their way down.
        Node::here().with(|router| router.announce());
        tokio::spawn(async move {
            let ended = shell.run(specs, started_tx).await;
            serving.abort();
            // After the children, which use them to their last moment.
            closing.close();
            if let Some(hook) = on_exit {
                let reports = reported.borrow().to_vec();
                // Its message has been written by the panic hook.
                let _ = catch_unwind(AssertUnwindSafe(|| hook(&reports)));
            }
            // Last, so that whoever waits for the end finds the hook done.
            ended.tell();
        });
        let supervisor = Supervisor::new(Inner {
            commands,
            launcher,
            registry,
            services,
            over,
            reports,
            dependents: Mutex::default(),
        });
        match started.await {
            Ok(Ok(())) => Ok(supervisor),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::SupervisorEnded),
        }
    }
}

/// What is wrong with a spec, before anything is started.
pub(super) fn check(spec: &Spec, processes: bool) -> Result<(), StartError> {
    spec.check()?;
    if spec.home == Home::Process {
        if !processes {
            return Err(StartError::NoEntry);
        }
        if !registered().map_err(StartError::DuplicateId)?.contains_key(&spec.id) {
            return Err(StartError::NotRegistered { actor: spec.type_name.to_owned() });
        }
    }
    Ok(())
}

fn sink(output: WorkerOutput) -> Option<LineSink> {
    match output {
        WorkerOutput::Lines => Some(Arc::new(output::print)),
        WorkerOutput::Inherit => None,
        WorkerOutput::To(to) => Some(Arc::new(move |from, worker, line| {
            to(OutputLine { worker, is_error: matches!(from, crate::sys::Output::Stderr), line });
        })),
    }
}

impl fmt::Debug for SupervisorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorBuilder")
            .field("strategy", &self.strategy)
            .field("intensity", &self.intensity)
            .field("backoff", &self.backoff)
            .field("children", &self.children)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lines => "Lines",
            Self::Inherit => "Inherit",
            Self::To(_) => "To(..)",
        })
    }
}
