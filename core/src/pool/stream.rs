//! The tasks of one input as a stream of their ends.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use tokio::sync::Semaphore;

use super::calls::{Calls, Writing};
use super::completion::{self, Completion, Item};
use super::ended::{Batch, Ended, Receiver};
use super::error::TaskError;
use super::function::{Function, Task};
use super::handle::{TaskPool, not_taken, unwritten};
use super::inbox::{Arrival, Job, NewTasks};
use crate::actor::address::Address;
use crate::actor::call::Cast;
use crate::actor::message;
use crate::actor::traits::{Handlers, Payload};

/// Bytes of arguments that a stream has in the pool at once; one task may have more.
const BYTES: usize = 64 << 20;

/// Tasks that are submitted at once: the pool begins while the rest of the input is read.
const PIECE: usize = 1024;

/// The bytes of their arguments, which share their memory until the last of them has ended; one task may have more.
const PIECE_BYTES: usize = 64 << 10;

/// Bytes that are taken for values before they are there.
const ROOM: usize = 16 << 20;

/// Completions that wait for an actor at once, however many may be in flight.
const MOST_PERMITS: u32 = 1 << 20;

/// The completions of tasks over an input, each as soon as it is there.
///
/// The input is pulled as the stream is polled, so far that the workers have enough to do. At its end,
/// [`refused`](Self::refused) tells whether the pool took all of the input.
///
/// # Cancellation
/// Dropping the stream takes back what is queued and leaves what runs to its end.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Outcomes<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> {
    pool: TaskPool,
    function: Result<Function, TaskError>,
    input: Option<I>,
    ends: Arc<Ends>,
    here: VecDeque<Batch>,
    next: u64,
    /// Tasks that were begun and not yielded.
    outstanding: usize,
    /// The bytes of their arguments.
    bytes: usize,
    /// How many may be outstanding, where somebody has said so.
    limit: Option<usize>,
    /// At how many outstanding ones more input is pulled.
    refill_at: usize,
    /// What the tasks have in common.
    job: Option<Arc<Job>>,
    refused: Option<TaskError>,
    types: PhantomData<fn() -> (F, Args)>,
}

/// The values of tasks over an input, each as soon as it is there, with its place in the input.
///
/// # Cancellation
/// Dropping the stream takes back what is queued and leaves what runs to its end.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Unordered<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> {
    outcomes: Outcomes<F, Args, I>,
}

/// Where the ends of the tasks arrive.
#[derive(Default)]
struct Ends {
    state: Mutex<Arrived>,
}

#[derive(Default)]
struct Arrived {
    ends: VecDeque<Batch>,
    waker: Option<Waker>,
}

impl Receiver for Ends {
    fn ended(&self, ended: Ended) {
        self.all_ended(ended.into());
    }

