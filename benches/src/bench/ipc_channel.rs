//! The peer ipc-channel: typed channels between processes, blocking.

use std::hint::black_box;
use std::io::{Error, ErrorKind, Result};
use std::process::{Child, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use ipc_channel::ipc::{IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory, channel};
use serde::{Deserialize, Serialize};

use super::bare::messages::timed;
use super::bare::payload::answer_of;
use super::{bare, system};

/// What the child is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Echo([u8; 32]),
    /// To be answered if it is the last.
    Take([u8; 32], bool),
    Look(IpcSharedMemory),
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Echo([u8; 32]),
    Taken,
    Seen(u64, u8, u8),
}

/// The ends that the child makes for its parent.
type Ends = (IpcSender<Request>, IpcReceiver<Answer>);

/// A child and the channels to and from it.
struct Remote {
    child: Child,
    to: IpcSender<Request>,
    from: IpcReceiver<Answer>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::other(error)
}

/// What the child does.
pub(crate) fn child(server: &str) -> Result<()> {
    let (to, requests) = channel()?;
    let (answers, from) = channel()?;
    IpcSender::<Ends>::connect(server.to_owned())?.send((to, from)).map_err(failed)?;
    // Its end is the parent's.
    while let Ok(request) = requests.recv() {
        let answer = match request {
            Request::Echo(message) => Some(Answer::Echo(message)),
            Request::Take(message, last) => {
                black_box(message);
                last.then_some(Answer::Taken)
            }
            Request::Look(memory) => {
                let (length, first, last) = answer_of(&memory);
                Some(Answer::Seen(length, first, last))
            }
        };
        if let Some(answer) = answer {
            answers.send(answer).map_err(failed)?;
        }
    }
    Ok(())
}

impl Remote {
    fn start() -> Result<Self> {
        let (server, name) = IpcOneShotServer::<Ends>::new()?;
        let mut child = bare::command(&["ipc-channel", &name])?.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        match server.accept() {
            Ok((_, (to, from))) => Ok(Self { child, to, from }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(failed(error))
            }
        }
    }

    fn ask(&self, request: Request) -> Result<Answer> {
        self.to.send(request).map_err(failed)?;
        self.from.recv().map_err(failed)
    }

    fn echo(&self) -> Result<()> {
        match self.ask(Request::Echo([7; 32]))? {
            Answer::Echo(message) => {
                black_box(message);
                Ok(())
            }
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// How long each of `count` children takes from its start to its first answer.
pub(crate) fn starts(count: usize) -> Result<Vec<Duration>> {
    (0..count)
        .map(|_| {
            let began = Instant::now();
            Remote::start()?.echo()?;
            Ok(began.elapsed())
        })
        .collect()
}

pub(crate) fn round_trips(count: usize) -> Result<Vec<Duration>> {
    let remote = Remote::start()?;
    timed(count, || remote.echo())
}

/// Requests answered in a second while `window` are outstanding. One thread asks and another takes the answers: both ends
/// block.
pub(crate) fn request_reply(count: usize, window: usize) -> Result<f64> {
    let remote = Remote::start()?;
    let (enter, leave) = sync_channel(window);
    let to = remote.to.clone();
    let began = Instant::now();
    let asking = thread::spawn(move || {
        for _ in 0..count {
            if enter.send(()).is_err() {
                break;
            }
            to.send(Request::Echo([7; 32])).map_err(failed)?;
        }
        Ok::<(), Error>(())
    });
    for _ in 0..count {
        black_box(remote.from.recv().map_err(failed)?);
        let _ = leave.recv();
    }
    let took = began.elapsed();
    asking.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()))?;
    Ok(count as f64 / took.as_secs_f64())
}

pub(crate) fn one_way(count: usize) -> Result<f64> {
    let remote = Remote::start()?;
    let began = Instant::now();
    for left in (0..count).rev() {
        remote.to.send(Request::Take([7; 32], left == 0)).map_err(failed)?;
    }
    remote.from.recv().map_err(failed)?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

fn look(remote: &Remote, memory: IpcSharedMemory, bytes: &[u8]) -> Result<()> {
    let (length, first, last) = answer_of(bytes);
    match remote.ask(Request::Look(memory))? {
        Answer::Seen(a, b, c) if (a, b, c) == (length, first, last) => Ok(()),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// How long each of `times` sendings in new shared memory takes.
pub(crate) fn through_new_memory(bytes: &[u8], times: usize) -> Result<Vec<Duration>> {
    let remote = Remote::start()?;
    (0..times)
        .map(|_| {
            let began = Instant::now();
            look(&remote, IpcSharedMemory::from_bytes(bytes), bytes)?;
            Ok(began.elapsed())
        })
        .collect()
}

/// How long each of `times` handovers of memory takes that is filled already.
pub(crate) fn handovers(bytes: &[u8], times: usize) -> Result<Vec<Duration>> {
    let remote = Remote::start()?;
    let memory = IpcSharedMemory::from_bytes(bytes);
    timed(times, || look(&remote, memory.clone(), bytes))
}

/// How long it takes from the kill of each of `count` children until a receiver says that it is disconnected.
pub(crate) fn deaths(count: usize) -> Result<Vec<Duration>> {
    (0..count)
        .map(|_| {
            let remote = Remote::start()?;
            remote.echo()?;
            let began = Instant::now();
            system::kill(remote.child.id())?;
            match remote.from.recv() {
                Err(_) => Ok(began.elapsed()),
                Ok(_) => Err(ErrorKind::InvalidData.into()),
            }
        })
        .collect()
}
