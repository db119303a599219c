use std::ops::Range;

use super::task::TaskId;

/// Tasks whose numbers follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    first: u64,
    end: u64,
}

/// Tasks in some order, most of whose numbers follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    list: Vec<Span>,
    /// The place behind the last one of each.
    ends: Vec<usize>,
}

impl Span {
    pub(crate) fn new(first: TaskId, count: usize) -> Self {
        Self { first: first.0, end: first.0 + count as u64 }
    }

    pub(super) fn between(first: u64, end: u64) -> Self {
        Self { first, end: end.max(first) }
    }

    pub(crate) fn first(self) -> TaskId {
        TaskId(self.first)
    }

    /// The number behind the last one's.
    pub(super) fn end(self) -> u64 {
        self.end
    }

    pub(crate) fn len(self) -> usize {
        (self.end - self.first) as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first == self.end
    }

    pub(super) fn contains(self, task: TaskId) -> bool {
        (self.first..self.end).contains(&task.0)
    }

    /// The first of them, as many as there are up to `most`.
    pub(super) fn up_to(self, most: usize) -> Self {
        Self { first: self.first, end: self.end.min(self.first.saturating_add(most as u64)) }
    }

    /// Those behind the first `count`.
    pub(super) fn after(self, count: usize) -> Self {
        Self { first: self.end.min(self.first.saturating_add(count as u64)), end: self.end }
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = TaskId> {
        (self.first..self.end).map(TaskId)
    }
}

impl From<TaskId> for Span {
    fn from(task: TaskId) -> Self {
        Self::new(task, 1)
    }
}

impl Spans {
    pub(crate) fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts these behind the others.
    pub(crate) fn push(&mut self, span: impl Into<Span>) {
        let span = span.into();
        let end = self.len() + span.len();
        if span.is_empty() {
            return;
        }
        match (self.list.last_mut(), self.ends.last_mut()) {
            (Some(last), Some(last_end)) if last.end == span.first => (last.end, *last_end) = (span.end, end),
            _ => {
                self.list.push(span);
                self.ends.push(end);
            }
        }
    }

    /// The pieces of which they are made.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.list
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = TaskId> + '_ {
        self.list.iter().flat_map(|span| (span.first..span.end).map(TaskId))
    }

    /// The one at this place.
    pub(super) fn get(&self, place: usize) -> Option<TaskId> {
        self.from(place).map(Span::first)
    }

    /// The one at this place, and those behind it whose numbers follow.
    pub(super) fn from(&self, place: usize) -> Option<Span> {
        let index = self.ends.partition_point(|&end| end <= place);
        let before = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.list.get(index).map(|span| span.after(place - before))
    }

    /// Those at these places.
    pub(super) fn part(&self, places: Range<usize>) -> Self {
        let mut part = Self::default();
        let mut place = places.start;
        while place < places.end
            && let Some(span) = self.from(place)
        {
            let span = span.up_to(places.end - place);
            place += span.len();
            part.push(span);
        }
        part
    }

    /// At which place it is.
    pub(super) fn place_of(&self, task: TaskId) -> Option<usize> {
        let index = self.list.iter().position(|span| span.contains(task))?;
        let span = self.list[index];
        Some(self.ends[index] - span.len() + (task.0 - span.first) as usize)
    }
}

impl FromIterator<TaskId> for Spans {
    fn from_iter<I: IntoIterator<Item = TaskId>>(tasks: I) -> Self {
        let mut spans = Self::default();
        tasks.into_iter().for_each(|task| spans.push(task));
        spans
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn are_a_list(numbers in proptest::collection::vec(0_u64..40, 0..60), from in 0_usize..70, more in 0_usize..70) {
            let mut list: Vec<_> = Vec::new();
            numbers.into_iter().map(TaskId).for_each(|task| if !list.contains(&task) { list.push(task) });
            let spans: Spans = list.iter().copied().collect();
            prop_assert_eq!(spans.len(), list.len());
            prop_assert_eq!(spans.iter().collect::<Vec<_>>(), list.clone());
            prop_assert_eq!(spans.get(from), list.get(from).copied());
            prop_assert_eq!(spans.place_of(TaskId(from as u64)), list.iter().position(|task| task.0 == from as u64));
            let part: Vec<_> = list.iter().copied().skip(from).take(more).collect();
            prop_assert_eq!(spans.part(from..from + more).iter().collect::<Vec<_>>(), part);
        }
    }
}