    fn all_ended(&self, batch: Batch) {
        let mut state = self.lock();
        state.ends.push_back(batch);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Ends {
    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> Outcomes<F, Args, I> {
    pub(super) fn new(pool: TaskPool, input: I) -> Self {
        let function = Function::of::<F>().map_err(|name| TaskError::NotATask { name: name.to_owned() });
        Self {
            limit: None,
            refill_at: 0,
            job: None,
            pool,
            refused: function.as_ref().err().cloned(),
            input: function.is_ok().then_some(input),
            function,
            ends: Arc::default(),
            here: VecDeque::new(),
            next: 0,
            outstanding: 0,
            bytes: 0,
            types: PhantomData,
        }
    }

    /// Room for as many values as there will be tasks at least, within reason.
    pub(super) fn room<T>(&self) -> Vec<Option<T>> {
        let expected = self.input.as_ref().map_or(0, |input| input.size_hint().0);
        Vec::with_capacity(expected.min(ROOM / size_of::<Option<T>>().max(1)))
    }

    /// Has at most so many tasks in the pool at once, at least one.
    pub fn in_flight(mut self, tasks: usize) -> Self {
        self.limit = Some(tasks.max(1));
        self
    }

    /// The next completion; none when all tasks have ended.
    ///
    /// # Cancellation
    /// Safe: a completion is either returned or still to come.
    pub async fn next(&mut self) -> Option<Completion<F::Output>> {
        self.next_ended().await.map(|ended| Completion::of(&ended))
    }

    /// Has every completion brought to an actor as a message, and says how many there were once the last one was
    /// handled.
    ///
    /// As [`Submitted::completed_to`](crate::Submitted::completed_to), for any number of tasks: no more of them are begun
    /// while completions wait for the actor than there may be in flight. The actor itself cannot wait for this.
    ///
    /// # Errors
    /// Why the rest of the input was not taken, if it was not.
    pub fn completed_to<A: Handlers, C>(
        mut self,
        address: &Address<A>,
        cast: C,
    ) -> impl Future<Output = Result<u64, TaskError>> + use<F, Args, I, A, C>
    where
        C: Fn(&Address<A>, Completion<F::Output>) -> Cast + Send + Sync + 'static,
    {
        let (to, handler) = (address.destination(), completion::handler(address, cast));
        let permits = u32::try_from(self.limit()).unwrap_or(u32::MAX).min(MOST_PERMITS);
        let room = Arc::new(Semaphore::new(permits as usize));
        async move {
            let mut count = 0;
            while let Some(ended) = self.next_ended().await {
                // The semaphore is never closed.
                let permit = room.clone().acquire_owned().await.ok();
                let held = permit.map(|permit| Arc::new(permit) as Arc<dyn Any + Send + Sync>);
                self.pool.shared().deliveries.deliver(to, Item { ended, handler: handler.clone(), held });
                count += 1;
            }
            let _all = room.acquire_many(permits).await;
            self.refused().map_or(Ok(count), Err)
        }
    }

    /// Why the rest of the input was not taken, if it was not: what was given is no task, or the pool has closed.
    #[must_use]
    pub fn refused(&self) -> Option<TaskError> {
        self.refused.clone()
    }

    pub(super) async fn next_ended(&mut self) -> Option<Ended> {
        poll_fn(|cx| self.poll_ended(cx)).await
    }

    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended>> {
        loop {
            if let Some(batch) = self.here.front_mut() {
                let Some(ended) = batch.next() else {
                    self.here.pop_front();
                    continue;
                };
                self.handle_yielded(1);
                return Poll::Ready(Some(ended));
            }
            if !ready!(self.poll_here(cx)) {
                return Poll::Ready(None);
            }
        }
    }

    /// All that have ended together and were not yielded; none when all tasks have ended.
    pub(super) async fn next_batch(&mut self) -> Option<Batch> {
        poll_fn(|cx| {
            while self.here.is_empty() {
                if !ready!(self.poll_here(cx)) {
                    return Poll::Ready(None);
                }
            }
            let batch = self.here.pop_front();
            self.handle_yielded(batch.as_ref().map_or(0, Batch::len));
            Poll::Ready(batch)
        })
        .await
    }

    /// Waits until something is here; false if nothing will be.
    fn poll_here(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.outstanding == 0 {
            self.refill();
        }
        let mut state = self.ends.lock();
        mem::swap(&mut state.ends, &mut self.here);
        if self.here.is_empty() {
            if self.outstanding == 0 {
                return Poll::Ready(false);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.bytes -= self.here.iter().map(Batch::size).sum::<usize>();
        Poll::Ready(true)
    }

    fn handle_yielded(&mut self, count: usize) {
        self.outstanding -= count;
        if self.outstanding <= self.refill_at {
            self.refill();
        }
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or_else(|| self.pool.shared().in_flight())
    }

    /// Pulls input and submits it until enough is in the pool.
    fn refill(&mut self) {
        let Ok(function) = self.function else { return };
        let limit = self.limit();
        self.refill_at = limit * 3 / 4;
        let job = self.job(function);
        let (head, one_by_one) = (self.pool.head(function), self.pool.shared().one_by_one);
        while self.outstanding < limit
            && self.bytes < BYTES
            && let Some(input) = &mut self.input
        {
            let most = PIECE.min(limit - self.outstanding);
            // One piece of memory for the calls of all.
            let mut calls = Writing::new(head, one_by_one);
            let first = self.next;
            let mut last = None;
            while calls.count() < most && calls.len() < PIECE_BYTES && self.bytes + calls.len() < BYTES {
                let Some(next) = input.next() else {
                    self.input = None;
                    break;
                };
                self.next += 1;
                match calls.push(&F::arguments(next)) {
                    Ok(handles) if handles.is_empty() => {}
                    // What refers to something goes by itself.
                    Ok(handles) => {
                        last = calls.pop(handles);
                        break;
                    }
                    Err(error) => {
                        let failed = Ended::not_taken(function.name, self.next - 1, unwritten(function, error));
                        self.outstanding += 1;
                        self.ends.ended(failed);
                        break;
                    }
                }
            }
            let lone = self.next - u64::from(last.is_some());
            self.submit(&job, first, calls.finish());
            self.submit(&job, lone, last);
        }
    }

    fn submit(&mut self, job: &Arc<Job>, index: u64, calls: Option<Calls>) {
        let Some(calls) = calls else { return };
        let (count, bytes) = (calls.count(), calls.sizes(0..calls.count()));
        match self.pool.shared().submit(job.clone(), NewTasks { index, calls }) {
            Ok(_) => {
                self.outstanding += count;
                self.bytes += bytes;
            }
            Err(why) => {
                self.refused = Some(not_taken(why, job.name));
                self.input = None;
            }
        }
    }

    /// What tasks that are submitted now have in common.
    fn job(&mut self, function: Function) -> Arc<Job> {
        // Whoever polls waits for the tasks; who submits one does not.
        let caused_by = message::current().and_then(|current| current.call);
        let also = self.pool.shared().deliveries.of::<F::Output>();
        let is_same = |job: &&Arc<Job>| {
            let same_also = match (&job.also, &also) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            };
            job.caused_by == caused_by && same_also
        };
        match self.job.as_ref().filter(is_same) {
            Some(job) => job.clone(),
            None => {
                let job = Arc::new(self.pool.job::<F::Output>(function, caused_by, self.ends.clone()));
                self.job.insert(job).clone()
            }
        }
    }
}

impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> Unordered<F, Args, I> {
    pub(super) fn new(outcomes: Outcomes<F, Args, I>) -> Self {
        Self { outcomes }
    }

    /// Has at most so many tasks in the pool at once, at least one.
    pub fn in_flight(self, tasks: usize) -> Self {
        Self { outcomes: self.outcomes.in_flight(tasks) }
    }

    /// The next value or failure, and its place in the input; none when all tasks have ended.
    ///
    /// # Cancellation
    /// Safe: a value is either returned or still to come.
    pub async fn next(&mut self) -> Option<(usize, Result<F::Output, TaskError>)> {
        self.outcomes.next_ended().await.map(|ended| (ended.end.index as usize, ended.result()))
    }

    /// Why the rest of the input was not taken, if it was not: what was given is no task, or the pool has closed.
    #[must_use]
    pub fn refused(&self) -> Option<TaskError> {
        self.outcomes.refused()
    }
}

// Nothing in them is pinned.
impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> Unpin for Outcomes<F, Args, I> {}
impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> Unpin for Unordered<F, Args, I> {}

impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> Stream for Outcomes<F, Args, I> {
    type Item = Completion<F::Output>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let ended = ready!(self.get_mut().poll_ended(cx));
        Poll::Ready(ended.map(|ended| Completion::of(&ended)))
    }
}

impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> Stream for Unordered<F, Args, I> {
    type Item = (usize, Result<F::Output, TaskError>);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let ended = ready!(self.get_mut().outcomes.poll_ended(cx));
        Poll::Ready(ended.map(|ended| (ended.end.index as usize, ended.result())))
    }
}

impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> Drop for Outcomes<F, Args, I> {
    fn drop(&mut self) {
        if self.outstanding > 0 {
            self.pool.shared().tell(Arrival::Abandon(self.ends.clone()));
        }
    }
}

impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> fmt::Debug for Outcomes<F, Args, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes")
            .field("pool", &self.pool)
            .field("begun", &self.next)
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

impl<F: Task<Args>, Args: Payload, I: Iterator<Item = F::Input>> fmt::Debug for Unordered<F, Args, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcomes.fmt(f)
    }
}
