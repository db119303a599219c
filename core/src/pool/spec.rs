//! What is asked of a pool.

use std::time::Duration;

use super::error::TaskError;
use super::function::{Function, Task};
use super::options::{Defaults, bounded, check_timeouts};
use super::rules::{Recycle, Rest, Rules};
use super::size::{MOST, PoolSize};
use super::window::Chunk;
use crate::actor::node::random;
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::error::failure::Failure;
use crate::error::start::StartError;
use crate::process::limits::Limits;

/// A pool, to be: how many workers it has, what they may use, when they are replaced, and what their tasks may take.
///
/// For both kinds of pools, [`Supervisor::task_pool`](crate::Supervisor::task_pool) and
/// [`Supervisor::pool`](crate::Supervisor::pool), which take a mere number or a [`PoolSize`] as well. What makes no sense is
/// an error before anything is started.
///
/// ```
/// use std::time::Duration;
/// use procession::{Limits, PoolSize, PoolSpec};
///
/// let spec = PoolSpec::new(PoolSize::LeaveOne)
///     .task_timeout(Duration::from_secs(60))
///     .recycle_after(1_000)
///     .limits(Limits::new().memory(512 << 20));
/// ```
#[derive(Clone, Debug)]
pub struct PoolSpec {
    pub(super) size: PoolSize,
    pub(super) limits: Limits,
    pub(super) defaults: Defaults,
    pub(super) init_timeout: Option<Duration>,
    pub(super) shutdown: Option<Duration>,
    pub(super) starts_at_once: Option<usize>,
    pub(super) init: Option<Hook>,
    pub(super) exit: Option<Hook>,
    pub(super) chunk: Chunk,
    spares: usize,
    rest: Option<Rest>,
    recycle: Recycle,
}

impl PoolSpec {
    /// A pool of this size.
    pub fn new(size: impl Into<PoolSize>) -> Self {
        Self {
            size: size.into(),
            limits: Limits::new(),
            defaults: Defaults::default(),
            init_timeout: None,
            shutdown: None,
            starts_at_once: None,
            init: None,
            exit: None,
            chunk: Chunk::Auto,
            spares: 0,
            rest: None,
            recycle: Recycle { jitter: 0.1, ..Recycle::default() },
        }
    }

