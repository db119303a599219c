//! What the system tells of processes, and does to them.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::time::{ClockId, clock_gettime};

/// The memory of a process in KiB, what it shares with others divided among them.
pub(crate) fn proportional_memory(pid: u32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.ok_or_else(|| Error::new(ErrorKind::InvalidData, "smaps_rollup has no Pss"))
}

/// How many bytes could be had without anybody being killed for them.
pub(crate) fn available_memory() -> Result<u64> {
    let about = fs::read_to_string("/proc/meminfo")?;
    let line = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Error::new(ErrorKind::InvalidData, "meminfo has no MemAvailable"))
}

/// What all threads of a process have spent on a core.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let mut spent = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        spent += Duration::from_nanos(nanos.unwrap_or_default());
    }
    Ok(spent)
}

/// What the calling thread has spent on a core.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn known(pid: u32) -> Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "no such process"))
}

/// `kill -9`.
pub(crate) fn kill(pid: u32) -> Result<()> {
    Ok(kill_process(known(pid)?, Signal::KILL)?)
}

/// A process, to be waited for.
pub(crate) fn pidfd(pid: u32) -> Result<OwnedFd> {
    Ok(pidfd_open(known(pid)?, PidfdFlags::empty())?)
}

/// Waits until the process has ended.
pub(crate) fn await_end(pidfd: &OwnedFd) -> Result<()> {
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], None)?;
    Ok(())
}
