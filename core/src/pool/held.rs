use std::collections::VecDeque;

use super::span::Span;
use super::task::TaskId;

/// What a worker was given and has not reported, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    spans: VecDeque<Span>,
    len: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.len = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.spans.iter().flat_map(|span| span.iter())
    }

    /// It was given these.
    pub(super) fn push(&mut self, tasks: Span) {
        self.len += tasks.len();
        match self.spans.back_mut() {
            Some(last) if last.end() == tasks.first().0 => *last = Span::between(last.first().0, tasks.end()),
            _ => self.spans.push_back(tasks),
        }
    }

    /// It has these no longer.
    pub(super) fn remove(&mut self, tasks: Span) {
        let mut rest = tasks;
        while !rest.is_empty() {
            // The oldest, or what was taken back of the youngest; else one after the other.
            if let Some(front) = self.spans.front_mut()
                && front.first() == rest.first()
            {
                let count = front.len().min(rest.len());
                *front = front.after(count);
                if front.is_empty() {
                    self.spans.pop_front();
                }
                self.len -= count;
                rest = rest.after(count);
            } else if let Some(back) = self.spans.back_mut()
                && back.end() == rest.end()
            {
                let count = back.len().min(rest.len());
                *back = back.up_to(back.len() - count);
                if back.is_empty() {
                    self.spans.pop_back();
                }
                self.len -= count;
                rest = rest.up_to(rest.len() - count);
            } else {
                self.remove_one(rest.first());
                rest = rest.after(1);
            }
        }
    }

    fn remove_one(&mut self, task: TaskId) {
        let Some(place) = self.spans.iter().position(|span| span.contains(task)) else { return };
        let span = self.spans[place];
        let before = Span::between(span.first().0, task.0);
        let after = Span::between(task.0 + 1, span.end());
        self.len -= 1;
        match (before.is_empty(), after.is_empty()) {
            (true, true) => drop(self.spans.remove(place)),
            (true, false) => self.spans[place] = after,
            (false, true) => self.spans[place] = before,
            (false, false) => {
                self.spans[place] = before;
                self.spans.insert(place + 1, after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_list_without_those_that_were_removed(
            given in proptest::collection::vec((0_u64..60, 1_usize..9), 0..12),
            removed in proptest::collection::vec((0_u64..70, 1_usize..9), 0..12),
        ) {
            let (mut held, mut list) = (Held::default(), Vec::new());
            for (first, count) in given {
                let span = Span::new(TaskId(first), count);
                if span.iter().all(|task| !list.contains(&task)) {
                    held.push(span);
                    list.extend(span.iter());
                }
            }
            for (first, count) in removed {
                let span = Span::new(TaskId(first), count);
                held.remove(span);
                list.retain(|task| !span.contains(*task));
                prop_assert_eq!(held.iter().collect::<Vec<_>>(), list.clone());
                prop_assert_eq!((held.len(), held.is_empty()), (list.len(), list.is_empty()));
            }
        }
    }
}
