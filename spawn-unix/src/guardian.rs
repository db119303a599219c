//! This process' side of its guardian.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread, write};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, pidfd_open, pidfd_send_signal, waitid};

use crate::child::discard;
use crate::exit::exit_of;
use crate::launch::command_for;
use crate::poller::{Event, Key, Poller};
use crate::{Exit, Program};

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// A guardian that lived shorter than this makes the next one wait.
const SETTLED: Duration = Duration::from_secs(1);

/// So many in a row that did not even come to read their list mean that a guardian cannot live here.
const HOPELESS: u32 = 5;

/// The longest wait between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// How long a new guardian may take to read a list that does not fit into its pipe.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);

/// A write of so many bytes goes into a pipe as a whole or not at all.
const ATOMIC: usize = 4096;

/// Names the program that guards this process' children: one that calls [`run_guardian`](crate::run_guardian).
///
/// It must be named before the first [`spawn`](crate::spawn). Naming the same again is fine.
///
/// # Panics
/// If another program was named before: a process has one guardian.
pub fn set_guardian(program: Program) {
    let named = PROGRAM.get_or_init(|| program.clone());
    assert_eq!(*named, program, "this process has named another guardian before");
}

/// One record of the guardian's pipe: a process group, negative to take it off the list. The first is the pid of the process
/// that is guarded. Native byte order: the reader is the same program on the same machine.
pub(crate) type Record = i32;

/// The guardian process of this one, replaced whenever it dies, and the list it holds.
#[derive(Debug, Default)]
pub(crate) struct Guardian {
    groups: BTreeSet<Record>,
    current: Option<(Key, Process)>,
    /// Those that were given up. Their pipes stay open until they are gone, so that none takes its own end for ours.
    dying: HashMap<Key, Process>,
    /// How many in a row have not settled.
    failures: u32,
    /// How many of these have not read their list.
    stillborn: u32,
    retry_at: Option<Instant>,
    /// What happened to the last one.
    last_end: Option<String>,
}

#[derive(Debug)]
struct Process {
    pidfd: OwnedFd,
    pipe: OwnedFd,
    /// It reads when there is something in here, or when its parent is gone.
    bell: OwnedFd,
    since: Instant,
    /// How many bytes its list has, how many were written in all, and how many when the bell rang last.
    list: usize,
    written: usize,
    rung: usize,
    /// After how many bytes the bell rings: a part of what fits into the pipe.
    much: usize,
}

impl Process {
    fn tell(&mut self, record: Record) -> Result<(), Errno> {
        self.written += rustix::io::retry_on_intr(|| write(&self.pipe, &record.to_ne_bytes()))?;
        if self.written - self.rung >= self.much {
            self.rung = self.written;
            ring(&self.bell);
        }
        Ok(())
    }

    /// Whether it has read its list; what was added since may be on its way.
    fn has_its_list(&self) -> bool {
        let unread = ioctl_fionread(&self.pipe).unwrap_or(u64::MAX);
        (self.written as u64).saturating_sub(unread) >= self.list as u64
    }
}

