//! How a process ended.

/// The exit code of a process that was killed with its job, by whoever of us. It has the form of an NTSTATUS that no system
/// component uses (an error, of a customer), so that no program ends with it by chance.
pub(crate) const KILLED: u32 = 0xE050_0009;

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
    /// On Windows every end is a code. That of a crash is an NTSTATUS; that of a process which was killed by
    /// [`Child::kill`](crate::Child::kill) or by [`die_with_tree`](crate::die_with_tree) is `0xE0500009`.
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
    /// It is gone and nobody can tell how.
    Unknown,
}

impl Exit {
    /// Whether it exited with code 0.
    pub fn success(&self) -> bool {
        self.kind == ExitKind::Code(0)
    }

    /// The name of the NTSTATUS that the code is, like `STATUS_ACCESS_VIOLATION`, and `KILLED` for a kill of ours; of any other
    /// code there is none.
    ///
    /// # Platform-specific behavior
    /// On Linux the name of the signal that ended it.
    pub fn name(&self) -> Option<&'static str> {
        let ExitKind::Code(code) = self.kind else {
            return None;
        };
        status_name(code.cast_unsigned())
    }

    pub(crate) fn from_code(code: u32) -> Self {
        Self { kind: ExitKind::Code(code.cast_signed()) }
    }
}

fn status_name(code: u32) -> Option<&'static str> {
    let name = match code {
        KILLED => "KILLED",
        0x4000_0015 => "STATUS_FATAL_APP_EXIT",
        0x8000_0001 => "STATUS_GUARD_PAGE_VIOLATION",
        0x8000_0002 => "STATUS_DATATYPE_MISALIGNMENT",
        0x8000_0003 => "STATUS_BREAKPOINT",
        0x8000_0004 => "STATUS_SINGLE_STEP",
        0xC000_0005 => "STATUS_ACCESS_VIOLATION",
        0xC000_0006 => "STATUS_IN_PAGE_ERROR",
        0xC000_0008 => "STATUS_INVALID_HANDLE",
        0xC000_0017 => "STATUS_NO_MEMORY",
        0xC000_001D => "STATUS_ILLEGAL_INSTRUCTION",
        0xC000_0025 => "STATUS_NONCONTINUABLE_EXCEPTION",
        0xC000_0026 => "STATUS_INVALID_DISPOSITION",
        0xC000_008C => "STATUS_ARRAY_BOUNDS_EXCEEDED",
        0xC000_008E => "STATUS_FLOAT_DIVIDE_BY_ZERO",
        0xC000_0094 => "STATUS_INTEGER_DIVIDE_BY_ZERO",
        0xC000_0095 => "STATUS_INTEGER_OVERFLOW",
        0xC000_0096 => "STATUS_PRIVILEGED_INSTRUCTION",
        0xC000_00FD => "STATUS_STACK_OVERFLOW",
        0xC000_0135 => "STATUS_DLL_NOT_FOUND",
        0xC000_0138 => "STATUS_ORDINAL_NOT_FOUND",
        0xC000_0139 => "STATUS_ENTRYPOINT_NOT_FOUND",
        0xC000_013A => "STATUS_CONTROL_C_EXIT",
        0xC000_0142 => "STATUS_DLL_INIT_FAILED",
        0xC000_0374 => "STATUS_HEAP_CORRUPTION",
        0xC000_0409 => "STATUS_STACK_BUFFER_OVERRUN",
        0xC000_0417 => "STATUS_INVALID_CRUNTIME_PARAMETER",
        0xC000_0420 => "STATUS_ASSERTION_FAILURE",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::{Exit, ExitKind, KILLED};

    #[test]
    fn only_code_zero_is_success() {
        assert!(Exit::from_code(0).success());
        assert!(!Exit::from_code(3).success());
        assert!(!Exit { kind: ExitKind::Unknown }.success());
        assert!(!Exit::from_code(KILLED).success());
    }

    #[test]
    fn a_status_has_a_name_and_a_code_has_none() {
        assert_eq!(Exit::from_code(0xC000_0005).name(), Some("STATUS_ACCESS_VIOLATION"));
        assert_eq!(Exit { kind: ExitKind::Code(-1_073_741_571) }.name(), Some("STATUS_STACK_OVERFLOW"));
        assert_eq!(Exit::from_code(KILLED).name(), Some("KILLED"));
        assert_eq!(Exit::from_code(11).name(), None);
    }
}
