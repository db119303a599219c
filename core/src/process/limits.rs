//! What a worker process may use of the machine.

use crate::error::start::StartError;
use crate::event::Limit;
use crate::sys;

/// What a worker process, and all that it starts, may use of the machine; what is not said is not limited.
///
/// ```
/// use procession::{Limits, Priority};
///
/// let limits = Limits::new().memory(512 << 20).processes(1).cpus([0, 1]).priority(Priority::BelowNormal);
/// ```
///
/// The limits hold from before the worker runs anything of the program's own, and for every incarnation. Each is read back
/// once it is set: one that does not hold as it was asked for is told as [`Event::LimitNotEnforced`], at every start, and the
/// worker runs without it.
///
/// A limit is no fence against an enemy: it keeps what fails from taking others with it.
///
/// [`Event::LimitNotEnforced`]: crate::Event::LimitNotEnforced
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What the system holds it to.
    pub(crate) system: sys::Limits,
    /// Bytes in blobs, to which it holds itself.
    pub(crate) blobs: Option<u64>,
}

/// How urgent the work of a process is, beside that of all others on the machine.
///
/// # Platform-specific behavior
/// On Linux a nice value, on Windows a priority class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Only while nobody else has anything to do. Nice 19 on Linux.
    Idle,
    /// Less urgent than usual. Nice 10 on Linux.
    BelowNormal,
    /// As usual. Nice 0 on Linux.
    Normal,
    /// More urgent than usual. Nice -5 on Linux.
    AboveNormal,
}

impl Limits {
    /// No limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of memory that each process may commit, 16 MiB at least.
    ///
    /// What is beyond them is not to be had: a collection that grows ends the worker as running out of memory does anywhere, by
    /// an abort, and its caller hears [`CallError::Died`](crate::CallError::Died).
    ///
    /// # Platform-specific behavior
    /// On Linux this is `RLIMIT_DATA`, and a limit that this process has inherited is never loosened by it: heap, stacks of
    /// threads and private mappings that can be written count, shared memory and mapped files do not. On Windows all committed
    /// memory counts.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.system.memory = Some(bytes);
        self
    }

    /// The bytes that the worker may have in [blobs](crate::blob) at a time, 1 at least.
    ///
    /// What counts, from before its `init` on:
    ///
    /// - what its [writers](crate::blob::BlobWriter) have set aside;
    /// - blobs that a value in it refers to, those that it has made and those of others, each once and as a whole, however many
    ///   clones and parts of it there are; those in messages that it has not come to yet do not count, nor those that it has given
    ///   away and kept no value of;
    /// - split blobs that it has made, and each part of others' with its own bytes.
    ///
    /// What is too much is an error where it is asked for, and the worker lives on: a writer fails with
    /// [`BlobError::WorkerLimit`](crate::blob::BlobError::WorkerLimit), and a message with a blob that is beyond the limit is not
    /// decoded, which its sender hears as [`CallError::Codec`](crate::CallError::Codec) with the same words; a worker with such an
    /// argument of its `init` does not start.
    ///
    /// Each worker is counted for itself, and so are those that it starts. For what this process has, all that its workers give it
    /// included, see [`blob::set_limit`](crate::blob::set_limit).
    #[must_use]
    pub fn blobs(mut self, bytes: u64) -> Self {
        self.blobs = Some(bytes);
        self
    }

    /// How many processes there may be at a time, the worker included: with 1 it can start none.
    ///
    /// # Platform-specific behavior
    /// Not enforced on Linux, which counts the processes of a user but, without a control group, not those of a tree.
    #[must_use]
    pub fn processes(mut self, count: u32) -> Self {
        self.system.processes = Some(count);
        self
    }

    /// The processors that the worker may run on, by their numbers, the first of which is 0.
    ///
    /// # Platform-specific behavior
    /// On Linux the worker's own code can widen them again. On Windows it cannot; there they are not enforced where the system
    /// has more than one group of processors, which is beyond 64 of them.
    #[must_use]
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.system.cpus = Some(cpus.into_iter().collect());
        self
    }

    /// How urgent its work is.
    ///
    /// # Platform-specific behavior
    /// On Linux it takes a right to be more urgent than this process is (`CAP_SYS_NICE`, or `RLIMIT_NICE`), and the worker may
    /// lower its own further. On Windows it cannot change it.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.system.priority = Some(match priority {
            Priority::Idle => sys::Priority::Idle,
            Priority::BelowNormal => sys::Priority::BelowNormal,
            Priority::Normal => sys::Priority::Normal,
            Priority::AboveNormal => sys::Priority::AboveNormal,
        });
        self
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What no process could be held to, before one is started.
    pub(crate) fn check(&self, child: &str) -> Result<(), StartError> {
        if self.blobs == Some(0) {
            let why = "0 bytes in blobs would refuse every blob: leave the limit out to allow all";
            return Err(StartError::BadSpec(format!("the limits of {child}: {why}")));
        }
        sys::check_limits(&self.system).map_err(|error| StartError::BadSpec(format!("the limits of {child}: {error}")))
    }
}

impl From<sys::Limit> for Limit {
    fn from(limit: sys::Limit) -> Self {
        match limit {
            sys::Limit::Memory => Self::Memory,
            sys::Limit::Processes => Self::Processes,
            sys::Limit::Cpus => Self::Cpus,
            sys::Limit::Priority => Self::Priority,
        }
    }
}
