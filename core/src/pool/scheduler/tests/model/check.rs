//! What the scheduler says, held against what must follow.

use super::*;
use crate::pool::worker::Seat;

impl Model {
    pub(super) fn poll(&mut self) {
        while let Some(action) = self.scheduler.poll_action() {
            match action {
                Action::Dispatch { worker, task, attempt } => self.dispatch(worker.0 as usize, task.0, attempt),
                Action::Chunk { worker, tasks } => {
                    self.dispatch_chunk(worker.0 as usize, &tasks.iter().collect::<Vec<_>>());
                }
                Action::StopWorkers => {
                    assert!(self.closing.is_some_and(|by| by < Closing::Kill) && !self.closed);
                    self.assert_all_ended();
                    for worker in &mut self.workers {
                        if worker.phase != Phase::Vacant {
                            worker.phase = Phase::Stopping;
                        }
                    }
                    self.expected.push(Action::Closed(self.report));
                }
                Action::Closed(report) => {
                    assert!(!std::mem::replace(&mut self.closed, true), "closed is said once");
                    self.assert_all_ended();
                    assert_eq!(report, self.report);
                    assert_eq!(report.submitted, report.ended());
                    let said = self.expected.iter().position(|expected| *expected == action);
                    assert_eq!(said.is_none(), self.closing == Some(Closing::Kill), "the workers are told first");
                    said.map(|said| self.expected.remove(said));
                }
                action => self.perform(&action),
            }
        }
        assert_eq!(self.expected, [], "all that follows is said");
        self.assert_counts();
        self.assert_progress();
    }