impl Guardian {
    /// Whether children may be started now: not while a new guardian is being waited for.
    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        self.current.is_some() || self.stillborn >= HOPELESS || self.retry_at.is_none_or(|retry_at| retry_at <= now)
    }

    /// When to look after it again, if there is something to guard or somebody waits to be `wanted`.
    pub(crate) fn timeout(&self, wanted: bool) -> Option<Instant> {
        let needed = wanted || !self.groups.is_empty();
        self.retry_at.filter(|_| needed)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, poller: &mut Poller) {
        if self.current.is_none() && self.retry_at.is_some_and(|retry_at| retry_at <= now) {
            // The error is kept for whoever wants to start a child.
            let _ = self.start(now, poller);
        }
    }

    /// Sees to it that there is a guardian.
    pub(crate) fn ensure(&mut self, now: Instant, poller: &mut Poller) -> io::Result<()> {
        if self.current.is_some() {
            return Ok(());
        }
        let due = self.retry_at.is_none_or(|retry_at| retry_at <= now);
        if due {
            return self.start(now, poller);
        }
        let why = self.last_end.as_deref().unwrap_or("it is gone");
        Err(io::Error::other(format!("the guardian process cannot be kept alive: {why}")))
    }

    /// Puts a group on the list.
    pub(crate) fn add(&mut self, group: Pid, poller: &mut Poller) {
        let group = group.as_raw_nonzero().get();
        self.groups.insert(group);
        self.tell(group, poller);
    }

    /// Takes a group off the list, which must happen while its id is still its own.
    pub(crate) fn remove(&mut self, group: Pid, poller: &mut Poller) {
        let group = group.as_raw_nonzero().get();
        self.groups.remove(&group);
        self.tell(-group, poller);
    }

    /// The same; false, and nothing has changed, where the guardian does not take it: then it has to be replaced.
    pub(crate) fn try_remove(&mut self, group: Pid) -> bool {
        let group = group.as_raw_nonzero().get();
        let told = self.current.as_mut().is_none_or(|(_, process)| process.tell(-group).is_ok());
        if told {
            self.groups.remove(&group);
        }
        told
    }

    /// A guardian has ended.
    pub(crate) fn handle_exit(&mut self, key: Key, now: Instant, poller: &mut Poller) {
        if let Some((_, ended)) = self.current.take_if(|(current, _)| *current == key) {
            let exit = reap(&ended, poller);
            self.last_end = Some(match exit {
                Some(exit) => format!("it ended with {:?}", exit.kind),
                None => "it ended".into(),
            });
            self.judge(&ended, now);
            self.handle_timeout(now, poller);
        } else if let Some(ended) = self.dying.remove(&key) {
            reap(&ended, poller);
        }
    }

    fn tell(&mut self, record: Record, poller: &mut Poller) {
        let Some((_, process)) = &mut self.current else {
            // The next one gets the whole list.
            return;
        };
        if let Err(error) = process.tell(record) {
            // Full means that it does not read, broken that it is gone: neither protects anybody.
            self.give_up(error, poller);
        }
    }

    fn give_up(&mut self, error: Errno, poller: &mut Poller) {
        let Some((key, process)) = self.current.take() else {
            return;
        };
        let now = Instant::now();
        let _ = pidfd_send_signal(&process.pidfd, Signal::KILL);
        self.last_end = Some(match error {
            Errno::AGAIN => "it did not read its pipe".into(),
            error => format!("its pipe failed: {error}"),
        });
        self.judge(&process, now);
        self.dying.insert(key, process);
        self.handle_timeout(now, poller);
    }

    fn judge(&mut self, ended: &Process, now: Instant) {
        let settled = now.duration_since(ended.since) >= SETTLED;
        if settled {
            self.failures = 0;
        }
        if settled || ended.has_its_list() {
            self.stillborn = 0;
        } else {
            self.stillborn += 1;
        }
        self.schedule(now);
    }

    /// The next one at once if the last one had settled, and later and later if not.
    fn schedule(&mut self, now: Instant) {
        self.failures += 1;
        self.retry_at = Some(now + backoff(self.failures));
    }

    fn start(&mut self, now: Instant, poller: &mut Poller) -> io::Result<()> {
        let Some(program) = PROGRAM.get() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no guardian is set: call set_guardian before the first spawn",
            ));
        };
        self.retry_at = None;
        match self.try_start(program, poller) {
            Ok(current) => {
                self.current = Some(current);
                Ok(())
            }
            Err(error) => {
                let path = program.path.display();
                let message = format!("failed to start the guardian process {path}: {error}");
                self.last_end = Some(message.clone());
                self.stillborn += 1;
                self.schedule(now);
                Err(io::Error::new(error.kind(), message))
            }
        }
    }

    fn try_start(&self, program: &Program, poller: &mut Poller) -> io::Result<(Key, Process)> {
        let records: Vec<Record> =
            [getpid().as_raw_nonzero().get()].into_iter().chain(self.groups.iter().copied()).collect();
        let (reader, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        ioctl_fionbio(&pipe, true)?;
        if records.len() * size_of::<Record>() > 8 * ATOMIC {
            // Room for twice the list. A refusal costs only time.
            let _ = fcntl_setpipe_size(&pipe, 2 * records.len() * size_of::<Record>());
        }
        let much = fcntl_getpipe_size(&pipe)? / 4;
        let (heard, bell) = pipe_with(PipeFlags::CLOEXEC)?;
        ioctl_fionbio(&bell, true)?;
        let mut command = command_for(program);
        command.stdin(Stdio::from(reader)).stdout(Stdio::from(heard)).stderr(Stdio::null());
        let child = command.spawn()?;
        // Its end of the pipe must be the only one, or a broken pipe is never seen.
        mem::drop(command);
        let pid =
            crate::worker::pid_of(child.id()).ok_or_else(|| io::Error::other("the system gave an impossible pid"))?;
        let key = poller.next_key();
        let watched = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(|pidfd| {
            poller.watch(&pidfd, Event::Guardian(key))?;
            Ok(pidfd)
        });
        let pidfd = match watched {
            Ok(pidfd) => pidfd,
            Err(error) => {
                discard(pid)?;
                return Err(error);
            }
        };
        let list = size_of_val(&records[..]);
        let process = Process { pidfd, pipe, bell, since: Instant::now(), list, written: list, rung: list, much };
        if let Err(error) = send_list(&process, &records) {
            poller.forget(&process.pidfd);
            // Only now may the pipe be closed: a guardian that has seen half of the list must not act on it.
            discard(pid)?;
            return Err(match error {
                Errno::PIPE => io::Error::other("it ended at once"),
                Errno::TIMEDOUT => io::Error::other("it did not read its list"),
                error => error.into(),
            });
        }
        Ok((key, process))
    }
}

