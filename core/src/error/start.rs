//! Why something did not start.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::exit::Exit;

/// What a worker says of its own failed start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub(crate) enum StartFailure {
    #[error("init failed: {0}")]
    Init(String),
    #[error("init panicked: {0}")]
    Panicked(String),
    #[error("failed to decode the init arguments: {0}")]
    Arguments(String),
    #[error("{0}")]
    Version(String),
}

/// Why an actor, or a supervisor, did not start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The program gives worker processes no way in.
    #[error(
        "this program has no entry for worker processes: put #[procession::main] on its main function, or, where a test \
         harness owns main, the line `procession::test_workers!();` at the root of the test crate"
    )]
    NoEntry,
    /// Workers that start workers that start workers: too deep to be meant.
    #[error("a supervisor in a worker {depth} processes below the root: the limit is {limit}")]
    TooDeep {
        /// How deep this process is.
        depth: u32,
        /// How deep a supervisor may be.
        limit: u32,
    },
    /// The actor's type is not among those that this program can start as processes.
    #[error(
        "{actor} is not registered: a generic actor needs `procession::register!({actor});` once for each instance"
    )]
    NotRegistered {
        /// The actor's type.
        actor: String,
    },
    /// Two actor types cannot be told apart.
    #[error("{0}")]
    DuplicateId(String),
    /// The supervisor has a child of this name already.
    #[error("there is a child named {0:?} already: names are unique under a supervisor")]
    NameTaken(String),
    /// A name, a number or a combination that makes no sense.
    #[error("bad child spec: {0}")]
    BadSpec(String),
    /// The init arguments could not be encoded.
    #[error("failed to encode the init arguments of {child}: {error}")]
    Arguments {
        /// The child's name.
        child: String,
        /// What went wrong.
        error: String,
    },
    /// The system did not make the process.
    #[error("no process for {child}: {error}")]
    Spawn {
        /// The child's name.
        child: String,
        /// What the system said.
        error: String,
    },
    /// The actor's init returned an error.
    #[error("the init of {child} failed: {error}")]
    Init {
        /// The child's name.
        child: String,
        /// The error it returned.
        error: String,
    },
    /// The actor's init panicked.
    #[error("the init of {child} panicked: {message}")]
    Panicked {
        /// The child's name.
        child: String,
        /// The panic's message.
        message: String,
    },
    /// The process ended before it had become a worker: it may be another program, or one without an entry.
    #[error(
        "{child} ended before it had become a worker: is {program} this same program, with #[procession::main] on its \
         main function or, in tests, `procession::test_workers!();` at the root of the test crate? {exit}"
    )]
    NotAWorker {
        /// The child's name.
        child: String,
        /// The program that was run.
        program: String,
        /// How it ended.
        exit: Box<Exit>,
    },
    /// The process ended before the actor was ready.
    #[error("{child} ended before it was ready: {exit}")]
    Exited {
        /// The child's name.
        child: String,
        /// How it ended.
        exit: Box<Exit>,
    },
    /// The actor was not ready in time; its process was killed.
    #[error("{child} was not ready within {after:?} and was killed{}", told(stderr))]
    TimedOut {
        /// The child's name.
        child: String,
        /// How long it had.
        after: Duration,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The worker is another build, or speaks another protocol.
    #[error("{child} is of another version: {why}")]
    Version {
        /// The child's name.
        child: String,
        /// What differs.
        why: String,
    },
    /// It was stopped before it was ready.
    #[error("{0} was stopped before it was ready")]
    Stopped(String),
    /// A signal has asked this program to end.
    #[error("this program was told to end, and starts no supervisor any more")]
    ProgramEnding,
    /// The supervisor has ended.
    #[error("the supervisor has ended")]
    SupervisorEnded,
}

fn told(stderr: &str) -> String {
    if stderr.is_empty() {
        return String::new();
    }
    let lines: String = stderr.lines().map(|line| format!("\n    {line}")).collect();
    format!("; its last lines on stderr:{lines}")
}

impl StartFailure {
    pub(crate) fn of(self, child: &str) -> StartError {
        let child = child.to_owned();
        match self {
            Self::Init(error) => StartError::Init { child, error },
            Self::Panicked(message) => StartError::Panicked { child, message },
            Self::Arguments(error) => StartError::Arguments { child, error },
            Self::Version(why) => StartError::Version { child, why },
        }
    }
}
