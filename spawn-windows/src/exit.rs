//! What the system tells of an end.

use crate::{Exit, ExitKind};

/// The exit code of a process that was killed with its job, by whoever of us. It has the form of an NTSTATUS that no system
/// component uses (an error, of a customer), so that no program ends with it by chance.
pub(crate) const KILLED: u32 = 0xE050_0009;

/// The end that this exit code tells of.
pub(crate) fn exit_of(code: u32) -> Exit {
    Exit::new(ExitKind::Code(code.cast_signed()), status_name(code))
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
    use super::{KILLED, exit_of};

    #[test]
    fn a_status_has_a_name_and_a_code_has_none() {
        assert_eq!(exit_of(0xC000_0005).name(), Some("STATUS_ACCESS_VIOLATION"));
        assert_eq!(exit_of((-1_073_741_571_i32).cast_unsigned()).name(), Some("STATUS_STACK_OVERFLOW"));
        assert_eq!(exit_of(KILLED).name(), Some("KILLED"));
        assert_eq!(exit_of(11).name(), None);
        assert!(exit_of(0).success() && !exit_of(3).success() && !exit_of(KILLED).success());
    }
}
