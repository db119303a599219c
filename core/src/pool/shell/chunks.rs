//! Tasks that travel together: sent in one call, and reported out of memory that the worker shares with us.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::{At, By, Pending, Shell};
use crate::actor::call::failure;
use crate::actor::node::Numbered;
use crate::error::call::{CallError, Executed};
use crate::pool::chunk::{ChunkId, Finished, Look, SentChunk};
use crate::pool::ended::{Ended, How};
use crate::pool::inbox::Job;
use crate::pool::runner::{CHUNK_HEADER, RUN_CHUNK};
use crate::pool::task::TaskId;
use crate::pool::worker::WorkerId;
use crate::router::{CallKey, Handles, Message, Outcome};
use crate::shm::chunk::Kind;
use crate::wire::frame::Trace;

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
            let Some(Pending { task, .. }) = self.tasks.get(id) else { continue };
            let (size, caused_by) = (task.message.payload.len(), task.job.caused_by);
            let is_alone = size > LARGE || !task.message.handles.is_empty();
            let fits = bytes + size <= CHUNK_BYTES && cause == caused_by;
            if is_alone || !fits {
                self.send_part(now, worker, mem::take(&mut part), calls);
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
        self.send_part(now, worker, part, calls);
    }

    /// Sends these tasks as one chunk, or one by one where there is no room for a chunk.
    fn send_part(&mut self, now: Instant, worker: WorkerId, tasks: Vec<TaskId>, calls: &mut Vec<Numbered>) {
        if tasks.len() > 1
            && let Some(to) = self.team.destination(worker)
            && let Some(ran_on) = self.team.ran_on(worker)
            && let Some(places) = self.team.places(worker)
        {
            match self.chunks.begin(now, worker, places, tasks) {
                Ok(sending) => {
                    let size =
                        |id: &TaskId| self.tasks.get(*id).map_or(0, |pending| pending.task.message.payload.len() + 4);
                    let mut payload =
                        BytesMut::with_capacity(CHUNK_HEADER + sending.tasks.iter().map(size).sum::<usize>());
                    payload.put_u64_le(sending.id.0);
                    payload.put_u32_le(sending.place as u32);
                    let mut caused_by = None;
                    for &id in sending.tasks {
                        let Some(pending) = self.tasks.get_mut(id) else { continue };
                        caused_by = pending.task.job.caused_by;
                        let call = &pending.task.message.payload;
                        payload.put_u32_le(call.len() as u32);
                        payload.put_slice(call);
                        pending.at = Some(At { worker, ran_on: ran_on.clone(), since: now, by: By::Chunk(sending.id) });
                    }
                    let message = Message {
                        method: RUN_CHUNK,
                        priority: 0,
                        trace: Trace::default(),
                        handles: Handles::none(),
                        payload: payload.freeze(),
                    };
                    calls.push(Numbered { number: sending.id.0, to, deadline: None, caused_by, message });
                    return;
                }
                Err(tasks) => tasks.into_iter().for_each(|id| self.send_one(now, worker, id, calls)),
            }
            return;
        }
        tasks.into_iter().for_each(|id| self.send_one(now, worker, id, calls));
    }

    /// The chunk is on its way.
    pub(super) fn chunk_sent(&mut self, id: ChunkId, call: CallKey) {
        if let Some(chunk) = self.chunks.get_mut(id) {
            chunk.call = Some(call);
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
            let outcome = match &outcome {
                Outcome::Failed(CallError::Died { exit, .. }) => {
                    Outcome::Failed(CallError::Died { exit: exit.clone(), executed: Executed::Maybe })
                }
                Outcome::Failed(CallError::Cancelled | CallError::NotDelivered(_)) => lied(),
                Outcome::Value(bytes, _) if bytes.is_empty() => lied(),
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
        for id in self.chunks.due(now) {
            let Some(mut chunk) = self.chunks.take(id) else { continue };
            self.collect(now, &mut chunk);
            let look = chunk.look(now);
            self.chunks.put_back(chunk);
            if look == Look::Stuck {
                self.take_back_from(now, id.worker());
                self.scheduler.handle_stuck(now, id.worker());
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
        let (mut bytes, mut finished) = (Vec::new(), Vec::new());
        chunk.collect(&mut bytes, &mut finished);
        if !finished.is_empty() {
            self.end_all(now, chunk.id.worker(), &Bytes::from(bytes), &finished);
        }
        chunk.reported()
    }

    /// Ends tasks of one worker, all of which have results.
    fn end_all(&mut self, now: Instant, worker: WorkerId, bytes: &Bytes, finished: &[Finished]) {
        self.team.handle_reported(now, worker);
        let Self { scheduler, tasks, shared, slowest, failed, team, .. } = self;
        let (mut count, mut failures, mut working) = (0, 0, Duration::ZERO);
        let mut results = finished.iter();
        let mut told: Option<(Arc<Job>, Vec<Ended>)> = None;
        let all = finished.iter().map(|finished| (finished.task, finished.ran()));
        scheduler.handle_all_done(now, all, |id| {
            let (Some(result), Some(Pending { task, at, .. })) =
                (results.find(|result| result.task == id), tasks.remove(id))
            else {
                return;
            };
            let how = how(result, bytes);
            let has_failed = !matches!((&how, result.head), (How::Value(_), Ok(head)) if head.kind == Kind::Value);
            let ran = result.ran();
            count += 1;
            failures += u64::from(has_failed);
            working += ran;
            let job = task.job;
            let ended = Ended {
                id,
                name: job.name,
                index: task.index,
                size: task.message.payload.len(),
                how,
                failed: has_failed,
                ran,
                worker: at.map(|at| at.ran_on),
            };
            slowest.handle(&ended, job.description.as_ref());
            match &mut told {
                Some((before, list)) if Arc::ptr_eq(before, &job) => list.push(ended),
                _ => {
                    if let Some((before, list)) = told.take() {
                        Self::tell_all(shared, &before, list);
                    }
                    let mut list = Vec::with_capacity(finished.len() - count as usize + 1);
                    list.push(ended);
                    told = Some((job, list));
                }
            }
        });
        *failed += failures;
        team.handle_worked(worker, count, working);
        shared.count(count, failures);
        if let Some((job, list)) = told {
            Self::tell_all(shared, &job, list);
        }
    }
}

fn how(result: &Finished, bytes: &Bytes) -> How {
    let bytes = bytes.slice(result.bytes.clone());
    match result.head.map(|head| head.kind) {
        Ok(Kind::Value | Kind::Failure) => How::Value(bytes),
        Ok(Kind::Error) => How::Reported(Outcome::Failed(failure(Outcome::FailedElsewhere(bytes)))),
        Err(_) => How::Reported(lied()),
    }
}

/// What is to be said of a task whose worker does not do as it should.
fn lied() -> Outcome {
    Outcome::Failed(CallError::Version("the worker said nothing that makes sense of this task".to_owned()))
}
