//! What a child may use of the machine.

use std::io;

/// Less than this no child can be held to: it would end before it has said a word.
const LEAST_MEMORY: u64 = 16 << 20;

/// What a child may use of the machine; what is `None` is not limited.
///
/// The limits hold for the child and all that it starts, from before the child has heard a word of its parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory that each process may commit; 16 MiB are the least.
    ///
    /// # Platform-specific behavior
    /// On Linux this is `RLIMIT_DATA`: the heap, the stacks of threads and whatever else is mapped to be written by this process
    /// alone. On Windows it is all that is committed, in whole pages.
    pub memory: Option<u64>,
    /// Processes at a time, the child included.
    ///
    /// # Platform-specific behavior
    /// On Windows a process beyond them is not made. Never enforced on Linux, which counts the processes of a user but not those of
    /// a tree.
    pub processes: Option<u32>,
    /// The processors to run on, by their numbers, the first of which is 0.
    ///
    /// # Platform-specific behavior
    /// On Windows not enforced where there are more than one group of processors: beyond 64 of them.
    pub cpus: Option<Vec<usize>>,
    /// How urgent its work is.
    ///
    /// # Platform-specific behavior
    /// On Linux a nice value, 19, 10, 0 or -5; to raise it above that of this process needs a right. On Windows a priority class.
    pub priority: Option<Priority>,
}

/// How urgent the work of a process is, beside that of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Only while nobody else has anything to do.
    Idle,
    /// Less urgent than usual.
    BelowNormal,
    /// As usual.
    Normal,
    /// More urgent than usual.
    AboveNormal,
}

/// One of the [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::processes`].
    Processes,
    /// [`Limits::cpus`].
    Cpus,
    /// [`Limits::priority`].
    Priority,
}

/// A limit that a child is not held to as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unenforced {
    /// Which.
    pub limit: Limit,
    /// Why, and what holds instead.
    pub why: String,
}

impl Limits {
    /// What no child could be held to, before any is started, where `missing` tells which of these processors this system does not
    /// have, and which it has.
    ///
    /// # Errors
    /// `InvalidInput` for too little memory, for no processes, and for an empty list of processors or one with a processor that
    /// is missing.
    pub fn check(&self, missing: impl FnOnce(&[usize]) -> Option<(usize, String)>) -> io::Result<()> {
        if let Some(bytes) = self.memory.filter(|bytes| *bytes < LEAST_MEMORY) {
            return Err(bad(format!(
                "a memory limit of {bytes} bytes is less than a process needs to start: give it {LEAST_MEMORY} at least"
            )));
        }
        if self.processes == Some(0) {
            return Err(bad("a limit of 0 processes leaves no room for the process itself: give it 1 at least".into()));
        }
        match self.cpus.as_deref() {
            Some([]) => {
                Err(bad("a list of no CPUs leaves it none to run on: name one at least, or set no such limit".into()))
            }
            Some(cpus) => match missing(cpus) {
                Some((unknown, known)) => {
                    Err(bad(format!("this system has no CPU {unknown}: name some of those that it has, {known}")))
                }
                None => Ok(()),
            },
            None => Ok(()),
        }
    }
}

fn bad(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn what_no_child_could_be_held_to_is_refused_with_what_would_do() {
        let refused = |limits: Limits| limits.check(|_| Some((7, "0-1".into()))).unwrap_err().to_string();
        assert!(refused(Limits { memory: Some(1), ..Limits::default() }).contains("16777216"));
        assert!(refused(Limits { processes: Some(0), ..Limits::default() }).contains("1 at least"));
        assert!(refused(Limits { cpus: Some(Vec::new()), ..Limits::default() }).contains("name one"));
        assert!(
            refused(Limits { cpus: Some(vec![0, 7]), ..Limits::default() })
                .ends_with("no CPU 7: name some of those that it has, 0-1")
        );
        let held = Limits { memory: Some(16 << 20), processes: Some(1), cpus: Some(vec![0]), priority: None };
        assert!(held.check(|_| None).is_ok());
    }
}
