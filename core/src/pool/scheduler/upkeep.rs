//! Workers that are replaced, put to rest and held in reserve though nothing is wrong with them.

use std::time::Instant;

use super::Scheduler;
use super::alarms::Alarm;
use crate::pool::action::Action;
use crate::pool::rules::Wear;
use crate::pool::worker::{Phase, Seat, WorkerId};

impl Scheduler {
    /// So many bytes of memory are in use by a worker.
    pub(crate) fn handle_memory(&mut self, now: Instant, worker: WorkerId, bytes: u64) {
        self.advance(now);
        if let Some(index) = self.workers.find(worker)
            && self.workers[index].lot.memory.is_some_and(|most| bytes >= most)
        {
            self.use_up(index, Wear::Memory(bytes));
        }
    }

    /// An incarnation of a worker has begun to take tasks.
    pub(super) fn handle_begun(&mut self, index: usize) {
        if let Some(age) = self.workers[index].lot.age {
            self.alarms.insert((self.now + age, Alarm::Age(self.seat(index))));
        }
        self.handle_idle(index);
    }

    pub(super) fn handle_age(&mut self, seat: Seat) {
        if let Some(index) = self.workers.seated(seat)
            && let Some(age) = self.workers[index].lot.age
        {
            self.use_up(index, Wear::Age(age));
        }
    }

    /// A worker has reported a task.
    pub(super) fn wear(&mut self, index: usize) {
        let worker = &self.workers[index];
        let used_up = worker.lot.tasks.filter(|&tasks| worker.ran >= tasks).map(Wear::Tasks);
        if let Some(wear) = used_up.or(worker.worn) {
            self.use_up(index, wear);
        }
    }

    /// A worker has used up what it was given: it is replaced after what it holds. One that has run nothing is as good as
    /// new, whatever it has used up, and is replaced after its first task.
    fn use_up(&mut self, index: usize, wear: Wear) {
        if self.workers[index].ran == 0 {
            self.workers[index].worn = Some(wear);
        } else if self.workers[index].phase == Phase::Ready && self.starts_workers() {
            self.actions.push_back(Action::Recycle { worker: WorkerId::of(index), wear });
            if self.workers[index].held.is_empty() {
                self.stop(index, Phase::Renewing);
            } else {
                self.workers.enter(index, Phase::Recycling);
            }
            self.fill_up();
        }
    }

    /// Puts spare workers in the places of those that are not there.
    pub(super) fn fill_up(&mut self) {
        if self.rules.spares == 0 {
            return;
        }
        for index in 0..self.workers.len() {
            if self.workers.active() >= self.size {
                return;
            }
            if self.workers[index].phase == Phase::Ready && self.workers[index].reserve {
                self.workers[index].reserve = false;
                self.workers.settle(index);
                self.handle_idle(index);
            }
        }
    }

    /// If a worker has nothing to do somebody will look whether it is still so.
    pub(super) fn handle_idle(&mut self, index: usize) {
        let Some(rest) = self.rules.rest else { return };
        let (now, seat) = (self.now, self.seat(index));
        let worker = &mut self.workers[index];
        if worker.phase == Phase::Ready && worker.held.is_empty() && !worker.reserve {
            worker.idle_since = now;
            if !std::mem::replace(&mut worker.rest_armed, true) {
                self.alarms.insert((now + rest.after, Alarm::Rest(seat)));
            }
        }
    }

    pub(super) fn handle_rest(&mut self, seat: Seat) {
        let Some((rest, index)) = self.rules.rest.zip(self.workers.seated(seat)) else { return };
        let is_over = self.workers.active() + self.workers.starting() > rest.keep;
        let worker = &mut self.workers[index];
        worker.rest_armed = false;
        if worker.phase != Phase::Ready || !worker.held.is_empty() || !worker.queue.is_empty() || worker.reserve {
            return;
        }
        let due = worker.idle_since + rest.after;
        if self.now < due {
            worker.rest_armed = true;
            self.alarms.insert((due, Alarm::Rest(seat)));
        } else if is_over && self.starts_workers() {
            self.stop(index, Phase::Dozing);
        }
    }

    /// Starts a worker that was put to rest, if a task waits that nobody else is there for.
    pub(super) fn wake(&mut self) -> Option<Action> {
        self.rules.rest?;
        if self.queue.len() <= self.workers.starting() || !self.starts_workers() {
            return None;
        }
        let index = self.workers.dormant()?;
        self.replace(index);
        self.actions.pop_front()
    }

    pub(super) fn seat(&self, index: usize) -> Seat {
        Seat { worker: index as u32, incarnation: self.workers[index].incarnation }
    }
}
