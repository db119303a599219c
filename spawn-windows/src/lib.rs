//! The Windows leaf of procession: child processes, the private streams and the shared memory between them, signals.
//!
//! Nothing here knows what a child does. One dedicated thread per process, independent of any runtime, starts the
//! children, reads their output and learns of their deaths by process handle; each child lives in a job of its own, which
//! the system ends together with this process. The Linux leaf has the same names with the same meaning.
//!
//! A child is started with one end of an `Endpoint::pair` as its standard input and nothing else. It takes that end
//! with `enter_worker`, and what it needs beyond is handed to it in the `Greeting`.
//!
//! Windows 10 or newer (nested jobs, jobs at creation). On any other system this crate is empty.
#![cfg(windows)]

mod blocking;
mod child;
mod command;
mod connection;
mod credentials;
mod endpoint;
mod enforcement;
mod event;
mod exit;
mod greeting;
mod guardian;
mod job;
mod limits;
mod listener;
mod memory;
mod operation;
mod output;
mod parted;
mod pipe;
mod port;
mod processes;
mod quote;
mod security;
mod segment;
mod shutdown;
mod stream;
mod telling;
mod this_program;
mod worker;

pub use blocking::BlockingStream;
pub use child::{Child, Vigil};
pub use connection::Connection;
pub use credentials::Credentials;
pub use endpoint::Endpoint;
pub use greeting::Greeting;
pub use guardian::{run_guardian, set_guardian};
pub use limits::check_limits;
pub use listener::Listener;
pub use memory::{Memory, SealedMemory};
pub use parted::{CLAIM, OpenPart, PartedMemory, SharedMemory};
pub use processes::spawn;
pub use procession_spawn::{Exit, ExitKind, Limit, Limits, Output, Priority, Program, Unenforced, Watch};
pub use segment::Segment;
pub use shutdown::{ShutdownSignal, ShutdownSignals};
pub use stream::{Ready, Stream};
pub use this_program::this_program;
pub use worker::{die_with_tree, enter_worker, set_process_name};

/// A child to start.
pub type Launch = procession_spawn::Launch<Endpoint>;
