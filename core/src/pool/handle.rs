//! The pool as its user holds it.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::action::Closing;
use super::calls::{Calls, Head};
use super::completion::{self, Completion, Ledger};
use super::ended::{Ended as TaskEnded, Receiver};
use super::error::{TaskError, TasksFailed, TryMapError};
use super::function::{self, Function, Task, result_header};
use super::inbox::{Arrival, Job, MOST_TASKS, NewTasks, NotTaken, Shared};
use super::info::{PoolReport, PoolWorker};
use super::insight::PoolInsights;
use super::options::{BadOptions, TaskOptions, bounded};
use super::progress::ProgressStream;
use super::rules::Rules;
use super::runner::{RUN, TaskRunner, Work};
use super::shell::{Read, Shell};
use super::size::PoolSize;
use super::spec::{Hook, PoolSpec};
use super::stream::{Outcomes, Unordered};
use super::submitted::{Slot, Submitted};
use super::team::Plan;
use super::window::Chunk;
use crate::actor::address::Address;
use crate::actor::call::Cast;
use crate::actor::message::type_hash;
use crate::actor::parcel::Parcel;
use crate::actor::traits::{Handlers, Payload};
use crate::error::call::CodecError;
use crate::error::start::StartError;
use crate::process::registration::{ActorEntry, actor_id, registered};
use crate::router::{CallKey, Handles};
use crate::supervisor::handle::{Dependent, Ended, Supervisor, Winding};
use crate::wire::codec::EncodeError;

/// How long a pool may take to finish what runs when its supervisor shuts down.
const DRAIN: Duration = Duration::from_secs(30);
/// How long the last completions may take to be delivered then.
const LAST_COMPLETIONS: Duration = Duration::from_secs(5);

/// Many processes that run one queue of tasks: functions with `#[procession::task]`.
///
/// Each task ends exactly once. A worker that dies takes nothing with it but the task it ran and is replaced at once; a
/// task that panics leaves its worker alive. The queue is the pool's: what no worker has begun survives all of them.
///
/// A handle: clones mean the same pool. When the last one is dropped the pool is killed, without blocking;
/// [`finish`](Self::finish) ends it in order.
#[derive(Clone)]
pub struct TaskPool {
    handle: Arc<Handle>,
    options: TaskOptions,
}

/// Kills its pool when it is dropped.
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.tell(Arrival::Close(Closing::Kill, None));
    }
}

impl Supervisor {
    /// Starts a pool of worker processes that run tasks, all at once, and returns it when the first one is ready.
    ///
    /// A number or a [`PoolSize`](crate::PoolSize) is enough of a spec; a [`PoolSpec`] says more.
    ///
    /// Workers that die are replaced, which does not count against the supervisor's intensity. Where no worker can be
    /// kept, after some tries, the pool gives up and ends its tasks with the cause.
    ///
    /// # Errors
    /// A spec that makes no sense, such as a size of 0, a name that is none, a program without an entry for workers; or why no worker could be started,
    /// after a few tries. Nothing is left behind then.
    ///
    /// # Cancellation
    /// Dropping the future ends the pool.
    pub async fn task_pool(&self, name: impl Into<String>, spec: impl Into<PoolSpec>) -> Result<TaskPool, StartError> {
        let read: Read = |bytes| match result_header(bytes) {
            Some((failed, ran)) => (failed, Some(ran)),
            None => (true, None),
        };
        let (name, mut spec) = (name.into(), spec.into());
        spec.check(&name)?;
        let hook = |hook: Option<Hook>| hook.and_then(Hook::into_call);
        let work = Work { tasks: function::fingerprint()?, init: hook(spec.init.take()), exit: hook(spec.exit.take()) };
        let handle = start::<TaskRunner>(self, name, spec, &work, read).await?;
        Ok(TaskPool { handle, options: TaskOptions::new() })
    }
}

