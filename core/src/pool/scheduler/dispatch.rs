//! Who gets what of that which waits.

use std::cmp::Reverse;

use super::Scheduler;
use crate::pool::action::Action;
use crate::pool::span::{Span, Spans};
use crate::pool::task::{Place, TaskId};
use crate::pool::tasks::Given;
use crate::pool::window::Chunk;
use crate::pool::worker::WorkerId;

impl Scheduler {
    /// The oldest task that can start, and the worker that gets it.
    pub(super) fn next_dispatch(&mut self) -> Option<(TaskId, usize)> {
        let bound = self.workers.next_bound();
        let unbound = self.queue.first().and_then(|task| {
            let worker = self.workers.next_for_any(self.now, self.queue.len())?;
            Some((task, worker))
        });
        match (bound, unbound) {
            (Some(bound), Some(unbound)) => {
                let rank = |(id, _): (TaskId, usize)| (self.tasks.priority(id).map(Reverse), id);
                Some(if rank(bound) < rank(unbound) { bound } else { unbound })
            }
            (bound, unbound) => bound.or(unbound),
        }
    }

    /// Gives a worker a task, and those behind it in the queue that travel with it.
    pub(super) fn dispatch(&mut self, id: TaskId, index: usize) -> Action {
        let worker = WorkerId::of(index);
        let most = match self.travels_with_others(id) {
            true => self.workers[index].chunk(self.queue.len(), self.workers.ready()),
            false => 1,
        };
        if most == 1 {
            let attempt = self.give(id, index);
            self.workers.settle(index);
            return Action::Dispatch { worker, task: id, attempt };
        }
        let mut tasks = Spans::default();
        while tasks.len() < most
            && let Some(next) = self.queue.first_span()
            && self.travels_with_others(next.first())
        {
            tasks.push(self.give_span(next.up_to(most - tasks.len()), index));
        }
        let action = match (tasks.len(), tasks.get(0)) {
            (1, Some(task)) => Action::Dispatch { worker, task, attempt: 1 },
            _ => Action::Chunk { worker, tasks },
        };
        self.workers.settle(index);
        action
    }

    /// Whether a task may be in a chunk: any worker may run it, and it has killed none.
    fn travels_with_others(&self, id: TaskId) -> bool {
        self.rules.chunk != Chunk::ONE && self.tasks.is_harmless(id)
    }

    /// Takes tasks out of the queue for a worker, where each has its place: as many of the first of these as can be taken
    /// together.
    fn give_span(&mut self, tasks: Span, index: usize) -> Span {
        let alike = self.tasks.alike(tasks);
        let Some(priority) = self.tasks.priority(tasks.first()).filter(|_| alike.len() > 1) else {
            self.give(tasks.first(), index);
            return tasks.up_to(1);
        };
        let seat = self.seat(index);
        self.workers[index].take(alike, self.now);
        self.tasks.move_span(alike, Place::Dispatched(seat));
        self.queue.take_first(priority, alike.len());
        self.running += alike.len();
        alike
    }

    /// Takes a task out of the queue for a worker; the how manieth time that is.
    fn give(&mut self, id: TaskId, index: usize) -> u32 {
        let seat = self.seat(index);
        let worker = &mut self.workers[index];
        worker.take(id.into(), self.now);
        let given = self.tasks.give(id, seat).expect("a queued task has not ended");
        let Given { attempt, priority, bound, hard } = given;
        let queue = if bound { &mut worker.queue } else { &mut self.queue };
        queue.take(priority, id);
        self.running += 1;
        if let Some(hard) = hard {
            // It cannot have run for so long before.
            self.arm(id, self.now + hard);
        }
        attempt
    }
}
