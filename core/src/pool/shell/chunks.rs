//! Tasks that travel together: sent in one call, and reported out of memory that the worker shares with us.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BufMut;

use super::jobs::{JobKey, Jobs};
use super::{At, Pending, Shell, message, tell_all};
use crate::actor::call::failure;
use crate::actor::node::Numbered;
use crate::actor::parcel::Parcel;
use crate::error::call::{CallError, Executed};
use crate::pool::chunk::{ChunkId, Look, Sent, SentChunk, senseless};
use crate::pool::ended::{Batch, RanOn, TaskEnd};
use crate::pool::inbox::Shared;
use crate::pool::runner::{CHUNK_HEADER, LENGTH, RUN_CHUNK};
use crate::pool::task::TaskId;
use crate::pool::worker::WorkerId;
use crate::router::{CallKey, Handles, Outcome};
use crate::shm::chunk::Kind;

/// Bytes of calls that a chunk holds: it then costs its worker's credit as much as one task.
const CHUNK_BYTES: usize = 60 << 10;
/// A call that is longer than this gains nothing from company.
const LARGE: usize = 8 << 10;

impl Shell {
    /// Sends these tasks together, as far as they can be.
    pub(super) fn send_chunk(&mut self, now: Instant, worker: WorkerId, tasks: Vec<TaskId>, calls: &mut Vec<Numbered>) {
        let mut part = Vec::with_capacity(tasks.len());
        let (mut bytes, mut cause) = (0, None);
        for id in tasks {
            let Some(pending) = self.tasks.get(id) else { continue };
            let (size, caused_by) = (pending.call.len(), self.jobs.get(pending.job).caused_by);
            let is_alone = size > LARGE || !pending.call.handles.is_empty();
            let fits = bytes + size <= CHUNK_BYTES && cause == caused_by;
            if is_alone || !fits {
                self.send_part(now, worker, mem::take(&mut part), bytes, calls);
                bytes = 0;
            }
            if is_alone {
                self.send_one(now, worker, id, calls);
            } else {
                cause = caused_by;
                bytes += size;
                part.push(id);
            }
        }
        self.send_part(now, worker, part, bytes, calls);
    }

    /// Sends these tasks, whose calls have so many bytes, as one chunk, or one by one where there is no room for a chunk.
    fn send_part(
        &mut self,
        now: Instant,
        worker: WorkerId,
        tasks: Vec<TaskId>,
        bytes: usize,
        calls: &mut Vec<Numbered>,
    ) {
        let known = || Some((self.team.destination(worker)?, self.team.ran_on(worker)?, self.team.places(worker)?));
        let (Some((to, ran_on, places)), 2..) = (known(), tasks.len()) else {
            return tasks.into_iter().for_each(|id| self.send_one(now, worker, id, calls));
        };
        let sent = Sent { worker, ran_on, since: now, call: None };
        let sending = match self.chunks.begin(sent, places, tasks) {
            Ok(sending) => sending,
            Err(tasks) => return tasks.into_iter().for_each(|id| self.send_one(now, worker, id, calls)),
        };
        let mut payload = Vec::with_capacity(CHUNK_HEADER + sending.tasks.len() * LENGTH + bytes);
        payload.put_u64_le(sending.id.0);
        payload.put_u32_le(sending.place as u32);
        let mut caused_by = None;
        for &id in sending.tasks {
            let Some(pending) = self.tasks.get_mut(id) else { continue };
            caused_by = self.jobs.get(pending.job).caused_by;
            payload.put_u32_le(pending.call.len() as u32);
            payload.put_slice(&pending.call.bytes);
            pending.at = Some(At::Chunk(sending.id));
        }
        let message = message(RUN_CHUNK, Parcel { bytes: payload.into(), handles: Handles::none() });
        calls.push(Numbered { number: sending.id.0, to, deadline: None, caused_by, message });
    }

    /// The chunk is on its way.
    pub(super) fn chunk_sent(&mut self, id: ChunkId, call: CallKey) {
        if let Some(chunk) = self.chunks.get_mut(id) {
            chunk.sent.call = Some(call);
        }
    }

