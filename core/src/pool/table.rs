use std::collections::{BTreeMap, VecDeque};
use std::iter;
use std::ops::Range;

use super::span::Span;
use super::task::TaskId;

/// How many places may be empty before stragglers are put aside.
const SLACK: usize = 1024;

/// How much room is kept when a burst is over.
const KEEP: usize = 4096;

/// Something for each of the tasks that have not ended.
///
/// Their numbers are dense and grow, and most end about in the order in which they came: so a ring with a place for each
/// number is all that most of them need. The few that stay much longer than their neighbours go to a tree, so that empty
/// places never outgrow the rest for long.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// The number of the first place.
    first: u64,
    ring: VecDeque<Option<T>>,
    /// How many places are taken.
    taken: usize,
    /// Those with smaller numbers.
    stragglers: BTreeMap<u64, T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { first: 0, ring: VecDeque::new(), taken: 0, stragglers: BTreeMap::new() }
    }
}

impl<T> Table<T> {
    pub(super) fn len(&self) -> usize {
        self.taken + self.stragglers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many fit into the memory that it has.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    pub(super) fn get(&self, task: TaskId) -> Option<&T> {
        match task.0.checked_sub(self.first) {
            Some(place) => self.ring.get(usize::try_from(place).ok()?)?.as_ref(),
            None => self.stragglers.get(&task.0),
        }
    }

    pub(super) fn get_mut(&mut self, task: TaskId) -> Option<&mut T> {
        match task.0.checked_sub(self.first) {
            Some(place) => self.ring.get_mut(usize::try_from(place).ok()?)?.as_mut(),
            None => self.stragglers.get_mut(&task.0),
        }
    }

    /// Puts in what was not there.
    pub(super) fn insert(&mut self, task: TaskId, value: T) {
        if self.ring.is_empty() && task.0 >= self.first {
            self.first = task.0;
        }
        let Some(place) = task.0.checked_sub(self.first) else {
            self.stragglers.insert(task.0, value);
            return;
        };
        if place as usize == self.ring.len() {
            self.ring.push_back(Some(value));
            self.taken += 1;
            self.put_aside();
            return;
        }
        while self.ring.len() <= place as usize {
            self.ring.push_back(None);
        }
        self.taken += usize::from(self.ring[place as usize].replace(value).is_none());
        self.put_aside();
    }

    /// Puts in the same for tasks that were not there.
    pub(super) fn insert_span_with(&mut self, tasks: Span, value: impl Fn() -> T) {
        if self.ring.is_empty() {
            self.first = self.first.max(tasks.first().0);
        }
        if tasks.first().0 == self.first + self.ring.len() as u64 {
            self.ring.extend(iter::repeat_with(|| Some(value())).take(tasks.len()));
            self.taken += tasks.len();
            self.put_aside();
        } else {
            tasks.iter().for_each(|task| self.insert(task, value()));
        }
    }

    /// The places of these tasks; none where they are not all where most are.
    fn places(&self, tasks: Span) -> Option<Range<usize>> {
        let first = usize::try_from(tasks.first().0.checked_sub(self.first)?).ok()?;
        let places = first..first + tasks.len();
        (places.end <= self.ring.len()).then_some(places)
    }

    /// Whether they are all there, and as they should be.
    pub(super) fn all(&self, tasks: Span, mut is_it: impl FnMut(&T) -> bool) -> bool {
        match self.places(tasks) {
            Some(places) => self.ring.range(places).all(|value| value.as_ref().is_some_and(&mut is_it)),
            None => tasks.iter().all(|task| self.get(task).is_some_and(&mut is_it)),
        }
    }

    /// Changes what is there for them.
    pub(super) fn change_span(&mut self, tasks: Span, mut change: impl FnMut(&mut T)) {
        match self.places(tasks) {
            Some(places) => self.ring.range_mut(places).flatten().for_each(change),
            None => tasks.iter().for_each(|task| self.get_mut(task).into_iter().for_each(&mut change)),
        }
    }

    /// Takes out what is there for them.
    pub(super) fn remove_span(&mut self, tasks: Span) {
        let Some(places) = self.places(tasks) else {
            return tasks.iter().for_each(|task| drop(self.remove(task)));
        };
        let is_first = places.start == 0;
        let taken = self.ring.range_mut(places).filter_map(Option::take).count();
        self.taken -= taken;
        if is_first {
            self.pass_empty();
        }
    }

    pub(super) fn remove(&mut self, task: TaskId) -> Option<T> {
        let Some(place) = task.0.checked_sub(self.first) else { return self.stragglers.remove(&task.0) };
        let value = self.ring.get_mut(usize::try_from(place).ok()?)?.take()?;
        self.taken -= 1;
        if place == 0 {
            self.pass_empty();
        }
        Some(value)
    }

    /// Takes out all, in the order of their numbers.
    pub(super) fn drain(&mut self) -> Vec<(TaskId, T)> {
        let first = self.first;
        self.first += self.ring.len() as u64;
        self.taken = 0;
        let ring = std::mem::take(&mut self.ring).into_iter().zip(first..);
        let ring = ring.filter_map(|(value, number)| Some((number, value?)));
        std::mem::take(&mut self.stragglers)
            .into_iter()
            .chain(ring)
            .map(|(number, value)| (TaskId(number), value))
            .collect()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &T)> {
        let ring = self.ring.iter().zip(self.first..).filter_map(|(value, number)| Some((number, value.as_ref()?)));
        let stragglers = self.stragglers.iter().map(|(number, value)| (*number, value));
        stragglers.chain(ring).map(|(number, value)| (TaskId(number), value))
    }

    fn pass_empty(&mut self) {
        while let Some(None) = self.ring.front() {
            self.ring.pop_front();
            self.first += 1;
        }
        if self.ring.is_empty() && self.ring.capacity() > 2 * KEEP {
            self.ring.shrink_to(KEEP);
        }
    }

    fn put_aside(&mut self) {
        while self.ring.len() > 2 * self.taken + SLACK {
            if let Some(Some(value)) = self.ring.pop_front() {
                self.stragglers.insert(self.first, value);
                self.taken -= 1;
            }
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_straggler_does_not_keep_the_places_of_all_that_came_after_it() {
        let mut table = Table::default();
        table.insert(TaskId(0), 0);
        for number in 1..100_000 {
            table.insert(TaskId(number), number);
            assert_eq!(table.remove(TaskId(number)), Some(number));
            assert!(table.ring.len() <= 4 + SLACK);
        }
        assert_eq!((table.get(TaskId(0)), table.len()), (Some(&0), 1));
        table.insert(TaskId(100_000), 1);
        assert_eq!(table.drain(), [(TaskId(0), 0), (TaskId(100_000), 1)]);
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut table = Table::default();
        (0..100_000).for_each(|number| table.insert(TaskId(number), ()));
        (0..100_000).rev().for_each(|number| assert!(table.remove(TaskId(number)).is_some()));
        assert!(table.is_empty() && table.ring.capacity() <= 2 * KEEP);
    }

    proptest! {
        #[test]
        fn is_a_sorted_map(steps in proptest::collection::vec((0_u8..7, 1_u64..5000), 0..600)) {
            let (mut table, mut map, mut fresh) = (Table::default(), BTreeMap::new(), 0_u64);
            for (step, pick) in steps {
                let some = map.keys().nth(pick as usize % map.len().max(1)).copied();
                match step {
                    0 | 1 => {
                        // A task that ends at once leaves a gap.
                        fresh += if pick > 4990 { pick } else { 1 + pick % 3 / 2 };
                        table.insert(TaskId(fresh), pick);
                        map.insert(fresh, pick);
                    }
                    2 => if let Some(number) = some {
                        let value = table.remove(TaskId(number));
                        prop_assert_eq!(value, map.remove(&number));
                        // It comes back, or not.
                        if pick % 2 == 0 {
                            table.insert(TaskId(number), pick);
                            map.insert(number, pick);
                        }
                    },
                    5 => {
                        let span = Span::new(TaskId(fresh + 1), pick as usize % 7);
                        table.insert_span_with(span, || pick);
                        map.extend(span.iter().map(|task| (task.0, pick)));
                        fresh += span.len() as u64;
                    }
                    6 => if let Some(number) = some {
                        let span = Span::new(TaskId(number), 1 + pick as usize % 5);
                        let here = |task: TaskId| map.get(&task.0);
                        prop_assert_eq!(table.all(span, |_| true), span.iter().all(|task| here(task).is_some()));
                        table.change_span(span, |value| *value += 1);
                        map.range_mut(span.first().0..span.end()).for_each(|(_, value)| *value += 1);
                        table.remove_span(span.up_to(2));
                        map.retain(|number, _| !span.up_to(2).contains(TaskId(*number)));
                    },
                    3 => prop_assert_eq!(table.get_mut(TaskId(pick)), map.get_mut(&pick)),
                    _ => if let Some(number) = some {
                        prop_assert_eq!(table.get(TaskId(number)), map.get(&number));
                    },
                }
                prop_assert_eq!(table.len(), map.len());
            }
            let all: Vec<_> = map.into_iter().map(|(number, value)| (TaskId(number), value)).collect();
            prop_assert_eq!(table.iter().map(|(task, value)| (task, *value)).collect::<Vec<_>>(), all.clone());
            prop_assert_eq!(table.drain(), all);
            prop_assert!(table.is_empty());
        }
    }
}
