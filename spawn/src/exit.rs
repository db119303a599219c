//! How a process ended.

/// How a process ended, as the system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exit {
    /// The kind of end.
    pub kind: ExitKind,
    name: Option<&'static str>,
}

/// The kinds of end a process can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitKind {
    /// It exited with this code.
    ///
    /// # Platform-specific behavior
    /// On Windows every end is a code. That of a crash is an NTSTATUS; that of a process which was killed by `Child::kill` or by
    /// `die_with_tree` is `0xE0500009`.
    Code(i32),
    /// A signal ended it.
    ///
    /// # Platform-specific behavior
    /// Never on Windows.
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
    /// An end of which nobody can tell how it came.
    pub const UNKNOWN: Self = Self { kind: ExitKind::Unknown, name: None };

    /// An end of this kind, and what the system calls it.
    #[must_use]
    pub const fn new(kind: ExitKind, name: Option<&'static str>) -> Self {
        Self { kind, name }
    }

    /// Whether it exited with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.kind == ExitKind::Code(0)
    }

    /// What the system calls such an end, where it has a name.
    ///
    /// # Platform-specific behavior
    /// On Linux the name of the signal that ended it, like `SIGSEGV`. On Windows the name of the NTSTATUS that the code is, like
    /// `STATUS_ACCESS_VIOLATION`, and `KILLED` for a kill of ours. Of any other code there is none.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, ExitKind};

    #[test]
    fn only_code_zero_is_success() {
        let success = |kind| Exit::new(kind, None).success();
        assert!(success(ExitKind::Code(0)));
        assert!(!success(ExitKind::Code(3)));
        assert!(!success(ExitKind::Signal { number: 9, core_dumped: false }));
        assert!(!Exit::UNKNOWN.success());
    }
}
