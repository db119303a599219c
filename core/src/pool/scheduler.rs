use std::{
    collections::{VecDeque, hash_map::Entry},
    time::{Duration, Instant},
};

use super::{
    action::{Action, Closed, Closing},
    queue::Queue,
    report::Report,
    task::{Ending, Place, QUARANTINE_AFTER, Task, TaskId, Tasks, Terms},
    worker::{Phase, STALL, Seat, WorkerId},
    workers::Workers,
};

/// How much room is kept when a burst is over.
const KEEP: usize = 4096;

/// The decision of a pool: which worker runs which task, and how a task ends that has no result.
///
/// Every task that [`submit`](Self::submit) has taken ends exactly once: by a [`handle_done`](Self::handle_done) that
/// answers true, or by one [`Action::End`].
///
/// **What the shell owes.** It performs every [`Action`] and, after each batch of events, polls until there is none. Every
/// `StartWorker` is answered by one of [`handle_worker_ready`](Self::handle_worker_ready) and
/// [`handle_start_failed`](Self::handle_start_failed); the exit of a worker that was ready, and of every worker that was
/// stopped or killed, by one [`handle_worker_lost`](Self::handle_worker_lost). Every `Dispatch` is answered by one of
/// `handle_done`, [`handle_returned`](Self::handle_returned) and [`handle_died`](Self::handle_died), before or after the
/// loss of its worker is told, even after the next incarnation is ready. What comes too late or twice is ignored.
///
/// **Order.** Tasks start in the order in which they were submitted; one that comes back takes its old place. An idle
/// worker comes first, then the one with the fewest outstanding, ties round robin. A task that is bound to a worker
/// waits for that worker only, over its deaths.
///
/// **What waits in a worker.** A worker is given as much as its [`Window`](super::window::Window) holds. A task is put behind a running one only
/// while the worker is quick, or while so many are queued that every worker gets one: so the last long tasks go to
/// whoever is idle first. Nothing is put behind a task that has run for [`STALL`]. What is stuck there all the same,
/// because times were short until then, is asked back by [`Action::Recall`] as soon as another worker is idle. A shell
/// that cannot recall may ignore that: the tasks then wait for that worker.
#[derive(Debug)]
pub(crate) struct Scheduler {
    /// The latest time that was told.
    now: Instant,
    closing: Option<Closing>,
    closed: bool,
    next_task: u64,
    tasks: Tasks,
    /// How many of `tasks` are dispatched.
    running: usize,
    /// The tasks that any worker may run.
    queue: Queue,
    workers: Workers,
    /// When to look for stalled workers.
    look_at: Option<Instant>,
    actions: VecDeque<Action>,
    report: Report,
}

impl Scheduler {
    /// A pool of this many workers, at least one, all still to be started.
    pub(crate) fn new(now: Instant, workers: usize) -> Self {
        let mut scheduler = Self {
            now,
            closing: None,
            closed: false,
            next_task: 0,
            tasks: Tasks::default(),
            running: 0,
            queue: Queue::default(),
            workers: Workers::new(),
            look_at: None,
            actions: VecDeque::new(),
            report: Report::default(),
        };
        scheduler.resize(now, workers);
        scheduler
    }

    /// Takes a task. One that is bound to a worker that isn't there ends in [`Ending::NoWorkers`].
    pub(crate) fn submit(&mut self, now: Instant, terms: Terms) -> Result<TaskId, Closed> {
        self.advance(now);
        if let Some(by) = self.closing {
            return Err(Closed { by });
        }
        let id = TaskId(self.next_task);
        self.next_task += 1;
        self.report.submitted += 1;
        let task = Task::new(terms);
        match self.no_place(&task) {
            Some(ending) => self.end(id, &task, ending),
            None => self.enqueue(id, task),
        }
        Ok(id)
    }

