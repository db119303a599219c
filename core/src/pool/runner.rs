//! The actor in each worker of a task pool: runs one task after the other.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::function::{self, CALL_HEADER, Made, RESULT_HEADER, Running, TaskArguments, TaskEntry, TaskRun};
use super::state;
use crate::actor::context::Context;
use crate::actor::incoming::Incoming;
use crate::actor::node::LocalEnd;
use crate::actor::parcel::Parcel;
use crate::actor::party;
use crate::actor::run::text_of;
use crate::actor::running::Cancellation;
use crate::actor::traits::{Actor, Handlers, Method, Tick};
use crate::error::call::{CallError, CodecError, NoError, Panic};
use crate::error::exit::StopReason;
use crate::error::failure::Failure;
use crate::process::place;
use crate::process::registration::ActorEntry;
use crate::router::{Handles, Outcome};
use crate::shm::chunk::{Head, Kind, Place};
use crate::wire::codec;
use crate::wire::content::Content;
use crate::wire::frame::PAYLOAD_LIMIT;

/// The numbers of its methods.
pub(super) const RUN: u16 = 0;
pub(super) const RUN_CHUNK: u16 = 1;

/// What a chunk begins with: its number, its place in shared memory, how many calls it has, and the header of all of them.
pub(super) const CHUNK_HEADER: usize = 8 + 4 + 4 + CALL_HEADER;
/// Then come the lengths of their arguments, and after all of these the arguments.
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
    /// Whether its thread knows what tasks ask it.
    has_entered: bool,
    /// Whether the last task was to be told.
    has_soft: bool,
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
         run_chunk(number: u64 le, place: u32 le, count: u32 le, function: u64 le, soft: u32 le, (length: u32 le)*, arguments*) \
         -> nothing, or what run answers";

    async fn init(work: Work, ctx: &Context<Self>) -> Result<Self, Failure> {
        if function::fingerprint()? != work.tasks {
            return Err(Failure::new(
                "the worker has other tasks than its supervisor: it is another build of the program",
            ));
        }
        let mut runner = Self {
            name: ctx.name().into(),
            exit: work.exit,
            ran: 0,
            last: None,
            room: Vec::new(),
            has_entered: false,
            has_soft: false,
        };
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
        let payload = mem::take(&mut incoming.payload);
        if !mem::replace(&mut self.has_entered, true) {
            Entered { worker: self.name.clone(), end: ctx.end().clone(), soft: None }.stay();
        }
        let outcome = match incoming.method {
            RUN_CHUNK => self.run_chunk(payload.bytes.into_bytes()).await,
            _ => self.run(&payload).await,
        };
        incoming.end(outcome);
    }
}

impl TaskRunner {
    /// Runs one task.
    async fn run(&mut self, call: &Parcel) -> Outcome {
        let began = Instant::now();
        let known = call.bytes.split_first_chunk().and_then(|(head, rest)| Some((self.entry(head)?, rest)));
        let Some(((entry, soft), arguments)) = known else { return Outcome::Failed(unknown()) };
        self.set_soft(soft, began);
        let _strand = party::enter(self.strand());
        let ended = self.made(entry, arguments, &call.handles).await;
        self.outcome(ended, began)
    }

    /// Runs a function to its end. Its value is in the room for it.
    async fn made(&mut self, entry: &'static TaskEntry, arguments: &[u8], handles: &Handles) -> Ended {
        match self.begin(entry, arguments, handles) {
            Begun::Ended(ended) => ended,
            Begun::Future(future) => self.end(future).await,
        }
    }

    /// A task begins that may run for so long before it is told.
    #[inline]
    fn set_soft(&mut self, soft: Option<Duration>, began: Instant) {
        if mem::replace(&mut self.has_soft, soft.is_some()) || soft.is_some() {
            set_soft(soft.map(|soft| began + soft));
        }
    }

    /// Each task is a strand of its own.
    fn strand(&mut self) -> u64 {
        self.ran += 1;
        self.ran
    }

    /// Begins a function, and ends it if it has no future.
    #[inline]
    fn begin(&mut self, entry: &'static TaskEntry, arguments: &[u8], handles: &Handles) -> Begun {
        let room = RefCell::new(mem::take(&mut self.room));
        let arguments = TaskArguments { task: entry.name, bytes: arguments, handles, room };
        let run = catch_unwind(AssertUnwindSafe(|| (entry.run)(&arguments)));
        self.room = arguments.room.into_inner();
        match run {
            Ok(TaskRun(Running::Done(handles, failed))) => Begun::Ended(Ok((handles, failed))),
            Ok(TaskRun(Running::Refused(error))) => Begun::Ended(Err(Box::new(CallError::Codec(*error)))),
            Ok(TaskRun(Running::Future(future))) => Begun::Future(Begin { entry, future }),
            Err(panic) => Begun::Ended(Err(panicked(entry, text_of(&*panic)))),
        }
    }

