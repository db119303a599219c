//! Tasks that were submitted together, and what they have in common.

use std::iter;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use crate::pool::calls::Calls;
use crate::pool::ended::Receiver;
use crate::pool::inbox::{Job, NewTasks};
use crate::pool::span::Span;
use crate::pool::table::Table;
use crate::pool::task::TaskId;

/// The tasks that have not ended, by the *runs* in which they were submitted.
#[derive(Default)]
pub(super) struct Runs {
    of: Table<RunKey>,
    runs: Vec<Option<Run>>,
    free: Vec<RunKey>,
}

/// One more than the place of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RunKey(NonZeroU32);

/// Tasks that were submitted together: their numbers follow each other.
pub(super) struct Run {
    pub(super) job: Arc<Job>,
    pub(super) calls: Calls,
    first: TaskId,
    /// The place of the first one in the input that it came from.
    index: u64,
    /// How many have not ended.
    left: usize,
}

/// What is still to be said of tasks when they have ended.
pub(super) struct Left {
    pub(super) job: Arc<Job>,
    /// The place of the first one in the input that it came from.
    pub(super) index: u64,
    /// The bytes of their arguments.
    pub(super) size: usize,
}

impl RunKey {
    fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Run {
    fn place(&self, task: TaskId) -> usize {
        task.0.saturating_sub(self.first.0) as usize
    }
}

impl Runs {
    /// These wait, or are about to end.
    pub(super) fn insert(&mut self, first: TaskId, job: Arc<Job>, tasks: NewTasks) {
        let NewTasks { index, calls } = tasks;
        let count = calls.count();
        let run = Some(Run { job, calls, first, index, left: count });
        let key = match self.free.pop() {
            Some(key) => {
                self.runs[key.place()] = run;
                key
            }
            None => {
                self.runs.push(run);
                RunKey(NonZeroU32::MIN.saturating_add(self.runs.len() as u32 - 1))
            }
        };
        self.of.insert_span_with(Span::new(first, count), || key);
    }

    pub(super) fn has(&self, task: TaskId) -> bool {
        self.of.get(task).is_some()
    }

    /// The run that a task is of, and its place in it.
    pub(super) fn get(&self, task: TaskId) -> Option<(&Run, usize)> {
        let run = self.runs.get(self.of.get(task)?.place())?.as_ref()?;
        Some((run, run.place(task)))
    }

    pub(super) fn job(&self, task: TaskId) -> Option<&Arc<Job>> {
        self.get(task).map(|(run, _)| &run.job)
    }

    /// The first of these tasks that are of one run, and their places in it.
    pub(super) fn piece(&self, tasks: Span) -> Option<(&Run, Range<usize>)> {
        let (run, place) = self.get(tasks.first()).filter(|_| !tasks.is_empty())?;
        Some((run, place..run.calls.count().min(place + tasks.len())))
    }

    /// These tasks, run by run.
    pub(super) fn pieces<'a>(&'a self, tasks: &'a [Span]) -> impl Iterator<Item = (&'a Run, Range<usize>)> {
        tasks.iter().flat_map(move |&span| {
            let mut rest = span;
            iter::from_fn(move || {
                let (run, places) = self.piece(rest)?;
                rest = rest.after(places.len());
                Some((run, places))
            })
        })
    }

    /// These tasks of one run have ended.
    pub(super) fn remove(&mut self, tasks: impl Into<Span>) -> Option<Left> {
        let tasks = tasks.into();
        let key = *self.of.get(tasks.first())?;
        self.of.remove_span(tasks);
        let place = self.runs.get_mut(key.place())?;
        let run = place.as_mut()?;
        let from = run.place(tasks.first());
        let left = Left {
            job: run.job.clone(),
            index: run.index + from as u64,
            size: run.calls.sizes(from..from + tasks.len()),
        };
        run.left -= tasks.len();
        if run.left == 0 {
            *place = None;
            self.free.push(key);
        }
        Some(left)
    }

    /// The tasks whose ends this one is to be told.
    pub(super) fn awaited_by(&self, receiver: &Arc<dyn Receiver>) -> Vec<TaskId> {
        let is_theirs = |run: &&Run| Arc::ptr_eq(&run.job.receiver, receiver);
        let theirs = self.runs.iter().flatten().filter(is_theirs);
        let all = theirs.flat_map(|run| Span::new(run.first, run.calls.count()).iter());
        let mut left: Vec<_> = all.filter(|&task| self.has(task)).collect();
        left.sort_unstable();
        left
    }
}
