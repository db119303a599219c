//! The actor in each worker of a task pool: runs one task after the other.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::function::{self, CALL_HEADER, Made, RESULT_HEADER, Running, TaskArguments, TaskEntry};
use super::state;
use crate::actor::context::Context;
use crate::actor::incoming::Incoming;
use crate::actor::node::LocalEnd;
use crate::actor::parcel::Parcel;
use crate::actor::party;
use crate::actor::run::text_of;
use crate::actor::traits::{Actor, Handlers, Method, Tick};
use crate::error::call::{CallError, CodecError, NoError, Panic};
use crate::error::exit::StopReason;
use crate::error::failure::Failure;
use crate::process::place;
use crate::process::registration::ActorEntry;
use crate::router::{Handles, Outcome};
use crate::shm::chunk::{Head, Kind, Place};
use crate::wire::codec;
use crate::wire::frame::PAYLOAD_LIMIT;

/// The numbers of its methods.
pub(super) const RUN: u16 = 0;
pub(super) const RUN_CHUNK: u16 = 1;

/// What stands in front of the calls of a chunk: its number, and its place in shared memory.
pub(super) const CHUNK_HEADER: usize = 8 + 4;
/// What stands in front of each call: its length.
pub(super) const LENGTH: usize = 4;

/// Runs task functions by their id. It has no state but what its init hook keeps, which builds it anew in each incarnation:
/// a worker that is replaced has lost nothing.
#[derive(Debug)]
pub(crate) struct TaskRunner {
    /// The worker's name.
    name: Arc<str>,
    /// A call of the function that runs before its orderly end.
    exit: Option<Parcel>,
    /// How many tasks it has run: each is a strand of its own.
    ran: u64,
    /// The last call's header, and what it means.
    last: Option<([u8; CALL_HEADER], &'static TaskEntry, Option<Duration>)>,
    /// Memory for the next result.
    room: Vec<u8>,
}

/// What a worker is told at its start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// What the supervisor knows of the tasks.
    pub(super) tasks: u64,
    /// A call of the function that runs before the first task.
    pub(super) init: Option<Parcel>,
    /// A call of the function that runs before an orderly end.
    pub(super) exit: Option<Parcel>,
}

inventory::submit! { ActorEntry::of::<TaskRunner>() }

impl Actor for TaskRunner {
    const LOCATION: &'static str = "procession";
    const NAME: &'static str = "TaskRunner";
}

impl Handlers for TaskRunner {
    type Init = Work;
    const METHODS: &'static [Method] = &[Method::call("run"), Method::call("run_chunk")];
    const TICKS: &'static [Tick] = &[];
    const SCHEMA: &'static str = "run(function: u64 le, soft: u32 le, arguments) -> (failed: u8, nanos: u64 le, value); \
         run_chunk(number: u64 le, place: u32 le, (length: u32 le, arguments of run)*) -> nothing, or what run answers";

    async fn init(work: Work, ctx: &Context<Self>) -> Result<Self, Failure> {
        if function::fingerprint()? != work.tasks {
            return Err(Failure::new(
                "the worker has other tasks than its supervisor: it is another build of the program",
            ));
        }
        let runner = Self { name: ctx.name().into(), exit: work.exit, ran: 0, last: None, room: Vec::new() };
        if let Some(init) = work.init {
            runner.hook(init, ctx).await.map_err(|failure| failure.context("the init hook failed"))?;
        }
        Ok(runner)
    }

    async fn stop(&mut self, ctx: &Context<Self>, _: StopReason) {
        if let Some(exit) = self.exit.take()
            && let Err(failure) = self.hook(exit, ctx).await
        {
            ctx.tell_failed("the exit hook", failure.to_string());
        }
        state::clear();
    }

    async fn handle(&mut self, ctx: &Context<Self>, mut incoming: Incoming) {
        let payload = std::mem::take(&mut incoming.payload);
        let _entered = Entered { worker: self.name.clone(), end: ctx.end().clone(), soft: None }.enter();
        let outcome = match incoming.method {
            RUN_CHUNK => self.run_chunk(payload.bytes).await,
            _ => {
                let began = Instant::now();
                outcome(self.run(payload).await, began)
            }
        };
        incoming.end(outcome);
    }
}

