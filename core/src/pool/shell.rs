//! The task of a pool: feeds the scheduler, does what it says, and never waits for a start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::runs::{Left, Runs};
use self::values::Values;
use super::action::{Action, Closing};
use super::chunk::{ChunkId, Sent, SentChunks};
use super::completion::Item;
use super::ended::{Batch, Ended, How, TaskEnd};
use super::error::TaskError;
use super::inbox::{Arrival, Job, NewTasks, Shared};
use super::info::PoolReport;
use super::insight::{PoolInsights, Slowest};
use super::rules::Wear;
use super::scheduler::Scheduler;
use super::span::Spans;
use super::table::Table;
use super::task::{Cancel, Ending, TaskId};
use super::team::{Plan, Team};
use super::worker::WorkerId;
use crate::actor::call::failure;
use crate::actor::node::{Node, Numbered, Sink};
use crate::actor::parcel::Parcel;
use crate::error::call::{CallError, Executed};
use crate::error::exit::Exit;
use crate::error::start::StartError;
use crate::event::{self, Event};
use crate::process::keeper::End;
use crate::router::{Message, Outcome};
use crate::wire::codec::Kept;
use crate::wire::frame::Trace;

mod chunks;
mod runs;
mod values;

/// What a result says of itself: whether it is a failure, and how long it took where it says that.
pub(super) type Read = fn(&[u8]) -> (bool, Option<Duration>);

/// Room for arrivals that is kept when a burst is over.
const KEEP: usize = 4096;

/// The task of a pool.
pub(super) struct Shell {
    shared: Arc<Shared>,
    sink: Arc<dyn Sink>,
    scheduler: Scheduler,
    team: Team,
    read: Read,
    tasks: Runs,
    /// What was sent by itself, or last was so.
    alone: Table<Sent>,
    /// Values that have come one by one and together.
    values: Values,
    /// How the last runs of tasks ended whose workers died.
    last: HashMap<TaskId, LastRun>,
    /// Chunks that workers have.
    chunks: SentChunks,
    /// Dispatched in this round and not sent yet.
    outgoing: Vec<(WorkerId, Outgoing)>,
    failed: u64,
    slowest: Slowest,
    /// When a drain becomes a kill.
    kill_at: Option<Instant>,
    closed: bool,
    /// Why the pool gave up.
    cause: Option<Arc<str>>,
    started: Option<oneshot::Sender<Result<(), StartError>>>,
}

/// What is to be sent to a worker.
enum Outgoing {
    Task(TaskId),
    Chunk(Spans),
}