    /// Its caller no longer wants a task: it ends now if it is queued, and by its worker's report if it is with one, where
    /// it is then not run again.
    pub(crate) fn cancel(&mut self, now: Instant, id: TaskId) {
        self.advance(now);
        let Entry::Occupied(mut entry) = self.tasks.entry(id) else {
            return;
        };
        match entry.get().place {
            Place::Queued => {
                let task = entry.remove();
                match task.worker.and_then(|worker| self.workers.find(worker)) {
                    Some(worker) => self.workers[worker].queue.remove(id),
                    None => self.queue.remove(id),
                };
                self.end(id, &task, Ending::Cancelled);
            }
            Place::Dispatched(seat) => {
                let again = std::mem::replace(&mut entry.get_mut().cancelled, true);
                if !again && let Some(worker) = self.workers.seated(seat) {
                    self.actions.push_back(Action::CancelRunning { worker: WorkerId::of(worker), task: id });
                }
            }
        }
    }

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

    /// The pool gives up: it cannot keep one worker. It closes; every task that no worker holds ends in
    /// [`Ending::NoWorkers`].
    pub(crate) fn handle_no_workers(&mut self, now: Instant) {
        self.advance(now);
        if self.close(Closing::NoWorkers) {
            self.end_queued(Ending::NoWorkers);
        }
    }

    /// A task has its result, which took `ran`. True if that is how it ended: the result is then the caller's. False if it
    /// had ended before, by a kill: the result must be dropped.
    #[must_use]
    pub(crate) fn handle_done(&mut self, now: Instant, id: TaskId, ran: Duration) -> bool {
        self.advance(now);
        let Some((_, worker)) = self.take_back(id) else {
            return false;
        };
        self.report.done += 1;
        if let Some(index) = worker {
            self.workers[index].handle_ran(now, ran);
            self.relieve(index);
        }
        self.shrink();
        true
    }

    /// A task was not started by its worker and will not be: the worker died before, or gave it back. It goes to its old
    /// place in the queue, and no attempt is counted. If the worker was not asked for it this tells that it has died: it
    /// gets nothing more before its loss is told.
    pub(crate) fn handle_returned(&mut self, now: Instant, id: TaskId) {
        self.advance(now);
        let Some((task, worker)) = self.take_back(id) else {
            return;
        };
        if let Some(index) = worker {
            // A worker that lives gives back only what it was asked for.
            self.handle_left(index, !task.cancelled && !task.recalled);
        }
        match self.no_place(&task) {
            Some(ending) => self.end(id, &task, ending),
            None => self.enqueue(id, task),
        }
    }

    /// A worker died while it ran this task, which may have taken effect. It is queued again at its old place if its terms
    /// allow that and it has killed no other worker.
    pub(crate) fn handle_died(&mut self, now: Instant, id: TaskId) {
        self.advance(now);
        let Some((mut task, worker)) = self.take_back(id) else {
            return;
        };
        if let Some(index) = worker {
            self.handle_left(index, true);
        }
        task.kills += 1;
        if task.kills >= QUARANTINE_AFTER {
            self.end(id, &task, Ending::Quarantined);
        } else if task.kills >= task.max_attempts || self.no_place(&task).is_some() {
            self.end(id, &task, Ending::Lost);
        } else {
            self.report.retried += 1;
            self.enqueue(id, task);
        }
    }

