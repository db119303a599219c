//! The supervisor as its user holds it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use super::builder::{SupervisorBuilder, check};
use super::child::{ChildInfo, ExitReport};
use super::command::{Command, Unknown, Which};
use super::over::Over;
use super::policy::Counts;
use super::reports::Reports;
use super::services::Services;
use super::spec::ChildSpec;
use crate::actor::address::Address;
use crate::actor::leaving::Leaving;
use crate::actor::lookup::{LookupError, typed};
use crate::actor::traits::Handlers;
use crate::error::exit::Exit;
use crate::error::start::StartError;
use crate::event::{self, Events};
use crate::process::launcher::Launcher;
use crate::registry::Registry;

/// Keeps a fleet of actors alive: starts them, in order, each in a process of its own; restarts those that fail, within
/// limits; stops them in reverse.
///
/// A handle: clones mean the same supervisor. [`shutdown`](Self::shutdown) ends it in order. When the last handle is dropped
/// its children are killed, without blocking; yet where it is dropped because the main function of the program returns, or
/// because the actor that had it stops, it ends in order and the program, or the actor, waits for it.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(crate) launcher: Launcher,
    pub(super) registry: Arc<Registry>,
    pub(super) services: Arc<Services>,
    pub(super) over: watch::Receiver<Option<Over>>,
    pub(super) reports: watch::Receiver<Reports>,
    /// Ends what stands on this supervisor, before its own children.
    pub(super) dependents: Mutex<Vec<Dependent>>,
}

/// Something that is to end before the supervisor's own children do.
pub(crate) struct Dependent {
    /// Begins the end; it goes on whether the future is awaited or not.
    pub(crate) end: Box<dyn Fn(Winding) -> Ended + Send + Sync>,
    /// Whether it has ended by itself.
    pub(crate) is_over: Box<dyn Fn() -> bool + Send + Sync>,
}
/// Completes when it has ended.
pub(crate) type Ended = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// How something is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Winding {
    /// What runs is finished.
    Drain,
    /// At once.
    Kill,
}

/// A supervisor ended because its children failed more often than it allows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{child} failed once more after {restarts} restarts within {within:?}: the supervisor has given up")]
pub struct Escalated {
    /// The child whose failure was one too many.
    pub child: String,
    /// The restarts that are allowed.
    pub restarts: u32,
    /// Within this time.
    pub within: Duration,
}

impl Supervisor {
    /// The handle of one whose task runs.
    pub(super) fn new(inner: Inner) -> Self {
        let supervisor = Self { inner: Arc::new(inner) };
        // From now on: a signal ends it in its start too.
        remember(&supervisor.inner);
        if is_ending() {
            let _ = supervisor.send(Command::Shutdown);
        }
        supervisor
    }

    /// A supervisor to be: one-for-one, at most 3 restarts in 30 s, the first at once and later ones with growing
    /// delays.
    pub fn builder() -> SupervisorBuilder {
        SupervisorBuilder::new()
    }

    /// Starts an actor in a process of its own and returns its address once its init has succeeded.
    ///
    /// # Errors
    /// Why it is not ready: a bad spec, an init that failed or panicked, a process that ended, a start that took too
    /// long, a worker of another version. Nothing is left behind then.
    ///
    /// # Cancellation
    /// Dropping the future does not take the start back.
    pub async fn spawn<A: Handlers>(&self, name: impl Into<String>, args: A::Init) -> Result<Address<A>, StartError> {
        self.start_child(ChildSpec::new(name, args)).await
    }

    /// Starts an actor on a thread of this process, behind the same mailbox and the same address.
    ///
    /// For actors that own something of this process, such as its one database connection. A handler that blocks stalls
    /// nobody else.
    ///
    /// # Errors
    /// As for [`spawn`](Self::spawn).
    pub async fn spawn_local<A: Handlers>(
        &self,
        name: impl Into<String>,
        args: A::Init,
    ) -> Result<Address<A>, StartError> {
        self.start_child(ChildSpec::local(name, args)).await
    }

