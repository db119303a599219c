//! The shell around the policy: starts, stops and tells, and never waits for a child.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use super::child::{ChildInfo, ChildState, ExitReport};
use super::command::{By, Command, Unknown, Which};
use super::over::{Finished, Over};
use super::policy::{Action, ChildId, ChildPolicy, DoneReason, EndReason, Ending, Policy, Refused, State};
use super::reports::Reports;
use super::spec::{AtEnd, Home, Spec};
use crate::actor::lookup::Named;
use crate::actor::node::Node;
use crate::error::call::NotDelivered;
use crate::error::exit::{Exit, ExitCause};
use crate::error::start::StartError;
use crate::event::{self, Event};
use crate::process::keeper::{End, Wish};
use crate::process::launcher::{Launcher, Order};
use crate::registry::Registry;
use crate::router::{EntryKey, NewEntry};
use crate::wire::ids::Destination;

pub(crate) struct Shell {
    policy: Policy,
    launcher: Launcher,
    registry: Arc<Registry>,
    children: HashMap<ChildId, Child>,
    next: u64,
    inbox: mpsc::UnboundedReceiver<Command>,
    /// For the tasks that keep children.
    tell: mpsc::UnboundedSender<Command>,
    /// Taken when the end has come.
    over: Option<watch::Sender<Option<Over>>>,
    reports: watch::Sender<Reports>,
    escalated: Option<Over>,
    start_error: Option<StartError>,
    initial: Option<oneshot::Sender<Result<(), StartError>>>,
}

struct Child {
    spec: Spec,
    entry: EntryKey,
    to: Destination,
    incarnation: u32,
    restarts: u32,
    pid: Option<u32>,
    began: Instant,
    wish: Option<watch::Sender<Wish>>,
    /// An end that the router has not been told of: what it means depends on what the policy makes of it.
    end: Option<Box<End>>,
    last_exit: Option<Exit>,
    started: Option<oneshot::Sender<Result<Destination, StartError>>>,
    stopped: Vec<oneshot::Sender<Result<Exit, Unknown>>>,
    restarted: Vec<oneshot::Sender<Result<(), Unknown>>>,
    joined: Vec<oneshot::Sender<Option<Exit>>>,
}

impl Shell {
    pub(crate) fn new(
        policy: Policy,
        launcher: Launcher,
        registry: Arc<Registry>,
        inbox: mpsc::UnboundedReceiver<Command>,
        tell: mpsc::UnboundedSender<Command>,
        over: watch::Sender<Option<Over>>,
        reports: watch::Sender<Reports>,
    ) -> Self {
        Self {
            policy,
            launcher,
            registry,
            children: HashMap::new(),
            next: 1,
            inbox,
            tell,
            over: Some(over),
            reports,
            escalated: None,
            start_error: None,
            initial: None,
        }
    }

