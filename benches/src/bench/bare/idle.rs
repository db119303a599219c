//! Children that do nothing, and how one learns of their ends.

use std::io::{ErrorKind, Read, Result};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::runtime::Builder;

use super::super::system;
use super::Kid;
use super::messages::{one_thread, onto_tokio};

/// Says that it is there, and waits.
pub(super) fn block(stream: &mut UnixStream) -> Result<()> {
    std::io::Write::write_all(stream, &[1])?;
    stream.read_exact(&mut [0])
}

/// The same on a runtime.
pub(super) fn block_tokio(mut stream: UnixStream) -> Result<()> {
    std::io::Write::write_all(&mut stream, &[1])?;
    one_thread()?.block_on(async { onto_tokio(stream)?.read_exact(&mut [0]).await.map(drop) })
}

/// Idle children.
pub(crate) fn crowd(count: usize, work: &str) -> Result<Vec<Kid>> {
    let mut kids: Vec<Kid> = (0..count).map(|_| Kid::start(&[work])).collect::<Result<_>>()?;
    kids.iter_mut().try_for_each(Kid::await_word)?;
    Ok(kids)
}

/// The way in which an end is learned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// `poll` on a pidfd.
    Pidfd,
    /// A read on a tokio runtime that finds the end of the child's socket.
    Stream,
    /// `Child::wait`.
    Wait,
    /// The same for a child that has a runtime, as a worker has: it takes the system longer to end a larger process.
    WaitForTokio,
}

/// How long it takes from the kill of each of `count` children until its end is known.
pub(crate) fn deaths(count: usize, watch: Watch) -> Result<Vec<Duration>> {
    (0..count)
        .map(|_| {
            let work = if watch == Watch::WaitForTokio { "idle-tokio" } else { "idle" };
            let mut kid = crowd(1, work)?.pop().ok_or(ErrorKind::NotFound)?;
            match watch {
                Watch::Pidfd => death_by_pidfd(kid.pid()),
                Watch::Wait | Watch::WaitForTokio => killed(kid.pid(), || kid.wait()),
                Watch::Stream => one_thread()?.block_on(async {
                    let mut stream = onto_tokio(kid.stream.try_clone()?)?;
                    let began = Instant::now();
                    system::kill(kid.pid())?;
                    let end = stream.read(&mut [0]).await;
                    // What was not read yet may be told as a reset.
                    if end.is_ok_and(|read| read > 0) {
                        Err(ErrorKind::InvalidData.into())
                    } else {
                        Ok(began.elapsed())
                    }
                }),
            }
        })
        .collect()
}

/// How long it takes from the kill of each of `count` children until tokio's own `Child::wait` tells of its end on this runtime,
/// to the thread that waits for the runtime's future.
pub(crate) fn deaths_on_tokio(count: usize, mut runtime: Builder) -> Result<Vec<Duration>> {
    runtime.enable_all().build()?.block_on(async {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let (mut stream, end) = UnixStream::pair()?;
            let mut command = Command::from(super::command(&["idle"])?);
            let mut child = command.stdin(OwnedFd::from(end)).stdout(Stdio::null()).kill_on_drop(true).spawn()?;
            // It holds the child's end.
            drop(command);
            stream.read_exact(&mut [0])?;
            let pid = child.id().ok_or(ErrorKind::NotFound)?;
            let began = Instant::now();
            system::kill(pid)?;
            child.wait().await?;
            times.push(began.elapsed());
        }
        Ok(times)
    })
}

/// How long it takes from the kill of this process until `poll` on its pidfd tells of its end.
pub(crate) fn death_by_pidfd(pid: u32) -> Result<Duration> {
    let pidfd = system::pidfd(pid)?;
    killed(pid, || system::await_end(&pidfd))
}

fn killed(pid: u32, know: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    system::kill(pid)?;
    know()?;
    Ok(began.elapsed())
}