    /// Ends a function that was begun.
    async fn end(&mut self, future: Begin) -> Ended {
        let Made { bytes, handles, failed } = future.end().await?;
        self.room = bytes;
        Ok((handles, failed))
    }

    /// What came of a task that ends now, as an answer.
    fn outcome(&mut self, ended: Ended, began: Instant) -> Outcome {
        match ended {
            Ok((handles, failed)) => {
                Made::write_header(&mut self.room, failed, began.elapsed());
                // A short result leaves the room to the next one.
                let bytes = match self.room.len() {
                    0..=SHORT => Content::copy_from_slice(&self.room),
                    _ => Content::from(mem::take(&mut self.room)),
                };
                Outcome::Value(bytes, handles)
            }
            Err(error) => Outcome::Failed(*error),
        }
    }

    /// Puts what came of a task where the supervisor finds it; false if there is no room for it, or it refers to something.
    #[inline]
    fn put(&self, place: Place<'_>, at: &mut usize, ended: &Ended, ran: Duration) -> bool {
        match ended {
            Ok((handles, failed)) => {
                let kind = if *failed { Kind::Failure } else { Kind::Value };
                handles.is_empty() && place.put(at, Head::new(kind, ran), &self.room[RESULT_HEADER..])
            }
            Err(error) => codec::encode(error, PAYLOAD_LIMIT)
                .is_ok_and(|bytes| place.put(at, Head::new(Kind::Error, ran), &bytes)),
        }
    }

    /// The function that a call with this header is for, and how long it may run before it is told. The next call is often
    /// for the same one.
    fn entry(&mut self, head: &[u8; CALL_HEADER]) -> Option<(&'static TaskEntry, Option<Duration>)> {
        let (entry, soft) = match self.last {
            Some((last, entry, soft)) if last == *head => (entry, soft),
            _ => function::entry(head)?,
        };
        self.last = Some((*head, entry, soft));
        Some((entry, soft))
    }

    /// Runs the tasks of a chunk that are not taken back meanwhile, one after the other.
    ///
    /// Each result is put where the supervisor finds it before the next task is begun. One that does not fit there ends the
    /// chunk, and is the answer.
    async fn run_chunk(&mut self, chunk: Bytes) -> Outcome {
        let none = Outcome::Value(Content::EMPTY, Handles::none());
        let malformed = || Outcome::Failed(CallError::Version("the chunk is not one of this build".to_owned()));
        let Some((Calls { number, place, head, lengths, mut arguments }, places)) =
            Calls::of(&chunk).zip(place::chunks())
        else {
            return malformed();
        };
        // One that was meant for an incarnation before this one: nothing is to be run for it.
        let Some(place) = places.get(place as usize).filter(|place| place.is_of(number)) else { return none };
        let entry = self.entry(head);
        let (mut at, mut done, handles) = (0, 0, Handles::none());
        let mut lengths = lengths.iter();
        let mut began = Instant::now();
        while place.claim().is_some() {
            let length = lengths.next().map_or(usize::MAX, |length| u32::from_le_bytes(*length) as usize);
            let Some((call, rest)) = arguments.split_at_checked(length) else { return malformed() };
            arguments = rest;
            let strand = party::enter(self.strand());
            let Some((entry, soft)) = entry else { return Outcome::Failed(unknown()) };
            self.set_soft(soft, began);
            // What there is to say of a task that is over already, and has a value that refers to nothing, is little.
            let (mut failed, mut other) = (false, None);
            match self.begin(entry, call, &handles) {
                Begun::Ended(Ok((handles, own))) if handles.is_empty() => failed = own,
                Begun::Ended(ended) => other = Some(ended),
                Begun::Future(future) => other = Some(self.end(future).await),
            }
            drop(strand);
            let now = Instant::now();
            // What a task has sent is not lost by what the next one does.
            if let Some(outgoing) = place::news() {
                poll_fn(|cx| outgoing.poll_safe(cx)).await;
            }
            let ended = other.unwrap_or_else(|| Ok((Handles::none(), failed)));
            if !self.put(place, &mut at, &ended, now.duration_since(began)) {
                return self.outcome(ended, began);
            }
            // The next one begins where this one ends: one look at the clock for each.
            began = now;
            done += 1;
            place.publish(done);
            if self.room.capacity() > KEEP {
                self.room = Vec::new();
            }
        }
        none
    }