    /// Starts a child by its spec.
    ///
    /// # Errors
    /// As for [`spawn`](Self::spawn).
    pub async fn start_child<A: Handlers>(&self, spec: ChildSpec<A>) -> Result<Address<A>, StartError> {
        let spec = spec.spec;
        check(&spec, self.inner.launcher.children.is_some())?;
        let (started, wait) = oneshot::channel();
        self.send(Command::Start(Box::new(spec), started)).map_err(|_| StartError::SupervisorEnded)?;
        let to = wait.await.map_err(|_| StartError::SupervisorEnded)??;
        Ok(Address::new(to))
    }

    /// The actor of this type that is known by this name.
    ///
    /// # Errors
    /// Where there is none, or where it is of another type.
    pub fn lookup<A: Handlers>(&self, name: &str) -> Result<Address<A>, LookupError> {
        typed(name, self.inner.registry.get(name))
    }

    /// The children at this moment, in the order in which they were started.
    pub async fn children(&self) -> Vec<ChildInfo> {
        let (answer, wait) = oneshot::channel();
        match self.send(Command::Children(answer)) {
            Ok(()) => wait.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// How many children there are, by state; exact at one moment, also during a restart loop.
    pub async fn counts(&self) -> Counts {
        let (answer, wait) = oneshot::channel();
        match self.send(Command::Counts(answer)) {
            Ok(()) => wait.await.unwrap_or_default(),
            Err(_) => Counts::default(),
        }
    }

    /// Requests of this process that have not ended, and outcomes that came after their caller had gone.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        crate::actor::node::Node::here()
            .with(|router| Traffic { open_requests: router.open_requests(), discarded: router.discarded() })
    }

    /// Stops a child for good, in order, and says how it ended.
    ///
    /// # Errors
    /// Where there is no such child.
    pub async fn stop(&self, child: impl Into<Which>) -> Result<Exit, Unknown> {
        self.end(child.into(), false).await
    }

    /// Kills a child for good, its own children included, and says how it ended.
    ///
    /// # Errors
    /// Where there is no such child.
    pub async fn kill(&self, child: impl Into<Which>) -> Result<Exit, Unknown> {
        self.end(child.into(), true).await
    }

    /// Stops a child in order and starts it again; done when it is ready. Does not count as a failure.
    ///
    /// # Errors
    /// Where there is no such child, or it did not come back.
    pub async fn restart(&self, child: impl Into<Which>) -> Result<(), Unknown> {
        let (done, wait) = oneshot::channel();
        self.send(Command::Restart { child: child.into(), done }).map_err(|_| Unknown)?;
        wait.await.map_err(|_| Unknown)?
    }

    /// Waits for a child to end for good, at most for so long, and says how its last incarnation ended. A child that had
    /// ended before is answered for too, while it is among the latest 1,024
    /// (its standard error only while it is among the [latest](Self::exit_reports) too).
    ///
    /// # Errors
    /// [`StillRunning`](JoinError::StillRunning) where it has not; [`NoSuchChild`](JoinError::NoSuchChild) where this
    /// supervisor knows nothing of it.
    pub async fn join<A: Handlers>(&self, child: &Address<A>, timeout: Duration) -> Result<Exit, JoinError> {
        let to = child.destination();
        let (done, wait) = oneshot::channel();
        if self.send(Command::Join { child: to, done }).is_ok() {
            match tokio::time::timeout(timeout, wait).await {
                Err(_) => return Err(JoinError::StillRunning { waited: timeout }),
                Ok(Ok(Some(exit))) => return Ok(exit),
                // Unknown, or the supervisor ended with the request unread.
                Ok(Ok(None) | Err(_)) => {}
            }
        }
        let reports = self.inner.reports.borrow();
        let last = reports.find_last(|report| report.of == to);
        last.map(|report| report.exit.clone()).ok_or(JoinError::NoSuchChild)
    }

    /// What happens under this supervisor from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        event::subscribe(self.inner.launcher.owner)
    }

    /// The ends of incarnations so far, the latest 1,024 of them; of what they wrote to standard error, the latest MiB. Those
    /// before have none.
    #[must_use]
    pub fn exit_reports(&self) -> Vec<ExitReport> {
        self.inner.reports.borrow().to_vec()
    }