/// Starts a pool whose workers host this actor.
pub(super) async fn start<A: Handlers>(
    supervisor: &Supervisor,
    name: String,
    spec: PoolSpec,
    init: &A::Init,
    read: Read,
) -> Result<Arc<Handle>, StartError> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(StartError::BadSpec(format!("the name {name:?} is empty or has control characters")));
    }
    let size = spec.size.workers(&name)?;
    spec.check(&name)?;
    if spec.init.is_some() || spec.exit.is_some() {
        return Err(StartError::BadSpec(format!(
            "the pool {name}: hooks are for tasks, its actors have an init and a stop"
        )));
    }
    let launcher = supervisor.launcher().clone();
    let children = launcher.children.clone().ok_or(StartError::NoEntry)?;
    let actor_id = actor_id::<A>();
    if !registered().map_err(StartError::DuplicateId)?.contains_key(&actor_id) {
        return Err(StartError::NotRegistered { actor: std::any::type_name::<A>().to_owned() });
    }
    let init =
        Parcel::new(init).map_err(|error| StartError::Arguments { child: name.clone(), error: error.to_string() })?;
    let options = A::options();
    // Messages of actors go one by one.
    let takes_tasks = TypeId::of::<A>() == TypeId::of::<TaskRunner>();
    let chunk = if takes_tasks { spec.chunk } else { Chunk::ONE };
    let shared = Shared::new(name.into(), launcher.owner, size, spec.defaults, chunk == Chunk::ONE);
    let plan = Plan {
        launcher,
        children,
        actor: ActorEntry::of::<A>(),
        actor_id,
        type_hash: type_hash::<A>(),
        init,
        init_timeout: spec.init_timeout.map_or(options.init_timeout, bounded),
        shutdown: spec.shutdown.map_or(options.shutdown, bounded),
        rules: Rules { chunk, ..spec.rules() },
        starts_at_once: spec.starts_at_once,
        limits: spec.limits,
    };
    let (started, wait) = oneshot::channel();
    let handle = Arc::new(Handle { shared: shared.clone() });
    tokio::spawn(Shell::new(shared.clone(), plan, read, started).run());
    supervisor.depend(dependent(&shared));
    match wait.await.unwrap_or(Err(StartError::SupervisorEnded)) {
        Ok(()) => Ok(handle),
        Err(error) => {
            // Those that were being started meanwhile.
            shared.tell(Arrival::Close(Closing::Kill, None));
            shared.ended().await;
            Err(error)
        }
    }
}

/// A pool as its supervisor knows it.
fn dependent(shared: &Arc<Shared>) -> Dependent {
    let ledger = shared.deliveries.ledger().clone();
    let (pool, completions) = (Arc::downgrade(shared), ledger.clone());
    let is_over = move || {
        let ended = pool.upgrade().is_none_or(|shared| shared.over.borrow().is_some());
        ended && completions.open() == 0
    };
    let pool = Arc::downgrade(shared);
    let end = move |how| -> Ended { Box::pin(wind_up(pool.upgrade(), ledger.clone(), how)) };
    Dependent { end: Box::new(end), is_over: Box::new(is_over) }
}

/// Ends a pool with its supervisor. What is said is said at the call, whether the future is awaited or not.
fn wind_up(shared: Option<Arc<Shared>>, ledger: Arc<Ledger>, how: Winding) -> impl Future<Output = ()> + Send {
    if let Some(shared) = &shared {
        shared.tell(match how {
            Winding::Drain => Arrival::Close(Closing::Drain, Some(Instant::now() + DRAIN)),
            Winding::Kill => Arrival::Close(Closing::Kill, None),
        });
    }
    async move {
        if let Some(shared) = shared {
            shared.ended().await;
        }
        if how == Winding::Drain && tokio::time::timeout(LAST_COMPLETIONS, ledger.done()).await.is_err() {
            ledger.lost(ledger.open(), "its handler did not take it before the supervisor's end");
        }
    }
}

