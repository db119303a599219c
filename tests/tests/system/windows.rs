//! Processes as Windows shows them: by handles, lists and jobs.

use std::fmt;
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use procession::{ExitCause, Limit};
use procession_inspect_windows::{self as inspect, Given, Job};

pub(crate) use inspect::{cpus, fault, memory as memory_of_this_process, processor_time};

use super::{Death, Killing, living};

/// A process that was seen alive. Nobody else gets its id while this is held.
pub(crate) struct Process {
    pub(crate) pid: u32,
    handle: inspect::Process,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Given::to(self.pid).map(|given| given.command_line);
        f.debug_struct("Process").field("pid", &self.pid).field("command_line", &line).finish()
    }
}

impl Process {
    /// The process that has this id now.
    pub(crate) fn open(pid: u32) -> Option<Self> {
        let process = Self { pid, handle: inspect::Process::open(pid)? };
        process.is_alive().then_some(process)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.handle.is_alive()
    }

    /// Kills it if it is still there.
    pub(crate) fn kill(&self) {
        self.handle.terminate(KILLED);
    }
}

/// What a test's own kill ends a process with.
const KILLED: u32 = 9;

/// How many times as long as on Linux it takes to start a process: sizes of tests that start thousands are divided by it.
/// So it is under Wine.
pub(crate) const SLOWER: u64 = 40;

/// How many processes a program has that starts workers, beside these: jobs are the system's own.
pub(crate) const GUARDIANS: usize = 0;

/// Everybody that this process starts, and all that they start in turn, whoever of them lives.
fn ours() -> &'static Job {
    static OURS: OnceLock<Job> = OnceLock::new();
    OURS.get_or_init(Job::of_this_process)
}

/// Keeps sight of the descendants of this process whose parents die.
pub(crate) fn adopt_orphans() {
    ours();
}

/// Makes the process that this command starts, and all that it starts in turn, such as `marked` finds.
pub(crate) fn mark(_: &mut Command) {
    ours();
}

/// Everybody who lives and was started by this process.
pub(crate) fn marked() -> Vec<Process> {
    family()
}

/// This process's descendants.
pub(crate) fn family() -> Vec<Process> {
    let members = ours().members().into_iter().filter(|pid| *pid != std::process::id());
    members.filter_map(Process::open).collect()
}

/// Lets what this command starts lead a process group.
pub(crate) fn lead_a_group(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// Lets this process end with its parent: their job sees to that.
pub(crate) fn end_with_parent() {}

/// What a program ended with.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().expect("every end has one")
}

/// All ways to kill a program.
pub(crate) fn killings() -> Vec<Killing> {
    let terminate: fn(&mut Child, &str) = |program, _| program.kill().expect("it lives");
    let mut killings: Vec<Killing> = vec![("TerminateProcess", terminate)];
    if inspect::is_wine() {
        killings.push(("kill -9 of its Unix process", |_, argument| {
            assert_eq!(inspect::kill_below(&[argument]), 1, "{argument}");
        }));
    } else {
        println!("(there is no system below, whose `kill -9` could be tried)");
    }
    killings
}

/// What this system says of a death by `kill`.
pub(crate) fn killed() -> ExitCause {
    ExitCause::Code(KILLED.cast_signed())
}

