use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use self::alarms::Alarm;
use super::{
    action::{Action, Closed, Closing},
    backlog::Backlog,
    report::Report,
    rules::Rules,
    span::{Span, Spans},
    task::{Cancel, Ending, Place, QUARANTINE_AFTER, Task, TaskId, Terms},
    tasks::Tasks,
    worker::{Pace, Phase, STALL, WorkerId},
    workers::Workers,
};
use crate::supervisor::backoff::SplitMix64;

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
/// loss of its worker is told, even after the next incarnation is ready. What comes too late or twice is ignored. Each task
/// of a `Chunk` is dispatched so, and answered by itself; [`handle_taken_back`](Self::handle_taken_back) is one more answer,
/// which the shell may give unasked for those that it knows have not been begun. Tasks that follow each other, with nothing else
/// to say of them than that they wait, run or are done, are handled by the [`Span`].
///
/// **Order.** Tasks start by their priority, as [`Backlog`] says, and among equals in the order in which they were
/// submitted; one that comes back takes its old place. An idle
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
    queue: Backlog,
    workers: Workers,
    /// How many workers are wanted, without the spares.
    size: usize,
    rules: Rules,
    rng: SplitMix64,
    /// Nothing is begun.
    paused: bool,
    /// When to look at what.
    alarms: BTreeSet<(Instant, Alarm)>,
    /// When to look for stalled workers.
    look_at: Option<Instant>,
    actions: VecDeque<Action>,
    report: Report,
}

