//! How the workers of a pool come and go.

use std::time::Instant;

use super::Scheduler;
use crate::pool::action::Action;
use crate::pool::worker::{Phase, WorkerId};

impl Scheduler {
    /// A worker that was to be started takes tasks.
    pub(crate) fn handle_worker_ready(&mut self, now: Instant, worker: WorkerId) {
        self.advance(now);
        let Some(index) = self.workers.find(worker) else {
            return;
        };
        if self.workers[index].phase == Phase::Starting {
            let lot = self.rules.recycle.draw(&mut self.rng);
            self.workers[index].begin(now, lot, self.rules.chunk);
            self.workers[index].reserve = self.rules.spares > 0 && self.workers.active() >= self.size;
            self.workers.enter(index, Phase::Ready);
            self.handle_begun(index);
        }
    }

    /// A worker that was to be started never became ready. It is wanted still.
    pub(crate) fn handle_start_failed(&mut self, now: Instant, worker: WorkerId) {
        self.advance(now);
        let Some(index) = self.workers.find(worker) else {
            return;
        };
        match self.workers[index].phase {
            Phase::Starting => {
                self.report.start_failures += 1;
                self.workers[index].failures += 1;
                self.replace(index);
            }
            Phase::Stopping => self.workers.enter(index, Phase::Vacant),
            _ => {}
        }
    }

    /// A worker that was ready, or was told to stop, has exited, or will be killed to be replaced. What it held stays with
    /// it until each task is reported.
    pub(crate) fn handle_worker_lost(&mut self, now: Instant, worker: WorkerId) {
        self.advance(now);
        let Some(index) = self.workers.find(worker) else {
            return;
        };
        let phase = self.workers[index].phase;
        match phase {
            Phase::Vacant | Phase::Starting | Phase::Dormant => return,
            Phase::Stopping | Phase::Dozing => {}
            Phase::Renewing => self.report.recycled += 1,
            Phase::Ready | Phase::Dying | Phase::Retiring | Phase::Recycling => self.count_loss(index),
        }
        self.workers[index].end();
        let has_own = !self.workers[index].queue.is_empty();
        match phase {
            Phase::Dozing if !has_own && self.starts_workers() => self.workers.enter(index, Phase::Dormant),
            Phase::Retiring | Phase::Stopping => self.workers.enter(index, Phase::Vacant),
            _ => self.replace(index),
        }
        self.fill_up();
    }

    /// A worker has gone that nobody told to stop.
    fn count_loss(&mut self, index: usize) {
        if self.workers[index].killed {
            self.report.workers_killed += 1;
        } else {
            self.report.workers_lost += 1;
        }
    }

    /// Wants this many workers, at least one. The highest numbers leave first, each after what it holds; tasks that are
    /// bound to them and wait end in [`Ending::NoWorkers`]. Does nothing once workers are no longer replaced.
    pub(crate) fn resize(&mut self, now: Instant, workers: usize) {
        self.advance(now);
        if !self.starts_workers() {
            return;
        }
        self.size = workers.max(1);
        let target = self.size + self.rules.spares;
        let wanted: Vec<_> = self.workers.wanted().collect();
        for _ in wanted.len()..target {
            self.add_worker();
        }
        for &index in wanted.iter().skip(target).rev() {
            self.retire(index);
        }
        self.fill_up();
    }

    /// Wants this worker no more, for one that cannot be started while others can: like those that leave by
    /// [`resize`](Self::resize), which is also what brings it back. Without the last one the pool gives up.
    #[cfg(test)]
    pub(crate) fn remove_worker(&mut self, now: Instant, worker: WorkerId) {
        self.advance(now);
        let Some(index) = self.workers.find(worker) else {
            return;
        };
        if self.starts_workers() && self.workers[index].phase.is_wanted() {
            self.retire(index);
            if self.workers.wanted().next().is_none() {
                self.handle_no_workers(now);
            }
        }
    }

    /// A worker has less to do.
    pub(super) fn relieve(&mut self, index: usize) {
        let worker = &self.workers[index];
        match worker.phase {
            Phase::Retiring if worker.held.is_empty() => self.stop(index, Phase::Stopping),
            Phase::Recycling if worker.held.is_empty() => self.stop(index, Phase::Renewing),
            _ => {
                self.workers.settle(index);
                self.look_again(index);
                self.handle_idle(index);
            }
        }
    }

    /// A worker holds a task no longer, since it has `died` or was asked to give it back.
    pub(super) fn handle_left(&mut self, index: usize, died: bool) {
        if died && matches!(self.workers[index].phase, Phase::Ready | Phase::Recycling) {
            self.workers.enter(index, Phase::Dying);
        } else {
            self.relieve(index);
        }
    }

    /// Wants the next incarnation of a worker, if any is wanted at all.
    pub(super) fn replace(&mut self, index: usize) {
        if self.starts_workers() {
            let failures = self.workers[index].failures;
            self.actions.push_back(Action::StartWorker { worker: WorkerId::of(index), failures });
            self.workers.enter(index, Phase::Starting);
        } else {
            self.workers.enter(index, Phase::Vacant);
        }
    }

    /// Wants one worker more: best one that is about to leave.
    pub(super) fn add_worker(&mut self) {
        let index = self.workers.unwanted(self.now, self.rules.chunk);
        if self.workers[index].phase == Phase::Retiring {
            self.workers.enter(index, Phase::Ready);
            return;
        }
        self.workers[index].failures = 0;
        self.replace(index);
    }

    /// Wants one worker less.
    pub(super) fn retire(&mut self, index: usize) {
        let worker = &self.workers[index];
        match worker.phase {
            Phase::Ready | Phase::Recycling if !worker.held.is_empty() => self.workers.enter(index, Phase::Retiring),
            // Its exit is on its way, and nobody asked for it.
            Phase::Dying => {
                self.count_loss(index);
                self.workers.enter(index, Phase::Stopping);
            }
            Phase::Renewing | Phase::Dozing => self.workers.enter(index, Phase::Stopping),
            Phase::Dormant => self.workers.enter(index, Phase::Vacant),
            _ => self.stop(index, Phase::Stopping),
        }
        for id in self.workers[index].queue.drain() {
            if let Some(task) = self.tasks.remove(id) {
                match self.no_place(&task) {
                    // What is there for a key goes on with the worker that has the key now.
                    None => self.enqueue(id, task),
                    Some(ending) => self.end(id, &task, ending),
                }
            }
        }
    }

    /// Tells a worker that holds nothing to stop.
    pub(super) fn stop(&mut self, index: usize, phase: Phase) {
        self.actions.push_back(Action::StopWorker { worker: WorkerId::of(index) });
        self.workers.enter(index, phase);
    }
}