    /// Runs a function before the first task, or after the last one.
    async fn hook(&mut self, call: Parcel, ctx: &Context<Self>) -> Result<(), Failure> {
        let absent = || Failure::new("the worker does not have it");
        let (head, arguments) = call.bytes.split_first_chunk::<CALL_HEADER>().ok_or_else(absent)?;
        let (entry, _) = function::entry(head).ok_or_else(absent)?;
        let _entered = Entered { worker: self.name.clone(), end: ctx.end().clone(), soft: None }.enter();
        let (handles, _) = self.made(entry, arguments, &call.handles).await.map_err(|error| match *error {
            CallError::Panicked(panic) => Failure::new(format!("{} panicked: {}", panic.at, panic.message)),
            CallError::Codec(error) => error.into(),
            other => Failure::new(other.to_string()),
        })?;
        let mut result = Parcel { bytes: mem::take(&mut self.room).into(), handles };
        result.bytes.advance(RESULT_HEADER);
        result.open::<Result<(), Failure>>()?
    }
}

/// Results that are copied out of the room for them.
const SHORT: usize = 1 << 10;

/// Memory for results that is kept from one to the next.
const KEEP: usize = 64 << 10;

/// What came of a function: what its value refers to, and whether that says that it failed.
type Ended = Result<(Handles, bool), Box<CallError<NoError>>>;

/// What has become of a function that was begun.
enum Begun {
    Ended(Ended),
    Future(Begin),
}

/// A function that has answered with a future.
struct Begin {
    entry: &'static TaskEntry,
    future: Pin<Box<dyn Future<Output = Result<Made, CodecError>>>>,
}

impl Begin {
    /// Runs it to its end; a panic is an error.
    async fn end(self) -> Result<Made, Box<CallError<NoError>>> {
        let Self { entry, mut future } = self;
        let made = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(made)) => Poll::Ready(Ok(made)),
            Err(panic) => Poll::Ready(Err(text_of(&*panic))),
        })
        .await;
        // What is left of the future of a task that panicked may panic once more.
        let made = match catch_unwind(AssertUnwindSafe(|| drop(future))) {
            Ok(()) => made,
            Err(panic) => made.and_then(|_| Err(text_of(&*panic))),
        };
        match made {
            Ok(made) => made.map_err(|error| Box::new(CallError::Codec(error))),
            Err(message) => Err(panicked(entry, message)),
        }
    }
}

#[cold]
fn panicked(entry: &TaskEntry, message: String) -> Box<CallError<NoError>> {
    Box::new(CallError::Panicked(Panic { message, at: entry.name.to_owned() }))
}

fn unknown() -> CallError<NoError> {
    CallError::Version("the worker does not have this task".to_owned())
}

/// The calls of one function that travel together, as they come.
struct Calls<'a> {
    /// The chunk's number, and its place in shared memory.
    number: u64,
    place: u32,
    /// What stands in front of the arguments of each.
    head: &'a [u8; CALL_HEADER],
    /// The lengths of the arguments of each.
    lengths: &'a [[u8; LENGTH]],
    /// Those of all, one behind the other.
    arguments: &'a [u8],
}

impl<'a> Calls<'a> {
    fn of(chunk: &'a [u8]) -> Option<Self> {
        let (number, rest) = chunk.split_first_chunk()?;
        let (place, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (head, rest) = rest.split_first_chunk()?;
        let lengths = (u32::from_le_bytes(*count) as usize).checked_mul(LENGTH)?;
        let (lengths, arguments) = rest.split_at_checked(lengths)?;
        Some(Self {
            number: u64::from_le_bytes(*number),
            place: u32::from_le_bytes(*place),
            head,
            lengths: lengths.as_chunks().0,
            arguments,
        })
    }
}

/// What a task knows of the worker that runs it.
#[derive(Clone, Debug)]
pub struct TaskContext {
    worker: Arc<str>,
    cancellation: Cancellation,
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
    /// Is what [`task_context`] tells from now on.
    fn stay(self) {
        CURRENT.set(Some(self));
    }

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
        self.cancellation.is_cancelled()
    }

    /// Completes when nobody wants the result any more. While a task blocks its worker's thread only the flag
    /// ([`is_cancelled`](Self::is_cancelled)) tells of it.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        self.cancellation.cancelled()
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
        Some(TaskContext { worker: worker.clone(), cancellation: end.cancellation(), soft: *soft })
    })
}