impl Scheduler {
    /// A pool of this many workers, at least one, all still to be started.
    pub(crate) fn new(now: Instant, workers: usize, rules: Rules) -> Self {
        let mut scheduler = Self {
            now,
            closing: None,
            closed: false,
            next_task: 0,
            tasks: Tasks::default(),
            running: 0,
            queue: Backlog::default(),
            workers: Workers::new(),
            size: 0,
            rng: SplitMix64::new(rules.seed),
            rules,
            paused: false,
            alarms: BTreeSet::new(),
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

    /// Takes so many tasks, with numbers that follow each other: the first one's.
    pub(crate) fn submit_all(&mut self, now: Instant, terms: Terms, count: usize) -> Result<TaskId, Closed> {
        let first = TaskId(self.next_task);
        let tasks = Span::new(first, count);
        let is_plain = self.no_place(&Task::new(terms)).is_none();
        if self.closing.is_none() && is_plain && count > 1 && self.tasks.insert_span(tasks, terms) {
            self.advance(now);
            self.next_task = tasks.end();
            self.report.submitted += count as u64;
            self.queue.insert(terms.priority, tasks);
            return Ok(first);
        }
        for _ in 0..count {
            self.submit(now, terms)?;
        }
        Ok(first)
    }

    /// Its caller no longer wants a task: it ends now if it is queued, and by its worker's report if it is with one, where
    /// it is then not run again; or by that worker's death, if it is to end within some time.
    pub(crate) fn cancel(&mut self, now: Instant, id: TaskId, how: Cancel) {
        self.advance(now);
        let Some(place) = self.tasks.place(id) else { return };
        match place {
            Place::Queued => {
                let Some(task) = self.tasks.remove(id) else { return };
                match task.worker.and_then(|worker| self.workers.find(worker)) {
                    Some(worker) => self.workers[worker].queue.remove(task.priority, id),
                    None => self.queue.remove(task.priority, id),
                }
                self.end(id, &task, Ending::Cancelled);
            }
            Place::Dispatched(seat) => {
                let Some(task) = self.tasks.get_mut(id) else { return };
                let again = std::mem::replace(&mut task.cancelled, true);
                let Some(worker) = self.workers.seated(seat) else { return };
                if !again {
                    self.actions.push_back(Action::CancelRunning { worker: WorkerId::of(worker), task: id });
                }
                if let Cancel::Within(grace) = how {
                    self.stop_within(id, grace);
                }
            }
        }
    }

    /// A task has its result, which took `ran`. True if that is how it ended: the result is then the caller's. False if it
    /// had ended before, by a kill: the result must be dropped.
    #[must_use]
    pub(crate) fn handle_done(&mut self, now: Instant, id: TaskId, ran: Duration) -> bool {
        let mut ended = false;
        self.handle_all_done(now, [(id, ran, ())], |_, ()| ended = true);
        ended
    }

    /// The same for tasks of one worker; `ended` is told of each that has ended by it, with what came of it.
    pub(crate) fn handle_all_done<R>(
        &mut self,
        now: Instant,
        done: impl IntoIterator<Item = (TaskId, Duration, R)>,
        mut ended: impl FnMut(TaskId, R),
    ) {
        self.advance(now);
        let mut reported = None;
        for (id, ran, result) in done {
            let Some((_, worker)) = self.take_back(id) else { continue };
            self.report.done += 1;
            if let Some(index) = worker {
                self.workers[index].handle_ran(ran);
                reported = Some(index);
            }
            ended(id, result);
        }
        if let Some(index) = reported {
            self.workers[index].handle_report(self.now);
            self.wear(index);
            self.relieve(index);
        }
        self.shrink();
    }

    /// The same for tasks of a span, all or none of them: false if there is more to say of one of them. They took so many
    /// nanoseconds each.
    #[must_use]
    pub(crate) fn handle_span_done(&mut self, now: Instant, tasks: Span, nanos: impl Iterator<Item = u64>) -> bool {
        let Some((Place::Dispatched(seat), _)) = self.tasks.common(tasks) else { return false };
        self.advance(now);
        self.tasks.remove_span(tasks);
        self.running -= tasks.len();
        self.report.done += tasks.len() as u64;
        if let Some(index) = self.workers.seated(seat) {
            let worker = &mut self.workers[index];
            worker.give_up(tasks);
            worker.handle_all_ran(tasks.len(), nanos);
            worker.handle_report(self.now);
            self.wear(index);
            self.relieve(index);
        }
        self.shrink();
        true
    }

    /// Of a chunk that is over so many results have found room where they are put, of all of its tasks if `all`.
    pub(crate) fn handle_fitted(&mut self, worker: WorkerId, results: usize, all: bool) {
        if let Some(index) = self.workers.find(worker) {
            self.workers[index].window.handle_fitted(results, all);
        }
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
        self.place_again(id, task);
    }

    /// Tasks were taken back from a worker before it had begun them: those that were behind one of them in a chunk too. They
    /// go to their old places in the queue, and no attempt is counted.
    pub(crate) fn handle_taken_back(&mut self, now: Instant, tasks: &Spans) {
        self.advance(now);
        let mut relieved = None;
        for &span in tasks.spans().iter().rev() {
            if let Some((Place::Dispatched(seat), priority)) = self.tasks.common(span)
                && self.closing <= Some(Closing::Finish)
            {
                self.tasks.move_span(span, Place::Queued);
                self.running -= span.len();
                if let Some(index) = self.workers.seated(seat) {
                    self.workers[index].give_up(span);
                    relieved = Some(index);
                }
                self.queue.insert(priority, span);
                continue;
            }
            for id in span.iter().rev() {
                let Some((task, worker)) = self.take_back(id) else { continue };
                relieved = worker.or(relieved);
                self.place_again(id, task);
            }
        }
        if let Some(index) = relieved {
            self.handle_left(index, false);
        }
    }

    /// A worker has been at one task for long, and what waited behind it was taken back: nothing more is put there before it
    /// reports.
    pub(crate) fn handle_stuck(&mut self, now: Instant, worker: WorkerId) {
        self.advance(now);
        if let Some(index) = self.workers.find(worker)
            && !self.workers[index].held.is_empty()
            && self.workers[index].pace == Pace::Moving
        {
            self.workers[index].pace = Pace::Stalled;
            self.workers.settle(index);
        }
    }

    /// A task that was not begun waits again, if it may.
    fn place_again(&mut self, id: TaskId, mut task: Task) {
        if let Some(times) = &mut task.times {
            times.doom = None;
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
        if let Some(ending) = task.times().doom {
            self.end(id, &task, ending);
        } else if task.kills >= QUARANTINE_AFTER {
            self.end(id, &task, Ending::Quarantined);
        } else if task.kills >= task.max_attempts || self.no_place(&task).is_some() {
            self.end(id, &task, Ending::Lost);
        } else {
            self.report.retried += 1;
            self.enqueue(id, task);
        }
    }

    /// What to do next; `None` until something is handled again.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if self.is_moving() {
            if let Some((task, worker)) = self.next_dispatch() {
                return Some(self.dispatch(task, worker));
            }
            if let Some(action) = self.wake() {
                return Some(action);
            }
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
        self.look_at.into_iter().chain(self.alarms.first().map(|(at, _)| *at)).min()
    }

    /// Looks for what has taken too long.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.handle_alarms();
        if self.look_at.is_none_or(|at| now < at) {
            return;
        }
        self.look_at = None;
        for index in self.workers.recall(now) {
            // Workers run in the order of arrival: the first is the one that takes so long.
            self.recall(index, 1, |_, task| task.worker.is_none());
        }
    }

    /// Asks for what a worker holds behind its first `skip` tasks.
    fn recall(&mut self, index: usize, skip: usize, wanted: impl Fn(TaskId, &Task) -> bool) {
        for id in self.workers[index].held.iter().skip(skip) {
            if let Some(task) = self.tasks.get_mut(id)
                && !task.cancelled
                && wanted(id, task)
            {
                task.recalled = true;
                self.actions.push_back(Action::Recall { worker: WorkerId::of(index), task: id });
            }
        }
    }

    /// Begins nothing any more, and asks for what workers hold and have not begun.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.advance(now);
        if self.closing.is_none() && !std::mem::replace(&mut self.paused, true) {
            (0..self.workers.len()).for_each(|index| self.recall(index, 1, |_, task| !task.recalled));
        }
    }