impl TaskRunner {
    /// Runs one task.
    async fn run(&mut self, mut call: Parcel) -> Result<Made, CallError<NoError>> {
        self.ran += 1;
        let _strand = party::enter(self.ran);
        let Some((entry, soft)) = self.entry(&call.bytes) else {
            return Err(CallError::Version("the worker does not have this task".to_owned()));
        };
        call.bytes.advance(CALL_HEADER);
        set_soft(soft);
        let room = RefCell::new(std::mem::take(&mut self.room));
        match run(entry.run, TaskArguments { task: entry.name, payload: call, room }).await {
            Ok(made) => made.map_err(CallError::Codec),
            Err(message) => Err(CallError::Panicked(Panic { message, at: entry.name.to_owned() })),
        }
    }

    /// The function that a call is for, and when it will have run for as long as it should. The next call is often for the
    /// same one.
    fn entry(&mut self, call: &[u8]) -> Option<(&'static TaskEntry, Option<Instant>)> {
        let header: [u8; CALL_HEADER] = call.get(..CALL_HEADER)?.try_into().ok()?;
        let (entry, soft) = match self.last {
            Some((last, entry, soft)) if last == header => (entry, soft),
            _ => function::entry(call)?,
        };
        self.last = Some((header, entry, soft));
        Some((entry, soft.map(|soft| Instant::now() + soft)))
    }

    /// Runs the tasks of a chunk that are not taken back meanwhile, one after the other.
    ///
    /// Each result is put where the supervisor finds it before the next task is begun. One that does not fit there ends the
    /// chunk, and is the answer.
    async fn run_chunk(&mut self, mut calls: Bytes) -> Outcome {
        let none = Outcome::Value(Bytes::new(), Handles::none());
        let malformed = || Outcome::Failed(CallError::Version("the chunk is not one of this build".to_owned()));
        let Some(places) = place::chunks().filter(|_| calls.len() >= CHUNK_HEADER) else { return malformed() };
        let (number, place) = (calls.get_u64_le(), calls.get_u32_le());
        // One that was meant for an incarnation before this one: nothing is to be run for it.
        let Some(place) = places.get(place as usize).filter(|place| place.is_of(number)) else { return none };
        let (mut at, mut done) = (0, 0);
        let mut began = Instant::now();
        while place.claim().is_some() {
            let length = if calls.len() < LENGTH { usize::MAX } else { calls.get_u32_le() as usize };
            if calls.len() < length {
                return malformed();
            }
            let made = self.run(Parcel { bytes: calls.split_to(length), handles: Handles::none() }).await;
            let ended = Instant::now();
            // What a task has sent is not lost by what the next one does.
            if let Some(outgoing) = place::news() {
                poll_fn(|cx| outgoing.poll_safe(cx)).await;
            }
            if !put(place, &mut at, &made, ended.duration_since(began)) {
                return outcome(made, began);
            }
            // The next one begins where this one ends: one look at the clock for each.
            began = ended;
            done += 1;
            place.publish(done);
            self.room = made.map(|made| made.bytes).unwrap_or_default();
            if self.room.capacity() > KEEP {
                self.room = Vec::new();
            }
        }
        none
    }

    /// Runs a function before the first task, or after the last one.
    async fn hook(&self, mut call: Parcel, ctx: &Context<Self>) -> Result<(), Failure> {
        let (entry, _) = function::entry(&call.bytes).ok_or_else(|| Failure::new("the worker does not have it"))?;
        call.bytes.advance(CALL_HEADER);
        let _entered = Entered { worker: self.name.clone(), end: ctx.end().clone(), soft: None }.enter();
        let arguments = TaskArguments { task: entry.name, payload: call, room: RefCell::default() };
        let made = run(entry.run, arguments).await;
        let made = made.map_err(|panic| Failure::new(format!("{} panicked: {panic}", entry.name)))??;
        let mut result = made.into_result(Duration::ZERO);
        result.bytes.advance(RESULT_HEADER);
        result.open::<Result<(), Failure>>()?
    }
}

