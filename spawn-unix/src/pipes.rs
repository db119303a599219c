//! The output of one child.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread, read};

use crate::Output;
use crate::poller::{Event, Key, Poller};

/// How much one pipe may say before others have their turn.
pub(crate) const TURN: usize = 64 * 1024;

/// The reading ends of a child's standard output and error, for as long as they are open.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Pipes {
    /// Takes the pipes of a child that was just started.
    pub(crate) fn take(child: &mut process::Child) -> io::Result<Self> {
        let stdout = child.stdout.take().map(|pipe| endless(pipe.into())).transpose()?;
        let stderr = child.stderr.take().map(|pipe| endless(pipe.into())).transpose()?;
        Ok(Self { stdout, stderr })
    }

    pub(crate) fn watch(&self, key: Key, poller: &Poller) -> io::Result<()> {
        for from in [Output::Stdout, Output::Stderr] {
            if let Some(pipe) = self.pipe(from) {
                poller.watch(pipe, Event::Output(key, from))?;
            }
        }
        Ok(())
    }

    /// Reads one turn's worth and closes the pipe at its end.
    pub(crate) fn read(&mut self, from: Output, buf: &mut [u8], poller: &Poller, told: impl FnOnce(&[u8])) {
        let Some(pipe) = self.pipe(from) else {
            return;
        };
        match read(pipe, &mut *buf) {
            Ok(0) => self.close(from, poller),
            Ok(n) => told(&buf[..n]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nothing else is known to come from a pipe; if it does, it would come again at once.
            Err(_) => self.close(from, poller),
        }
    }

    /// Reads what is in the pipes now.
    ///
    /// The child is dead, so what it wrote is there. Somebody who inherited the other end may go on writing for ever: that
    /// is neither waited for nor read.
    pub(crate) fn drain(&mut self, mut told: impl FnMut(Output, &[u8])) {
        for from in [Output::Stdout, Output::Stderr] {
            let Some(pipe) = self.pipe(from) else { continue };
            let mut left = ioctl_fionread(pipe).unwrap_or(0) as usize;
            let mut buf = vec![0; left.min(TURN)];
            while left > 0 {
                let room = buf.len().min(left);
                match read(pipe, &mut buf[..room]) {
                    Ok(0) => break,
                    Ok(n) => {
                        left -= n;
                        told(from, &buf[..n]);
                    }
                    Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
        }
    }

    /// Closes the pipes of a child that nobody is told of any more.
    pub(crate) fn close_all(&mut self, poller: &Poller) {
        self.close(Output::Stdout, poller);
        self.close(Output::Stderr, poller);
    }

    fn pipe(&self, from: Output) -> Option<&OwnedFd> {
        match from {
            Output::Stdout => self.stdout.as_ref(),
            Output::Stderr => self.stderr.as_ref(),
        }
    }

    fn close(&mut self, from: Output, poller: &Poller) {
        let pipe = match from {
            Output::Stdout => self.stdout.take(),
            Output::Stderr => self.stderr.take(),
        };
        if let Some(pipe) = pipe {
            poller.forget(&pipe);
        }
    }
}

/// The same pipe, not blocking, and open for writing too, so that it never ends: the ends of a dying child's output say nothing that its
/// own does not, and each would have the dying process wake up the thread that watches it. Where it cannot be had it is as it was.
fn endless(pipe: OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(both) = open(format!("/proc/self/fd/{}", pipe.as_raw_fd()), flags, Mode::empty()) {
        return Ok(both);
    }
    ioctl_fionbio(&pipe, true)?;
    Ok(pipe)
}
