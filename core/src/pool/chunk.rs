//! Tasks that travelled to a worker together, and what became of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ended::RanOn;
use super::span::{Span, Spans};
use super::task::TaskId;
use super::worker::WorkerId;
use crate::error::call::CallError;
use crate::router::{CallKey, Outcome};
use crate::shm::chunk::{PLACES, Place, Places, Results};

/// How often somebody looks how far a chunk has come that is not over yet.
pub(super) const LOOK: Duration = Duration::from_micros(2500);

/// Tells the numbers of chunks from those of tasks.
const IS_CHUNK: u64 = 1 << 63;
/// The bits of the number within its worker.
const COUNT_BITS: u32 = 40;

/// The number by which the call for a chunk is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkId(pub(super) u64);

/// What a worker was sent: a task, or a chunk of them.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) worker: WorkerId,
    pub(super) ran_on: Arc<RanOn>,
    pub(super) since: Instant,
    /// The call that carries it, once it is on its way.
    pub(super) call: Option<CallKey>,
}

/// A chunk that a worker was sent and has not answered.
///
/// Each of its tasks is in one of four parts, in this order: those that have been *reported*; those that have been begun,
/// of which the last may run; those that have not been begun; and those that were *taken back*. The worker moves the
/// second border, in the memory that it shares with us, and nothing but what is in there says where it is.
#[derive(Debug)]
pub(super) struct SentChunk {
    pub(super) id: ChunkId,
    pub(super) sent: Sent,
    places: Places,
    place: usize,
    tasks: Spans,
    reported: usize,
    /// The tasks from here on were taken back.
    end: usize,
    /// Whether that is all that ever will be: the tasks before have all been begun.
    closed: bool,
    /// Where the next result begins.
    at: usize,
    /// The task that ran when somebody looked, and since when it is known to.
    seen: Option<(usize, Instant)>,
    look_at: Option<Instant>,
}

/// What somebody found who looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It goes on, or has not begun.
    Moving,
    /// It has been at one task since a look some time ago.
    Stuck,
}

impl SentChunk {
    fn place(&self) -> Option<Place<'_>> {
        self.places.get(self.place)
    }

    /// How many of its tasks have been begun.
    fn begun(&self) -> usize {
        match self.place() {
            Some(place) if !self.closed => (place.begun() as usize).clamp(self.reported, self.end),
            _ => self.end,
        }
    }

    /// How many results there are.
    fn done(&self) -> usize {
        let done = self.place().map_or(0, Place::done);
        usize::try_from(done).unwrap_or(usize::MAX).clamp(self.reported, self.end)
    }

    /// The tasks of which there are results that have not been read, up to the first whose number does not follow.
    pub(super) fn news(&self) -> Option<Span> {
        let left = self.done() - self.reported;
        self.tasks.from(self.reported).map(|span| span.up_to(left)).filter(|span| !span.is_empty())
    }

    /// Reads the results of the first `most` of [`news`](Self::news), as far as they make sense.
    pub(super) fn read(&mut self, most: usize) -> Results {
        let mut results = Results::with_capacity(most);
        if let Some(place) = self.places.get(self.place) {
            while results.len() < most && place.read(&mut self.at, &mut results).is_ok() {}
        }
        self.reported += results.len();
        results
    }

    /// Passes over a result that makes no sense.
    pub(super) fn skip(&mut self) {
        self.reported += 1;
    }

    /// How many results have been read.
    pub(super) fn reported(&self) -> usize {
        self.reported
    }

    /// Takes back what has not been begun, once and for all.
    pub(super) fn take_back(&mut self) -> Spans {
        let end = self.end;
        if !std::mem::replace(&mut self.closed, true) {
            let begun = self.place().and_then(Place::take_back).unwrap_or_default() as usize;
            self.end = begun.clamp(self.reported, self.end);
        }
        self.tasks.part(self.end..end)
    }

    /// Those that were begun and of which no result was read: once the chunk is over and its results are, the one that
    /// was running.
    pub(super) fn left(&self) -> Spans {
        self.tasks.part(self.reported..self.begun())
    }

    /// Whether its worker has this task by it, as far as was reported.
    pub(super) fn has(&self, task: TaskId) -> bool {
        self.tasks.place_of(task).is_some_and(|place| (self.reported..self.end).contains(&place))
    }

    /// The task that runs now.
    fn running(&self) -> Option<usize> {
        // In this order: a task that was begun and then has no result yet runs.
        let begun = self.begun();
        let done = usize::try_from(self.place()?.done()).unwrap_or(usize::MAX);
        begun.checked_sub(1).filter(|&last| last >= done && last >= self.reported)
    }

    /// Since when this task is known to run; none if it does not.
    pub(super) fn running_since(&mut self, now: Instant, task: TaskId) -> Option<Instant> {
        let running = self.running().filter(|&running| self.tasks.get(running) == Some(task))?;
        let (_, since) = *self.seen.insert(self.seen.filter(|(seen, _)| *seen == running).unwrap_or((running, now)));
        Some(since)
    }

    /// Looks whether it gets on.
    pub(super) fn look(&mut self, now: Instant) -> Look {
        let before = self.seen;
        self.seen = self.running().map(|running| match before {
            Some((seen, since)) if seen == running => (running, since),
            _ => (running, now),
        });
        // Where only the task is left that runs there is nothing more to look for.
        self.look_at = (!self.closed || self.end > self.reported + 1).then_some(now + LOOK);
        match (before, self.seen) {
            (Some((before, since)), Some((running, _))) if before == running && now >= since + LOOK => Look::Stuck,
            _ => Look::Moving,
        }
    }
}