/// Whether a cause is what this system says of such a death.
pub(crate) fn is_death_by(death: Death, cause: &ExitCause) -> bool {
    let is_status = |wanted: &[&str]| matches!(cause, ExitCause::Status { name, .. } if wanted.contains(&&**name));
    match death {
        Death::Kill => *cause == killed(),
        // An abort is told as the overrun of a buffer, whatever its reason was.
        Death::Abort => is_status(&["STATUS_STACK_BUFFER_OVERRUN", "STATUS_STACK_OVERFLOW"]),
        Death::Fault => is_status(&["STATUS_ACCESS_VIOLATION"]),
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    Process::open(pid).is_some()
}

/// Kills a process that may have ended; whether it was there.
pub(crate) fn kill_if_there(pid: u32) -> bool {
    Process::open(pid).map(|process| process.kill()).is_some()
}

pub(crate) fn kill(pid: u32) {
    living(pid).kill();
}

/// Holds a process, and every thread of it, where it is.
pub(crate) fn freeze(pid: u32) {
    living(pid).handle.suspend();
}

pub(crate) fn thaw(pid: u32) {
    living(pid).handle.resume();
}

/// Asks that a process that may have ended be held; whether it was there.
pub(crate) fn freeze_if_there(pid: u32) -> bool {
    Process::open(pid).map(|process| process.handle.suspend()).is_some()
}

/// Lets a process go on that may have ended.
pub(crate) fn thaw_if_there(pid: u32) {
    if let Some(process) = Process::open(pid) {
        process.handle.resume();
    }
}

/// How many handles this process has open.
pub(crate) fn descriptors_of_this_process() -> usize {
    inspect::open_handles() as usize
}

/// How many of them a worker takes: its stream, its process, its job, its standard output and error.
pub(crate) const DESCRIPTORS_OF_A_WORKER: usize = 5;
/// How many a [`Process`] takes.
pub(crate) const DESCRIPTORS_OF_A_SIGHT: usize = 1;

/// Those of these ended workers of this very process that are still there.
///
/// An id may be another's by now, of a worker of another test, who will end in its turn: what is left does not.
pub(crate) fn left_of(pids: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut left: Vec<u32> = pids.into_iter().collect();
    loop {
        let workers = workers_of_this_process();
        left.retain(|pid| workers.contains(pid) && is_alive(*pid));
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn workers_of_this_process() -> Vec<u32> {
    workers_of(std::process::id())
}

/// The workers of another process: it has no other children.
pub(crate) fn workers_of(parent: u32) -> Vec<u32> {
    inspect::children_of(parent)
}

/// A program that ends at once, whatever its arguments, and one that takes its time.
pub(crate) const FOREIGN: [&str; 2] = ["hostname.exe", "ping.exe"];
/// What the first of them ends with: it has no use for arguments.
pub(crate) const FOREIGN_CODE: i32 = 1;

/// What this process holds of the system: what a leak would add to.
#[derive(Debug)]
pub(crate) struct Holdings {
    handles: u32,
    threads: u32,
}

/// How many more may be there: threads of the system that wait come and go by themselves, and those of other tests.
const SLACK: u32 = 6;

impl Holdings {
    pub(crate) fn now() -> Self {
        let me = std::process::id();
        let threads = inspect::list().into_iter().find(|listed| listed.pid == me).map_or(0, |listed| listed.threads);
        Self { handles: inspect::open_handles(), threads }
    }

    pub(crate) fn are_as(&self, before: &Self) -> bool {
        self.handles <= before.handles + SLACK && self.threads <= before.threads + SLACK
    }
}

/// Whether a thread whose stack overflows has room left to say so and to end its process. Wine 8 does not leave what a thread has
/// asked for (`SetThreadStackGuarantee`): where the two pages that are left do not suffice, it ends that thread alone.
pub(crate) fn overflows_end_the_process() -> bool {
    !inspect::is_wine()
}

/// The limits that nobody is held to here: none on Windows, all under Wine.
pub(crate) fn unenforced_limits() -> Vec<Limit> {
    let wine = inspect::is_wine();
    if wine { vec![Limit::Memory, Limit::Processes, Limit::Cpus, Limit::Priority] } else { vec![] }
}

/// A process's environment as it was at its start: `NAME=value` of each variable.
pub(crate) fn environment(pid: u32) -> Vec<String> {
    Given::to(pid).expect("a living process").environment
}

/// The arguments of a process of which none has a quote in it.
pub(crate) fn arguments(pid: u32) -> Vec<String> {
    let line = Given::to(pid).expect("a living process").command_line;
    let mut quoted = false;
    let pieces = line.split(move |char| {
        quoted ^= char == '"';
        char == ' ' && !quoted
    });
    pieces.filter(|piece| !piece.is_empty()).map(|piece| piece.replace('"', "")).collect()
}
