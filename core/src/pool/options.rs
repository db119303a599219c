//! What is asked of a task.

use std::sync::Arc;
use std::time::Duration;

use super::task::Terms;

/// What a task may take, where it is not what its pool says: for [`TaskPool::with`](crate::TaskPool::with).
///
/// ```
/// use std::time::Duration;
/// use procession::TaskOptions;
///
/// let urgent = TaskOptions::new().priority(9).soft_timeout(Duration::from_secs(8)).timeout(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskOptions {
    pub(super) timeout: Option<Duration>,
    pub(super) soft_timeout: Option<Duration>,
    retries: Option<u32>,
    idempotent: bool,
    priority: u8,
    pub(super) description: Option<Arc<str>>,
}

/// What the tasks of a pool keep to that say nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) timeout: Option<Duration>,
    pub(super) soft_timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) cancel_grace: Duration,
}

/// Why options cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadOptions {
    /// The task could never do anything.
    #[error("a timeout of 0 leaves a task no time at all: leave it out for a task that may take as long as it takes")]
    NoTime,
    /// The task would be killed before it is told.
    #[error(
        "the soft timeout {soft:?} tells a task nothing that is killed after {timeout:?}: it must be the shorter one"
    )]
    SoftAfterHard {
        /// When the task is told.
        soft: Duration,
        /// When it is killed.
        timeout: Duration,
    },
}

impl TaskOptions {
    /// What the pool says.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the task may run, from when it is begun, before its worker is killed and replaced; it then ends as
    /// [`TaskError::TimedOut`](crate::TaskError::TimedOut).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long the task may run before it is told: [`TaskContext::is_overdue`](crate::TaskContext::is_overdue).
    #[must_use]
    pub fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = Some(timeout);
        self
    }

    /// The task may be begun again where its worker has died and nobody knows what it has done: as `#[task(idempotent)]`
    /// says it of a function.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// How often the task may be begun again, if it is idempotent. One that has killed two workers never is.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// The higher it is, the earlier the task is begun; 0 unless it is said. Of each eight tasks that are begun one is the
    /// oldest, whatever its priority: so nothing waits for ever.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// What the pool's [`insights`](crate::TaskPool::insights) say of the task, such as its arguments: `format!("{path:?}")`.
    #[must_use]
    pub fn described(mut self, description: impl Into<Arc<str>>) -> Self {
        self.description = Some(description.into());
        self
    }

    pub(super) fn check(&self) -> Result<(), BadOptions> {
        check_timeouts(self.soft_timeout, self.timeout)
    }

    pub(super) fn terms(&self, idempotent: bool, defaults: &Defaults) -> Terms {
        let retries = if idempotent || self.idempotent { self.retries.unwrap_or(defaults.retries) } else { 0 };
        Terms {
            priority: self.priority,
            hard: self.timeout.or(defaults.timeout).map(bounded),
            max_attempts: retries.saturating_add(1),
            ..Terms::default()
        }
    }
}

/// No time is longer, so that a moment from now is always a moment.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

pub(super) fn bounded(time: Duration) -> Duration {
    time.min(LONGEST)
}

pub(super) fn check_timeouts(soft: Option<Duration>, timeout: Option<Duration>) -> Result<(), BadOptions> {
    if soft.is_some_and(|soft| soft.is_zero()) || timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(BadOptions::NoTime);
    }
    match (soft, timeout) {
        (Some(soft), Some(timeout)) if soft >= timeout => Err(BadOptions::SoftAfterHard { soft, timeout }),
        _ => Ok(()),
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self { timeout: None, soft_timeout: None, retries: 1, cancel_grace: Duration::from_secs(5) }
    }
}
