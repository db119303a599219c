//! A value at which its worker ends, in one of all ways, at one of all stages of a task.

use procession::ExitCause;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::system::{self, Death};

/// What is being done with a task or a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Its arguments are written, by whoever wants it done.
    EncodeArguments,
    /// They are read, in the worker.
    DecodeArguments,
    Run,
    /// The result is written, in the worker.
    EncodeResult,
    /// It is read, by whoever wanted it done.
    DecodeResult,
    /// It is with whoever wanted it, as good as that.
    Never,
}

/// The stages in which it is in the hands of a worker.
pub(crate) const IN_WORKER: [Stage; 3] = [Stage::DecodeArguments, Stage::Run, Stage::EncodeResult];

/// What happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// serde is told that it did not work.
    Error,
    Panic,
    Abort,
    Fault,
    Exit(i32),
    Kill,
}

/// All ways of a process to end in the middle of something.
pub(crate) const DEATHS: [End; 5] = [End::Abort, End::Fault, End::Exit(0), End::Exit(3), End::Kill];

impl End {
    /// Whether that is how a process has ended to which this happened.
    pub(crate) fn is_told_by(self, cause: &ExitCause) -> bool {
        match self {
            Self::Error => false,
            Self::Panic => matches!(cause, ExitCause::Panicked(message) if message.contains(WORDS)),
            Self::Abort => system::is_death_by(Death::Abort, cause),
            Self::Fault => system::is_death_by(Death::Fault, cause),
            Self::Exit(code) => *cause == ExitCause::Code(code),
            Self::Kill => system::is_death_by(Death::Kill, cause),
        }
    }
}

/// The words of an error and of a panic.
pub(crate) const WORDS: &str = "as it was wanted";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fuse {
    pub(crate) at: Stage,
    pub(crate) end: End,
}

impl Fuse {
    pub(crate) fn new(at: Stage, end: End) -> Self {
        Self { at, end }
    }

    /// One at which nothing happens.
    pub(crate) fn none() -> Self {
        Self::new(Stage::Never, End::Error)
    }

    /// Whether it is this stage at which something happens, which it then does.
    pub(crate) fn burns(self, now: Stage) -> Result<(), &'static str> {
        if now != self.at {
            return Ok(());
        }
        match self.end {
            End::Error => Err(WORDS),
            End::Panic => panic!("{WORDS}"),
            End::Abort => std::process::abort(),
            End::Fault => system::fault(),
            End::Exit(code) => std::process::exit(code),
            End::Kill => loop {
                system::kill(std::process::id());
            },
        }
    }
}

/// A fuse on its way to a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lit(pub(crate) Fuse);

impl Serialize for Lit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.burns(Stage::EncodeArguments).map_err(S::Error::custom)?;
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fuse = Fuse::deserialize(deserializer)?;
        fuse.burns(Stage::DecodeArguments).map_err(D::Error::custom)?;
        Ok(Self(fuse))
    }
}

/// A fuse on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burnt(pub(crate) Fuse);

impl Serialize for Burnt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.burns(Stage::EncodeResult).map_err(S::Error::custom)?;
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Burnt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fuse = Fuse::deserialize(deserializer)?;
        fuse.burns(Stage::DecodeResult).map_err(D::Error::custom)?;
        Ok(Self(fuse))
    }
}
