//! Values that come by themselves, and are told of together.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::runs::Left;
use super::{Shell, tell_all};
use crate::pool::ended::{Batch, How, RanOn, TaskEnd};
use crate::pool::function::RESULT_HEADER;
use crate::pool::inbox::Job;
use crate::pool::task::TaskId;
use crate::pool::worker::WorkerId;
use crate::router::{Handles, Outcome};
use crate::wire::content::Content;

/// Values of one worker that have come and are not told of.
#[derive(Default)]
pub(super) struct Values {
    worker: Option<(WorkerId, Arc<RanOn>)>,
    list: Vec<(TaskId, Duration, Value)>,
}

struct Value {
    how: How,
    failed: bool,
}

impl Shell {
    /// A task that was sent by itself has a value. What it leads to follows by [`end_values`](Self::end_values).
    pub(super) fn handle_value(&mut self, now: Instant, id: TaskId, bytes: Content, handles: Handles) {
        let Some(sent) = self.alone.get_mut(id) else { return };
        sent.call = None;
        let (worker, since) = (sent.worker, sent.since);
        if self.values.worker.as_ref().is_none_or(|(before, _)| *before != worker) {
            let ran_on = sent.ran_on.clone();
            self.end_values(now);
            self.values.worker = Some((worker, ran_on));
        }
        let reported = self.team.handle_reported(now, worker);
        let (failed, told) = (self.read)(&bytes);
        let ran = told.unwrap_or_else(|| now.saturating_duration_since(since.max(reported)));
        let how = match told {
            Some(_) if handles.is_empty() => How::Value(bytes.slice(RESULT_HEADER..)),
            _ => How::Reported(Box::new(Outcome::Value(bytes, handles))),
        };
        self.values.list.push((id, ran, Value { how, failed }));
    }

    /// Ends the tasks whose values have come.
    pub(super) fn end_values(&mut self, now: Instant) {
        let Some((worker, ran_on)) = self.values.worker.take() else { return };
        let mut list = mem::take(&mut self.values.list);
        let (mut count, mut failures, mut working) = (0, 0, Duration::ZERO);
        let (mut job, mut size, mut ends) = (None::<Arc<Job>>, 0, Vec::with_capacity(list.len()));
        let Self { scheduler, tasks, alone, slowest, shared, .. } = self;
        let done = list.drain(..).map(|(id, ran, value)| (id, ran, (ran, value)));
        scheduler.handle_all_done(now, done, |id, (ran, Value { how, failed })| {
            alone.remove(id);
            let Some(Left { job: own, index, size: bytes }) = tasks.remove(id) else { return };
            count += 1;
            failures += u64::from(failed);
            working += ran;
            if slowest.takes(ran) {
                slowest.handle(own.name, Some(&ran_on), (id, ran), own.description.as_ref());
            }
            if job.as_ref().is_none_or(|job| !Arc::ptr_eq(job, &own))
                && let Some(job) = job.replace(own)
            {
                let batch = Batch::list(job.name, Some(ran_on.clone()), mem::take(&mut size), mem::take(&mut ends));
                tell_all(shared, &job, batch);
            }
            size += bytes;
            ends.push(TaskEnd { id, index, how, failed, ran });
        });
        if let Some(job) = job {
            tell_all(shared, &job, Batch::list(job.name, Some(ran_on), size, ends));
        }
        self.values.list = list;
        self.failed += failures;
        self.shared.count(count, failures);
        self.team.handle_worked(worker, count, working);
        if !self.last.is_empty() {
            self.last.retain(|id, _| self.tasks.has(*id));
        }
    }
}
