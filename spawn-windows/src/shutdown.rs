//! The events by which somebody outside asks this process to end.

use std::io;

use crate::{Never, unsupported};

/// The requests to end that this process gets.
#[derive(Debug)]
pub struct ShutdownSignals(Never);

/// One request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSignal {
    /// What it is called, like `CTRL_C_EVENT`.
    pub name: &'static str,
    /// The exit code of a process that ends because of it.
    pub exit_code: i32,
}

impl ShutdownSignals {
    /// Takes over the events.
    ///
    /// # Errors
    /// `Unsupported`, always.
    pub fn install() -> io::Result<Self> {
        unsupported()
    }

    /// Waits for the next request.
    ///
    /// # Cancellation
    /// Safe: no request is lost.
    pub async fn recv(&mut self) -> ShutdownSignal {
        match self.0 {}
    }
}
