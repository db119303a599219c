//! The task of a pool: feeds the scheduler, does what it says, and never waits for a start.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::action::{Action, Closing};
use super::completion::Item;
use super::ended::{Ended, How, RanOn};
use super::error::TaskError;
use super::inbox::{Arrival, NewTask, Shared};
use super::info::PoolReport;
use super::insight::{PoolInsights, Slowest};
use super::rules::Wear;
use super::scheduler::Scheduler;
use super::task::{Cancel, Ending, TaskId, TaskMap};
use super::team::{Plan, Team};
use super::worker::WorkerId;
use crate::actor::call::failure;
use crate::actor::node::{Node, Numbered, Sink};
use crate::error::call::{CallError, Executed};
use crate::error::exit::Exit;
use crate::error::start::StartError;
use crate::event::{self, Event};
use crate::process::keeper::End;
use crate::router::{CallKey, Outcome};

/// What a result says of itself: whether it is a failure, and how long it took where it says that.
pub(super) type Read = fn(&Bytes) -> (bool, Option<Duration>);

/// Room for arrivals that is kept when a burst is over.
const KEEP: usize = 4096;

/// The task of a pool.
pub(super) struct Shell {
    shared: Arc<Shared>,
    sink: Arc<dyn Sink>,
    scheduler: Scheduler,
    team: Team,
    read: Read,
    tasks: TaskMap<Pending>,
    /// Dispatched in this round and not sent yet.
    outgoing: Vec<(WorkerId, TaskId)>,
    failed: u64,
    slowest: Slowest,
    /// When a drain becomes a kill.
    kill_at: Option<Instant>,
    closed: bool,
    /// Why the pool gave up.
    cause: Option<Arc<str>>,
    started: Option<oneshot::Sender<Result<(), StartError>>>,
}

/// A task that has not ended.
struct Pending {
    task: NewTask,
    /// The worker that has it, or had it last.
    worker: Option<(WorkerId, Arc<RanOn>)>,
    call: Option<CallKey>,
    /// When it was dispatched.
    since: Instant,
    ran: Duration,
    /// The end of the last worker that died while it ran the task.
    exit: Option<Box<Exit>>,
}

impl Shell {
    pub(super) fn new(
        shared: Arc<Shared>,
        plan: Plan,
        read: Read,
        started: oneshot::Sender<Result<(), StartError>>,
    ) -> Self {
        Self {
            sink: shared.clone(),
            scheduler: Scheduler::new(Instant::now(), shared.size(), plan.rules.clone()),
            team: Team::new(shared.clone(), plan),
            shared,
            read,
            tasks: TaskMap::default(),
            outgoing: Vec::new(),
            failed: 0,
            slowest: Slowest::default(),
            kill_at: None,
            closed: false,
            cause: None,
            started: Some(started),
        }
    }

    /// Runs the pool to its end: until it is closed, all tasks have ended and all processes are gone.
    pub(super) async fn run(mut self) {
        self.shared.set_wanted(self.scheduler.workers());
        let mut arrivals = Vec::new();
        loop {
            self.shared.take(&mut arrivals);
            let now = Instant::now();
            for arrival in arrivals.drain(..) {
                self.handle(now, arrival);
            }
            if arrivals.capacity() > KEEP {
                arrivals.shrink_to(KEEP);
            }
            self.handle_time(now);
            self.act(now);
            self.shared.set_running(self.scheduler.running());
            self.shared.room.notify_waiters();
            if self.closed && self.team.is_gone() {
                return;
            }
            let due = [self.scheduler.poll_timeout(), self.team.poll_timeout(), self.kill_at];
            tokio::select! {
                biased;
                () = self.shared.arrived.notified() => {}
                () = until(due.into_iter().flatten().min()) => {}
            }
        }
    }

