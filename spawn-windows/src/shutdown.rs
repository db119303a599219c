//! The events by which somebody outside asks this process to end.

use std::io;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};
use windows_sys::Win32::Foundation::STATUS_CONTROL_C_EXIT;

/// The requests to end that this process gets: Ctrl-C, Ctrl-Break, the end of its console and of the system.
///
/// From [`install`](Self::install) on these events no longer end the process at once. After the last two the system does so by
/// itself some seconds later.
#[derive(Debug)]
pub struct ShutdownSignals {
    interrupt: CtrlC,
    interrupt_too: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

/// One request to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSignal {
    /// What it is called, like `CTRL_C_EVENT`.
    pub name: &'static str,
    /// The exit code of a process that ends because of it: what the system's own handler ends it with.
    pub exit_code: i32,
}

impl ShutdownSignals {
    /// Takes over the events.
    ///
    /// # Errors
    /// The system refuses a handler.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            interrupt_too: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next request. Several of one kind that come close together may be one.
    ///
    /// # Cancellation
    /// Safe: no request is lost.
    pub async fn recv(&mut self) -> ShutdownSignal {
        let name = tokio::select! {
            Some(()) = self.interrupt.recv() => "CTRL_C_EVENT",
            Some(()) = self.interrupt_too.recv() => "CTRL_BREAK_EVENT",
            Some(()) = self.close.recv() => "CTRL_CLOSE_EVENT",
            Some(()) = self.shutdown.recv() => "CTRL_SHUTDOWN_EVENT",
            // Tokio's signal streams never end.
            else => std::future::pending().await,
        };
        ShutdownSignal { name, exit_code: STATUS_CONTROL_C_EXIT }
    }
}