/// Gives a new guardian what it has to know. Waits for it only where its pipe is too small for the list.
fn send_list(Process { pipe, bell, .. }: &Process, records: &[Record]) -> Result<(), Errno> {
    let bytes: Vec<u8> = records.iter().flat_map(|record| record.to_ne_bytes()).collect();
    let deadline = Instant::now() + LIST_TIMEOUT;
    for piece in bytes.chunks(ATOMIC) {
        loop {
            match write(pipe, piece) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Errno::TIMEDOUT);
                    }
                    ring(bell);
                    let timeout = Timespec::try_from(left).ok();
                    let _ = poll(&mut [PollFd::new(pipe, PollFlags::OUT)], timeout.as_ref());
                }
                Err(error) => return Err(error),
            }
        }
    }
    // It may have read the first piece alone.
    ring(bell);
    Ok(())
}

/// Has the guardian read.
fn ring(bell: &OwnedFd) {
    // Fails if it has rung often enough, or nobody is there.
    let _ = write(bell, &[0]);
}

fn reap(ended: &Process, poller: &Poller) -> Option<Exit> {
    poller.forget(&ended.pidfd);
    let status = waitid(WaitId::PidFd(ended.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    Some(exit_of(&status.ok()??))
}

fn backoff(failures: u32) -> Duration {
    let Some(exponent) = failures.checked_sub(2) else {
        return Duration::ZERO;
    };
    let backoff = Duration::from_millis(10).saturating_mul(2_u32.saturating_pow(exponent));
    backoff.min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_BACKOFF, backoff};
    use std::time::Duration;

    #[test]
    fn the_first_failure_costs_no_time_and_many_cost_a_bounded_one() {
        assert_eq!(backoff(1), Duration::ZERO);
        assert_eq!(backoff(2), Duration::from_millis(10));
        assert_eq!(backoff(3), Duration::from_millis(20));
        assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
    }
}
