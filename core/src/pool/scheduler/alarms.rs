//! Tasks that run for too long, and the workers that are killed for them.

use std::time::{Duration, Instant};

use super::Scheduler;
use crate::pool::action::Action;
use crate::pool::task::{Ending, Place, TaskId, Times};
use crate::pool::worker::{Phase, Seat, WorkerId};

/// How long a worker may take to give back what waits behind a task that it is to be killed for.
pub(super) const GIVING_BACK: Duration = Duration::from_millis(100);

/// What there is to look at when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// Whether a task that a worker holds has run for too long.
    Task(TaskId),
    /// An incarnation of a worker is old.
    Age(Seat),
    /// Whether it has had nothing to do for long.
    Rest(Seat),
}

impl Scheduler {
    /// Looks at everything whose time has come.
    pub(super) fn handle_alarms(&mut self) {
        while let Some(&(at, alarm)) = self.alarms.first()
            && at <= self.now
        {
            self.alarms.pop_first();
            match alarm {
                Alarm::Task(id) => self.look(id),
                Alarm::Age(seat) => self.handle_age(seat),
                Alarm::Rest(seat) => self.handle_rest(seat),
            }
        }
    }

    /// The answer to [`Action::Look`]: since when the worker runs the task; none where it has not begun it, or has ended
    /// it.
    pub(crate) fn handle_look(&mut self, now: Instant, id: TaskId, since: Option<Instant>) {
        self.advance(now);
        let Some(index) = self.seated(id) else { return };
        let Times { hard, stop_at, .. } = self.tasks.times(id);
        let Some(hard_at) = since.map(|since| hard.map(|hard| since + hard)) else {
            // It waits behind another: it cannot be late for so long as it may run, and if it is not wanted it has been
            // asked back. It has ended, and its report is on its way: the same.
            let wait = [hard, stop_at.map(|_| GIVING_BACK)].into_iter().flatten().min();
            if let Some(wait) = wait {
                self.arm(id, self.now + wait);
            }
            return;
        };
        let Some(due) = [hard_at, stop_at].into_iter().flatten().min() else { return };
        if self.now < due {
            self.arm(id, due);
        } else {
            let ending = if stop_at == Some(due) { Ending::Aborted } else { Ending::TimedOut };
            self.condemn(index, id, ending);
        }
    }

    /// A task is not wanted any more and must end within this time.
    pub(super) fn stop_within(&mut self, id: TaskId, grace: Duration) {
        let at = self.now + grace;
        if let Some(task) = self.tasks.get_mut(id) {
            let times = task.times_mut();
            let stop_at = times.stop_at.map_or(at, |before| before.min(at));
            times.stop_at = Some(stop_at);
            let at = times.alarm.map_or(stop_at, |before| before.min(stop_at));
            self.arm(id, at);
        }
    }

    /// Has a task looked at then.
    pub(super) fn arm(&mut self, id: TaskId, at: Instant) {
        if let Some(task) = self.tasks.get_mut(id) {
            let before = task.times_mut().alarm.replace(at);
            self.disarm(id, before);
            self.alarms.insert((at, Alarm::Task(id)));
        }
    }

    pub(super) fn disarm(&mut self, id: TaskId, alarm: Option<Instant>) {
        if let Some(at) = alarm {
            self.alarms.remove(&(at, Alarm::Task(id)));
        }
    }

    /// A worker holds less than before: if it is only what it is to be killed for there is nothing to wait for.
    pub(super) fn look_again(&mut self, index: usize) {
        let worker = &self.workers[index];
        if let Some((id, _)) = worker.condemned
            && worker.held.len() == 1
        {
            self.look(id);
        }
    }

    fn look(&mut self, id: TaskId) {
        if let Some(index) = self.seated(id)
            && self.workers[index].phase.runs()
        {
            self.actions.push_back(Action::Look { worker: WorkerId::of(index), task: id });
        }
    }

    /// The living worker that holds a task.
    fn seated(&self, id: TaskId) -> Option<usize> {
        let Place::Dispatched(seat) = self.tasks.place(id)? else { return None };
        self.workers.seated(seat)
    }

    /// Kills a worker for the task that it runs, once nothing else can be hit.
    ///
    /// The task may end, and the one behind it begin, while the kill is on its way. So what is behind it is asked back
    /// first, which a process does that lives at all.
    fn condemn(&mut self, index: usize, id: TaskId, ending: Ending) {
        if !self.workers[index].phase.runs() {
            return;
        }
        let alone = self.workers[index].held.len() == 1;
        let since = match self.workers[index].condemned {
            Some((condemned, since)) if condemned == id => since,
            _ => {
                self.workers[index].condemned = Some((id, self.now));
                if !alone {
                    self.recall(index, 0, |held, task| held != id && !task.recalled);
                }
                self.workers.settle(index);
                self.now
            }
        };
        if !alone && self.now < since + GIVING_BACK {
            self.arm(id, since + GIVING_BACK);
            return;
        }
        if let Some(task) = self.tasks.get_mut(id) {
            task.times_mut().doom = Some(ending);
        }
        self.actions.push_back(Action::KillFor { worker: WorkerId::of(index), task: id, ending });
        self.workers[index].killed = true;
        if self.workers[index].phase == Phase::Retiring {
            self.report.workers_killed += 1;
            self.workers.enter(index, Phase::Stopping);
        } else {
            self.workers.enter(index, Phase::Dying);
        }
    }
}