/// Memory for results that is kept from one to the next.
const KEEP: usize = 64 << 10;

/// What came of a task that ends now, as an answer.
fn outcome(made: Result<Made, CallError<NoError>>, began: Instant) -> Outcome {
    match made {
        Ok(made) => {
            let Parcel { bytes, handles } = made.into_result(began.elapsed());
            Outcome::Value(bytes, handles)
        }
        Err(error) => Outcome::Failed(error),
    }
}

/// Puts what came of a task where the supervisor finds it; false if there is no room for it, or it refers to something.
fn put(place: Place<'_>, at: &mut usize, made: &Result<Made, CallError<NoError>>, ran: Duration) -> bool {
    match made {
        Ok(made) => {
            let kind = if made.failed { Kind::Failure } else { Kind::Value };
            made.handles.is_empty() && place.put(at, Head { kind, ran }, made.value())
        }
        Err(error) => codec::encode(error, PAYLOAD_LIMIT)
            .is_ok_and(|bytes| place.put(at, Head { kind: Kind::Error, ran }, &bytes)),
    }
}

/// Runs a function to its end; a panic is its message.
async fn run(
    run: fn(&TaskArguments) -> function::TaskRun,
    arguments: TaskArguments,
) -> Result<Result<Made, CodecError>, String> {
    let began = catch_unwind(AssertUnwindSafe(|| run(&arguments))).map_err(|panic| text_of(&*panic))?;
    drop(arguments);
    match began.0 {
        Running::Done(made) => Ok(made),
        Running::Future(mut future) => {
            let made = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(made)) => Poll::Ready(Ok(made)),
                Err(panic) => Poll::Ready(Err(text_of(&*panic))),
            })
            .await;
            // What is left of the future of a task that panicked may panic once more.
            match catch_unwind(AssertUnwindSafe(|| drop(future))) {
                Ok(()) => made,
                Err(panic) => made.and_then(|_| Err(text_of(&*panic))),
            }
        }
    }
}

/// What a task knows of the worker that runs it.
#[derive(Clone, Debug)]
pub struct TaskContext {
    worker: Arc<str>,
    cancelled: CancellationToken,
    /// When it has run for as long as it should.
    soft: Option<Instant>,
}

/// The same, for a task that has not asked.
struct Entered {
    worker: Arc<str>,
    end: Arc<LocalEnd>,
    soft: Option<Instant>,
}

thread_local! {
    static CURRENT: RefCell<Option<Entered>> = const { RefCell::new(None) };
}

/// Says until when the task should have run that is about to.
fn set_soft(soft: Option<Instant>) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(current) = current {
            current.soft = soft;
        }
    });
}

impl Entered {
    /// Is what [`task_context`] tells until the result is dropped.
    fn enter(self) -> impl Drop {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.take();
            }
        }
        CURRENT.replace(Some(self));
        Leave
    }
}

impl TaskContext {
    /// The name of the worker, such as `primes#1`.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.worker
    }

    /// Whether nobody wants the result any more: a flag for loops that compute.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Completes when nobody wants the result any more.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        self.cancelled.clone().cancelled_owned()
    }

    /// Whether the task has run for longer than its soft timeout: a flag for loops that compute.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.soft.is_some_and(|soft| Instant::now() >= soft)
    }

    /// What is left of the task's soft timeout; none where it has none.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.soft.map(|soft| soft.saturating_duration_since(Instant::now()))
    }

    /// Completes when the task has run for longer than its soft timeout; never where it has none.
    pub fn overdue(&self) -> impl Future<Output = ()> + Send + 'static {
        let soft = self.soft;
        async move {
            match soft {
                Some(soft) => tokio::time::sleep_until(soft.into()).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// What the task that runs on this thread knows of its worker; nothing outside a pool's worker, where the same function
/// may be called as any other.
#[must_use]
pub fn task_context() -> Option<TaskContext> {
    CURRENT.with_borrow(|entered| {
        let Entered { worker, end, soft } = entered.as_ref()?;
        Some(TaskContext { worker: worker.clone(), cancelled: end.cancellation(), soft: *soft })
    })
}
