use std::{
    collections::VecDeque,
    ops::{Index, IndexMut},
    time::Instant,
};

use super::{
    load::Loads,
    task::TaskId,
    window::Chunk,
    worker::{Pace, Phase, Seat, Worker, WorkerId},
};

/// The workers of a pool, and which of them gets the next task.
///
/// Whoever changes a worker calls [`settle`](Self::settle): what is kept here about all of them then follows.
#[derive(Debug)]
pub(super) struct Workers {
    list: Vec<Worker>,
    /// How many are ready.
    ready: usize,
    starting: usize,
    dormant: usize,
    loads: Loads,
    /// Those that may have both room and a task of their own that waits.
    turns: VecDeque<usize>,
    /// How many hold a task that waits there and was not asked back.
    deep: usize,
}

impl Workers {
    pub(super) fn new() -> Self {
        Self {
            list: Vec::new(),
            ready: 0,
            starting: 0,
            dormant: 0,
            loads: Loads::new(),
            turns: VecDeque::new(),
            deep: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// How many are ready.
    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    /// How many tasks that one may hold that may hold the most.
    pub(super) fn most_held(&self) -> usize {
        self.list.iter().map(|worker| worker.window.size()).max().unwrap_or_default()
    }

    /// How many take tasks that any may run.
    pub(super) fn active(&self) -> usize {
        self.list.iter().filter(|worker| worker.phase == Phase::Ready && !worker.reserve).count()
    }

    /// How many are being started.
    pub(super) fn starting(&self) -> usize {
        self.starting
    }

    /// The first that has no process as there was nothing to do.
    pub(super) fn dormant(&self) -> Option<usize> {
        let first = || self.list.iter().position(|worker| worker.phase == Phase::Dormant);
        (self.dormant > 0).then(first).flatten()
    }

    /// The wanted worker that a key belongs to: with one worker more or less only that one's keys move.
    pub(super) fn of_key(&self, key: u64) -> Option<usize> {
        self.wanted().max_by_key(|&index| mix(key ^ mix(index as u64 + 1)))
    }

    /// Those that are wanted.
    pub(super) fn wanted(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|&index| self[index].phase.is_wanted())
    }

    pub(super) fn find(&self, worker: WorkerId) -> Option<usize> {
        usize::try_from(worker.0).ok().filter(|&index| index < self.len())
    }

    pub(super) fn get(&self, worker: WorkerId) -> Option<&Worker> {
        self.find(worker).map(|index| &self[index])
    }

    /// The worker of this seat, if it is still the same incarnation.
    pub(super) fn seated(&self, seat: Seat) -> Option<usize> {
        let index = seat.worker as usize;
        (self[index].incarnation == seat.incarnation).then_some(index)
    }

    /// A worker that isn't wanted and can be: best one that is about to leave.
    pub(super) fn unwanted(&mut self, now: Instant, chunk: Chunk) -> usize {
        let first = |phase| self.list.iter().position(|worker| worker.phase == phase);
        first(Phase::Retiring).or_else(|| first(Phase::Vacant)).unwrap_or_else(|| {
            self.list.push(Worker::new(now, chunk));
            self.list.len() - 1
        })
    }

    pub(super) fn enter(&mut self, index: usize, phase: Phase) {
        let before = std::mem::replace(&mut self[index].phase, phase);
        for (count, counted) in [
            (&mut self.ready, Phase::Ready),
            (&mut self.starting, Phase::Starting),
            (&mut self.dormant, Phase::Dormant),
        ] {
            *count += usize::from(phase == counted);
            *count -= usize::from(before == counted);
        }
        self.settle(index);
    }

    /// Brings what is kept about all workers up to date with this one.
    pub(super) fn settle(&mut self, index: usize) {
        let worker = &mut self.list[index];
        let held = worker.held.len();
        let has_room = worker.has_room();
        let offered = has_room && worker.pace == Pace::Moving && !worker.reserve;
        self.loads.place(index, offered.then_some(held));
        if has_room && !worker.has_turn && !worker.queue.is_empty() {
            worker.has_turn = true;
            self.turns.push_back(index);
        }
        let is_deep = held >= 2 && worker.pace != Pace::Recalled && worker.phase.runs();
        let was_deep = std::mem::replace(&mut worker.is_deep, is_deep);
        self.deep += usize::from(is_deep);
        self.deep -= usize::from(was_deep);
    }

    /// A task that is bound to a worker with room, and that worker.
    pub(super) fn next_bound(&mut self) -> Option<(TaskId, usize)> {
        while let Some(&index) = self.turns.front() {
            let worker = &mut self.list[index];
            if let Some(task) = worker.queue.first()
                && worker.has_room()
            {
                return Some((task, index));
            }
            worker.has_turn = false;
            self.turns.pop_front();
        }
        None
    }

    /// The worker that gets the next of `queued` tasks that any may run.
    pub(super) fn next_for_any(&mut self, now: Instant, queued: usize) -> Option<usize> {
        loop {
            let (index, load) = self.loads.least()?;
            if load == 0 {
                return Some(index);
            }
            let worker = &mut self.list[index];
            if worker.is_stalled(now) {
                worker.pace = Pace::Stalled;
                self.settle(index);
                continue;
            }
            let worth_it = worker.window.is_quick() || queued >= self.ready + self.dormant;
            return (worth_it && worker.window.is_in_need(load, queued, self.ready)).then_some(index);
        }
    }

    /// Whether a worker is idle, or at rest, while tasks wait in another.
    pub(super) fn is_uneven(&self) -> bool {
        self.deep > 0 && (self.dormant > 0 || self.loads.any_idle())
    }

    /// The stalled workers in which tasks wait; each is named once per stall.
    pub(super) fn recall(&mut self, now: Instant) -> Vec<usize> {
        let stalled: Vec<_> =
            (0..self.len()).filter(|&index| self[index].is_deep && self[index].is_stalled(now)).collect();
        for &index in &stalled {
            self[index].pace = Pace::Recalled;
            self.settle(index);
        }
        stalled
    }
}

impl Index<usize> for Workers {
    type Output = Worker;

    fn index(&self, index: usize) -> &Worker {
        &self.list[index]
    }
}

impl IndexMut<usize> for Workers {
    fn index_mut(&mut self, index: usize) -> &mut Worker {
        &mut self.list[index]
    }
}

/// A number that looks like chance, the same for the same number (the last steps of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
