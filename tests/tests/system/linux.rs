//! Processes as /proc shows them.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use procession::{ExitCause, Limit};
use rustix::process::{
    Pid, Signal, getpid, kill_process, kill_process_group, set_child_subreaper, set_parent_process_death_signal,
};
use rustix::thread::{CpuSet, sched_getaffinity};

use super::{Death, Killing};

/// A process that was seen alive. Its id may become another's, its begin not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// As in `ps`: R, S, D, T, Z ..
    pub(crate) state: char,
    pub(crate) name: String,
    /// In ticks since the system's own begin.
    began: u64,
}

impl Process {
    /// What the system knows of the process that has this id now; a zombie is nobody.
    pub(crate) fn open(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may have anything in it.
        let (head, rest) = stat.rsplit_once(") ")?;
        let (_, name) = head.split_once(" (")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let state = fields.first()?.chars().next()?;
        let (parent, group) = (fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?);
        let began = fields.get(19)?.parse().ok()?;
        (!matches!(state, 'Z' | 'X')).then(|| Self { pid, parent, group, state, name: name.to_owned(), began })
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::open(self.pid).is_some_and(|now| now.began == self.began)
    }

    /// Kills it if it is still there.
    pub(crate) fn kill(&self) {
        if self.is_alive() {
            let _ = kill_process(raw(self.pid), Signal::KILL);
        }
    }
}

/// How many times as long as here it takes to start a process: sizes of tests that start thousands are divided by it.
pub(crate) const SLOWER: u64 = 1;

/// How many processes a program has that starts workers, beside these: its guardian.
pub(crate) const GUARDIANS: usize = 1;

/// Makes this process the parent of its descendants whose parents die, so that it can see them.
pub(crate) fn adopt_orphans() {
    set_child_subreaper(Some(getpid())).expect("any process may");
}

/// What whoever is started by a test inherits, wherever it goes: the test's pid.
const MARK: &str = "PROCESSION_TEST_MARK";

/// Makes the process that this command starts, and all that it starts in turn, such as `marked` finds.
pub(crate) fn mark(command: &mut Command) {
    command.env(MARK, std::env::var(MARK).unwrap_or_else(|_| std::process::id().to_string()));
}

/// Everybody who lives and was started by a marked command of this process.
pub(crate) fn marked() -> Vec<Process> {
    let mark = format!("{MARK}={}", std::process::id());
    all().into_iter().filter(|seen| environment(seen.pid).contains(&mark)).collect()
}

/// Lets what this command starts lead a process group.
pub(crate) fn lead_a_group(command: &mut Command) {
    command.process_group(0);
}

/// Lets this process end with the thread that has started it.
pub(crate) fn end_with_parent() {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("any process may");
}

/// A shell's word for how a program ended: its exit code, or 128 and the number of its signal.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// All ways to kill a program.
pub(crate) fn killings() -> Vec<Killing> {
    let kill: fn(&mut Child, &str) = |program, _| program.kill().expect("it lives");
    vec![("kill -9", kill)]
}

/// What this system says of a death by `kill`.
pub(crate) fn killed() -> ExitCause {
    ExitCause::Signal { number: 9, name: "SIGKILL".to_owned(), core_dumped: false }
}

/// Whether a cause is what this system says of such a death.
pub(crate) fn is_death_by(death: Death, cause: &ExitCause) -> bool {
    let wanted = match death {
        Death::Kill => (9, "SIGKILL"),
        Death::Abort => (6, "SIGABRT"),
        Death::Fault => (11, "SIGSEGV"),
    };
    matches!(cause, ExitCause::Signal { number, name, .. } if (*number, name.as_str()) == wanted)
}

pub(crate) fn is_alive(pid: u32) -> bool {
    Process::open(pid).is_some()
}

/// Kills a process that may have ended; whether it was there.
pub(crate) fn kill_if_there(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.try_into().expect("a pid")).expect("a pid");
    kill_process(pid, Signal::KILL).is_ok()
}

pub(crate) fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

/// Holds a process, and every thread of it, where it is.
pub(crate) fn freeze(pid: u32) {
    send(pid, Signal::STOP);
    // The signal is on its way; a thread that runs goes on until it meets it.
    while !threads_are_stopped(pid) {
        std::thread::yield_now();
    }
}

pub(crate) fn thaw(pid: u32) {
    send(pid, Signal::CONT);
}

/// Asks that a process that may have ended be held; whether it was there.
pub(crate) fn freeze_if_there(pid: u32) -> bool {
    kill_process(raw(pid), Signal::STOP).is_ok()
}

/// Lets a process go on that may have ended.
pub(crate) fn thaw_if_there(pid: u32) {
    let _ = kill_process(raw(pid), Signal::CONT);
}

/// Dies as at a memory fault.
pub(crate) fn fault() -> ! {
    loop {
        // Rust's own handler takes itself back at the first one, for a fault that is none of its stack's.
        let _ = kill_process(getpid(), Signal::SEGV);
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    kill_process(raw(pid), signal).expect("a living process");
}

pub(crate) fn send_group(group: u32, signal: Signal) {
    kill_process_group(raw(group), signal).expect("a living group");
}

fn raw(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().expect("a pid")).expect("a pid")
}

fn threads_are_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a living process");
    let stats = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    stats.into_iter().all(|stat| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T')))
}