    fn handle(&mut self, now: Instant, arrival: Arrival) {
        match arrival {
            Arrival::Submit(task) => match self.scheduler.submit(now, task.terms) {
                Ok(id) => {
                    let pending =
                        Pending { task, worker: None, call: None, since: now, ran: Duration::ZERO, exit: None };
                    self.tasks.insert(id, pending);
                }
                // It was on its way when the pool closed.
                Err(closed) => self.refuse(task, closed.by),
            },
            Arrival::Reported(id, outcome) => self.handle_reported(now, id, outcome),
            Arrival::Cancel(id, how) => self.scheduler.cancel(now, id, how),
            Arrival::Abandon(receiver) => {
                let wanted = |pending: &Pending| !Arc::ptr_eq(&pending.task.receiver, &receiver);
                let mut abandoned: Vec<_> =
                    self.tasks.iter().filter(|(_, pending)| !wanted(pending)).map(|(id, _)| *id).collect();
                abandoned.sort_unstable();
                abandoned.into_iter().for_each(|id| self.scheduler.cancel(now, id, Cancel::Tell));
            }
            Arrival::Ready(worker, child) => {
                self.team.handle_ready(now, worker, child);
                self.scheduler.handle_worker_ready(now, worker);
                if let Some(started) = self.started.take() {
                    let _ = started.send(Ok(()));
                }
            }
            Arrival::Ended(worker, end) => self.handle_ended(now, worker, *end),
            Arrival::Close(Closing::Finish, _) => self.scheduler.finish(now),
            Arrival::Close(Closing::Drain, deadline) => {
                self.scheduler.drain(now);
                self.kill_at = [self.kill_at, deadline].into_iter().flatten().min();
            }
            Arrival::Close(Closing::Kill | Closing::NoWorkers, _) => self.scheduler.kill(now),
            Arrival::Insights(answer) => {
                let _ = answer.send(PoolInsights { workers: self.team.insights(now), slowest: self.slowest.list() });
            }
            Arrival::Resize(workers, known) => {
                self.scheduler.resize(now, workers);
                self.shared.set_wanted(self.scheduler.workers());
                let _ = known.send(());
            }
            Arrival::Pause => self.scheduler.pause(now),
            Arrival::Resume => self.scheduler.resume(now),
            Arrival::Workers(answer) => {
                let _ = answer.send(self.team.list(&self.scheduler));
            }
        }
    }

    /// The call of a dispatched task has ended.
    fn handle_reported(&mut self, now: Instant, id: TaskId, outcome: Outcome) {
        let Some(pending) = self.tasks.get_mut(&id) else {
            // It was killed with the pool.
            return;
        };
        pending.call = None;
        let outcome = match outcome {
            Outcome::FailedElsewhere(_) => Outcome::Failed(failure(outcome)),
            known => known,
        };
        if let Outcome::Failed(
            CallError::Died { executed: Executed::No, .. } | CallError::Cancelled | CallError::NotDelivered(_),
        ) = outcome
        {
            pending.worker = None;
            self.scheduler.handle_returned(now, id);
            return;
        }
        let busy_since = match &pending.worker {
            Some((worker, _)) => pending.since.max(self.team.handle_reported(now, *worker)),
            None => pending.since,
        };
        pending.ran = now.saturating_duration_since(busy_since);
        if let Outcome::Failed(CallError::Died { exit, .. }) = outcome {
            pending.exit = Some(exit);
            self.scheduler.handle_died(now, id);
            return;
        }
        let (failed, told) = match &outcome {
            Outcome::Value(bytes, _) => (self.read)(bytes),
            _ => (true, None),
        };
        pending.ran = told.unwrap_or(pending.ran);
        if let Some((worker, _)) = &pending.worker {
            self.team.handle_worked(*worker, pending.ran);
        }
        if self.scheduler.handle_done(now, id, pending.ran)
            && let Some(pending) = self.tasks.remove(&id)
        {
            self.failed += u64::from(failed);
            self.end(id, pending, How::Reported(outcome), failed);
        }
    }