    /// What each worker may use of the machine.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a task may run, from when it is begun, before its worker is killed and replaced; it then ends as
    /// [`TaskError::TimedOut`](crate::TaskError::TimedOut), and no other task is affected. In a pool of actors this is how
    /// long a handler may run, and its caller hears [`CallError::TimedOut`](crate::CallError::TimedOut).
    #[must_use]
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.timeout = Some(timeout);
        self
    }

    /// How long a task may run before it is told: [`TaskContext::is_overdue`](crate::TaskContext::is_overdue). A pool of
    /// actors tells nobody.
    #[must_use]
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.soft_timeout = Some(timeout);
        self
    }

    /// How often an idempotent task may be begun again after its worker has died; once unless it is said.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.defaults.retries = retries;
        self
    }

    /// How long a task that is cancelled while it runs has to end before its worker is killed; 5 s unless it is said.
    #[must_use]
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.defaults.cancel_grace = grace;
        self
    }

    /// Replaces each worker after this many tasks.
    ///
    /// A worker that is replaced finishes what it has, and is no failure: [`Event::Recycled`](crate::Event::Recycled) tells
    /// of it.
    #[must_use]
    pub fn recycle_after(mut self, tasks: u64) -> Self {
        self.recycle.tasks = Some(tasks);
        self
    }

    /// Replaces each worker at this age, if it has run anything.
    #[must_use]
    pub fn recycle_age(mut self, age: Duration) -> Self {
        self.recycle.age = Some(age);
        self
    }

    /// Replaces each worker that has so many bytes in memory after a task.
    ///
    /// # Platform-specific behavior
    /// On Linux the resident set, on Windows the working set; looked at ten times a second at most.
    #[must_use]
    pub fn recycle_memory(mut self, bytes: u64) -> Self {
        self.recycle.memory = Some(bytes);
        self
    }

    /// The part, from 0 to 1, by which a worker may be recycled earlier, so that workers that began together do not leave
    /// together; a tenth unless it is said.
    #[must_use]
    pub fn recycle_jitter(mut self, jitter: f64) -> Self {
        self.recycle.jitter = jitter;
        self
    }

    /// Has workers end that have had nothing to do for so long, but for `keep` of them; they are started again when tasks
    /// wait.
    #[must_use]
    pub fn idle_timeout(mut self, after: Duration, keep: usize) -> Self {
        self.rest = Some(Rest { after, keep });
        self
    }

    /// Keeps so many workers more, ready and idle, to take the places of those that die or are recycled.
    #[must_use]
    pub fn spares(mut self, spares: usize) -> Self {
        self.spares = spares;
        self
    }

    /// How many tasks travel to a worker together: as many as are worth it, unless it is said. What is promised of each
    /// task is the same: see [`Chunk`]. Messages to a pool of actors travel one by one.
    ///
    /// ```
    /// use procession::{Chunk, PoolSpec};
    ///
    /// let one_by_one = PoolSpec::new(4).chunk(1);
    /// let by_their_times = PoolSpec::new(4).chunk(Chunk::Auto);
    /// ```
    #[must_use]
    pub fn chunk(mut self, chunk: impl Into<Chunk>) -> Self {
        self.chunk = chunk.into();
        self
    }

    /// How many workers are started at once; all of them unless it is said.
    #[must_use]
    pub fn starts_at_once(mut self, workers: usize) -> Self {
        self.starts_at_once = Some(workers);
        self
    }

    /// Has each worker run a task before it takes any, in every incarnation: for what its tasks then find by
    /// [`with_state`](crate::with_state). A worker is ready when it has succeeded; one in which it fails did not start, and
    /// where it fails in all of them the pool gives up and its tasks are told why. Only for pools of tasks: an actor has an
    /// init of its own.
    #[must_use]
    pub fn init<Args: Payload, F: Task<Args, Output = Result<(), Failure>>>(
        mut self,
        task: F,
        input: F::Input,
    ) -> Self {
        self.init = Some(Hook::new::<Args, F>(task, input));
        self
    }

    /// Has each worker run a task after the last one, before it ends in order; it has the time of
    /// [`shutdown`](Self::shutdown) for it. A failure is [`Event::CastFailed`](crate::Event::CastFailed). A worker that dies or
    /// is killed runs nothing more.
    #[must_use]
    pub fn exit<Args: Payload, F: Task<Args, Output = Result<(), Failure>>>(
        mut self,
        task: F,
        input: F::Input,
    ) -> Self {
        self.exit = Some(Hook::new::<Args, F>(task, input));
        self
    }

    /// How long a worker may take to become ready.
    #[must_use]
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.init_timeout = Some(timeout);
        self
    }

    /// How long a worker that is told to stop may take before it is killed. Zero kills at once.
    #[must_use]
    pub fn shutdown(mut self, grace: Duration) -> Self {
        self.shutdown = Some(grace);
        self
    }

    pub(super) fn rules(&self) -> Rules {
        let rest = self.rest.map(|rest| Rest { after: bounded(rest.after), ..rest });
        let recycle = Recycle { age: self.recycle.age.map(bounded), ..self.recycle };
        Rules { spares: self.spares, rest, recycle, chunk: self.chunk, seed: random() }
    }

    /// What is wrong with it, before anything is started.
    pub(super) fn check(&self, pool: &str) -> Result<(), StartError> {
        let bad = |why: &str| Err(StartError::BadSpec(format!("the pool {pool}: {why}")));
        for hook in [&self.init, &self.exit].into_iter().flatten() {
            if let Err(error) = &hook.0 {
                return bad(error);
            }
        }
        if let Err(error) = check_timeouts(self.defaults.soft_timeout, self.defaults.timeout) {
            return bad(&error.to_string());
        }
        let Recycle { tasks, age, memory, jitter } = self.recycle;
        if tasks == Some(0) || age.is_some_and(|age| age.is_zero()) || memory == Some(0) {
            return bad("a worker that is recycled after 0 could never run anything: leave it out to keep workers");
        }
        if !(0.0..=1.0).contains(&jitter) {
            return bad(&format!("the jitter of recycling is {jitter}, and must be from 0 to 1"));
        }
        if self.rest.is_some_and(|rest| rest.after.is_zero()) {
            return bad("an idle timeout of 0 would end each worker as soon as it is ready");
        }
        if self.init_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return bad("its workers need some time to start: the init timeout is zero");
        }
        if self.starts_at_once == Some(0) {
            return bad("none of its workers could ever be started, at 0 at once");
        }
        if self.chunk == Chunk::Fixed(0) {
            return bad(
                "a chunk of 0 tasks would never come to an end: 1 is one task at a time, Chunk::Auto what is best",
            );
        }
        if self.spares > MOST {
            return bad(&format!("it would have {} spare workers: at most {MOST} are meant", self.spares));
        }
        self.limits.check(pool)
    }
}

/// A call of a function that each worker runs once, or why it cannot be made.
#[derive(Clone, Debug)]
pub(super) struct Hook(Result<Parcel, String>);

impl Hook {
    fn new<Args: Payload, F: Task<Args>>(task: F, input: F::Input) -> Self {
        let _ = task;
        Self(match Function::of::<F>() {
            Ok(function) => {
                function.call(None, &F::arguments(input)).map_err(|error| format!("{}: {error}", function.name))
            }
            Err(name) => Err(TaskError::NotATask { name: name.to_owned() }.to_string()),
        })
    }

    pub(super) fn into_call(self) -> Option<Parcel> {
        self.0.ok()
    }
}

impl From<PoolSize> for PoolSpec {
    fn from(size: PoolSize) -> Self {
        Self::new(size)
    }
}

impl From<usize> for PoolSpec {
    fn from(workers: usize) -> Self {
        Self::new(workers)
    }
}
