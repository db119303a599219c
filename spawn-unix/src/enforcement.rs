//! Holding a child to its limits, from outside.

use std::collections::HashSet;
use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getpriority_process, getrlimit, prlimit, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::worker::pid_of;
use crate::{Limit, Limits, Priority, Unenforced};

/// Holds a child that nobody has reaped, and that has not been greeted, to its limits; says what it cannot be held to.
///
/// Its number is its own until it is reaped. What it has started by now, which are threads at most, is held too; what it starts
/// from now on inherits all of it.
pub(crate) fn enforce(pid: Pid, limits: &Limits) -> Vec<Unenforced> {
    let held = [
        (Limit::Memory, limits.memory.map(|bytes| hold_memory(pid, bytes))),
        (Limit::Processes, limits.processes.map(|_| Err(UNCOUNTED.to_owned()))),
        (Limit::Cpus, limits.cpus.as_deref().map(|cpus| hold_cpus(pid, cpus))),
        (Limit::Priority, limits.priority.map(|priority| hold_priority(pid, priority))),
    ];
    let unenforced = held.into_iter().filter_map(|(limit, held)| Some(Unenforced { limit, why: held?.err()? }));
    unenforced.collect()
}

const UNCOUNTED: &str =
    "Linux counts the processes of a user, and those of a tree only in a control group, which takes rights to make";

fn hold_memory(pid: Pid, bytes: u64) -> Result<(), String> {
    if fs::read_to_string("/sys/module/kernel/parameters/ignore_rlimit_data").is_ok_and(|set| set.trim() == "Y") {
        return Err("this system was booted with ignore_rlimit_data".to_owned());
    }
    // The child has inherited ours, which a privileged process could raise by this: a limit is there to be kept.
    let inherited = getrlimit(Resource::Data).maximum;
    let bytes_held = inherited.map_or(bytes, |inherited| inherited.min(bytes));
    let limit = Rlimit { current: Some(bytes_held), maximum: Some(bytes_held) };
    // The second one tells what the first one has set.
    let set = prlimit(Some(pid), Resource::Data, limit).and_then(|_| prlimit(Some(pid), Resource::Data, limit));
    match set {
        Ok(kept) if kept.current == Some(bytes) && kept.maximum == Some(bytes) => Ok(()),
        Ok(kept) => Err(match kept.maximum {
            Some(kept) if kept < bytes => format!("this process is itself held to {kept} bytes, and so is the child"),
            Some(kept) => format!("the system holds it to {kept} bytes"),
            None => "the system has not kept it".to_owned(),
        }),
        Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

fn hold_cpus(pid: Pid, cpus: &[usize]) -> Result<(), String> {
    if let Some(cpu) = cpus.iter().find(|cpu| **cpu >= CpuSet::MAX_CPU) {
        return Err(format!("CPU {cpu} cannot be named: only those below {} can", CpuSet::MAX_CPU));
    }
    let mut wanted = CpuSet::new();
    for cpu in cpus {
        wanted.set(*cpu);
    }
    for_each_thread(pid, |thread| sched_setaffinity(Some(thread), &wanted)).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => "this process may run on none of them itself".to_owned(),
        _ => refused(error),
    })?;
    match sched_getaffinity(Some(pid)) {
        Ok(kept) if kept == wanted => Ok(()),
        Ok(kept) => {
            let kept: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| kept.is_set(*cpu)).collect();
            Err(format!("the system lets it run on these CPUs: {kept:?}"))
        }
        Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

fn hold_priority(pid: Pid, priority: Priority) -> Result<(), String> {
    let wanted = match priority {
        Priority::Idle => 19,
        Priority::BelowNormal => 10,
        Priority::Normal => 0,
        Priority::AboveNormal => -5,
    };
    let set = for_each_thread(pid, |thread| setpriority_process(Some(thread), wanted));
    match (set, getpriority_process(Some(pid))) {
        (Ok(()), Ok(kept)) if kept == wanted => Ok(()),
        (_, Err(Errno::SRCH)) => Ok(()),
        (Err(error), Ok(kept)) if is_missing_right(&error) => Err(format!(
            "its nice value stays {kept}: to make it {wanted} needs CAP_SYS_NICE, or a limit RLIMIT_NICE that allows it"
        )),
        (Ok(()), Ok(kept)) => Err(format!("its nice value is {kept} and not {wanted}")),
        (Err(error), _) => Err(refused(error)),
        (_, Err(error)) => Err(refused(error)),
    }
}

fn is_missing_right(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Does something to every thread of a process, those included that are started meanwhile.
///
/// A thread inherits from the one that starts it: who was started by one that was done with needs it no more, all others are
/// found by a later pass. A thread that has ended needs nothing.
fn for_each_thread(pid: Pid, mut act: impl FnMut(Pid) -> rustix::io::Result<()>) -> io::Result<()> {
    let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
    let mut done = HashSet::new();
    loop {
        let before = done.len();
        let listed = match fs::read_dir(&tasks) {
            // It has ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed?,
        };
        for task in listed {
            let thread = task?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(pid_of);
            if let Some(thread) = thread.filter(|thread| done.insert(*thread)) {
                match act(thread) {
                    Err(Errno::SRCH) => {}
                    acted => acted?,
                }
            }
        }
        if done.len() == before {
            return Ok(());
        }
    }
}

fn refused(error: impl Into<io::Error>) -> String {
    format!("the system refuses it: {}", error.into())
}