    /// Takes no more tasks and runs all that it has.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.advance(now);
        self.close(Closing::Finish);
    }

    /// Takes no more tasks, finishes those that workers hold and cancels the others. No worker is replaced any more.
    pub(crate) fn drain(&mut self, now: Instant) {
        self.advance(now);
        if self.close(Closing::Drain) {
            self.end_queued(Ending::Cancelled);
        }
    }

    /// Ends everything at once: what is queued is cancelled, what workers hold is killed with them.
    pub(crate) fn kill(&mut self, now: Instant) {
        self.advance(now);
        if !self.close(Closing::Kill) {
            return;
        }
        self.end_queued(Ending::Cancelled);
        let mut held: Vec<_> = self.tasks.drain().collect();
        held.sort_unstable_by_key(|&(id, _)| id);
        for (id, task) in held {
            self.end(id, &task, Ending::Killed);
        }
        self.running = 0;
        for index in 0..self.workers.len() {
            self.workers[index].held.clear();
            if self.workers[index].phase != Phase::Vacant {
                self.actions.push_back(Action::KillWorker { worker: WorkerId::of(index) });
                self.workers.enter(index, Phase::Stopping);
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

    /// What to do next; `None` until something is handled again.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if let Some((task, worker)) = self.next_dispatch() {
            return Some(self.dispatch(task, worker));
        }
        if self.closing.is_some() && !self.closed && self.tasks.is_empty() {
            return Some(self.end_pool());
        }
        if self.look_at.is_none() && self.queue.is_empty() && self.workers.is_uneven() {
            self.look_at = Some(self.now + STALL);
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. An idle pool has none.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks for stalled workers and asks for what waits in them.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        self.look_at = None;
        for index in self.workers.recall(now) {
            // Workers run in the order of arrival: the first is the one that takes so long.
            for &id in self.workers[index].held.iter().skip(1) {
                if let Some(task) = self.tasks.get_mut(&id)
                    && task.worker.is_none()
                    && !task.cancelled
                {
                    task.recalled = true;
                    self.actions.push_back(Action::Recall { worker: WorkerId::of(index), task: id });
                }
            }
        }
    }

    /// How many tasks no worker holds.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.tasks.len() - self.running
    }

    /// How many tasks workers hold, or held when they died if that is still to be reported.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// How many tasks this incarnation of a worker holds.
    pub(crate) fn outstanding(&self, worker: WorkerId) -> usize {
        let worker = self.workers.get(worker);
        worker.map_or(0, |worker| worker.held.len())
    }

    /// How many tasks a worker may hold at present.
    #[cfg(test)]
    pub(crate) fn window(&self, worker: WorkerId) -> usize {
        let worker = self.workers.get(worker);
        worker.map_or(0, |worker| worker.window.size())
    }

    /// How many workers take tasks.
    #[cfg(test)]
    pub(crate) fn ready(&self) -> usize {
        self.workers.ready()
    }

    /// The workers that are wanted, ready or not: those that a task can be bound to.
    #[cfg_attr(not(test), expect(dead_code, reason = "for pools that are resized at run time"))]
    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.workers.wanted().map(WorkerId::of)
    }

    /// The counts up to now.
    pub(crate) fn report(&self) -> Report {
        self.report
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    // Closing.

    /// Whether this is stricter than what was said before.
    fn close(&mut self, by: Closing) -> bool {
        let stricter = self.closing < Some(by);
        if stricter {
            self.closing = Some(by);
        }
        stricter
    }

    fn starts_workers(&self) -> bool {
        self.closing <= Some(Closing::Finish)
    }

    fn end_queued(&mut self, ending: Ending) {
        let mut queued = self.queue.drain();
        for index in 0..self.workers.len() {
            queued.extend(self.workers[index].queue.drain());
        }
        queued.sort_unstable();
        for id in queued {
            if let Some(task) = self.tasks.remove(&id) {
                self.end(id, &task, ending);
            }
        }
    }

    /// The last actions of the pool; no task is left.
    fn end_pool(&mut self) -> Action {
        self.closed = true;
        self.look_at = None;
        let closed = Action::Closed(self.report);
        if self.closing == Some(Closing::Kill) {
            return closed;
        }
        for index in 0..self.workers.len() {
            if self.workers[index].phase != Phase::Vacant {
                self.workers.enter(index, Phase::Stopping);
            }
        }
        self.actions.push_back(closed);
        Action::StopWorkers
    }

    // Tasks.

    /// How a task ends that would have to wait now but cannot, or `None` if it can.
    fn no_place(&self, task: &Task) -> Option<Ending> {
        if task.cancelled {
            return Some(Ending::Cancelled);
        }
        match self.closing {
            Some(Closing::Drain | Closing::Kill) => return Some(Ending::Cancelled),
            Some(Closing::NoWorkers) => return Some(Ending::NoWorkers),
            Some(Closing::Finish) | None => {}
        }
        let worker = task.worker?;
        let wanted = self.workers.get(worker).is_some_and(|worker| worker.phase.is_wanted());
        (!wanted).then_some(Ending::NoWorkers)
    }

    fn enqueue(&mut self, id: TaskId, mut task: Task) {
        task.place = Place::Queued;
        task.recalled = false;
        match task.worker.and_then(|worker| self.workers.find(worker)) {
            Some(index) => {
                self.workers[index].queue.insert(id);
                self.workers.settle(index);
            }
            None => self.queue.insert(id),
        }
        self.tasks.insert(id, task);
    }

    /// Takes a reported task from the worker that held it, which is named if it hasn't been lost since.
    fn take_back(&mut self, id: TaskId) -> Option<(Task, Option<usize>)> {
        let Entry::Occupied(entry) = self.tasks.entry(id) else {
            return None;
        };
        let Place::Dispatched(seat) = entry.get().place else {
            return None;
        };
        let task = entry.remove();
        self.running -= 1;
        let worker = self.workers.seated(seat);
        if let Some(index) = worker {
            self.workers[index].give_up(id);
        }
        Some((task, worker))
    }

    fn end(&mut self, id: TaskId, task: &Task, ending: Ending) {
        self.report.count(ending);
        let attempts = task.kills + u32::from(ending == Ending::Killed);
        self.actions.push_back(Action::End { task: id, ending, attempts });
        self.shrink();
    }

    /// Gives memory back that a burst has left.
    fn shrink(&mut self) {
        if self.tasks.is_empty() && self.tasks.capacity() > 2 * KEEP {
            self.tasks.shrink_to(KEEP);
            self.actions.shrink_to(KEEP);
        }
    }

    // Dispatch.

    /// The oldest task that can start, and the worker that gets it.
    fn next_dispatch(&mut self) -> Option<(TaskId, usize)> {
        let bound = self.workers.next_bound();
        let unbound = self.queue.first().and_then(|task| {
            let worker = self.workers.next_for_any(self.now, self.queue.len())?;
            Some((task, worker))
        });
        bound.into_iter().chain(unbound).min()
    }

    fn dispatch(&mut self, id: TaskId, index: usize) -> Action {
        let worker = &mut self.workers[index];
        let seat = Seat { worker: index as u32, incarnation: worker.incarnation };
        worker.take(id, self.now);
        let task = self.tasks.get_mut(&id).expect("a queued task has not ended");
        task.place = Place::Dispatched(seat);
        let queue = if task.worker.is_some() { &mut worker.queue } else { &mut self.queue };
        queue.remove(id);
        let attempt = task.kills + 1;
        self.running += 1;
        self.workers.settle(index);
        Action::Dispatch { worker: WorkerId::of(index), task: id, attempt }
    }

    // Workers.

    /// A worker has less to do.
    fn relieve(&mut self, index: usize) {
        let worker = &self.workers[index];
        if worker.phase == Phase::Retiring && worker.held.is_empty() {
            self.stop(index);
        } else {
            self.workers.settle(index);
        }
    }

    /// A worker holds a task no longer, since it has `died` or was asked to give it back.
    fn handle_left(&mut self, index: usize, died: bool) {
        if died && self.workers[index].phase == Phase::Ready {
            self.workers.enter(index, Phase::Dying);
        } else {
            self.relieve(index);
        }
    }

    /// Wants the next incarnation of a worker, if any is wanted at all.
    fn replace(&mut self, index: usize) {
        if self.starts_workers() {
            let failures = self.workers[index].failures;
            self.actions.push_back(Action::StartWorker { worker: WorkerId::of(index), failures });
            self.workers.enter(index, Phase::Starting);
        } else {
            self.workers.enter(index, Phase::Vacant);
        }
    }

    /// Wants one worker more: best one that is about to leave.
    fn add_worker(&mut self) {
        let index = self.workers.unwanted(self.now);
        if self.workers[index].phase == Phase::Retiring {
            self.workers.enter(index, Phase::Ready);
            return;
        }
        self.workers[index].failures = 0;
        self.replace(index);
    }

    /// Wants one worker less.
    fn retire(&mut self, index: usize) {
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

    fn stop(&mut self, index: usize) {
        self.actions.push_back(Action::StopWorker { worker: WorkerId::of(index) });
        self.workers.enter(index, Phase::Stopping);
    }
}

#[cfg(test)]
mod tests;
