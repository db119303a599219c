use super::queue::Queue;
use super::span::Span;
use super::task::TaskId;

/// Of so many tasks that are taken one is the oldest, whatever its priority.
pub(super) const TURN: u32 = 8;

/// Tasks that wait: those of the highest priority first, and of one priority in the order in which they were submitted.
///
/// Nobody starves: of each [`TURN`] tasks that are taken one is the oldest of all.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The highest priority first.
    levels: Vec<(u8, Queue)>,
    /// Tasks that were taken since the oldest was.
    taken: u32,
}

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.levels.iter().map(|(_, queue)| queue.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.levels.iter().all(|(_, queue)| queue.is_empty())
    }

    /// The task that is next.
    pub(super) fn first(&self) -> Option<TaskId> {
        let mut firsts = self.levels.iter().filter_map(|(_, queue)| queue.first());
        if self.taken + 1 >= TURN { firsts.min() } else { firsts.next() }
    }

    /// The task that is next, and those that are taken after it whatever happens meanwhile, as long as nothing comes.
    pub(super) fn first_span(&self) -> Option<Span> {
        match &self.levels[..] {
            [(_, queue)] => queue.first_span(),
            _ => self.first().map(Span::from),
        }
    }

    /// Puts tasks that aren't here at their place.
    pub(super) fn insert(&mut self, priority: u8, tasks: impl Into<Span>) {
        self.level(priority).insert(tasks);
    }

    /// Takes a task out because its turn has come.
    pub(super) fn take(&mut self, priority: u8, task: TaskId) {
        if self.levels.len() == 1 {
            // Nobody else could starve.
            self.taken = 0;
            return self.remove(priority, task);
        }
        self.taken = if self.first() == Some(task) && self.taken + 1 < TURN { self.taken + 1 } else { 0 };
        self.remove(priority, task);
    }

    /// Takes the first `count` of [`first_span`](Self::first_span) out because their turn has come.
    pub(super) fn take_first(&mut self, priority: u8, count: usize) {
        if let [(_, queue)] = &mut self.levels[..] {
            self.taken = 0;
            queue.take_first(count);
        } else if let Some(first) = self.first() {
            self.take(priority, first);
        }
    }

    /// Takes a task out.
    pub(super) fn remove(&mut self, priority: u8, task: TaskId) {
        self.level(priority).remove(task);
    }

    /// Takes all out, in the order of submission.
    pub(super) fn drain(&mut self) -> Vec<TaskId> {
        let mut all: Vec<_> = self.levels.iter_mut().flat_map(|(_, queue)| queue.drain()).collect();
        all.sort_unstable();
        all
    }

    fn level(&mut self, priority: u8) -> &mut Queue {
        let place = match self.levels.binary_search_by(|(level, _)| priority.cmp(level)) {
            Ok(place) => place,
            Err(place) => {
                self.levels.insert(place, (priority, Queue::default()));
                place
            }
        };
        &mut self.levels[place].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_priorities_come_first_and_equal_ones_in_order() {
        let mut backlog = Backlog::default();
        for (task, priority) in [(0, 1), (1, 3), (2, 1), (3, 2), (4, 3)] {
            backlog.insert(priority, TaskId(task));
        }
        let mut order = Vec::new();
        while let Some(task) = backlog.first() {
            order.push(task.0);
            backlog.take([1, 3, 1, 2, 3][task.0 as usize], task);
        }
        assert_eq!(order, [1, 4, 3, 0, 2]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn the_oldest_has_its_turn_however_many_are_more_urgent() {
        let mut backlog = Backlog::default();
        (0..4).for_each(|task| backlog.insert(0, TaskId(task)));
        (4..100).for_each(|task| backlog.insert(9, TaskId(task)));
        let order: Vec<_> = (0..32)
            .map(|_| {
                let task = backlog.first().unwrap();
                backlog.take(if task.0 < 4 { 0 } else { 9 }, task);
                task.0
            })
            .collect();
        let old: Vec<_> = order.iter().enumerate().filter(|(_, task)| **task < 4).collect();
        assert_eq!(old, [(7, &0), (15, &1), (23, &2), (31, &3)]);
    }
}
