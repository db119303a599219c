//! What a pool is told, until its task takes it all at once.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot, watch};

use super::action::Closing;
use super::calls::Calls;
use super::chunk::ChunkId;
use super::completion::{Also, Deliveries};
use super::ended::Receiver;
use super::info::{PoolReport, PoolWorker};
use super::insight::PoolInsights;
use super::options::Defaults;
use super::task::{Cancel, TaskId, Terms};
use super::window;
use super::worker::WorkerId;
use crate::actor::node::Sink;
use crate::process::keeper::End;
use crate::router::{CallKey, Outcome};
use crate::shm::chunk::Places;
use crate::sys::Child;

/// Tasks that a pool holds, ended or not, before it takes no more; a map or a stream never comes near it.
pub(super) const MOST_TASKS: usize = 1 << 20;

/// What so many workers may hold, and twice as much for them to share.
fn in_flight(workers: usize, held: usize) -> usize {
    (3 * held * workers).min(MOST_TASKS / 4)
}

/// What the handles of a pool and its task share.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    /// The supervisor, for what is told of the pool.
    pub(super) owner: u64,
    size: AtomicUsize,
    /// The workers that messages to all of them go to.
    wanted: Mutex<Arc<[WorkerId]>>,
    /// What tasks keep to that say nothing else.
    pub(super) defaults: Defaults,
    /// Whether each task is to travel by itself.
    pub(super) one_by_one: bool,
    inbox: Mutex<Inbox>,
    pub(super) arrived: Notify,
    /// Tasks that have not ended.
    open: AtomicUsize,
    done: AtomicU64,
    failed: AtomicU64,
    /// Of the open ones, tasks that a worker has.
    running: AtomicUsize,
    /// How many tasks a worker may hold at present.
    window: AtomicUsize,
    /// Told when a task has ended.
    pub(super) room: Notify,
    pub(super) over: watch::Sender<Option<PoolReport>>,
    pub(super) deliveries: Deliveries,
}

#[derive(Default)]
struct Inbox {
    /// The number of the next task: the scheduler counts the same way.
    next: u64,
    closed: Option<Closing>,
    over: bool,
    arrivals: Vec<Arrival>,
}

pub(super) enum Arrival {
    Submit(Arc<Job>, NewTasks),
    /// The call for this task has ended.
    Reported(TaskId, Outcome),
    /// The call for this chunk has.
    ChunkReported(ChunkId, Outcome),
    Cancel(TaskId, Cancel),
    /// Nobody wants the tasks of this receiver any more.
    Abandon(Arc<dyn Receiver>),
    /// A worker takes tasks; where in its memory chunks of them are.
    Ready(WorkerId, Child, Places),
    Ended(WorkerId, Box<End>),
    Close(Closing, Option<Instant>),
    Workers(oneshot::Sender<Vec<PoolWorker>>),
    Insights(oneshot::Sender<PoolInsights>),
    Resize(usize, oneshot::Sender<()>),
    Pause,
    Resume,
}

/// What many tasks have in common.
pub(super) struct Job {
    pub(super) name: &'static str,
    /// The number of the method that runs it.
    pub(super) method: u16,
    /// The message whose handler submitted it.
    pub(super) caused_by: Option<CallKey>,
    pub(super) terms: Terms,
    pub(super) deadline: Option<Instant>,
    pub(super) receiver: Arc<dyn Receiver>,
    /// What insights say of it.
    pub(super) description: Option<Arc<str>>,
    /// Who else is brought its completion.
    pub(super) also: Option<Also>,
}

/// Tasks of one job on their way to the scheduler.
pub(super) struct NewTasks {
    /// The place of the first one in the input it comes from.
    pub(super) index: u64,
    pub(super) calls: Calls,
}

/// A task was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    Closed(Closing),
    Full,
}

impl Shared {
    pub(super) fn new(name: Arc<str>, owner: u64, size: usize, defaults: Defaults, one_by_one: bool) -> Arc<Self> {
        Arc::new(Self {
            deliveries: Deliveries::new(name.clone(), owner),
            name,
            owner,
            size: AtomicUsize::new(size),
            wanted: Mutex::new((0..size as u64).map(WorkerId).collect()),
            defaults,
            one_by_one,
            inbox: Mutex::default(),
            arrived: Notify::new(),
            open: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            window: AtomicUsize::new(window::MOST_SINGLE),
            room: Notify::new(),
            over: watch::Sender::new(None),
        })
    }

    /// How many workers it has, or will have.
    pub(super) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// Wants another number of workers.
    pub(super) async fn resize(&self, workers: usize) {
        self.size.store(workers, Ordering::Relaxed);
        let (known, wait) = oneshot::channel();
        self.tell(Arrival::Resize(workers, known));
        // Where the pool is over there are none to be had.
        let _ = wait.await;
    }