/// A run in which a worker died.
struct LastRun {
    ran: Duration,
    exit: Box<Exit>,
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
            tasks: Runs::default(),
            alone: Table::default(),
            values: Values::default(),
            last: HashMap::new(),
            chunks: SentChunks::default(),
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
                match arrival {
                    Arrival::Reported(id, Outcome::Value(bytes, handles)) => {
                        self.handle_value(now, id, bytes, handles);
                    }
                    other => {
                        self.end_values(now);
                        self.handle(now, other);
                    }
                }
            }
            self.end_values(now);
            if arrivals.capacity() > KEEP {
                arrivals.shrink_to(KEEP);
            }
            self.handle_time(now);
            self.act(now);
            self.shared.set_running(self.scheduler.running());
            self.shared.set_window(self.scheduler.most_held());
            self.shared.room.notify_waiters();
            if self.closed && self.team.is_gone() {
                return;
            }
            let due =
                [self.scheduler.poll_timeout(), self.team.poll_timeout(), self.kill_at, self.chunks.poll_timeout()];
            tokio::select! {
                biased;
                () = self.shared.arrived.notified() => {}
                () = until(due.into_iter().flatten().min()) => {}
            }
        }
    }

    fn handle(&mut self, now: Instant, arrival: Arrival) {
        match arrival {
            Arrival::Submit(job, tasks) => self.submit(now, job, tasks),
            Arrival::Reported(id, outcome) => self.handle_reported(now, id, outcome),
            Arrival::ChunkReported(id, outcome) => self.handle_chunk(now, id, outcome),
            Arrival::Cancel(id, how) => self.scheduler.cancel(now, id, how),
            Arrival::Abandon(receiver) => {
                let abandoned = self.tasks.awaited_by(&receiver);
                // The last first: a worker that is told of the one it runs must not begin the next one, which is unwanted too.
                abandoned.into_iter().rev().for_each(|id| self.scheduler.cancel(now, id, Cancel::Tell));
            }
            Arrival::Ready(worker, child, places) => {
                self.team.handle_ready(now, worker, child, places);
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

    fn submit(&mut self, now: Instant, job: Arc<Job>, tasks: NewTasks) {
        match self.scheduler.submit_all(now, job.terms, tasks.calls.count()) {
            Ok(first) => self.tasks.insert(first, job, tasks),
            // They were on their way when the pool closed.
            Err(closed) => refuse(&self.shared, &job, &tasks, closed.by),
        }
    }

    /// The call of a dispatched task has ended.
    fn handle_reported(&mut self, now: Instant, id: TaskId, outcome: Outcome) {
        if !self.tasks.has(id) {
            // It was killed with the pool.
            return;
        }
        let outcome = match outcome {
            Outcome::FailedElsewhere(_) => Outcome::Failed(failure(outcome)),
            Outcome::Value(bytes, handles) => {
                self.handle_value(now, id, bytes, handles);
                return self.end_values(now);
            }
            known => known,
        };
        if let Outcome::Failed(
            CallError::Died { executed: Executed::No, .. } | CallError::Cancelled | CallError::NotDelivered(_),
        ) = outcome
        {
            self.handle_returned(now, id);
            return;
        }
        let Some(sent) = self.alone.get_mut(id) else { return };
        sent.call = None;
        let worker = sent.worker;
        let ran = now.saturating_duration_since(sent.since.max(self.team.handle_reported(now, worker)));
        if let Outcome::Failed(CallError::Died { exit, .. }) = outcome {
            self.last.insert(id, LastRun { ran, exit });
            self.scheduler.handle_died(now, id);
            return;
        }
        self.team.handle_worked(worker, 1, ran);
        if self.scheduler.handle_done(now, id, ran) {
            self.failed += 1;
            self.end(id, How::Reported(Box::new(outcome)), true, ran);
        }
    }

    /// A task has come back that its worker had not begun.
    fn handle_returned(&mut self, now: Instant, id: TaskId) {
        if self.tasks.has(id) {
            self.alone.remove(id);
            self.scheduler.handle_returned(now, id);
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
        if self.chunks.poll_timeout().is_some_and(|at| at <= now) {
            self.look_at_chunks(now);
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
                    self.outgoing.push((worker, Outgoing::Task(task)));
                    continue;
                }
                Action::Chunk { worker, tasks } => {
                    self.outgoing.push((worker, Outgoing::Chunk(tasks)));
                    continue;
                }
                Action::End { task, ending, attempts } => {
                    self.end_without_result(task, ending, attempts);
                    continue;
                }
                _ => self.send(now),
            }
            match action {
                Action::StartWorker { worker, failures } => self.team.start(now, worker, failures),
                Action::CancelRunning { task, .. } => self.take_back(now, task, true),
                Action::Recall { task, .. } => self.take_back(now, task, false),
                Action::StopWorker { worker } => {
                    if self.team.stop(worker) {
                        self.scheduler.handle_start_failed(now, worker);
                    }
                }
                Action::KillWorker { worker } => self.team.kill(worker),
                Action::Look { worker, task } => {
                    let since = self.running_since(now, worker, task);
                    self.scheduler.handle_look(now, task, since);
                }
                Action::KillFor { worker, task, ending } => self.kill_for(now, worker, task, ending),
                Action::Recycle { worker, wear } => self.tell_of_recycling(worker, wear),
                Action::StopWorkers => self.team.stop_all(),
                Action::Closed(_) => self.closed = true,
                Action::Dispatch { .. } | Action::Chunk { .. } | Action::End { .. } => {}
            }
        }
        self.send(now);
    }

    /// Since when a worker runs this task, if it does: the journal says that it has begun it, and by the last report it
    /// was free to; or the chunk that it is in says so.
    fn running_since(&mut self, now: Instant, worker: WorkerId, id: TaskId) -> Option<Instant> {
        if let Some(chunk) = self.chunks.with(id).map(|chunk| chunk.id) {
            return self.chunks.get_mut(chunk)?.running_since(now, id);
        }
        let sent = self.alone.get(id)?;
        let (call, since) = (sent.call?, sent.since);
        let runs = Node::here().with(|router| router.is_running(call));
        runs.then(|| self.team.reported(worker).map_or(since, |reported| since.max(reported)))
    }

    fn kill_for(&mut self, now: Instant, worker: WorkerId, id: TaskId, ending: Ending) {
        let since = self.running_since(now, worker, id);
        if let Some(job) = self.tasks.job(id) {
            let since = since.or_else(|| self.sent_of(id).map(|sent| sent.since));
            let ran = now.saturating_duration_since(since.unwrap_or(now));
            let (pool, task) = (self.shared.name.to_string(), job.name.to_owned());
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
    fn send(&mut self, now: Instant) {
        if self.outgoing.is_empty() {
            return;
        }
        let mut calls = Vec::with_capacity(self.outgoing.len());
        let mut outgoing = std::mem::take(&mut self.outgoing);
        for (worker, what) in outgoing.drain(..) {
            match what {
                Outgoing::Task(id) => self.send_one(now, worker, id, &mut calls),
                Outgoing::Chunk(tasks) => self.send_chunk(now, worker, &tasks, &mut calls),
            }
        }
        self.outgoing = outgoing;
        let numbers: Vec<_> = calls.iter().map(|call| call.number).collect();
        for (number, key) in numbers.into_iter().zip(Node::here().submit_all(&self.sink, calls)) {
            match ChunkId::of(number) {
                Some(chunk) => self.chunk_sent(chunk, key),
                None => {
                    let id = TaskId(number);
                    if let Some(sent) = self.alone.get_mut(id) {
                        sent.call = Some(key);
                    }
                    if let Some(job) = self.tasks.job(id) {
                        job.receiver.begun();
                    }
                }
            }
        }
    }

    /// Sends a task by itself.
    fn send_one(&mut self, now: Instant, worker: WorkerId, id: TaskId, calls: &mut Vec<Numbered>) {
        let (Some((run, place)), Some(to)) = (self.tasks.get(id), self.team.destination(worker)) else { return };
        if let Some(ran_on) = self.team.ran_on(worker) {
            self.alone.insert(id, Sent { worker, ran_on, since: now, call: None });
        }
        let job = &run.job;
        let message = message(job.method, run.calls.call(place));
        calls.push(Numbered { number: id.0, to, deadline: job.deadline, caused_by: job.caused_by, message });
    }

    /// Asks for a task back that its worker may have begun; if it has, the task is told so, where it is to be.
    fn take_back(&mut self, now: Instant, id: TaskId, tell: bool) {
        let Some(chunk) = self.chunks.with(id).map(|chunk| chunk.id) else {
            if let Some(call) = self.alone.get(id).and_then(|sent| sent.call) {
                Node::here().with(|router| router.take_back(call, tell));
            }
            return;
        };
        self.take_back_chunk(now, chunk);
        // What comes behind it in the chunk is not there any more.
        if tell
            && let Some(chunk) = self.chunks.get_mut(chunk)
            && chunk.running_since(now, id).is_some()
            && let Some(call) = chunk.sent.call
        {
            Node::here().with(|router| router.take_back(call, true));
        }
    }

    /// How the worker that has a task, or had it last, came by it.
    fn sent_of(&self, id: TaskId) -> Option<&Sent> {
        self.alone.get(id).or_else(|| self.chunks.with(id).map(|chunk| &chunk.sent))
    }

    fn end_without_result(&mut self, id: TaskId, ending: Ending, attempts: u32) {
        let cause = self.cause.clone();
        let (ran, exit) = match self.last.get(&id) {
            Some(last) => (last.ran, Some(last.exit.clone())),
            None => (Duration::ZERO, None),
        };
        self.end(id, How::Ending { ending, attempts, exit, cause }, true, ran);
    }

    fn end(&mut self, id: TaskId, how: How, failed: bool, ran: Duration) {
        let worker = self.sent_of(id).map(|sent| sent.ran_on.clone());
        let Some(Left { job, index, size }) = self.tasks.remove(id) else { return };
        self.alone.remove(id);
        self.forget(id);
        let end = TaskEnd { id, index, how, failed, ran };
        self.slowest.handle(job.name, worker.as_ref(), (id, ran), job.description.as_ref());
        self.shared.count(1, u64::from(failed));
        tell_all(&self.shared, &job, Batch::one(job.name, worker, size, end));
    }

    /// It does not matter any more how a task's last run ended.
    fn forget(&mut self, id: TaskId) {
        if !self.last.is_empty() {
            self.last.remove(&id);
        }
    }
}

fn refuse(shared: &Shared, job: &Job, tasks: &NewTasks, by: Closing) {
    for place in 0..tasks.calls.count() {
        let why = TaskError::Closed { task: job.name.to_owned(), why: by.to_string() };
        let Ended { name, worker, end } = Ended::not_taken(job.name, tasks.index + place as u64, why);
        tell_all(shared, job, Batch::one(name, worker, tasks.calls.size(place), end));
    }
}

/// Tells whoever awaits these tasks of one job how they ended.
fn tell_all(shared: &Shared, job: &Job, batch: Batch) {
    for (to, handler) in job.also.iter().flat_map(|also| also.iter()) {
        for ended in batch.clone() {
            shared.deliveries.deliver(*to, Item { ended, handler: handler.clone(), held: None });
        }
    }
    shared.release(batch.len());
    job.receiver.all_ended(batch);
}

fn message(method: u16, call: Parcel) -> Message {
    Message {
        method,
        priority: 0,
        trace: Trace::default(),
        handles: call.handles,
        payload: call.bytes,
        kept: Kept::default(),
    }
}

impl Drop for Shell {
    /// In order, or because the runtime ends under the pool: then what was left ends here.
    fn drop(&mut self) {
        let now = Instant::now();
        self.scheduler.kill(now);
        while let Some(action) = self.scheduler.poll_action() {
            if let Action::End { task, ending, attempts } = action {
                self.end_without_result(task, ending, attempts);
            }
        }
        self.team.retire();
        for arrival in self.shared.close_for_good() {
            if let Arrival::Submit(job, tasks) = arrival {
                refuse(&self.shared, &job, &tasks, Closing::Kill);
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
