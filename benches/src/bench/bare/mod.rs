//! The bare limits: a child process and a socket, and on them no more than the work itself.

pub(crate) mod child;
pub(crate) mod frames;
pub(crate) mod idle;
pub(crate) mod messages;
pub(crate) mod payload;
pub(crate) mod pool;
pub(crate) mod server;

use std::io::{Read, Result, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::CHILD;

/// A child of this program with a socket to it. It ends with this.
#[derive(Debug)]
pub(crate) struct Kid {
    child: Child,
    pub(crate) stream: UnixStream,
}

impl Kid {
    /// Starts a child that does this work.
    pub(crate) fn start(work: &[&str]) -> Result<Self> {
        let (stream, end) = UnixStream::pair()?;
        let mut command = command(work)?;
        let child = command.stdin(OwnedFd::from(end)).stdout(Stdio::null()).spawn()?;
        Ok(Self { child, stream })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<()> {
        self.child.wait().map(drop)
    }

    /// Waits until it says, with one byte, that it has come so far.
    pub(crate) fn await_word(&mut self) -> Result<()> {
        self.stream.read_exact(&mut [0])
    }

    /// Says a byte.
    pub(crate) fn say(&mut self) -> Result<()> {
        self.stream.write_all(&[1])
    }
}

impl Drop for Kid {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program as a child that does this work.
pub(crate) fn command(work: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(CHILD).args(work);
    Ok(command)
}

/// How long each of `count` children takes from its start to its first answer.
pub(crate) fn starts(count: usize) -> Result<Vec<Duration>> {
    let mut message = [7; 32];
    (0..count)
        .map(|_| {
            let began = Instant::now();
            let mut kid = Kid::start(&["echo"])?;
            kid.stream.write_all(&message)?;
            kid.stream.read_exact(&mut message)?;
            Ok(began.elapsed())
        })
        .collect()
}