    /// The workers that messages to all of them go to.
    pub(super) fn wanted(&self) -> Arc<[WorkerId]> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_wanted(&self, wanted: impl Iterator<Item = WorkerId>) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = wanted.collect();
    }

    /// Queues tasks, in order, and returns the first one's number.
    pub(super) fn submit(&self, job: Arc<Job>, tasks: NewTasks) -> Result<TaskId, NotTaken> {
        let count = tasks.calls.count();
        let mut inbox = self.lock();
        if let Some(by) = inbox.closed {
            return Err(NotTaken::Closed(by));
        }
        if self.held() + count > MOST_TASKS {
            return Err(NotTaken::Full);
        }
        let first = TaskId(inbox.next);
        inbox.next += count as u64;
        self.open.fetch_add(count, Ordering::Relaxed);
        inbox.arrivals.push(Arrival::Submit(job, tasks));
        drop(inbox);
        self.arrived.notify_one();
        Ok(first)
    }

    /// Tells the pool's task something; nothing happens once the pool is over.
    pub(super) fn tell(&self, arrival: Arrival) {
        let mut inbox = self.lock();
        if inbox.over {
            return;
        }
        if let Arrival::Close(by, _) = &arrival {
            inbox.closed = inbox.closed.max(Some(*by));
        }
        let first = inbox.arrivals.is_empty();
        inbox.arrivals.push(arrival);
        drop(inbox);
        if first {
            self.arrived.notify_one();
        }
    }

    /// Takes everything that has arrived.
    pub(super) fn take(&self, into: &mut Vec<Arrival>) {
        std::mem::swap(&mut self.lock().arrivals, into);
    }

    /// Takes no more tasks from now on.
    pub(super) fn close(&self, by: Closing) {
        let mut inbox = self.lock();
        inbox.closed = inbox.closed.max(Some(by));
    }

    /// Takes nothing at all from now on, and returns what had arrived.
    pub(super) fn close_for_good(&self) -> Vec<Arrival> {
        let mut inbox = self.lock();
        inbox.closed = inbox.closed.max(Some(Closing::Finish));
        inbox.over = true;
        std::mem::take(&mut inbox.arrivals)
    }

    /// So many tasks that were taken have ended, some of them in a failure.
    pub(super) fn count(&self, ended: u64, failed: u64) {
        self.done.fetch_add(ended - failed, Ordering::Relaxed);
        if failed > 0 {
            self.failed.fetch_add(failed, Ordering::Relaxed);
        }
    }

    /// Tasks that have a value, and tasks that have failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    pub(super) fn set_running(&self, running: usize) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// Tasks that workers have.
    pub(super) fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed) as u64
    }

    /// So many tasks have ended, or were not taken.
    pub(super) fn release(&self, tasks: usize) {
        self.open.fetch_sub(tasks, Ordering::Relaxed);
    }

    /// Tasks that no worker has.
    pub(super) fn queued(&self) -> usize {
        self.open.load(Ordering::Relaxed).saturating_sub(self.running.load(Ordering::Relaxed))
    }

    /// Tasks that have not ended, and those that have whose completion is still to be delivered.
    pub(super) fn held(&self) -> usize {
        self.open.load(Ordering::Relaxed) + self.deliveries.ledger().open()
    }

    /// How many tasks a map or a stream has in the pool, by what its workers may hold at present.
    pub(super) fn in_flight(&self) -> usize {
        in_flight(self.size(), self.window.load(Ordering::Relaxed))
    }

    /// Says how many tasks a worker may hold at present.
    pub(super) fn set_window(&self, tasks: usize) {
        self.window.store(tasks.max(window::MOST_SINGLE), Ordering::Relaxed);
    }

    /// Whether less is in the pool than its workers could be given.
    pub(super) fn has_room(&self) -> bool {
        self.held() < self.in_flight() || self.over.borrow().is_some()
    }

    /// Waits until that is so.
    pub(super) async fn room(&self) {
        loop {
            let mut told = pin!(self.room.notified());
            let mut delivered = pin!(self.deliveries.ledger().told());
            // Before the look, so that nothing in between is missed.
            told.as_mut().enable();
            delivered.as_mut().enable();
            if self.has_room() {
                return;
            }
            tokio::select! {
                () = told => {}
                () = delivered => {}
            }
        }
    }

    /// Waits for the pool's end.
    pub(super) async fn ended(&self) -> PoolReport {
        let mut over = self.over.subscribe();
        match over.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(report)) => report.clone(),
            _ => PoolReport::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Shared {
    fn ended(&self, number: u64, outcome: Outcome) {
        self.tell(match ChunkId::of(number) {
            Some(chunk) => Arrival::ChunkReported(chunk, outcome),
            None => Arrival::Reported(TaskId(number), outcome),
        });
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).field("size", &self.size()).finish_non_exhaustive()
    }
}