    /// The call for a chunk has ended: with it every task in it.
    pub(super) fn handle_chunk(&mut self, now: Instant, id: ChunkId, outcome: Outcome) {
        let Some(mut chunk) = self.chunks.remove(id) else { return };
        let reported = self.collect(now, &mut chunk);
        let outcome = match outcome {
            Outcome::FailedElsewhere(_) => Outcome::Failed(failure(outcome)),
            known => known,
        };
        let died = matches!(outcome, Outcome::Failed(CallError::Died { .. }));
        let unbegun = chunk.take_back().to_vec();
        // One at most, in a worker that does as it should: that which was running, or whose result was too long.
        for &task in chunk.left() {
            if let Some(pending) = self.tasks.get_mut(task) {
                // The chunk is not there any more.
                let Sent { worker, ran_on, since, .. } = &chunk.sent;
                let sent = Sent { worker: *worker, ran_on: ran_on.clone(), since: *since, call: None };
                pending.at = Some(At::Call(Box::new(sent)));
            }
            let outcome = match &outcome {
                Outcome::Failed(CallError::Died { exit, .. }) => {
                    Outcome::Failed(CallError::Died { exit: exit.clone(), executed: Executed::Maybe })
                }
                Outcome::Failed(CallError::Cancelled | CallError::NotDelivered(_)) => senseless(),
                Outcome::Value(bytes, _) if bytes.is_empty() => senseless(),
                known => known.clone(),
            };
            self.handle_reported(now, task, outcome);
        }
        if died {
            unbegun.iter().for_each(|&task| self.handle_returned(now, task));
        } else {
            let results = reported + chunk.left().len();
            if results > 0 {
                self.scheduler.handle_fitted(id.worker(), results, unbegun.is_empty());
            }
            self.forget_worker(&unbegun);
            self.scheduler.handle_taken_back(now, &unbegun);
        }
    }

    /// Looks how far the chunks have come that are not over yet. What is finished is reported; what waits behind a task
    /// that takes long goes to others.
    pub(super) fn look_at_chunks(&mut self, now: Instant) {
        for worker in self.chunks.due(now) {
            let mut is_stuck = false;
            // All of them, the oldest first: so they are reported in the order in which they ran.
            for id in self.chunks.of(worker).collect::<Vec<_>>() {
                let Some(mut chunk) = self.chunks.take(id) else { continue };
                self.collect(now, &mut chunk);
                is_stuck |= chunk.look(now) == Look::Stuck;
                self.chunks.put_back(chunk);
            }
            if is_stuck {
                self.take_back_from(now, worker);
                self.scheduler.handle_stuck(now, worker);
            }
        }
    }

    /// Takes back all that a worker has not begun of its chunks.
    fn take_back_from(&mut self, now: Instant, worker: WorkerId) {
        let chunks: Vec<_> = self.chunks.of(worker).rev().collect();
        chunks.into_iter().for_each(|id| self.take_back_chunk(now, id));
    }

    /// Takes back what has not been begun of a chunk.
    pub(super) fn take_back_chunk(&mut self, now: Instant, id: ChunkId) {
        let Some(chunk) = self.chunks.get_mut(id) else { return };
        let unbegun = chunk.take_back().to_vec();
        self.forget_worker(&unbegun);
        self.scheduler.handle_taken_back(now, &unbegun);
    }

    /// These are with no worker any more.
    fn forget_worker(&mut self, tasks: &[TaskId]) {
        for &task in tasks {
            if let Some(pending) = self.tasks.get_mut(task) {
                pending.at = None;
            }
        }
    }

    /// Ends the tasks of which there are results by now; how many the chunk has of them in all.
    fn collect(&mut self, now: Instant, chunk: &mut SentChunk) -> usize {
        if chunk.has_news() {
            self.team.handle_reported(now, chunk.sent.worker);
            let Self { scheduler, tasks, jobs, shared, slowest, failed, team, .. } = self;
            let mut ending = Endings { jobs, shared, worker: &chunk.sent.ran_on.clone(), job: None, ends: Vec::new() };
            let (mut count, mut failures, mut working) = (0, 0, Duration::ZERO);
            let worker = chunk.sent.worker;
            let room = chunk.len();
            scheduler.handle_all_done(now, chunk.results(), |id, (head, how)| {
                let Some(Pending { job, index, call, .. }) = tasks.remove(id) else { return };
                let has_failed = head.kind != Kind::Value;
                count += 1;
                failures += u64::from(has_failed);
                working += head.ran;
                let end = TaskEnd { id, index, size: call.len(), how, failed: has_failed, ran: head.ran };
                if slowest.takes(&end) {
                    let job = ending.jobs.get(job);
                    slowest.handle(job.name, Some(ending.worker), &end, job.description.as_ref());
                }
                ending.push(job, end, room);
            });
            ending.tell();
            *failed += failures;
            team.handle_worked(worker, count, working);
            shared.count(count, failures);
        }
        chunk.reported()
    }
}

/// Ends of tasks of one worker on their way to those who await them.
struct Endings<'a> {
    jobs: &'a mut Jobs,
    shared: &'a Shared,
    worker: &'a Arc<RanOn>,
    /// The job that these are of.
    job: Option<JobKey>,
    ends: Vec<TaskEnd>,
}

impl Endings<'_> {
    fn push(&mut self, job: JobKey, end: TaskEnd, room: usize) {
        if self.job != Some(job) {
            self.tell();
            self.job = Some(job);
            self.ends.reserve(room);
        }
        self.ends.push(end);
    }

    fn tell(&mut self) {
        if let Some(job) = self.job.take() {
            let ends = mem::take(&mut self.ends);
            let job = self.jobs.leave(job, ends.len());
            tell_all(self.shared, &job, Batch::new(job.name, Some(self.worker.clone()), ends));
        }
    }
}
