//! How a process ended.

use rustix::process::WaitIdStatus;

/// How a process ended, as the system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exit {
    /// The kind of end.
    pub kind: ExitKind,
}

/// The kinds of end a process can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitKind {
    /// It exited with this code.
    ///
    /// # Platform-specific behavior
    /// On Windows a crash is a code too, an NTSTATUS.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
    /// It is gone and nobody can tell how: another part of this program has waited for it.
    Unknown,
}

impl Exit {
    /// Whether it exited with code 0.
    pub fn success(&self) -> bool {
        self.kind == ExitKind::Code(0)
    }

    /// The name of the signal that ended it, like `SIGSEGV`; of a code there is none.
    ///
    /// # Platform-specific behavior
    /// On Windows the name of the NTSTATUS, where the code is a known one.
    pub fn name(&self) -> Option<&'static str> {
        match self.kind {
            ExitKind::Signal { number, .. } => signal_name(number),
            ExitKind::Code(_) | ExitKind::Unknown => None,
        }
    }

    pub(crate) fn from_status(status: &WaitIdStatus) -> Self {
        let kind = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => ExitKind::Code(code),
            (None, Some(number)) => ExitKind::Signal { number, core_dumped: status.dumped() },
            (None, None) => ExitKind::Unknown,
        };
        Self { kind }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGTTIN => "SIGTTIN",
        libc::SIGTTOU => "SIGTTOU",
        libc::SIGURG => "SIGURG",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGWINCH => "SIGWINCH",
        libc::SIGIO => "SIGIO",
        libc::SIGPWR => "SIGPWR",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::{Exit, ExitKind};

    #[test]
    fn only_code_zero_is_success() {
        let exit = |kind| Exit { kind };
        assert!(exit(ExitKind::Code(0)).success());
        assert!(!exit(ExitKind::Code(3)).success());
        assert!(!exit(ExitKind::Unknown).success());
        let number = libc::SIGKILL;
        assert!(!exit(ExitKind::Signal { number, core_dumped: false }).success());
    }

    #[test]
    fn a_signal_has_a_name_and_a_code_has_none() {
        let number = libc::SIGSEGV;
        let exit = Exit { kind: ExitKind::Signal { number, core_dumped: true } };
        assert_eq!(exit.name(), Some("SIGSEGV"));
        assert_eq!(Exit { kind: ExitKind::Code(11) }.name(), None);
    }
}
