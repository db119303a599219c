//! Tasks that travel together: sent in one call, and reported out of memory that the worker shares with us.

use std::mem;
use std::time::{Duration, Instant};

use bytes::BufMut;

use super::runs::Left;
use super::{Shell, message, tell_all};
use crate::actor::call::failure;
use crate::actor::node::Numbered;
use crate::actor::parcel::Parcel;
use crate::error::call::{CallError, Executed};
use crate::pool::calls::Head;
use crate::pool::chunk::{ChunkId, Look, Sending, Sent, SentChunk, senseless};
use crate::pool::ended::{Batch, Ended, TaskEnd};
use crate::pool::runner::{CHUNK_HEADER, LENGTH, RUN_CHUNK};
use crate::pool::span::{Span, Spans};
use crate::pool::worker::WorkerId;
use crate::router::{CallKey, Handles, Outcome};
use crate::shm::chunk::{Kind, Results};

/// Bytes of calls that a chunk holds: it then costs its worker's credit as much as one task.
const CHUNK_BYTES: usize = 60 << 10;
/// A call that is longer than this gains nothing from company.
const LARGE: usize = 8 << 10;

/// Tasks that are to be sent together.
#[derive(Default)]
struct Part {
    tasks: Spans,
    /// The bytes of their arguments.
    bytes: usize,
    /// What they have in common.
    head: Head,
    caused_by: Option<CallKey>,
}

impl Shell {
    /// Sends these tasks together, as far as they can be.
    pub(super) fn send_chunk(&mut self, now: Instant, worker: WorkerId, tasks: &Spans, calls: &mut Vec<Numbered>) {
        let mut part = Part::default();
        for &span in tasks.spans() {
            let mut rest = span;
            while !rest.is_empty() {
                let Some((run, places)) = self.tasks.piece(rest) else {
                    rest = rest.after(1);
                    continue;
                };
                let Some(head) = run.calls.head(places.start, LARGE) else {
                    self.send_part(now, worker, mem::take(&mut part), calls);
                    self.send_one(now, worker, rest.first(), calls);
                    rest = rest.after(1);
                    continue;
                };
                let caused_by = run.job.caused_by;
                let room = CHUNK_BYTES - part.bytes;
                let fits = part.tasks.is_empty() || (head, caused_by) == (part.head, part.caused_by);
                let (count, bytes) = if fits { run.calls.fitting(places, room, LARGE) } else { (0, 0) };
                if count == 0 {
                    self.send_part(now, worker, mem::take(&mut part), calls);
                    continue;
                }
                part.tasks.push(rest.up_to(count));
                (part.head, part.caused_by) = (head, caused_by);
                part.bytes += bytes;
                rest = rest.after(count);
            }
        }
        self.send_part(now, worker, part, calls);
    }