    pub(super) fn perform(&mut self, action: &Action) {
        let said = self.expected.iter().position(|expected| expected == action);
        self.expected.remove(said.unwrap_or_else(|| panic!("unexpected {action:?}")));
        match action {
            Action::StartWorker { worker, .. } => {
                let process = &mut self.workers[worker.0 as usize].process;
                assert!(matches!(process, Process::None), "one process at a time");
                *process = Process::Starting;
            }
            Action::StopWorker { worker } => {
                if let Process::Up(sent) = &self.workers[worker.0 as usize].process {
                    assert!(sent.is_empty(), "a worker is stopped after what it holds");
                }
            }
            Action::Recall { worker, task } | Action::CancelRunning { worker, task } => {
                let is_recall = matches!(action, Action::Recall { .. });
                if let Process::Up(sent) = &mut self.workers[worker.0 as usize].process {
                    let place = sent.iter().position(|sent| sent.0 == task.0);
                    if let Some(place) = place
                        && (place > 0 || !is_recall)
                    {
                        sent[place].1 = true;
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn dispatch(&mut self, worker: usize, id: u64, attempt: u32) {
        if self.tasks[id as usize].bound.is_none() {
            let chosen = &self.workers[worker];
            let busier = |other: usize| {
                self.is_open(other) && !self.is_stalled(other) && self.workers[other].held.len() < chosen.held.len()
            };
            assert!(!(0..self.workers.len()).any(busier), "fewest outstanding first");
            assert!(!self.is_stalled(worker), "nothing is put behind a long task");
        }
        self.dispatch_behind(worker, id, attempt);
    }

    fn dispatch_chunk(&mut self, worker: usize, tasks: &[TaskId]) {
        let (queued, ready) = (self.queued(None), self.scheduler.ready());
        let window = self.scheduler.window(WorkerId::of(worker));
        assert!(tasks.len() > 1, "one task is no chunk");
        match self.chunk {
            Chunk::Fixed(most) => assert!(tasks.len() <= most),
            Chunk::Auto => {
                assert!(tasks.len() <= window / 2, "half a window");
                let share = (queued / (2 * ready)).max(self.scheduler.grain(WorkerId::of(worker)));
                assert!(ready == 1 || tasks.len() <= share, "something is left for the others");
            }
        }
        self.dispatch(worker, tasks[0].0, 1);
        tasks[1..].iter().for_each(|task| self.dispatch_behind(worker, task.0, 1));
        let is_fit = |task: &TaskId| {
            let task = &self.tasks[task.0 as usize];
            task.bound.is_none() && task.kills == 0
        };
        assert!(tasks.iter().all(is_fit), "what is bound, or has killed, travels alone");
    }

    fn dispatch_behind(&mut self, worker: usize, id: u64, attempt: u32) {
        let task = &self.tasks[id as usize];
        assert_eq!(task.at, At::Queue);
        assert_eq!(attempt, task.kills + 1);
        assert!(attempt <= task.max_attempts.max(1));
        let older = self.tasks[..id as usize].iter().any(|other| other.at == At::Queue && other.bound == task.bound);
        assert!(!older, "in the order of submission");
        let chosen = &self.workers[worker];
        assert_eq!(chosen.phase, Phase::Ready);
        let window = self.scheduler.window(WorkerId::of(worker));
        assert!(chosen.held.len() <= window, "one of them is this");
        assert!(task.bound.is_none_or(|bound| bound == worker));
        let now = self.now;
        let chosen = &mut self.workers[worker];
        assert!(chosen.held.len() < window);
        if chosen.held.is_empty() {
            chosen.heard = now;
        }
        chosen.held.push(id);
        self.tasks[id as usize].at = At::Worker { worker, incarnation: chosen.incarnation };
        match &mut chosen.process {
            Process::Up(sent) => sent.push((id, false)),
            Process::Dead => self.mail.push(Mail::Returned(id)),
            other => panic!("sent to a worker that is {other:?}"),
        }
    }

    /// Whether a worker takes tasks and has used up half of its window.
    pub(super) fn is_open(&self, worker: usize) -> bool {
        let window = self.scheduler.window(WorkerId::of(worker));
        let worker = &self.workers[worker];
        worker.phase == Phase::Ready && worker.held.len() <= window / 2
    }

    pub(super) fn is_stalled(&self, worker: usize) -> bool {
        let worker = &self.workers[worker];
        !worker.held.is_empty() && (worker.stuck || self.now - worker.heard >= STALL)
    }

    pub(super) fn queued(&self, bound: Option<usize>) -> usize {
        self.tasks.iter().filter(|task| task.at == At::Queue && task.bound == bound).count()
    }

    pub(super) fn assert_counts(&self) {
        let count = |wanted: fn(&At) -> bool| self.tasks.iter().filter(|task| wanted(&task.at)).count();
        assert_eq!(self.scheduler.queued(), count(|at| *at == At::Queue));
        assert_eq!(self.scheduler.running(), count(|at| matches!(at, At::Worker { .. })));
        assert_eq!(self.scheduler.report(), self.report);
        let ready = self.workers.iter().filter(|worker| worker.phase == Phase::Ready);
        assert_eq!(self.scheduler.ready(), ready.count());
        for (index, worker) in self.workers.iter().enumerate() {
            assert_eq!(self.scheduler.outstanding(WorkerId::of(index)), worker.held.len());
            assert_eq!(
                self.scheduler.workers.seated(Seat { worker: index as u32, incarnation: worker.incarnation }),
                Some(index)
            );
        }
    }

    /// There is nothing to do, so nothing can be left to do.
    pub(super) fn assert_progress(&self) {
        let queued = self.queued(None);
        let ready = self.workers.iter().filter(|worker| worker.phase == Phase::Ready).count();
        for worker in 0..self.workers.len() {
            if self.is_open(worker) {
                assert_eq!(self.queued(Some(worker)), 0, "{worker} has room for its own");
                let idle = self.workers[worker].held.is_empty();
                assert!(queued == 0 || !idle, "{worker} is idle");
                let share = if ready > 1 { (queued / (2 * ready)).max(1) } else { queued };
                let has_share = self.chunk == Chunk::Auto && self.workers[worker].held.len() > share;
                assert!(queued < ready.max(1) || self.is_stalled(worker) || has_share, "{worker} has room");
            }
        }
        let idle = |worker: &WorkerModel| worker.phase == Phase::Ready && worker.held.is_empty();
        let deep = |worker: &WorkerModel| {
            matches!(worker.phase, Phase::Ready | Phase::Retiring) && worker.held.len() >= 2 && !worker.recalled
        };
        if queued == 0 && self.workers.iter().any(idle) && self.workers.iter().any(deep) {
            let look_at = self.scheduler.poll_timeout().expect("somebody will look");
            assert!(look_at <= self.now + STALL);
        }
        if self.closing.is_some() && self.tasks.iter().all(|task| task.at == At::End) {
            assert!(self.closed);
            assert_eq!(self.scheduler.poll_timeout(), None);
        }
    }

    pub(super) fn assert_all_ended(&self) {
        assert!(self.tasks.iter().all(|task| task.at == At::End));
    }

    /// Lets everything that goes on come to its end, without another death.
    pub(super) fn end(mut self) {
        self.handle(Event::Close(Closing::Finish));
        self.poll();
        while !self.closed {
            let ended = self.report.ended();
            let (mail, starting) =
                (std::mem::take(&mut self.mail), |worker: &WorkerModel| matches!(worker.process, Process::Starting));
            let mut moved = !mail.is_empty();
            mail.into_iter().for_each(|mail| self.deliver(mail));
            self.poll();
            while let Some(worker) = self.pick_worker(0, starting) {
                self.worker_ready(worker);
                moved = true;
            }
            self.poll();
            (0..self.workers.len()).for_each(|worker| (0..300).for_each(|_| self.finish_first(worker, US)));
            self.poll();
            assert!(moved || self.report.ended() > ended, "the pool hangs");
        }
        self.assert_all_ended();
        // What the kill has left in the workers changes nothing any more.
        while !self.mail.is_empty() {
            std::mem::take(&mut self.mail).into_iter().for_each(|mail| self.deliver(mail));
            self.poll();
        }
        for worker in 0..self.workers.len() {
            (0..300).for_each(|_| self.finish_first(worker, US));
        }
        self.poll();
    }

    pub(super) fn pick_worker(&self, pick: usize, wanted: impl Fn(&WorkerModel) -> bool) -> Option<usize> {
        let workers: Vec<_> = (0..self.workers.len()).filter(|&worker| wanted(&self.workers[worker])).collect();
        (!workers.is_empty()).then(|| workers[pick % workers.len()])
    }
}
