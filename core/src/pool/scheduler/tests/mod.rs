//! One test per rule, on a clock that is moved by hand.

mod alarms;
mod bound_tasks;
mod cancel;
mod chunks;
mod closing;
mod deaths;
mod dispatch;
mod exhaustive;
mod lives;
mod model;
mod resize;
mod speed;
mod upkeep;
mod windows;

use super::*;
use crate::pool::window::Chunk;

const MS: Duration = Duration::from_millis(1);
const US: Duration = Duration::from_micros(1);

/// A scheduler, its clock, and what it asked for.
struct Bench {
    scheduler: Scheduler,
    now: Instant,
}

impl Bench {
    /// Workers that are still to be started.
    fn new(workers: usize) -> Self {
        Self::with_rules(workers, Rules { chunk: Chunk::ONE, ..Rules::default() })
    }

    fn with_rules(workers: usize, rules: Rules) -> Self {
        let now = Instant::now();
        Self { scheduler: Scheduler::new(now, workers, rules), now }
    }

    /// Workers that are ready.
    fn ready(workers: usize) -> Self {
        let mut bench = Self::new(workers);
        bench.poll();
        (0..workers as u64).for_each(|worker| bench.worker_ready(worker));
        bench
    }

    fn poll(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.scheduler.poll_action()).collect()
    }

    /// What there is to do, which is only to dispatch: (worker, task).
    fn dispatched(&mut self) -> Vec<(u64, u64)> {
        let pair = |action| match action {
            Action::Dispatch { worker, task, .. } => (worker.0, task.0),
            other => panic!("{other:?}"),
        };
        self.poll().into_iter().map(pair).collect()
    }

    /// What there is to do, which is only to end tasks: (task, ending, attempts).
    fn ended(&mut self) -> Vec<(u64, Ending, u32)> {
        let triple = |action| match action {
            Action::End { task, ending, attempts } => (task.0, ending, attempts),
            other => panic!("{other:?}"),
        };
        self.poll().into_iter().map(triple).collect()
    }

    fn submit(&mut self, count: usize) {
        self.submit_with(count, Terms::default());
    }

    fn submit_with(&mut self, count: usize, terms: Terms) {
        for _ in 0..count {
            self.scheduler.submit(self.now, terms).unwrap();
        }
    }

    fn worker_ready(&mut self, worker: u64) {
        self.scheduler.handle_worker_ready(self.now, WorkerId(worker));
    }

    fn worker_lost(&mut self, worker: u64) {
        self.scheduler.handle_worker_lost(self.now, WorkerId(worker));
    }

    fn done(&mut self, task: u64, ran: Duration) {
        assert!(self.scheduler.handle_done(self.now, TaskId(task), ran));
    }

    fn returned(&mut self, task: u64) {
        self.scheduler.handle_returned(self.now, TaskId(task));
    }

    fn died(&mut self, task: u64) {
        self.scheduler.handle_died(self.now, TaskId(task));
    }

    fn cancel(&mut self, task: u64) {
        self.scheduler.cancel(self.now, TaskId(task), Cancel::Tell);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Runs short tasks on every worker until its window is the largest.
    fn warm_up(&mut self) -> u64 {
        let workers = self.scheduler.workers.len();
        let count = 1024 * workers as u64;
        self.submit(count as usize);
        let mut held = self.dispatched();
        while !held.is_empty() {
            held.drain(..).for_each(|(_, task)| self.done(task, US));
            held = self.dispatched();
        }
        let full = |worker| self.scheduler.window(WorkerId(worker)) == 256;
        assert!((0..workers as u64).all(full));
        count
    }
}

fn bound(worker: u64) -> Terms {
    Terms { worker: Some(WorkerId(worker)), ..Terms::default() }
}

fn idempotent(max_attempts: u32) -> Terms {
    Terms { max_attempts, ..Terms::default() }
}

fn start(worker: u64, failures: u32) -> Action {
    Action::StartWorker { worker: WorkerId(worker), failures }
}

fn stop(worker: u64) -> Action {
    Action::StopWorker { worker: WorkerId(worker) }
}

fn kill(worker: u64) -> Action {
    Action::KillWorker { worker: WorkerId(worker) }
}

fn end(task: u64, ending: Ending, attempts: u32) -> Action {
    Action::End { task: TaskId(task), ending, attempts }
}

fn recall(worker: u64, task: u64) -> Action {
    Action::Recall { worker: WorkerId(worker), task: TaskId(task) }
}