impl TaskPool {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared().name
    }

    /// How many workers it has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shared().size()
    }

    /// Wants another number of workers from now on: those that are missing are started, and those that are too many leave
    /// after what they have, the highest numbers first. Done when the pool knows, before they are there or gone.
    ///
    /// # Errors
    /// A size of 0.
    pub async fn resize(&self, size: impl Into<PoolSize>) -> Result<(), StartError> {
        self.handle.resize(size.into()).await
    }

    /// Begins no task any more, but takes them. What runs goes on; what waits in workers is taken back.
    ///
    /// A pool that is told to [`finish`](Self::finish) goes on by itself.
    pub fn pause(&self) {
        self.shared().tell(Arrival::Pause);
    }

    /// Begins tasks again.
    pub fn resume(&self) {
        self.shared().tell(Arrival::Resume);
    }

    /// The same pool, for tasks with these options: `pool.with(TaskOptions::new().priority(9))?.submit(scan, path)`.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn with(&self, options: TaskOptions) -> Result<Self, BadOptions> {
        options.check()?;
        Ok(Self { handle: self.handle.clone(), options })
    }

    /// Queues one task, at once, and returns a future of its value. The task runs whether that is awaited or not.
    ///
    /// The pool holds up to a million tasks; [`room`](Self::room) waits until it has few. What keeps the task from being
    /// taken is told by the future.
    pub fn submit<Args: Payload, F: Task<Args>>(&self, task: F, input: F::Input) -> Submitted<F::Output> {
        let _ = task;
        let shared = self.shared();
        let slot = Slot::new(shared.clone());
        let taken = Function::of::<F>().map_err(|name| (name, TaskError::NotATask { name: name.to_owned() })).and_then(
            |function| {
                let job = Arc::new(self.job::<F::Output>(function, None, slot.clone()));
                let mut bytes = Vec::new();
                let taken = self.write_call::<Args, F>(function, input, &mut bytes).and_then(|handles| {
                    let calls = Calls::one(Parcel { bytes: bytes.into(), handles });
                    shared.submit(job, NewTasks { index: 0, calls }).map_err(|error| not_taken(error, function.name))
                });
                taken.map_err(|error| (function.name, error))
            },
        );
        match taken {
            Ok(id) => slot.number(id),
            Err((name, error)) => slot.ended(TaskEnded::not_taken(name, 0, error)),
        }
        Submitted::new(slot)
    }

    /// Runs the function over every input and returns the values in the order of the input.
    ///
    /// Every task is run to its end, whatever becomes of others. The input is pulled as it is needed: only so much is in
    /// the pool as keeps its workers busy.
    ///
    /// # Errors
    /// Where any task has no value: how each one ended, in order.
    ///
    /// # Cancellation
    /// Dropping the future takes back what is queued.
    pub async fn map<Args: Payload, F: Task<Args>>(
        &self,
        task: F,
        inputs: impl IntoIterator<Item = F::Input>,
    ) -> Result<Vec<F::Output>, TasksFailed<F::Output>> {
        let mut ends = self.outcomes(task, inputs);
        let mut values = ends.room::<F::Output>();
        let mut failures = BTreeMap::new();
        while let Some(batch) = ends.next_batch().await {
            batch.for_each_result(|index, result| {
                let index = index as usize;
                match result {
                    Ok(value) => put(&mut values, index, value),
                    Err(error) => drop(failures.insert(index, error)),
                }
            });
        }
        let refused = ends.refused();
        if failures.is_empty() && refused.is_none() {
            return Ok(values.into_iter().flatten().collect());
        }
        let last = failures.last_key_value().map_or(0, |(last, _)| last + 1);
        values.resize_with(last.max(values.len()), || None);
        let outcome = |(index, value): (usize, Option<F::Output>)| match value {
            Some(value) => Some(Ok(value)),
            None => failures.remove(&index).map(Err),
        };
        Err(TasksFailed { outcomes: values.into_iter().enumerate().filter_map(outcome).collect(), refused })
    }

    /// Runs a function that returns a `Result` over every input, and returns the values in order; the first failure,
    /// its own or another, ends it and takes back the rest.
    ///
    /// # Errors
    /// The first failure, in order of time.
    ///
    /// # Cancellation
    /// Dropping the future takes back what is queued.
    pub async fn try_map<Args: Payload, T: Payload, E: Payload, F>(
        &self,
        task: F,
        inputs: impl IntoIterator<Item = F::Input>,
    ) -> Result<Vec<T>, TryMapError<E>>
    where
        F: Task<Args, Output = Result<T, E>>,
    {
        let mut ends = self.outcomes(task, inputs);
        let mut values = ends.room::<T>();
        while let Some(batch) = ends.next_batch().await {
            let mut first = None;
            batch.for_each_result::<Result<T, E>>(|index, result| {
                let index = index as usize;
                let failure = match result {
                    Ok(Ok(value)) => return put(&mut values, index, value),
                    Ok(Err(error)) => TryMapError::Task { index, error },
                    Err(error) => TryMapError::Failed { index, error },
                };
                first.get_or_insert(failure);
            });
            if let Some(failure) = first {
                return Err(failure);
            }
        }
        match ends.refused() {
            Some(error) => Err(TryMapError::Failed { index: values.len(), error }),
            None => Ok(values.into_iter().flatten().collect()),
        }
    }

    /// Runs the function over every input and yields each value, or failure, as soon as it is there, with its place in
    /// the input.
    ///
    /// The input may be endless: it is pulled as it is needed.
    ///
    /// # Cancellation
    /// Dropping the stream takes back what is queued.
    pub fn map_unordered<Args: Payload, F: Task<Args>, I: IntoIterator<Item = F::Input>>(
        &self,
        task: F,
        inputs: I,
    ) -> Unordered<F, Args, I::IntoIter> {
        Unordered::new(self.outcomes(task, inputs))
    }

    /// The same, with all that is known of each task: its id, how long it ran, and where.
    ///
    /// # Cancellation
    /// Dropping the stream takes back what is queued.
    pub fn outcomes<Args: Payload, F: Task<Args>, I: IntoIterator<Item = F::Input>>(
        &self,
        task: F,
        inputs: I,
    ) -> Outcomes<F, Args, I::IntoIter> {
        let _ = task;
        Outcomes::new(self.clone(), inputs.into_iter())
    }

    /// Has the completion of every task with this result, those submitted from now on, brought to an actor.
    ///
    /// See [`Submitted::completed_to`]; several actors may each be brought the same.
    pub fn on_completion<A: Handlers, R: Payload>(
        &self,
        address: &Address<A>,
        cast: impl Fn(&Address<A>, Completion<R>) -> Cast + Send + Sync + 'static,
    ) {
        let handler = completion::handler(address, cast);
        self.shared().deliveries.add::<R>(address.destination(), handler);
    }

    /// Waits until the pool has room: until less is queued than its workers could be given, and completions are being
    /// delivered as fast as tasks end.
    ///
    /// For loops that submit task by task. A map and a stream do this by themselves.
    pub async fn room(&self) {
        self.shared().room().await;
    }

    /// Tasks that no worker has yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared().queued()
    }

    /// The workers at this moment.
    pub async fn workers(&self) -> Vec<PoolWorker> {
        self.handle.workers().await
    }

    /// What the workers have spent their time on, and the slowest tasks; nothing once the pool is over.
    pub async fn insights(&self) -> PoolInsights {
        self.handle.insights().await
    }

    /// How far the pool has come, at once and then every so often, ten seconds at most, until it is over.
    pub fn progress(&self, every: Duration) -> ProgressStream {
        ProgressStream::new(self.shared().clone(), every)
    }

    /// Takes no more tasks, runs all that it has, and ends: Python's close and join. Done when every task has ended,
    /// every completion was delivered, and no process is left.
    ///
    /// Called from inside a handler of its completions it does not wait for those.
    ///
    /// # Cancellation
    /// The pool ends without the future.
    pub async fn finish(&self) -> PoolReport {
        self.handle.finish().await
    }

    /// Takes no more tasks, finishes those that run, cancels those that are queued, and ends; what still runs after
    /// `deadline` is killed.
    ///
    /// # Cancellation
    /// The pool ends without the future.
    pub async fn drain(&self, deadline: Duration) -> PoolReport {
        self.handle.drain(deadline).await
    }

    /// Ends everything at once: what is queued is cancelled, what runs is killed.
    ///
    /// # Cancellation
    /// The pool ends without the future.
    pub async fn kill(&self) -> PoolReport {
        self.handle.kill().await
    }

    /// What tasks of this function have in common.
    pub(super) fn job<R: Payload>(
        &self,
        function: Function,
        caused_by: Option<CallKey>,
        receiver: Arc<dyn Receiver>,
    ) -> Job {
        Job {
            name: function.name,
            method: RUN,
            caused_by,
            terms: self.options.terms(function.idempotent, &self.shared().defaults),
            deadline: None,
            receiver,
            description: self.options.description.clone(),
            also: self.shared().deliveries.of::<R>(),
        }
    }

    /// What stands in front of the arguments in a call of this function.
    pub(super) fn head(&self, function: Function) -> Head {
        function.head(self.options.soft_timeout.or(self.shared().defaults.soft_timeout))
    }

    /// Encodes a call of this function behind what is in `into` already, which an error leaves as it was; what the call
    /// refers to.
    pub(super) fn write_call<Args: Payload, F: Task<Args>>(
        &self,
        function: Function,
        input: F::Input,
        into: &mut Vec<u8>,
    ) -> Result<Handles, TaskError> {
        let soft = self.options.soft_timeout.or(self.shared().defaults.soft_timeout);
        function.write_call(soft, &F::arguments(input), into).map_err(|error| unwritten(function, error))
    }
}