    /// Ends in order: pools finish what runs, then the children are stopped in reverse, or waited for, as their specs say.
    ///
    /// Done when the last process is gone. Calling it again waits for the same end.
    ///
    /// # Errors
    /// Where the supervisor had given up before.
    ///
    /// # Cancellation
    /// The shutdown goes on without the future.
    pub async fn shutdown(&self) -> Result<(), Escalated> {
        self.wind_up(Winding::Drain).await;
        let _ = self.send(Command::Shutdown);
        self.wait().await
    }

    /// Waits until the supervisor has ended, for whatever reason.
    ///
    /// # Errors
    /// Where it has given up.
    pub async fn wait(&self) -> Result<(), Escalated> {
        let mut over = self.inner.over.clone();
        match over.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Over::Escalated { child, restarts, within })) => {
                Err(Escalated { child: child.clone(), restarts: *restarts, within: *within })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn launcher(&self) -> &Launcher {
        &self.inner.launcher
    }

    /// What lives beside the children.
    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.inner.services
    }

    /// Adds something that ends before the supervisor's own children do.
    pub(crate) fn depend(&self, dependent: Dependent) {
        let mut dependents = self.inner.dependents.lock().unwrap_or_else(PoisonError::into_inner);
        // A supervisor may outlive any number of them.
        dependents.retain(|dependent| !(dependent.is_over)());
        dependents.push(dependent);
    }

    pub(crate) async fn wind_up(&self, how: Winding) {
        let ending: Vec<_> = {
            let dependents = self.inner.dependents.lock().unwrap_or_else(PoisonError::into_inner);
            dependents.iter().rev().map(|dependent| (dependent.end)(how)).collect()
        };
        for ended in ending {
            ended.await;
        }
    }

    async fn end(&self, child: Which, kill: bool) -> Result<Exit, Unknown> {
        let (done, wait) = oneshot::channel();
        self.send(Command::Stop { child, kill, done }).map_err(|_| Unknown)?;
        wait.await.map_err(|_| Unknown)?
    }

    fn send(&self, command: Command) -> Result<(), ()> {
        self.inner.commands.send(command).map_err(drop)
    }
}

/// Requests of this process, of all its supervisors together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests that have not ended.
    pub open_requests: usize,
    /// Outcomes that were thrown away because their caller had gone.
    pub discarded: u64,
}

/// Why a join has no exit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The actor runs on.
    #[error("still running after {waited:?}")]
    StillRunning {
        /// How long was waited.
        waited: Duration,
    },
    /// The supervisor never had it, or it ended long ago.
    #[error("the supervisor knows of no such child")]
    NoSuchChild,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let dependents = std::mem::take(self.dependents.get_mut().unwrap_or_else(PoisonError::into_inner));
        let dependents = Arc::new(dependents);
        let (commands, mut over, ends) = (self.commands.clone(), self.over.clone(), dependents.clone());
        let in_order = Box::pin(async move {
            let ending: Vec<_> = ends.iter().rev().map(|dependent| (dependent.end)(Winding::Drain)).collect();
            for ended in ending {
                ended.await;
            }
            let _ = commands.send(Command::Shutdown);
            let _ = over.wait_for(Option::is_some).await;
        });
        let commands = self.commands.clone();
        let at_once = Box::new(move || {
            for dependent in dependents.iter() {
                // Begun by the call itself; nobody waits here.
                drop((dependent.end)(Winding::Kill));
            }
            let _ = commands.send(Command::Kill);
        });
        Leaving { in_order, at_once }.offer();
    }
}

/// The supervisors of this process, for the end of the program.
static ALIVE: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// Whether this program starts no supervisors any more.
static ENDING: AtomicBool = AtomicBool::new(false);

/// The program is ending: a supervisor that was not there when the others were ended would be killed at last.
pub(crate) fn refuse_to_start() {
    ENDING.store(true, Ordering::Release);
}

/// Whether that was said.
pub(super) fn is_ending() -> bool {
    ENDING.load(Ordering::Acquire)
}

fn remember(inner: &Arc<Inner>) {
    let mut alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner);
    alive.retain(|other| other.strong_count() > 0);
    alive.push(Arc::downgrade(inner));
}

/// Every supervisor of this process that is still held.
pub(crate) fn alive() -> Vec<Supervisor> {
    let alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner);
    alive.iter().filter_map(Weak::upgrade).map(|inner| Supervisor { inner }).collect()
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("owner", &self.inner.launcher.owner).finish_non_exhaustive()
    }
}
