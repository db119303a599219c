//! The processes as the system sees them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group, set_child_subreaper};

/// A process that was seen alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub pid: u32,
    pub parent: u32,
    pub group: u32,
    /// As in `ps`: R, S, D, T, Z ..
    pub state: char,
    pub name: String,
}

/// Makes this process the parent of its descendants whose parents die, so that it can see them.
pub fn adopt_orphans() {
    set_child_subreaper(Some(getpid())).expect("any process may");
}

/// What the system knows of a process; a zombie is nobody.
pub fn look(pid: u32) -> Option<Seen> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let state = fields.first()?.chars().next()?;
    let (parent, group) = (fields.get(1)?.parse().ok()?, fields.get(2)?.parse().ok()?);
    (!matches!(state, 'Z' | 'X')).then(|| Seen { pid, parent, group, state, name: name.to_owned() })
}

pub fn is_alive(pid: u32) -> bool {
    look(pid).is_some()
}

pub fn is_stopped(pid: u32) -> bool {
    look(pid).is_some_and(|seen| seen.state == 'T')
}

pub fn all() -> Vec<Seen> {
    let pids = fs::read_dir("/proc").expect("proc is mounted");
    pids.filter_map(|entry| look(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

pub fn children(of: u32) -> Vec<Seen> {
    all().into_iter().filter(|seen| seen.parent == of).collect()
}

/// This process's descendants, without its own guardian, which stays.
pub fn family() -> Vec<Seen> {
    let me = std::process::id();
    let all = all();
    let mut family: Vec<Seen> = Vec::new();
    let mut parents = vec![me];
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|seen| seen.parent == parent) {
            parents.push(child.pid);
            family.push(child.clone());
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
pub fn guardian(of: u32) -> Option<Seen> {
    children(of).into_iter().find(|seen| is_guardian(seen.pid))
}

/// By its argument, which it has before it has had the time to name itself.
fn is_guardian(pid: u32) -> bool {
    arguments(pid).iter().any(|argument| argument == "procession-guardian")
}

pub fn kill(pid: u32) {
    send(pid, Signal::KILL);
}

pub fn pause(pid: u32) {
    send(pid, Signal::STOP);
}

pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

pub fn send_group(group: u32, signal: Signal) {
    if let Some(group) = raw(group) {
        let _ = kill_process_group(group, signal);
    }
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// The open descriptors of a process, by number, with what they are.
pub fn descriptors(pid: u32) -> Vec<(u32, PathBuf)> {
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

/// The names of a process's threads.
pub fn threads(pid: u32) -> Vec<String> {
    let listed = fs::read_dir(format!("/proc/{pid}/task")).expect("it is our own");
    let names = listed.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok());
    let mut names: Vec<_> = names.map(|name| name.trim_end().to_owned()).collect();
    names.sort();
    names
}

/// What this process has spent on a processor, its children's own time not included.
pub fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("proc is mounted");
    let (_, rest) = stat.rsplit_once(") ").expect("the name's end");
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
    // A tick is 10 ms for whoever reads it here, whatever the kernel counts in.
    Duration::from_millis(ticks * 10)
}

/// A variable of a process's environment as it was at its start, or all of its arguments.
pub fn environment(pid: u32) -> Vec<String> {
    null_ended(&format!("/proc/{pid}/environ"))
}

pub fn arguments(pid: u32) -> Vec<String> {
    null_ended(&format!("/proc/{pid}/cmdline"))
}

fn null_ended(path: &str) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let pieces = bytes.split(|byte| *byte == 0).filter(|piece| !piece.is_empty());
    pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
}