    /// An incarnation of a worker has ended. Reports of what it held are in the inbox by then.
    fn handle_ended(&mut self, now: Instant, worker: WorkerId, end: End) {
        let failed = end.failed.is_some();
        let hopeless = self.team.handle_ended(now, worker, end);
        if let Some(error) = hopeless
            && self.team.ready() == 0
        {
            self.give_up(now, error);
        }
        if failed {
            self.scheduler.handle_start_failed(now, worker);
        } else {
            self.scheduler.handle_worker_lost(now, worker);
        }
    }

    fn give_up(&mut self, now: Instant, error: StartError) {
        if self.cause.is_some() {
            return;
        }
        let cause: Arc<str> = error.to_string().into();
        event::publish(
            self.shared.owner,
            Event::PoolGaveUp { pool: self.shared.name.to_string(), cause: cause.to_string() },
        );
        self.cause = Some(cause);
        self.shared.close(Closing::NoWorkers);
        self.scheduler.handle_no_workers(now);
        if let Some(started) = self.started.take() {
            let _ = started.send(Err(error));
        }
    }

    fn handle_time(&mut self, now: Instant) {
        if self.scheduler.poll_timeout().is_some_and(|at| at <= now) {
            self.scheduler.handle_timeout(now);
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.scheduler.kill(now);
        }
        self.team.handle_timeout(now);
        for (worker, bytes) in self.team.measure(now) {
            self.scheduler.handle_memory(now, worker, bytes);
        }
    }

    /// Does what the scheduler says, until it says no more.
    fn act(&mut self, now: Instant) {
        while let Some(action) = self.scheduler.poll_action() {
            match action {
                Action::Dispatch { worker, task, .. } => {
                    if let Some(pending) = self.tasks.get_mut(&task) {
                        pending.worker = self.team.ran_on(worker).map(|ran_on| (worker, ran_on));
                        pending.since = now;
                        self.outgoing.push((worker, task));
                    }
                    continue;
                }
                Action::End { task, ending, attempts } => {
                    if let Some(mut pending) = self.tasks.remove(&task) {
                        let exit = pending.exit.take();
                        let cause = self.cause.clone();
                        self.end(task, pending, How::Ending { ending, attempts, exit, cause }, true);
                    }
                    continue;
                }
                _ => self.send(),
            }
            match action {
                Action::StartWorker { worker, failures } => self.team.start(now, worker, failures),
                Action::CancelRunning { task, .. } => self.take_back(task, true),
                Action::Recall { task, .. } => self.take_back(task, false),
                Action::StopWorker { worker } => {
                    if self.team.stop(worker) {
                        self.scheduler.handle_start_failed(now, worker);
                    }
                }
                Action::KillWorker { worker } => self.team.kill(worker),
                Action::Look { worker, task } => {
                    let since = self.running_since(worker, task);
                    self.scheduler.handle_look(now, task, since);
                }
                Action::KillFor { worker, task, ending } => self.kill_for(now, worker, task, ending),
                Action::Recycle { worker, wear } => self.tell_of_recycling(worker, wear),
                Action::StopWorkers => self.team.stop_all(),
                Action::Closed(_) => self.closed = true,
                Action::Dispatch { .. } | Action::End { .. } => {}
            }
        }
        self.send();
    }

    /// Since when a worker runs this task, if it does: the journal says that it has begun it, and by the last report it
    /// was free to.
    fn running_since(&self, worker: WorkerId, id: TaskId) -> Option<Instant> {
        let pending = self.tasks.get(&id)?;
        let call = pending.call?;
        let runs = Node::here().with(|router| router.is_running(call));
        runs.then(|| self.team.reported(worker).map_or(pending.since, |reported| pending.since.max(reported)))
    }