    /// Sends these tasks as one chunk, or one by one where there is no room for a chunk.
    fn send_part(&mut self, now: Instant, worker: WorkerId, part: Part, calls: &mut Vec<Numbered>) {
        let Part { tasks, bytes, head, caused_by } = part;
        let known = || Some((self.team.destination(worker)?, self.team.ran_on(worker)?, self.team.places(worker)?));
        let (Some((to, ran_on, places)), 2..) = (known(), tasks.len()) else {
            return tasks.iter().for_each(|id| self.send_one(now, worker, id, calls));
        };
        let sent = Sent { worker, ran_on, since: now, call: None };
        let count = tasks.len();
        let Sending { id, place, tasks } = match self.chunks.begin(sent, places, tasks) {
            Ok(sending) => sending,
            Err(tasks) => return tasks.iter().for_each(|id| self.send_one(now, worker, id, calls)),
        };
        let mut payload = Vec::with_capacity(CHUNK_HEADER + count * LENGTH + bytes);
        payload.put_u64_le(id.0);
        payload.put_u32_le(place as u32);
        payload.put_u32_le(count as u32);
        payload.put_slice(&head);
        let runs = &self.tasks;
        runs.pieces(tasks).for_each(|(run, places)| run.calls.write_lengths(places, &mut payload));
        runs.pieces(tasks).for_each(|(run, places)| payload.put_slice(run.calls.arguments(places)));
        let message = message(RUN_CHUNK, Parcel { bytes: payload.into(), handles: Handles::none() });
        calls.push(Numbered { number: id.0, to, deadline: None, caused_by, message });
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
        let unbegun = chunk.take_back();
        let left = chunk.left();
        // One at most, in a worker that does as it should: that which was running, or whose result was too long.
        for task in left.iter() {
            // The chunk is not there any more.
            let Sent { worker, ran_on, since, .. } = &chunk.sent;
            self.alone.insert(task, Sent { worker: *worker, ran_on: ran_on.clone(), since: *since, call: None });
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
            unbegun.iter().for_each(|task| self.handle_returned(now, task));
        } else {
            let results = reported + left.len();
            if results > 0 {
                self.scheduler.handle_fitted(id.worker(), results, unbegun.is_empty());
            }
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
        let unbegun = chunk.take_back();
        self.scheduler.handle_taken_back(now, &unbegun);
    }

    /// Ends the tasks of which there are results by now; how many the chunk has of them in all.
    fn collect(&mut self, now: Instant, chunk: &mut SentChunk) -> usize {
        if chunk.news().is_some() {
            self.team.handle_reported(now, chunk.sent.worker);
        }
        while let Some(news) = chunk.news() {
            // Those of one run, or one that has ended before.
            let most = self.tasks.piece(news).map_or(1, |(_, places)| places.len());
            let results = chunk.read(most);
            if results.len() == 0 {
                chunk.skip();
                self.end_in_chunk(now, &chunk.sent, Ended::senseless(news.first()));
                continue;
            }
            self.end_all(now, &chunk.sent, news.up_to(results.len()), results);
        }
        chunk.reported()
    }

    /// Ends tasks of one run that one worker had.
    fn end_all(&mut self, now: Instant, sent: &Sent, tasks: Span, results: Results) {
        if !self.scheduler.handle_span_done(now, tasks, results.heads().map(|head| head.nanos)) {
            let each = Batch::results("", sent.ran_on.clone(), 0, (tasks.first(), 0), results);
            return each.for_each(|ended| self.end_in_chunk(now, sent, ended));
        }
        let Some(Left { job, index, size }) = self.tasks.remove(tasks) else { return };
        let (mut failures, mut working, mut longest) = (0, 0, 0);
        for head in results.heads() {
            failures += u64::from(head.kind != Kind::Value);
            working += head.nanos;
            longest = longest.max(head.nanos);
        }
        if self.slowest.takes(Duration::from_nanos(longest)) {
            for (head, id) in results.heads().zip(tasks.iter()) {
                self.slowest.handle(job.name, Some(&sent.ran_on), (id, head.ran()), job.description.as_ref());
            }
        }
        let count = tasks.len() as u64;
        self.failed += failures;
        self.team.handle_worked(sent.worker, count, Duration::from_nanos(working));
        self.shared.count(count, failures);
        let first = (tasks.first(), index);
        tell_all(&self.shared, &job, Batch::results(job.name, sent.ran_on.clone(), size, first, results));
    }

    /// Ends a task as its worker has said by the way.
    fn end_in_chunk(&mut self, now: Instant, sent: &Sent, ended: Ended) {
        let TaskEnd { id, how, failed, ran, .. } = ended.end;
        if self.scheduler.handle_done(now, id, ran) {
            self.failed += u64::from(failed);
            self.team.handle_worked(sent.worker, 1, ran);
            self.alone.insert(id, Sent { worker: sent.worker, ran_on: sent.ran_on.clone(), since: now, call: None });
            self.end(id, how, failed, ran);
        }
    }
}
