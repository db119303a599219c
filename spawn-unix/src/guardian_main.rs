//! The body of the guardian process.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ioctl_fionbio, read};
use rustix::process::{
    Pid, PidfdFlags, Signal, chdir, getppid, kill_process_group, pidfd_open, set_parent_process_death_signal, setsid,
};
use rustix::stdio::{stdin, stdout};

use crate::descriptors::close_all_but;
use crate::guardian::Record;
use crate::worker::{exit_now, reset_signals, set_process_name};

/// Is the guardian process of the process that started it: holds the list of that process' children until that process
/// dies, then kills what is left on the list.
///
/// Standard input is the list. Standard output is read as well: something in it says that there is much of the list.
///
/// This must be the first act of the process. It leaves the session of its parent and ignores every signal by which a session,
/// a terminal or a well-meaning administrator ends processes: it ends by itself, right after its parent.
pub fn run_guardian() -> ! {
    if !is_pipe(stdin()) {
        eprintln!("standard input is not a pipe: the guardian is started by its parent, not by hand");
        exit_now(2);
    }
    // A program may have asked to be killed with its own parent before it became this one.
    let _ = set_parent_process_death_signal(None);
    let _ = setsid();
    ignore_signals();
    reset_signals();
    let _ = chdir("/");
    let _ = close_all_but(None);
    set_process_name("guardian");
    let mut list = List::default();
    list.follow();
    list.kill();
    exit_now(0)
}

#[derive(Debug, Default)]
struct List {
    /// The process that is guarded, once it has said so.
    parent: Option<Pid>,
    groups: BTreeSet<Record>,
    /// The part of a record that has come so far.
    partial: Vec<u8>,
}

enum Read {
    Some,
    NothingNow,
    End,
}

impl List {
    /// Keeps the list up to date until the parent is gone.
    fn follow(&mut self) {
        let _ = ioctl_fionbio(stdin(), true);
        let mut parent: Option<OwnedFd> = None;
        loop {
            match self.read() {
                Read::Some => continue,
                Read::End => return,
                Read::NothingNow => {}
            }
            // The pipe alone would do, were it not for children that somebody forks without an exec: they hold it too.
            if parent.is_none()
                && let Some(pid) = self.parent
            {
                parent = pidfd_open(pid, PidfdFlags::empty()).ok();
                // First open, then ask: a pid that was given to somebody else in between is noticed.
                if getppid() != Some(pid) {
                    self.read_rest();
                    return;
                }
            }
            // Who knows its parent reads when that is gone, or when the bell says that there is much: to be woken up for each
            // record would cost its writer more than all else that a start or a death does for it.
            let news = if parent.is_some() { PollFlags::empty() } else { PollFlags::IN };
            let mut watched =
                vec![PollFd::from_borrowed_fd(stdin(), news), PollFd::from_borrowed_fd(stdout(), PollFlags::IN)];
            if let Some(parent) = &parent {
                watched.push(PollFd::from_borrowed_fd(parent.as_fd(), PollFlags::IN));
            }
            let _ = poll(&mut watched, None);
            if !watched[1].revents().is_empty() {
                let _ = read(stdout(), &mut [0; 64]);
            }
            if watched.get(2).is_some_and(|parent| !parent.revents().is_empty()) {
                self.read_rest();
                return;
            }
        }
    }

    /// What a dead parent has said last.
    fn read_rest(&mut self) {
        while let Read::Some = self.read() {}
    }

    fn read(&mut self) -> Read {
        let mut buf = [0; 4096];
        match read(stdin(), &mut buf) {
            Ok(0) => Read::End,
            Ok(n) => {
                self.take(&buf[..n]);
                Read::Some
            }
            Err(Errno::INTR) => Read::Some,
            Err(Errno::AGAIN) => Read::NothingNow,
            Err(_) => Read::End,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let partial = std::mem::take(&mut self.partial);
        let (records, rest) = partial.as_chunks();
        for record in records {
            self.apply(Record::from_ne_bytes(*record));
        }
        self.partial = rest.to_vec();
    }

    fn apply(&mut self, record: Record) {
        if self.parent.is_none() {
            self.parent = Pid::from_raw(record.max(0));
        // Group 1 is everybody and the others are nobody's children.
        } else if record > 1 {
            self.groups.insert(record);
        } else if record < -1 {
            self.groups.remove(&-record);
        }
    }

    /// Kills every group on the list, twice for those that were just forking.
    fn kill(&self) {
        for _ in 0..2 {
            for group in self.groups.iter().filter_map(|group| Pid::from_raw(*group)) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }
}

fn is_pipe(descriptor: impl AsFd) -> bool {
    fstat(descriptor).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

fn ignore_signals() {
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];
    for number in (1..=libc::SIGRTMAX()).filter(|number| !faults.contains(number)) {
        // Some cannot be ignored: that is as it should be.
        // SAFETY: ignoring a signal needs no handler.
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    fn bytes(records: &[i32]) -> Vec<u8> {
        records.iter().flat_map(|record| record.to_ne_bytes()).collect()
    }

    #[test]
    fn records_are_taken_in_order_however_they_are_cut() {
        let mut list = List::default();
        for byte in bytes(&[77, 10, 11, -10, 12, -12, 12]) {
            list.take(&[byte]);
        }
        assert_eq!(list.parent.map(|pid| pid.as_raw_nonzero().get()), Some(77));
        assert_eq!(list.groups.into_iter().collect::<Vec<_>>(), [11, 12]);
    }

    #[test]
    fn what_would_kill_everybody_is_not_taken() {
        let mut list = List::default();
        list.take(&bytes(&[77, 0, 1, -1, i32::MIN + 1]));
        assert!(list.groups.is_empty());
    }
}
