//! What a name stands for in a lock table.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a lock, as it was first asked for under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LockKind {
    /// One holder at a time.
    Mutex {
        /// The type of the data that it carries; `()` for none.
        data: String,
    },
    /// Many readers or one writer.
    RwLock {
        /// The type of the data that it carries; `()` for none.
        data: String,
    },
    /// As many permits at a time.
    Semaphore {
        /// How many.
        permits: u32,
    },
    /// A flag that one can wait for.
    Event,
    /// A meeting of so many.
    Barrier {
        /// How many.
        parties: u32,
    },
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mutex { data } => write!(f, "Mutex<{data}>"),
            Self::RwLock { data } => write!(f, "RwLock<{data}>"),
            Self::Semaphore { permits } => write!(f, "Semaphore of {permits}"),
            Self::Event => f.write_str("Event"),
            Self::Barrier { parties } => write!(f, "Barrier of {parties}"),
        }
    }
}
