//! The signals by which somebody outside asks this process to end.

use std::io;
use std::ptr;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The requests to end that this process gets: Ctrl-C (`SIGINT`), `SIGTERM` and `SIGHUP`.
///
/// From [`install`](Self::install) on these signals no longer end the process, not even after the value is dropped.
#[derive(Debug)]
pub struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
    /// None if the process was started to survive its terminal (`nohup`).
    hangup: Option<Signal>,
}

/// One request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSignal {
    /// What it is called, like `SIGTERM`.
    pub name: &'static str,
    /// The exit code of a process that ends because of it, by the convention of shells.
    pub exit_code: i32,
}

impl ShutdownSignals {
    /// Takes over the signals. `SIGHUP` stays ignored where it was ignored.
    ///
    /// # Errors
    /// The system refuses a handler.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one whose IO driver is not enabled.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if is_ignored(libc::SIGHUP) { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for the next request. Several of one kind that come close together may be one.
    ///
    /// # Cancellation
    /// Safe: no request is lost.
    pub async fn recv(&mut self) -> ShutdownSignal {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let (name, number) = tokio::select! {
            Some(()) = self.interrupt.recv() => ("SIGINT", libc::SIGINT),
            Some(()) = self.terminate.recv() => ("SIGTERM", libc::SIGTERM),
            Some(()) = hangup => ("SIGHUP", libc::SIGHUP),
            // Tokio's signal streams never end.
            else => std::future::pending().await,
        };
        ShutdownSignal { name, exit_code: 128 + number }
    }
}

fn is_ignored(number: i32) -> bool {
    // SAFETY: asks for the present action, and an all-zero `sigaction` is a valid value to be overwritten.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(number, ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
