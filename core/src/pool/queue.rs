use std::collections::BTreeMap;

use super::span::Span;
use super::task::TaskId;

/// Tasks that wait, in the order in which they were submitted.
///
/// Most wait between neighbours, so that they are kept as spans. New ones come at the end, and the first ones leave first,
/// which changes one span and moves nothing; one that leaves from the middle, or comes back to its old place, makes two
/// spans of one, or one of two.
#[derive(Debug)]
pub(super) struct Queue {
    /// The last span, where new ones come.
    tail: Span,
    /// Those before it: the first number of each, by the number behind its last.
    spans: BTreeMap<u64, u64>,
    len: usize,
}

impl Default for Queue {
    fn default() -> Self {
        Self { tail: Span::between(0, 0), spans: BTreeMap::new(), len: 0 }
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The task that was submitted first, and those behind it that were submitted with nothing in between.
    pub(super) fn first_span(&self) -> Option<Span> {
        match self.spans.first_key_value() {
            Some((&end, &first)) => Some(Span::between(first, end)),
            None => Some(self.tail).filter(|tail| !tail.is_empty()),
        }
    }

    /// The task that was submitted first.
    pub(super) fn first(&self) -> Option<TaskId> {
        self.first_span().map(Span::first)
    }

    /// Puts tasks that aren't here at their place.
    pub(super) fn insert(&mut self, tasks: impl Into<Span>) {
        let new = tasks.into();
        let (first, end) = (new.first().0, new.end());
        self.len += new.len();
        if self.tail.is_empty() && self.spans.last_key_value().is_none_or(|(&last, _)| last < first) {
            self.tail = new;
        } else if !self.tail.is_empty() && first >= self.tail.end() {
            if first == self.tail.end() {
                self.tail = Span::between(self.tail.first().0, end);
            } else {
                self.spans.insert(self.tail.end(), self.tail.first().0);
                self.tail = new;
            }
        } else {
            self.insert_before(first, end);
        }
    }

    /// Puts tasks in front of the tail, or of another span.
    fn insert_before(&mut self, first: u64, end: u64) {
        let first = self.spans.remove(&first).unwrap_or(first);
        if !self.tail.is_empty() && self.tail.first().0 == end {
            self.tail = Span::between(first, self.tail.end());
            return;
        }
        match self.spans.range_mut(end..).next() {
            Some((_, next)) if *next == end => *next = first,
            _ => drop(self.spans.insert(end, first)),
        }
    }

    /// Takes the first `count` tasks of [`first_span`](Self::first_span) out.
    pub(super) fn take_first(&mut self, count: usize) {
        self.len -= count;
        match self.spans.first_entry() {
            None => self.tail = self.tail.after(count),
            Some(mut span) => {
                *span.get_mut() += count as u64;
                if span.get() == span.key() {
                    span.remove();
                }
            }
        }
    }

    /// Takes a task out; false if it isn't here.
    pub(super) fn remove(&mut self, task: TaskId) -> bool {
        if self.tail.contains(task) {
            let before = Span::between(self.tail.first().0, task.0);
            if !before.is_empty() {
                self.spans.insert(before.end(), before.first().0);
            }
            self.tail = Span::between(task.0 + 1, self.tail.end());
        } else {
            let Some((&end, first)) = self.spans.range_mut(task.0 + 1..).next().filter(|(_, first)| **first <= task.0)
            else {
                return false;
            };
            let before = std::mem::replace(first, task.0 + 1);
            if *first == end {
                self.spans.remove(&end);
            }
            if before < task.0 {
                self.spans.insert(task.0, before);
            }
        }
        self.len -= 1;
        true
    }

    /// Takes all out, in order.
    pub(super) fn drain(&mut self) -> Vec<TaskId> {
        let queue = std::mem::take(self);
        let spans = queue.spans.into_iter().map(|(end, first)| Span::between(first, end));
        spans.chain([queue.tail]).flat_map(Span::iter).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
    fn neighbours_are_one_span_whatever_the_order_in_which_they_come() {
        let mut queue = Queue::default();
        for first in [3_000, 0, 2_000, 1_000, 4_000] {
            queue.insert(Span::new(TaskId(first), 1_000));
        }
        assert_eq!(queue.first_span(), Some(Span::new(TaskId(0), 5_000)));
        assert!(queue.remove(TaskId(2_500)));
        assert_eq!(queue.first_span(), Some(Span::new(TaskId(0), 2_500)));
        queue.insert(TaskId(2_500));
        queue.take_first(1_999);
        assert_eq!((queue.first_span(), queue.len()), (Some(Span::new(TaskId(1_999), 3_001)), 3_001));
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
                    2 => if pick % 2 == 0 && let Some(span) = queue.first_span() {
                        let count = 1 + pick as usize % span.len();
                        queue.take_first(count);
                        for task in span.up_to(count).iter() {
                            prop_assert_eq!(set.pop_first(), Some(task));
                            taken.insert(task);
                        }
                    } else if let Some(task) = set.pop_first() {
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