    /// Goes on. A pool that closes does so by itself.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.advance(now);
        self.paused = false;
    }

    fn is_moving(&self) -> bool {
        !self.paused || self.closing.is_some()
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

    /// Whether a worker has ended until a task waits for one.
    pub(crate) fn is_resting(&self, worker: WorkerId) -> bool {
        self.workers.get(worker).is_some_and(|worker| worker.phase == Phase::Dormant)
    }

    /// How many tasks a worker may hold at present.
    #[cfg(test)]
    pub(crate) fn window(&self, worker: WorkerId) -> usize {
        let worker = self.workers.get(worker);
        worker.map_or(0, |worker| worker.window.size())
    }

    /// How many tasks of a worker are not worth sharing.
    #[cfg(test)]
    pub(crate) fn grain(&self, worker: WorkerId) -> usize {
        let worker = self.workers.get(worker);
        worker.map_or(1, |worker| worker.window.grain())
    }

    /// How many tasks the worker may hold that may hold the most.
    pub(crate) fn most_held(&self) -> usize {
        self.workers.most_held()
    }

    /// How many workers take tasks.
    #[cfg(test)]
    pub(crate) fn ready(&self) -> usize {
        self.workers.ready()
    }

    /// The workers that are wanted, ready or not: those that a task can be bound to.
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
        if task.key.is_some() {
            return self.workers.wanted().next().is_none().then_some(Ending::NoWorkers);
        }
        let worker = task.worker?;
        let wanted = self.workers.get(worker).is_some_and(|worker| worker.phase.is_wanted());
        (!wanted).then_some(Ending::NoWorkers)
    }

    fn enqueue(&mut self, id: TaskId, mut task: Task) {
        task.place = Place::Queued;
        task.recalled = false;
        if let Some(key) = task.key {
            task.worker = self.workers.of_key(key).map(WorkerId::of);
        }
        match task.worker.and_then(|worker| self.workers.find(worker)) {
            Some(index) => {
                self.workers[index].queue.insert(task.priority, id);
                self.workers.settle(index);
                if self.workers[index].phase == Phase::Dormant {
                    self.replace(index);
                }
            }
            None => self.queue.insert(task.priority, id),
        }
        self.tasks.insert(id, task);
    }

    /// Takes a reported task from the worker that held it, which is named if it hasn't been lost since.
    fn take_back(&mut self, id: TaskId) -> Option<(Task, Option<usize>)> {
        let Place::Dispatched(seat) = self.tasks.place(id)? else {
            return None;
        };
        let task = self.tasks.remove(id)?;
        if let Some(times) = &task.times {
            self.disarm(id, times.alarm);
        }
        self.running -= 1;
        let worker = self.workers.seated(seat);
        if let Some(index) = worker {
            self.workers[index].give_up(id.into());
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
        if self.tasks.is_empty() && self.actions.capacity() > 2 * KEEP {
            self.actions.shrink_to(KEEP);
        }
    }
}

mod alarms;
mod closing;
mod crew;
mod dispatch;
#[cfg(test)]
mod tests;
mod upkeep;
