use std::collections::{BTreeSet, VecDeque};

use super::task::TaskId;

/// How many removed entries may stay before the queue is packed.
const SLACK: usize = 64;

/// How much room is kept when a burst is over.
const KEEP: usize = 4096;

/// Tasks that wait, in the order in which they were submitted.
///
/// A task that comes back from a worker takes its old place. Those are few, so they have a tree; the many others go
/// through a ring. A removal leaves a gap in the ring, since moving a million entries for each of a million cancels would
/// take minutes; gaps never outnumber the rest for long.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ring: VecDeque<Entry>,
    /// How many entries of `ring` wait. The first entry, if there is one, always does.
    waiting: usize,
    returned: BTreeSet<TaskId>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    task: TaskId,
    waits: bool,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiting + self.returned.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The task that was submitted first.
    pub(super) fn first(&self) -> Option<TaskId> {
        let fresh = self.ring.front().map(|entry| entry.task);
        fresh.into_iter().chain(self.returned.first().copied()).min()
    }

    /// Puts a task that isn't here at its place.
    pub(super) fn insert(&mut self, task: TaskId) {
        if self.ring.back().is_some_and(|last| last.task > task) {
            self.returned.insert(task);
        } else {
            self.ring.push_back(Entry { task, waits: true });
            self.waiting += 1;
        }
    }

    /// Takes a task out; false if it isn't here.
    pub(super) fn remove(&mut self, task: TaskId) -> bool {
        if self.returned.remove(&task) {
            return true;
        }
        let index = match self.ring.front() {
            Some(first) if first.task == task => 0,
            _ => match self.ring.binary_search_by_key(&task, |entry| entry.task) {
                Ok(index) => index,
                Err(_) => return false,
            },
        };
        if !std::mem::take(&mut self.ring[index].waits) {
            return false;
        }
        self.waiting -= 1;
        if self.ring.len() > 2 * self.waiting + SLACK {
            self.ring.retain(|entry| entry.waits);
        }
        while self.ring.front().is_some_and(|first| !first.waits) {
            self.ring.pop_front();
        }
        if self.ring.is_empty() && self.ring.capacity() > 2 * KEEP {
            self.ring.shrink_to(KEEP);
        }
        true
    }

    /// Takes all out, in order.
    pub(super) fn drain(&mut self) -> Vec<TaskId> {
        let mut all = Vec::with_capacity(self.len());
        while let Some(task) = self.first() {
            self.remove(task);
            all.push(task);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_returned_task_takes_its_old_place() {
        let mut queue = Queue::default();
        (3..6).for_each(|task| queue.insert(TaskId(task)));
        queue.insert(TaskId(2));
        queue.insert(TaskId(0));
        assert_eq!(queue.drain(), [0, 2, 3, 4, 5].map(TaskId));
    }

    #[test]
    fn a_removed_task_is_never_first_and_is_removed_once() {
        let mut queue = Queue::default();
        (0..4).for_each(|task| queue.insert(TaskId(task)));
        assert!(queue.remove(TaskId(1)));
        assert!(!queue.remove(TaskId(1)));
        assert!(queue.remove(TaskId(0)));
        assert!(!queue.remove(TaskId(9)));
        assert_eq!((queue.first(), queue.len()), (Some(TaskId(2)), 2));
    }

    #[test]
    fn gaps_never_outgrow_what_waits() {
        let mut queue = Queue::default();
        queue.insert(TaskId(0));
        for task in 1..100_000 {
            queue.insert(TaskId(task));
            assert!(queue.remove(TaskId(task)));
            assert!(queue.ring.len() <= 2 + SLACK);
        }
        assert_eq!(queue.drain(), [TaskId(0)]);
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut queue = Queue::default();
        (0..100_000).for_each(|task| queue.insert(TaskId(task)));
        queue.drain();
        assert!(queue.ring.capacity() <= 2 * KEEP);
    }

    proptest! {
        #[test]
        fn is_a_sorted_set(steps in proptest::collection::vec((0_u8..4, 0_u64..200), 0..400)) {
            let mut queue = Queue::default();
            let mut set = BTreeSet::new();
            let mut fresh = 0;
            let mut taken = BTreeSet::new();
            for (step, pick) in steps {
                match step {
                    0 | 1 => {
                        queue.insert(TaskId(fresh));
                        set.insert(TaskId(fresh));
                        fresh += 1;
                    }
                    2 => if let Some(task) = set.pop_first() {
                        prop_assert!(queue.remove(task));
                        taken.insert(task);
                    },
                    _ => if let Some(&task) = taken.iter().nth(pick as usize % taken.len().max(1)) {
                        taken.remove(&task);
                        queue.insert(task);
                        set.insert(task);
                    } else if let Some(&task) = set.iter().nth(pick as usize % set.len().max(1)) {
                        set.remove(&task);
                        prop_assert!(queue.remove(task));
                    },
                }
                prop_assert_eq!(queue.first(), set.first().copied());
                prop_assert_eq!(queue.len(), set.len());
            }
            prop_assert_eq!(queue.drain(), set.into_iter().collect::<Vec<_>>());
        }
    }
}
