use std::time::Duration;

use super::span::Span;
use super::table::Table;
use super::task::{Place, Task, TaskId, Terms, Times};
use super::worker::Seat;
#[cfg(test)]
use super::worker::WorkerId;

/// The tasks that have not ended.
///
/// Of most of them there is nothing to know but where they are, and they are so by the thousand: these take a few bytes
/// each, and are handled by the span. One that is out of the ordinary has a [`Task`] of its own.
#[derive(Debug, Default)]
pub(super) struct Tasks(Table<Entry>);

#[derive(Debug)]
enum Entry {
    Plain(Plain),
    Own(Box<Task>),
}

/// A task that any worker may run, that has killed none, and of which nobody wants anything but its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plain {
    priority: u8,
    max_attempts: u16,
    place: Place,
}

impl Plain {
    fn of(task: &Task) -> Option<Self> {
        let Task { worker: None, key: None, kills: 0, cancelled: false, recalled: false, times: None, .. } = task
        else {
            return None;
        };
        let max_attempts = u16::try_from(task.max_attempts).ok()?;
        Some(Self { priority: task.priority, max_attempts, place: task.place })
    }

    fn task(self) -> Task {
        let Self { priority, max_attempts, place } = self;
        let terms = Terms { priority, max_attempts: max_attempts.into(), ..Terms::default() };
        Task { place, ..Task::new(terms) }
    }
}

impl Entry {
    fn new(task: Task) -> Self {
        Plain::of(&task).map_or_else(|| Self::Own(Box::new(task)), Self::Plain)
    }

    fn into_task(self) -> Task {
        match self {
            Self::Plain(plain) => plain.task(),
            Self::Own(task) => *task,
        }
    }

    fn plain(&self) -> Option<Plain> {
        match self {
            Self::Plain(plain) => Some(*plain),
            Self::Own(_) => None,
        }
    }
}

impl Tasks {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    pub(super) fn insert(&mut self, id: TaskId, task: Task) {
        self.0.insert(id, Entry::new(task));
    }

    /// The same for tasks that were not there, if they are such that they can all be told in one.
    pub(super) fn insert_span(&mut self, tasks: Span, terms: Terms) -> bool {
        let Some(plain) = Plain::of(&Task::new(terms)) else { return false };
        self.0.insert_span_with(tasks, || Entry::Plain(plain));
        true
    }

    pub(super) fn remove(&mut self, id: TaskId) -> Option<Task> {
        self.0.remove(id).map(Entry::into_task)
    }

    /// To change it.
    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        let entry = self.0.get_mut(id)?;
        if let Entry::Plain(plain) = entry {
            *entry = Entry::Own(Box::new(plain.task()));
        }
        match entry {
            Entry::Own(task) => Some(task),
            Entry::Plain(_) => None,
        }
    }

    pub(super) fn drain(&mut self) -> Vec<(TaskId, Task)> {
        self.0.drain().into_iter().map(|(id, entry)| (id, entry.into_task())).collect()
    }

    pub(super) fn place(&self, id: TaskId) -> Option<Place> {
        self.0.get(id).map(|entry| match entry {
            Entry::Plain(plain) => plain.place,
            Entry::Own(task) => task.place,
        })
    }

    pub(super) fn priority(&self, id: TaskId) -> Option<u8> {
        self.0.get(id).map(|entry| match entry {
            Entry::Plain(plain) => plain.priority,
            Entry::Own(task) => task.priority,
        })
    }

    /// The worker that it is bound to, if it is.
    #[cfg(test)]
    pub(super) fn worker(&self, id: TaskId) -> Option<WorkerId> {
        match self.0.get(id)? {
            Entry::Plain(_) => None,
            Entry::Own(task) => task.worker,
        }
    }

    pub(super) fn times(&self, id: TaskId) -> Times {
        match self.0.get(id) {
            Some(Entry::Own(task)) => task.times(),
            _ => Times::default(),
        }
    }

    /// Whether any worker may run it, and it has killed none.
    pub(super) fn is_harmless(&self, id: TaskId) -> bool {
        self.0.get(id).is_some_and(|entry| match entry {
            Entry::Plain(_) => true,
            Entry::Own(task) => task.worker.is_none() && task.kills == 0,
        })
    }

    /// Those in front that are like the first one, of which there is nothing to know but that they wait.
    pub(super) fn alike(&self, tasks: Span) -> Span {
        let plain = |id| self.0.get(id).and_then(Entry::plain);
        let Some(first) = plain(tasks.first()) else { return tasks.up_to(0) };
        if self.0.all(tasks, |entry| entry.plain() == Some(first)) {
            return tasks;
        }
        tasks.up_to(tasks.iter().take_while(|&id| plain(id) == Some(first)).count())
    }

    /// Where they all are, and how urgent, if there is nothing else to know of them.
    pub(super) fn common(&self, tasks: Span) -> Option<(Place, u8)> {
        let first = self.0.get(tasks.first())?.plain()?;
        self.0.all(tasks, |entry| entry.plain() == Some(first)).then_some((first.place, first.priority))
    }

    /// They are somewhere else now, and there is nothing else to know of them.
    pub(super) fn move_span(&mut self, tasks: Span, place: Place) {
        self.0.change_span(tasks, |entry| match entry {
            Entry::Plain(plain) => plain.place = place,
            Entry::Own(task) => task.place = place,
        });
    }

    pub(super) fn remove_span(&mut self, tasks: Span) {
        self.0.remove_span(tasks);
    }

    /// It is with a worker now.
    pub(super) fn give(&mut self, id: TaskId, seat: Seat) -> Option<Given> {
        Some(match self.0.get_mut(id)? {
            Entry::Plain(plain) => {
                plain.place = Place::Dispatched(seat);
                Given { attempt: 1, priority: plain.priority, bound: false, hard: None }
            }
            Entry::Own(task) => {
                task.place = Place::Dispatched(seat);
                let hard = task.times.as_ref().and_then(|times| times.hard);
                Given { attempt: task.kills + 1, priority: task.priority, bound: task.worker.is_some(), hard }
            }
        })
    }
}

/// A task that is with a worker now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// The how manieth time that is.
    pub(super) attempt: u32,
    pub(super) priority: u8,
    /// Whether it is bound to that worker.
    pub(super) bound: bool,
    /// How long it may run.
    pub(super) hard: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_takes_up_little_until_there_is_more_to_know_of_it() {
        assert!(size_of::<Option<Entry>>() <= 24);
        let mut tasks = Tasks::default();
        assert!(tasks.insert_span(Span::new(TaskId(0), 3), Terms { max_attempts: 7, priority: 2, ..Terms::default() }));
        tasks.get_mut(TaskId(1)).unwrap().cancelled = true;
        assert_eq!(tasks.alike(Span::new(TaskId(0), 3)).len(), 1);
        assert_eq!((tasks.common(Span::new(TaskId(0), 3)), tasks.is_harmless(TaskId(1))), (None, true));
        assert_eq!(tasks.common(Span::new(TaskId(2), 1)), Some((Place::Queued, 2)));
        let task = tasks.remove(TaskId(1)).unwrap();
        assert!(task.cancelled && task.max_attempts == 7 && task.priority == 2);
    }
}