impl ChunkId {
    /// The chunk that a call with this number carries; none if it carries a task.
    pub(super) fn of(number: u64) -> Option<Self> {
        (number & IS_CHUNK != 0).then_some(Self(number))
    }

    /// The worker that it was sent to.
    pub(super) fn worker(self) -> WorkerId {
        WorkerId((self.0 & !IS_CHUNK) >> COUNT_BITS)
    }
}

/// All chunks that workers were sent and have not answered, those of incarnations that have ended too.
#[derive(Debug, Default)]
pub(super) struct SentChunks {
    /// By worker, the oldest first.
    of: Vec<Vec<SentChunk>>,
    count: u64,
}

impl SentChunks {
    /// Makes room in a worker's memory for a chunk of these tasks; they come back where there is none at present.
    pub(super) fn begin(&mut self, sent: Sent, places: &Places, tasks: Spans) -> Result<Sending<'_>, Spans> {
        let index = sent.worker.0 as usize;
        if self.of.len() <= index {
            self.of.resize_with(index + 1, Vec::new);
        }
        let chunks = &mut self.of[index];
        let is_taken = |place| chunks.iter().any(|chunk| chunk.place == place && chunk.places.is(places));
        let free = (0..PLACES).find(|&place| !is_taken(place));
        let (Some(place), Ok(count)) = (free, u32::try_from(tasks.len())) else { return Err(tasks) };
        let Some(memory) = places.get(place) else { return Err(tasks) };
        self.count += 1;
        let id = ChunkId(IS_CHUNK | sent.worker.0 << COUNT_BITS | self.count & ((1 << COUNT_BITS) - 1));
        memory.begin(id.0, count);
        let chunk = SentChunk {
            id,
            look_at: Some(sent.since + LOOK),
            sent,
            places: places.clone(),
            place,
            reported: 0,
            end: tasks.len(),
            tasks,
            closed: false,
            at: 0,
            seen: None,
        };
        chunks.push(chunk);
        let tasks = chunks.last().map_or(&[][..], |chunk| chunk.tasks.spans());
        Ok(Sending { id, place, tasks })
    }

    pub(super) fn get_mut(&mut self, id: ChunkId) -> Option<&mut SentChunk> {
        self.of.get_mut(id.worker().0 as usize)?.iter_mut().find(|chunk| chunk.id == id)
    }

    /// The chunk by which a worker has this task.
    pub(super) fn with(&self, task: TaskId) -> Option<&SentChunk> {
        self.of.iter().flatten().find(|chunk| chunk.has(task))
    }

    /// It is over.
    pub(super) fn remove(&mut self, id: ChunkId) -> Option<SentChunk> {
        let chunks = self.of.get_mut(id.worker().0 as usize)?;
        let place = chunks.iter().position(|chunk| chunk.id == id)?;
        Some(chunks.remove(place))
    }

    /// Takes it out, to be put back.
    pub(super) fn take(&mut self, id: ChunkId) -> Option<SentChunk> {
        self.remove(id)
    }

    pub(super) fn put_back(&mut self, chunk: SentChunk) {
        if let Some(chunks) = self.of.get_mut(chunk.id.worker().0 as usize) {
            // Their numbers grow.
            let place = chunks.partition_point(|other| other.id.0 < chunk.id.0);
            chunks.insert(place, chunk);
        }
    }

    /// The chunks of a worker, the oldest first.
    pub(super) fn of(&self, worker: WorkerId) -> impl DoubleEndedIterator<Item = ChunkId> + '_ {
        self.of.get(worker.0 as usize).into_iter().flatten().map(|chunk| chunk.id)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.of.iter().flatten().filter_map(|chunk| chunk.look_at).min()
    }

    /// The workers at whose chunks somebody should look now.
    pub(super) fn due(&self, now: Instant) -> Vec<WorkerId> {
        let is_due = |chunks: &Vec<SentChunk>| chunks.iter().any(|chunk| chunk.look_at.is_some_and(|at| at <= now));
        self.of.iter().zip(0..).filter(|(chunks, _)| is_due(chunks)).map(|(_, worker)| WorkerId(worker)).collect()
    }
}

/// A chunk that is to be sent.
#[derive(Debug)]
pub(super) struct Sending<'a> {
    pub(super) id: ChunkId,
    pub(super) place: usize,
    pub(super) tasks: &'a [Span],
}

/// What is to be said of a task whose worker does not do as it should.
pub(super) fn senseless() -> Outcome {
    Outcome::Failed(CallError::Version("the worker said nothing that makes sense of this task".to_owned()))
}

#[cfg(test)]
mod tests;