    fn kill_for(&mut self, now: Instant, worker: WorkerId, id: TaskId, ending: Ending) {
        let since = self.running_since(worker, id);
        if let Some(pending) = self.tasks.get(&id) {
            let ran = now.saturating_duration_since(since.unwrap_or(pending.since));
            let (pool, task) = (self.shared.name.to_string(), pending.task.name.to_owned());
            let name = self.team.name(worker);
            event::publish(
                self.shared.owner,
                Event::TaskKilled { pool, task, id: id.0, worker: name, ran, late: ending == Ending::TimedOut },
            );
        }
        self.team.kill(worker);
    }

    fn tell_of_recycling(&self, worker: WorkerId, wear: Wear) {
        let why = match wear {
            Wear::Tasks(tasks) => format!("it has run {tasks} tasks"),
            Wear::Age(age) => format!("it is {age:?} old"),
            Wear::Memory(bytes) => format!("it uses {bytes} bytes of memory"),
        };
        event::publish(self.shared.owner, Event::Recycled { child: self.team.name(worker), why });
    }

    /// Sends what was dispatched, all at once.
    fn send(&mut self) {
        if self.outgoing.is_empty() {
            return;
        }
        let calls: Vec<_> = self
            .outgoing
            .iter()
            .filter_map(|(worker, id)| {
                let task = &self.tasks.get(id)?.task;
                let to = self.team.destination(*worker)?;
                Some(Numbered {
                    number: id.0,
                    to,
                    deadline: task.deadline,
                    caused_by: task.caused_by,
                    message: task.message.clone(),
                })
            })
            .collect();
        for ((_, id), key) in self.outgoing.drain(..).zip(Node::here().submit_all(&self.sink, calls)) {
            if let Some(pending) = self.tasks.get_mut(&id) {
                pending.call = Some(key);
                pending.task.receiver.begun();
            }
        }
    }

    fn take_back(&mut self, id: TaskId, tell: bool) {
        if let Some(call) = self.tasks.get(&id).and_then(|pending| pending.call) {
            Node::here().with(|router| router.take_back(call, tell));
        }
    }

    fn end(&mut self, id: TaskId, pending: Pending, how: How, failed: bool) {
        let Pending { task, worker, ran, .. } = pending;
        let worker = worker.map(|(_, ran_on)| ran_on);
        let size = task.message.payload.len();
        let ended = Ended { id, name: task.name, index: task.index, size, how, failed, ran, worker };
        self.slowest.handle(&ended, task.description.as_ref());
        self.shared.count(failed);
        self.tell(&task, ended);
    }

    fn refuse(&self, task: NewTask, by: Closing) {
        let why = TaskError::Closed { task: task.name.to_owned(), why: by.to_string() };
        let size = task.message.payload.len();
        self.tell(&task, Ended { size, ..Ended::not_taken(task.name, task.index, why) });
    }

    fn tell(&self, task: &NewTask, ended: Ended) {
        for (to, handler) in task.also.iter().flat_map(|also| also.iter()) {
            let item = Item { ended: ended.clone(), handler: handler.clone(), held: None };
            self.shared.deliveries.deliver(*to, item);
        }
        self.shared.release();
        task.receiver.ended(ended);
    }
}

impl Drop for Shell {
    /// In order, or because the runtime ends under the pool: then what was left ends here.
    fn drop(&mut self) {
        let now = Instant::now();
        self.scheduler.kill(now);
        while let Some(action) = self.scheduler.poll_action() {
            if let Action::End { task, ending, attempts } = action
                && let Some(mut pending) = self.tasks.remove(&task)
            {
                let exit = pending.exit.take();
                self.end(task, pending, How::Ending { ending, attempts, exit, cause: self.cause.clone() }, true);
            }
        }
        self.team.retire();
        for arrival in self.shared.close_for_good() {
            if let Arrival::Submit(task) = arrival {
                self.refuse(task, Closing::Kill);
            }
        }
        self.shared.set_running(0);
        let cause = self.cause.as_deref().map(str::to_owned);
        self.shared.over.send_replace(Some(PoolReport::new(self.scheduler.report(), self.failed, cause)));
        self.shared.room.notify_waiters();
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
