//! What a child may use of the machine.

use std::fs;
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
    /// alone. On Windows it is all that is committed.
    pub memory: Option<u64>,
    /// Processes at a time, the child included.
    ///
    /// # Platform-specific behavior
    /// Never enforced on Linux, which counts the processes of a user but not those of a tree.
    pub processes: Option<u32>,
    /// The processors to run on, by their numbers, the first of which is 0.
    ///
    /// # Platform-specific behavior
    /// On Windows not enforced where there are more than one group of processors: beyond 64 of them.
    pub cpus: Option<Vec<usize>>,
    /// How urgent its work is.
    ///
    /// # Platform-specific behavior
    /// On Linux a nice value: 19, 10, 0 and -5. To raise it above that of this process needs a right.
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
    /// What no child could be held to, before any is started.
    ///
    /// # Errors
    /// `InvalidInput` for too little memory, for no processes, and for an empty list of processors or one with a processor that
    /// this system does not have.
    pub fn check(&self) -> io::Result<()> {
        if let Some(bytes) = self.memory.filter(|bytes| *bytes < LEAST_MEMORY) {
            return Err(bad(format!(
                "a memory limit of {bytes} bytes is less than a process needs to start: give it {LEAST_MEMORY} at least"
            )));
        }
        if self.processes == Some(0) {
            return Err(bad("a limit of 0 processes leaves no room for the process itself: give it 1 at least".into()));
        }
        let Some(cpus) = &self.cpus else { return Ok(()) };
        if cpus.is_empty() {
            return Err(bad(
                "a list of no CPUs leaves it none to run on: name one at least, or set no such limit".into()
            ));
        }
        // Where the system does not list them, what it makes of the numbers is seen when they are set.
        let Ok(online) = fs::read_to_string("/sys/devices/system/cpu/online") else { return Ok(()) };
        match cpus.iter().find(|cpu| !lists(&online, **cpu)) {
            Some(unknown) => {
                let online = online.trim();
                Err(bad(format!("this system has no CPU {unknown}: name some of those that it has, {online}")))
            }
            None => Ok(()),
        }
    }
}

/// Whether a list like `0-3,8` has this number.
fn lists(list: &str, number: usize) -> bool {
    list.trim().split(',').any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&number))
    })
}

fn bad(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::lists;

    #[test]
    fn a_list_has_the_numbers_of_its_ranges() {
        let list = "0-3,8,10-11\n";
        let listed: Vec<usize> = (0..20).filter(|number| lists(list, *number)).collect();
        assert_eq!(listed, [0, 1, 2, 3, 8, 10, 11]);
        assert!(!lists("", 0));
    }
}
