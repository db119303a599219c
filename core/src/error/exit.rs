//! How an actor's incarnation ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of one incarnation of an actor: which process, how, and its last words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The process id; that of this process for an actor on a thread of it.
    pub pid: u32,
    /// What ended it.
    pub cause: ExitCause,
    /// The last lines of its standard error, at most 16 KiB; empty where nothing was captured.
    pub stderr: String,
}

/// What ended an incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExitCause {
    /// The actor ended its work by itself (`ctx.stop()`).
    Normal,
    /// It was asked to stop, by its supervisor or through it, and did.
    Shutdown,
    /// A handler panicked with this message.
    Panicked(String),
    /// The process ended with an exit code and without a word; 0 is no success here: nobody had asked.
    Code(i32),
    /// The process ended with a code that the system has a name for: on Windows the NTSTATUS of a crash, and `KILLED` for a
    /// process that procession itself has killed.
    Status {
        /// The code, unsigned as such codes are written.
        code: u32,
        /// Its name, such as `STATUS_ACCESS_VIOLATION`.
        name: String,
    },
    /// A signal ended the process: on Linux only.
    Signal {
        /// Its number.
        number: i32,
        /// Its name, such as `SIGSEGV`.
        name: String,
        /// Whether the system wrote a core file.
        core_dumped: bool,
    },
    /// The system could not say.
    Unknown,
    /// It did not stop within its deadline and was killed.
    Killed,
    /// It never became ready: the start failed for this reason.
    StartFailed(String),
    /// It sent what no peer may send and was killed for it.
    Protocol(String),
}

impl Exit {
    /// Whether the end was wanted: by the actor itself or by whoever stopped it.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self.cause, ExitCause::Normal | ExitCause::Shutdown)
    }

    /// Whether somebody wanted the end, however it came about.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_orderly() || self.cause == ExitCause::Killed
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} {}", self.pid, self.cause)?;
        if !self.stderr.is_empty() {
            write!(f, "; its last lines on stderr:")?;
            for line in self.stderr.lines() {
                write!(f, "\n    {line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ExitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("ended by itself"),
            Self::Shutdown => f.write_str("stopped as asked"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Status { code, name } => write!(f, "was ended by {name} ({code:#010X})"),
            Self::Signal { number, name, core_dumped } => {
                write!(f, "was killed by {name} ({number})")?;
                if *core_dumped { f.write_str(" and left a core file") } else { Ok(()) }
            }
            Self::Unknown => f.write_str("ended in a way that the system could not tell"),
            Self::Killed => f.write_str("did not stop in time and was killed"),
            Self::StartFailed(why) => write!(f, "did not start: {why}"),
            Self::Protocol(why) => write!(f, "broke the protocol and was killed: {why}"),
        }
    }
}

/// Why an actor is being stopped, as its stop hook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StopReason {
    /// The actor asked for it itself.
    Normal,
    /// Its supervisor, or somebody through it, asked.
    Shutdown,
}

/// The end of a monitored incarnation: arrives exactly once for each monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// The actor's name, or its number where it has none here.
    pub name: String,
    /// Which incarnation ended, counted from 1; 0 where there was none to watch.
    pub incarnation: u32,
    /// How it ended.
    pub reason: DownReason,
}

/// Why a monitor fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DownReason {
    /// The incarnation ended; a start that failed is one of the causes.
    Exit(Exit),
    /// There was nothing to watch any more, or never was.
    NotDelivered(super::call::NotDelivered),
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            DownReason::Exit(exit) => write!(f, "{} is down: {exit}", self.name),
            DownReason::NotDelivered(why) => write!(f, "{} is down: {why}", self.name),
        }
    }
}