    /// Runs the supervisor to its end. `initial` children are started in order; the sender is told how that went.
    pub(crate) async fn run(
        mut self,
        initial: Vec<Spec>,
        started: oneshot::Sender<Result<(), StartError>>,
    ) -> Finished {
        self.initial = Some(started);
        let mut added = Vec::new();
        for spec in initial {
            let restart = spec.restart;
            match self.admit(spec, None) {
                Ok(id) => added.push((id, ChildPolicy { restart })),
                Err((_, error)) => {
                    self.start_error.get_or_insert(error);
                }
            }
        }
        if self.start_error.is_some() {
            // A bad spec among them: nothing is started at all.
            added.clear();
            self.policy.shutdown(Instant::now());
        } else {
            let _ = self.policy.add_all(Instant::now(), added);
        }
        loop {
            while let Some(action) = self.policy.poll_action() {
                if let Some(over) = self.perform(action) {
                    return self.finish(over);
                }
            }
            self.settle_all();
            let due = self.policy.poll_timeout();
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => self.handle(command),
                    // Every handle is gone, and the keepers' own sender is ours: cannot be.
                    None => self.kill(),
                },
                () = until(due) => self.policy.handle_timeout(Instant::now()),
            }
        }
    }

    fn handle(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Start(spec, started) => {
                let restart = spec.restart;
                match self.admit(*spec, Some(started)) {
                    Ok(id) => {
                        if let Err(refused) = self.policy.add(now, id, ChildPolicy { restart }) {
                            self.forget(id, Some(start_refused(refused)), EndReason::Supervisor);
                        }
                    }
                    Err((Some(started), error)) => drop(started.send(Err(error))),
                    Err((None, _)) => {}
                }
            }
            Command::Stop { child, kill, done } => match self.find(&child) {
                Some(id) => {
                    if kill && let Some(wish) = self.children.get(&id).and_then(|child| child.wish.as_ref()) {
                        wish.send_replace(Wish::Kill);
                    }
                    match self.policy.remove(now, id) {
                        Ok(()) => {
                            if let Some(child) = self.children.get_mut(&id) {
                                child.stopped.push(done);
                            }
                        }
                        Err(_) => drop(done.send(Err(Unknown))),
                    }
                }
                None => drop(done.send(Err(Unknown))),
            },
            Command::Restart { child, done } => {
                let id = self.find(&child).filter(|&id| self.policy.restart(now, id).is_ok());
                match id.and_then(|id| self.children.get_mut(&id)) {
                    Some(child) => child.restarted.push(done),
                    None => drop(done.send(Err(Unknown))),
                }
            }
            Command::Join { child, done } => {
                match self.find(&Which(By::At(child))).and_then(|id| self.children.get_mut(&id)) {
                    Some(child) => child.joined.push(done),
                    None => drop(done.send(None)),
                }
            }
            Command::Children(answer) => drop(answer.send(self.list())),
            Command::Counts(answer) => drop(answer.send(self.policy.counts())),
            Command::Shutdown => self.policy.shutdown(now),
            Command::Kill => self.kill(),
            Command::Ready(id, pid) => self.ready(id, pid),
            Command::Ended(id, end) => {
                let Some(child) = self.children.get_mut(&id) else { return };
                child.pid = None;
                child.wish = None;
                let failed = end.failed.is_some();
                let ending = match end.exit.cause {
                    ExitCause::Normal => Ending::Normal,
                    ExitCause::Shutdown => Ending::Shutdown,
                    _ => Ending::Abnormal,
                };
                child.end = Some(end);
                if failed {
                    self.policy.handle_start_failed(now, id);
                } else {
                    self.policy.handle_exited(now, id, ending);
                }
            }
        }
    }

    fn kill(&mut self) {
        for child in self.children.values() {
            if let Some(wish) = &child.wish {
                wish.send_replace(Wish::Kill);
            }
        }
        self.policy.shutdown(Instant::now());
    }

    /// Gives a child its name and its mailbox.
    #[expect(clippy::type_complexity, reason = "the waiter goes back to whoever brought it")]
    fn admit(
        &mut self,
        spec: Spec,
        started: Option<oneshot::Sender<Result<Destination, StartError>>>,
    ) -> Result<ChildId, (Option<oneshot::Sender<Result<Destination, StartError>>>, StartError)> {
        let node = Node::here();
        let about = NewEntry {
            owner: self.launcher.owner,
            name: spec.name.as_str().into(),
            type_hash: spec.type_hash,
            capacity: spec.mailbox,
            methods: spec.actor.methods.iter().map(|method| method.name).collect(),
        };
        let (entry, to) = node.with(|router| router.own(about));
        let named = Named { to, type_name: spec.type_name.to_owned() };
        if !self.registry.insert(&spec.name, named) {
            node.with(|router| router.retire(entry, &NotDelivered::Stopped, None));
            return Err((started, StartError::NameTaken(spec.name)));
        }
        let id = ChildId(self.next);
        self.next += 1;
        self.children.insert(
            id,
            Child {
                spec,
                entry,
                to,
                incarnation: 0,
                restarts: 0,
                pid: None,
                began: Instant::now(),
                wish: None,
                end: None,
                last_exit: None,
                started,
                stopped: Vec::new(),
                restarted: Vec::new(),
                joined: Vec::new(),
            },
        );
        Ok(id)
    }

    fn perform(&mut self, action: Action) -> Option<Over> {
        match action {
            Action::Start { id, attempt } => {
                self.settle(id);
                self.start(id, attempt);
            }
            Action::Stop { id } => {
                if let Some(child) = self.children.get(&id)
                    && let Some(wish) = &child.wish
                {
                    // Giving up is no orderly end: who waits for nobody then is not waited for.
                    let orderly = self.escalated.is_none() && self.start_error.is_none();
                    let asked_for = !child.stopped.is_empty() || !child.restarted.is_empty();
                    let waits = child.spec.at_end == AtEnd::Wait && orderly && !asked_for;
                    let starting = child.pid.is_none();
                    if !waits || starting {
                        wish.send_if_modified(|wish| {
                            let live = *wish == Wish::Live;
                            if live {
                                *wish = Wish::Stop { grace: child.spec.shutdown };
                            }
                            live
                        });
                    }
                }
            }
            Action::Restarting { id, delay, attempt } => {
                self.settle(id);
                if let Some(child) = self.children.get(&id) {
                    self.tell(Event::Restarting { child: child.spec.name.clone(), attempt, delay });
                }
            }
            Action::Ended { id, why } => {
                // What ended for good is forgotten; its name is free again.
                if why != EndReason::Removed {
                    let _ = self.policy.remove(Instant::now(), id);
                }
                self.forget(id, None, why);
            }
            Action::Ready => {
                if let Some(initial) = self.initial.take() {
                    let _ = initial.send(Ok(()));
                }
            }
            Action::StartFailed { id } => {
                if let Some(child) = self.children.get(&id) {
                    let error = child.end.as_ref().and_then(|end| end.failed.clone());
                    self.start_error = error.or(Some(StartError::Stopped(child.spec.name.clone())));
                }
            }
            Action::Escalated { id, restarts, within } => {
                let child = self.children.get(&id).map_or_else(String::new, |child| child.spec.name.clone());
                // The failure is told before what follows from it.
                self.forget(id, None, EndReason::Supervisor);
                self.tell(Event::Escalated { child: child.clone(), restarts, within });
                self.escalated = Some(Over::Escalated { child, restarts, within });
            }
            Action::Done { why } => {
                return Some(match (why, self.start_error.take(), self.escalated.take()) {
                    (_, Some(error), _) => Over::StartFailed(error),
                    (DoneReason::Escalated, _, Some(over)) => over,
                    _ => Over::Shutdown,
                });
            }
        }
        None
    }

    fn start(&mut self, id: ChildId, attempt: u32) {
        let Some(child) = self.children.get_mut(&id) else { return };
        child.incarnation += 1;
        child.restarts += u32::from(attempt > 0);
        child.began = Instant::now();
        let order = Order {
            name: child.spec.name.clone(),
            actor: child.spec.actor,
            id: child.spec.id.clone(),
            to: child.to,
            entry: child.entry,
            number: child.incarnation,
            init: child.spec.init.clone().unwrap_or_default(),
            init_timeout: child.spec.init_timeout,
            limits: child.spec.limits.clone(),
        };
        let (ready, ended) = (self.tell.clone(), self.tell.clone());
        let on_ready = move |pid| drop(ready.send(Command::Ready(id, pid)));
        let on_end = move |end| drop(ended.send(Command::Ended(id, Box::new(end))));
        let wish = match (child.spec.home, &self.launcher.children) {
            (Home::Process, Some(children)) => {
                self.launcher.launch(children.clone(), order, move |child, _| on_ready(child.pid()), on_end)
            }
            // Checked where the child was asked for.
            (Home::Process, None) | (Home::Thread, _) => self.launcher.launch_local(order, on_ready, on_end),
        };
        child.wish = Some(wish);
    }

    fn ready(&mut self, id: ChildId, pid: u32) {
        self.policy.handle_ready(Instant::now(), id);
        let Some(child) = self.children.get_mut(&id) else { return };
        child.pid = Some(pid);
        // Told first: who has its answer and then listens has not to hear of it again.
        let event = Event::Started { child: child.spec.name.clone(), pid, incarnation: child.incarnation };
        event::publish(self.launcher.owner, event);
        if let Some(started) = child.started.take() {
            let _ = started.send(Ok(child.to));
        }
        for restarted in child.restarted.drain(..) {
            let _ = restarted.send(Ok(()));
        }
    }

    /// Ends that were not followed by another action: the child will be started again.
    fn settle_all(&mut self) {
        let open: Vec<_> = self.children.iter().filter(|(_, child)| child.end.is_some()).map(|(id, _)| *id).collect();
        for id in open {
            self.settle(id);
        }
    }

    /// Tells the router that an incarnation ended, of a child that comes back.
    fn settle(&mut self, id: ChildId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let Some(end) = child.end.take() else { return };
        let node = Node::here();
        node.with(|router| match &end.failed {
            Some(_) => router.start_failed(child.entry, &end.exit),
            None => router.incarnation_ended(child.entry, &end.exit),
        });
        self.mourn(id, &end);
    }

    /// Closes what an incarnation leaves behind and makes its end known.
    fn mourn(&mut self, id: ChildId, end: &End) {
        if let Some(link) = end.link {
            Node::here().close_link(link);
        }
        let Some(child) = self.children.get_mut(&id) else { return };
        child.last_exit = Some(end.exit.clone());
        let name = child.spec.name.clone();
        let (lived, of) = (child.began.elapsed(), child.to);
        let report = ExitReport { child: name.clone(), exit: end.exit.clone(), lived, of };
        self.reports.send_modify(|reports| reports.push(report));
        self.tell(match &end.failed {
            Some(error) => Event::StartFailed { child: name, error: error.to_string() },
            None => Event::Exited { child: name, exit: end.exit.clone() },
        });
    }

    /// Ends a child for good: its address answers so from now on.
    fn forget(&mut self, id: ChildId, error: Option<StartError>, why: EndReason) {
        let Some(child) = self.children.get_mut(&id) else { return };
        let end = child.end.take();
        let failed = end.as_ref().and_then(|end| end.failed.clone()).or(error);
        let undelivered = match &failed {
            Some(error) => NotDelivered::StartFailed(error.to_string()),
            None => NotDelivered::Stopped,
        };
        let entry = child.entry;
        let last = end.as_ref().map(|end| end.exit.clone());
        Node::here().with(|router| router.retire(entry, &undelivered, last.as_ref()));
        if let Some(end) = &end {
            self.mourn(id, end);
        }
        let Some(child) = self.children.remove(&id) else { return };
        self.registry.remove(&child.spec.name);
        self.tell(Event::Ended { child: child.spec.name.clone(), why: said(why).to_owned() });
        if let Some(started) = child.started {
            let error = failed.unwrap_or_else(|| StartError::Stopped(child.spec.name.clone()));
            let _ = started.send(Err(error));
        }
        let exit =
            child.last_exit.unwrap_or_else(|| Exit { pid: 0, cause: ExitCause::Shutdown, stderr: String::new() });
        for stopped in child.stopped {
            let _ = stopped.send(Ok(exit.clone()));
        }
        for restarted in child.restarted {
            let _ = restarted.send(Err(Unknown));
        }
        for joined in child.joined {
            let _ = joined.send(Some(exit.clone()));
        }
    }

    fn find(&self, which: &Which) -> Option<ChildId> {
        self.children
            .iter()
            .find(|(_, child)| match &which.0 {
                By::Name(name) => child.spec.name == *name,
                By::At(to) => child.to == *to,
            })
            .map(|(id, _)| *id)
    }

    fn list(&self) -> Vec<ChildInfo> {
        let node = Node::here();
        let mut list: Vec<_> = self
            .children
            .iter()
            .map(|(id, child)| {
                let (queued, running) = node.with(|router| router.load(child.entry));
                let info = ChildInfo {
                    name: child.spec.name.clone(),
                    actor: child.spec.type_name,
                    pid: child.pid,
                    incarnation: child.incarnation,
                    restarts: child.restarts,
                    restart: child.spec.restart,
                    state: match self.policy.state(*id) {
                        Some(State::Running { .. }) => ChildState::Running,
                        Some(State::BackingOff { .. }) => ChildState::Restarting,
                        Some(State::Stopping { .. }) => ChildState::Stopping,
                        _ => ChildState::Starting,
                    },
                    queued,
                    in_hand: running,
                    last_exit: child.last_exit.clone(),
                };
                (*id, info)
            })
            .collect();
        list.sort_by_key(|(id, _)| *id);
        list.into_iter().map(|(_, info)| info).collect()
    }

    fn tell(&self, event: Event) {
        event::publish(self.launcher.owner, event);
    }

    fn finish(mut self, how: Over) -> Finished {
        let left: Vec<_> = self.children.keys().copied().collect();
        for id in left {
            self.forget(id, Some(StartError::SupervisorEnded), EndReason::Supervisor);
        }
        if let Some(initial) = self.initial.take() {
            let _ = initial.send(match &how {
                Over::StartFailed(error) => Err(error.clone()),
                _ => Err(StartError::SupervisorEnded),
            });
        }
        self.registry.close();
        // Whoever asked in the meantime hears that nobody is there.
        self.inbox.close();
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Start(_, started) => drop(started.send(Err(StartError::SupervisorEnded))),
                Command::Stop { done, .. } => drop(done.send(Err(Unknown))),
                Command::Restart { done, .. } => drop(done.send(Err(Unknown))),
                _ => {}
            }
        }
        Finished::new(self.over.take(), how)
    }
}

impl Drop for Shell {
    /// The runtime ends under the supervisor: nothing of it may be waited for any more. Processes are killed by the
    /// tasks that keep them.
    fn drop(&mut self) {
        let node = Node::here();
        for child in self.children.values() {
            // What its process was doing may have been done.
            let killed = |pid| Exit { pid, cause: ExitCause::Killed, stderr: String::new() };
            let exit = child.pid.map(killed);
            node.with(|router| router.retire(child.entry, &NotDelivered::Stopped, exit.as_ref()));
        }
        if let Some(over) = self.over.take() {
            self.registry.close();
            over.send_replace(Some(Over::Shutdown));
        }
    }
}

fn start_refused(_: Refused) -> StartError {
    StartError::SupervisorEnded
}

fn said(why: EndReason) -> &'static str {
    match why {
        EndReason::Normal => "it ended by itself",
        EndReason::Temporary => "it failed and is temporary",
        EndReason::Terminated | EndReason::Removed => "it was stopped",
        EndReason::StartFailed => "it could not be started",
        EndReason::Supervisor => "its supervisor ends",
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