/// The arguments of a call of this function cannot be encoded.
pub(super) fn unwritten(function: Function, error: EncodeError) -> TaskError {
    TaskError::Codec(CodecError::Arguments { method: function.name.to_owned(), error })
}

/// Puts a value at its place.
#[inline]
fn put<T>(values: &mut Vec<Option<T>>, index: usize, value: T) {
    if index == values.len() {
        values.push(Some(value));
        return;
    }
    if values.len() < index {
        values.resize_with(index + 1, || None);
    }
    values[index] = Some(value);
}

pub(super) fn not_taken(why: NotTaken, task: &str) -> TaskError {
    let task = task.to_owned();
    match why {
        NotTaken::Closed(by) => TaskError::Closed { task, why: by.to_string() },
        NotTaken::Full => TaskError::Full { task, limit: MOST_TASKS },
    }
}

impl Handle {
    pub(super) async fn resize(&self, size: PoolSize) -> Result<(), StartError> {
        self.shared.resize(size.workers(&self.shared.name)?).await;
        Ok(())
    }

    pub(super) async fn workers(&self) -> Vec<PoolWorker> {
        let (answer, wait) = oneshot::channel();
        self.shared.tell(Arrival::Workers(answer));
        wait.await.unwrap_or_default()
    }

    pub(super) async fn insights(&self) -> PoolInsights {
        let (answer, wait) = oneshot::channel();
        self.shared.tell(Arrival::Insights(answer));
        wait.await.unwrap_or_default()
    }

    pub(super) async fn finish(&self) -> PoolReport {
        let waits = !self.shared.deliveries.is_inside_handler();
        self.shared.tell(Arrival::Close(Closing::Finish, None));
        let report = self.shared.ended().await;
        if waits {
            self.shared.deliveries.ledger().done().await;
        }
        report
    }

    pub(super) async fn drain(&self, deadline: Duration) -> PoolReport {
        let waits = !self.shared.deliveries.is_inside_handler();
        let until = Instant::now() + deadline;
        self.shared.tell(Arrival::Close(Closing::Drain, Some(until)));
        let report = self.shared.ended().await;
        if waits {
            let _ = tokio::time::timeout_at(until.into(), self.shared.deliveries.ledger().done()).await;
        }
        report
    }

    pub(super) async fn kill(&self) -> PoolReport {
        self.shared.tell(Arrival::Close(Closing::Kill, None));
        self.shared.ended().await
    }
}

impl fmt::Debug for TaskPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared().fmt(f)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
