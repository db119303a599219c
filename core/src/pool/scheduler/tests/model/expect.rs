//! What must follow from an input, by the rules and by searching lists.

use super::*;

impl Model {
    pub(super) fn starts_workers(&self) -> bool {
        self.closing <= Some(Closing::Finish) && !self.closed
    }

    pub(super) fn expect_end(&mut self, task: usize, ending: Ending) {
        assert_ne!(self.tasks[task].at, At::End, "a task ends once");
        self.tasks[task].at = At::End;
        let counter = match ending {
            Ending::Cancelled => &mut self.report.cancelled,
            Ending::Lost => &mut self.report.lost,
            Ending::Quarantined => &mut self.report.quarantined,
            Ending::Killed => &mut self.report.killed,
            Ending::NoWorkers => &mut self.report.no_workers,
            Ending::TimedOut => &mut self.report.timed_out,
            Ending::Aborted => &mut self.report.aborted,
        };
        *counter += 1;
        let attempts = self.tasks[task].kills + u32::from(ending == Ending::Killed);
        self.expected.push(end(task as u64, ending, attempts));
    }

    pub(super) fn no_place(&self, task: usize) -> Option<Ending> {
        let TaskModel { bound, cancelled, .. } = self.tasks[task];
        let gone = |bound| self.workers.get(bound).is_none_or(|worker: &WorkerModel| !worker.phase.is_wanted());
        if cancelled || matches!(self.closing, Some(Closing::Drain | Closing::Kill)) {
            Some(Ending::Cancelled)
        } else if self.closing == Some(Closing::NoWorkers) || bound.is_some_and(gone) {
            Some(Ending::NoWorkers)
        } else {
            None
        }
    }

    pub(super) fn expect_placed(&mut self, task: usize) {
        match self.no_place(task) {
            Some(ending) => self.expect_end(task, ending),
            None => {
                self.tasks[task].at = At::Queue;
                self.tasks[task].recalled = false;
            }
        }
    }

    /// Takes a reported task from its worker: `None` if it had ended, `Some(None)` if the worker was lost.
    pub(super) fn expect_report(&mut self, task: usize) -> Option<Option<usize>> {
        let At::Worker { worker, incarnation } = self.tasks[task].at else {
            assert_eq!(self.closing, Some(Closing::Kill), "only a kill ends what a worker holds");
            return None;
        };
        if self.workers[worker].incarnation != incarnation {
            return Some(None);
        }
        self.workers[worker].held.retain(|&held| held != task as u64);
        Some(Some(worker))
    }

    pub(super) fn expect_relieved(&mut self, worker: usize) {
        let relieved = &mut self.workers[worker];
        if relieved.held.is_empty() {
            relieved.recalled = false;
            relieved.stuck = false;
            if relieved.phase == Phase::Retiring {
                self.expect_stop(worker);
            }
        }
    }

    pub(super) fn expect_left(&mut self, worker: Option<usize>, died: bool) {
        let Some(worker) = worker else { return };
        if died && self.workers[worker].phase == Phase::Ready {
            self.workers[worker].phase = Phase::Dying;
        }
        self.expect_relieved(worker);
    }

    pub(super) fn expect_stop(&mut self, worker: usize) {
        self.workers[worker].phase = Phase::Stopping;
        self.expected.push(stop(worker as u64));
    }

    pub(super) fn expect_replaced(&mut self, worker: usize) {
        let starts = self.starts_workers();
        let replaced = &mut self.workers[worker];
        replaced.phase = if starts { Phase::Starting } else { Phase::Vacant };
        if starts {
            self.expected.push(start(worker as u64, replaced.failures));
        }
    }

    pub(super) fn expect_retired(&mut self, worker: usize) {
        match self.workers[worker].phase {
            Phase::Ready if !self.workers[worker].held.is_empty() => {
                self.workers[worker].phase = Phase::Retiring;
            }
            Phase::Dying => {
                self.workers[worker].phase = Phase::Stopping;
                self.report.workers_lost += 1;
            }
            _ => self.expect_stop(worker),
        }
        for task in 0..self.tasks.len() {
            if self.tasks[task].at == At::Queue && self.tasks[task].bound == Some(worker) {
                self.expect_end(task, Ending::NoWorkers);
            }
        }
    }

    pub(super) fn expect_resize(&mut self, workers: usize) {
        if !self.starts_workers() {
            return;
        }
        let wanted = |model: &Self| -> Vec<usize> {
            (0..model.workers.len()).filter(|&worker| model.workers[worker].phase.is_wanted()).collect()
        };
        while wanted(self).len() > workers.max(1) {
            let highest = *wanted(self).last().unwrap();
            self.expect_retired(highest);
        }
        while wanted(self).len() < workers.max(1) {
            let first = |phase| self.workers.iter().position(|worker| worker.phase == phase);
            if let Some(worker) = first(Phase::Retiring) {
                self.workers[worker].phase = Phase::Ready;
                continue;
            }
            let worker = first(Phase::Vacant).unwrap_or(self.workers.len());
            if worker == self.workers.len() {
                self.workers.push(WorkerModel {
                    phase: Phase::Vacant,
                    incarnation: 0,
                    failures: 0,
                    held: Vec::new(),
                    heard: self.now,
                    recalled: false,
                    stuck: false,
                    process: Process::None,
                });
            }
            self.workers[worker].failures = 0;
            self.expect_replaced(worker);
        }
    }

    pub(super) fn expect_close(&mut self, by: Closing) {
        if self.closing >= Some(by) {
            return;
        }
        self.closing = Some(by);
        for task in 0..self.tasks.len() {
            match (self.tasks[task].at, by) {
                (_, Closing::Finish) | (At::End, _) => {}
                (At::Queue, Closing::NoWorkers) => self.expect_end(task, Ending::NoWorkers),
                (At::Queue, _) => self.expect_end(task, Ending::Cancelled),
                (At::Worker { .. }, Closing::Kill) => self.expect_end(task, Ending::Killed),
                (At::Worker { .. }, _) => {}
            }
        }
        if by == Closing::Drain {
            for (index, worker) in self.workers.iter().enumerate() {
                for &id in worker.held.iter().skip(1) {
                    let task = &mut self.tasks[id as usize];
                    if !task.cancelled && !std::mem::replace(&mut task.recalled, true) {
                        self.expected.push(recall(index as u64, id));
                    }
                }
            }
        }
        if by == Closing::Kill {
            for (index, worker) in self.workers.iter_mut().enumerate() {
                worker.held.clear();
                if worker.phase != Phase::Vacant {
                    worker.phase = Phase::Stopping;
                    self.expected.push(kill(index as u64));
                }
            }
        }
    }
}
