//! The Windows leaf of procession: the names that every leaf has, and no more yet.
//!
//! Windows support has its own milestone. Until then the types cannot be made and the functions say so with
//! [`Unsupported`](std::io::ErrorKind::Unsupported), so that all above builds and is checked on Windows today. What each name
//! promises is written in the Linux leaf, with what it becomes here: a pipe with one instance, inherited as the standard input;
//! duplicated handles; a section; a job object that ends with its last handle.
//!
//! On any other system this crate is empty.
#![cfg(windows)]

mod endpoint;
mod process;
mod segment;
mod shutdown;
mod this_program;
mod worker;

pub use endpoint::{BlockingStream, Endpoint, Greeting, Ready, Stream};
pub use process::{Child, Exit, ExitKind, Launch, Output, Program, Watch, run_guardian, set_guardian, spawn};
pub use segment::Segment;
pub use shutdown::{ShutdownSignal, ShutdownSignals};
pub use this_program::this_program;
pub use worker::{die_with_tree, enter_worker, set_process_name};

/// The content of a type that cannot be made yet.
#[derive(Debug, Clone, Copy)]
enum Never {}

fn unsupported<T>() -> std::io::Result<T> {
    Err(std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        "procession does not start processes on Windows yet: Windows support has its own milestone",
    ))
}