pub(crate) fn all() -> Vec<Process> {
    let pids = fs::read_dir("/proc").expect("proc is mounted");
    pids.filter_map(|entry| Process::open(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

pub(crate) fn children(of: u32) -> Vec<Process> {
    all().into_iter().filter(|seen| seen.parent == of).collect()
}

/// This process's descendants, without its own guardian, which stays.
pub(crate) fn family() -> Vec<Process> {
    let me = std::process::id();
    let mut by_parent = HashMap::<u32, Vec<Process>>::new();
    for seen in all() {
        by_parent.entry(seen.parent).or_default().push(seen);
    }
    let mut family = Vec::new();
    let mut parents = vec![me];
    while let Some(parent) = parents.pop() {
        for child in by_parent.remove(&parent).unwrap_or_default() {
            parents.push(child.pid);
            family.push(child);
        }
    }
    // That of a worker that has died is among the children for as long as it takes it to end.
    let own = family.iter().position(|seen| seen.parent == me && is_guardian(seen.pid));
    if let Some(own) = own {
        family.remove(own);
    }
    family
}

/// The guardian of a process.
pub(crate) fn guardian(of: u32) -> Option<Process> {
    children(of).into_iter().find(|seen| is_guardian(seen.pid))
}

/// By its argument, which it has before it has had the time to name itself.
fn is_guardian(pid: u32) -> bool {
    arguments(pid).iter().any(|argument| argument == "procession-guardian")
}

/// Those of these ended workers of this very process that are still there, zombies included.
pub(crate) fn left_of(pids: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let workers = workers_of_this_process();
    pids.into_iter().filter(|pid| workers.contains(pid)).collect()
}

pub(crate) fn workers_of_this_process() -> Vec<u32> {
    workers_of(std::process::id())
}

/// The workers of another process, zombies included: they have no arguments any more.
pub(crate) fn workers_of(parent: u32) -> Vec<u32> {
    let is_worker = |pid: u32| {
        let arguments = arguments(pid);
        arguments.is_empty() || arguments.iter().any(|argument| argument.starts_with("procession-worker:"))
    };
    let all = fs::read_dir("/proc").expect("proc is mounted");
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| parent_of(pid) == Some(parent) && is_worker(pid))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// A program that ends at once, whatever its arguments, and one that takes its time.
pub(crate) const FOREIGN: [&str; 2] = ["/bin/true", "/bin/cat"];
/// What the first of them ends with.
pub(crate) const FOREIGN_CODE: i32 = 0;

/// The open descriptors of a process, by number, with what they are.
pub(crate) fn descriptors(pid: u32) -> Vec<(u32, PathBuf)> {
    let listed = fs::read_dir(format!("/proc/{pid}/fd")).expect("it is our own");
    let mut descriptors: Vec<_> = listed
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().read_link().ok()?))
        })
        .collect();
    descriptors.sort();
    descriptors
}

/// How many descriptors this process has open.
pub(crate) fn descriptors_of_this_process() -> usize {
    descriptors(std::process::id()).len()
}

/// How many of them a worker takes: its stream, its pidfd, its standard output and error.
pub(crate) const DESCRIPTORS_OF_A_WORKER: usize = 4;
/// How many a [`Process`] takes.
pub(crate) const DESCRIPTORS_OF_A_SIGHT: usize = 0;

/// What this process holds of the system: what a leak would add to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holdings {
    descriptors: usize,
    threads: Vec<String>,
}

impl Holdings {
    pub(crate) fn now() -> Self {
        let own = fs::read_to_string("/proc/thread-self/comm").expect("proc is mounted");
        // Threads of ours and of this test: a thread without a name has that of the one that has started it. Those of
        // other tests come and go.
        let ours = |name: &String| *name == own.trim_end() || name.starts_with("process") || name.starts_with("tokio");
        // A process has one from its first call that waits, to its end.
        let clock = |name: &String| name.starts_with("procession-cloc");
        let me = std::process::id();
        Self {
            descriptors: descriptors(me).len(),
            threads: threads(me).into_iter().filter(|name| ours(name) && !clock(name)).collect(),
        }
    }

    /// No more than before: what was on its way out then may have gone since.
    pub(crate) fn are_as(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors && self.threads.len() <= before.threads.len()
    }
}

/// The names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let listed = fs::read_dir(format!("/proc/{pid}/task")).expect("it is our own");
    let names = listed.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok());
    let mut names: Vec<_> = names.map(|name| name.trim_end().to_owned()).collect();
    names.sort();
    names
}

/// Bytes of memory that this process has in use.
pub(crate) fn memory_of_this_process() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("proc is mounted");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * rustix::param::page_size()
}

/// Whether a thread whose stack overflows has room left to say so and to end its process.
pub(crate) fn overflows_end_the_process() -> bool {
    true
}

/// The limits that nobody is held to here.
pub(crate) fn unenforced_limits() -> Vec<Limit> {
    vec![Limit::Processes]
}

/// The processors that this process may run on.
pub(crate) fn cpus() -> Vec<usize> {
    let cpus = sched_getaffinity(None).expect("this process is there");
    (0..CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu)).collect()
}

/// What this process has spent on a processor, its children's own time not included.
pub(crate) fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("proc is mounted");
    let (_, rest) = stat.rsplit_once(") ").expect("the name's end");
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
    // A tick is 10 ms for whoever reads it here, whatever the kernel counts in.
    Duration::from_millis(ticks * 10)
}

/// A process's environment as it was at its start: `NAME=value` of each variable.
pub(crate) fn environment(pid: u32) -> Vec<String> {
    null_ended(&format!("/proc/{pid}/environ"))
}

pub(crate) fn arguments(pid: u32) -> Vec<String> {
    null_ended(&format!("/proc/{pid}/cmdline"))
}

fn null_ended(path: &str) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let pieces = bytes.split(|byte| *byte == 0).filter(|piece| !piece.is_empty());
    pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
}
