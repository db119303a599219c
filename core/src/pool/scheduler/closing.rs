//! How a pool stops taking tasks, and ends.

use std::time::Instant;

use super::Scheduler;
use crate::pool::action::{Action, Closing};
use crate::pool::task::Ending;
use crate::pool::worker::{Phase, WorkerId};

impl Scheduler {
    /// The pool gives up: it cannot keep one worker. It closes; every task that no worker holds ends in
    /// [`Ending::NoWorkers`].
    pub(crate) fn handle_no_workers(&mut self, now: Instant) {
        self.advance(now);
        if self.close(Closing::NoWorkers) {
            self.end_queued(Ending::NoWorkers);
        }
    }

    /// Takes no more tasks and runs all that it has.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.advance(now);
        self.close(Closing::Finish);
    }

    /// Takes no more tasks, finishes those that run and cancels the others, those that workers hold and have not begun
    /// included. No worker is replaced any more.
    pub(crate) fn drain(&mut self, now: Instant) {
        self.advance(now);
        if self.close(Closing::Drain) {
            self.end_queued(Ending::Cancelled);
            (0..self.workers.len()).for_each(|index| self.recall(index, 1, |_, task| !task.recalled));
        }
    }

    /// Ends everything at once: what is queued is cancelled, what workers hold is killed with them.
    pub(crate) fn kill(&mut self, now: Instant) {
        self.advance(now);
        if !self.close(Closing::Kill) {
            return;
        }
        self.end_queued(Ending::Cancelled);
        for (id, task) in self.tasks.drain() {
            self.end(id, &task, Ending::Killed);
        }
        self.running = 0;
        self.alarms.clear();
        for index in 0..self.workers.len() {
            self.workers[index].held.clear();
            match self.workers[index].phase {
                Phase::Vacant => {}
                Phase::Dormant => self.workers.enter(index, Phase::Vacant),
                _ => {
                    self.actions.push_back(Action::KillWorker { worker: WorkerId::of(index) });
                    self.workers.enter(index, Phase::Stopping);
                }
            }
        }
    }

    /// Whether this is stricter than what was said before.
    pub(super) fn close(&mut self, by: Closing) -> bool {
        let stricter = self.closing < Some(by);
        if stricter {
            self.closing = Some(by);
        }
        stricter
    }

    pub(super) fn starts_workers(&self) -> bool {
        self.closing <= Some(Closing::Finish) && !self.closed
    }

    pub(super) fn end_queued(&mut self, ending: Ending) {
        let mut queued = self.queue.drain();
        for index in 0..self.workers.len() {
            queued.extend(self.workers[index].queue.drain());
        }
        queued.sort_unstable();
        for id in queued {
            if let Some(task) = self.tasks.remove(id) {
                self.end(id, &task, ending);
            }
        }
    }

    /// The last actions of the pool; no task is left.
    pub(super) fn end_pool(&mut self) -> Action {
        self.closed = true;
        self.look_at = None;
        self.alarms.clear();
        let closed = Action::Closed(self.report);
        if self.closing == Some(Closing::Kill) {
            return closed;
        }
        for index in 0..self.workers.len() {
            match self.workers[index].phase {
                Phase::Vacant => {}
                Phase::Dormant => self.workers.enter(index, Phase::Vacant),
                _ => self.workers.enter(index, Phase::Stopping),
            }
        }
        self.actions.push_back(closed);
        Action::StopWorkers
    }
}
