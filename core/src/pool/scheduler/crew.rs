//! How the workers of a pool come and go.

use std::time::Instant;

use super::Scheduler;
use crate::pool::action::Action;
use crate::pool::task::Ending;
use crate::pool::worker::{Phase, WorkerId};

impl Scheduler {
    /// A worker that was to be started takes tasks.
    pub(crate) fn handle_worker_ready(&mut self, now: Instant, worker: WorkerId) {
        self.advance(now);
        let Some(index) = self.workers.find(worker) else {
            return;
        };
        if self.workers[index].phase == Phase::Starting {
            self.workers[index].begin(now);
            self.workers.enter(index, Phase::Ready);
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
            Phase::Vacant | Phase::Ready | Phase::Dying | Phase::Retiring => {}
        }
    }

    /// A worker that was ready, or was told to stop, has exited, or will be killed to be replaced. What it held stays with
    /// it until each task is reported.
    pub(crate) fn handle_worker_lost(&mut self, now: Instant, worker: WorkerId) {
        self.advance(now);
        let Some(index) = self.workers.find(worker) else {
            return;
        };
        let worker = &mut self.workers[index];
        let phase = worker.phase;
        if matches!(phase, Phase::Vacant | Phase::Starting) {
            return;
        }
        worker.incarnation += 1;
        worker.held.clear();
        if phase != Phase::Stopping {
            self.report.workers_lost += 1;
        }
        match phase {
            Phase::Ready | Phase::Dying => self.replace(index),
            Phase::Vacant | Phase::Starting | Phase::Retiring | Phase::Stopping => {
                self.workers.enter(index, Phase::Vacant);
            }
        }
    }

    /// Wants this many workers, at least one. The highest numbers leave first, each after what it holds; tasks that are
    /// bound to them and wait end in [`Ending::NoWorkers`]. Does nothing once workers are no longer replaced.
    pub(crate) fn resize(&mut self, now: Instant, workers: usize) {
        self.advance(now);
        if !self.starts_workers() {
            return;
        }
        let target = workers.max(1);
        let wanted: Vec<_> = self.workers.wanted().collect();
        for _ in wanted.len()..target {
            self.add_worker();
        }
        for &index in wanted.iter().skip(target).rev() {
            self.retire(index);
        }
    }

    /// Wants this worker no more, for one that cannot be started while others can: like those that leave by
    /// [`resize`](Self::resize), which is also what brings it back. Without the last one the pool gives up.
    #[cfg_attr(not(test), expect(dead_code, reason = "for pools that are resized at run time"))]
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
        if worker.phase == Phase::Retiring && worker.held.is_empty() {
            self.stop(index);
        } else {
            self.workers.settle(index);
        }
    }

    /// A worker holds a task no longer, since it has `died` or was asked to give it back.
    pub(super) fn handle_left(&mut self, index: usize, died: bool) {
        if died && self.workers[index].phase == Phase::Ready {
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
        let index = self.workers.unwanted(self.now);
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
            Phase::Ready if !worker.held.is_empty() => self.workers.enter(index, Phase::Retiring),
            // Its exit is on its way, and nobody asked for it.
            Phase::Dying => {
                self.report.workers_lost += 1;
                self.workers.enter(index, Phase::Stopping);
            }
            _ => self.stop(index),
        }
        for id in self.workers[index].queue.drain() {
            if let Some(task) = self.tasks.remove(&id) {
                self.end(id, &task, Ending::NoWorkers);
            }
        }
    }

    pub(super) fn stop(&mut self, index: usize) {
        self.actions.push_back(Action::StopWorker { worker: WorkerId::of(index) });
        self.workers.enter(index, Phase::Stopping);
    }
}
