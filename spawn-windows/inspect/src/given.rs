//! What a process was given at its start.

use std::ffi::c_void;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::Diagnostics::Debug::ReadProcessMemory;
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_QUERY_INFORMATION, PROCESS_VM_READ};

/// The command line and the environment of a process, as whoever may read its memory sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its arguments in one text, its own name among them.
    pub command_line: String,
    /// `NAME=value` of each variable.
    pub environment: Vec<String>,
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtQueryInformationProcess(process: HANDLE, class: i32, into: *mut c_void, size: u32, written: *mut u32) -> i32;
}

/// The class of information whose second word is where the process's own block is.
const BASIC_INFORMATION: i32 = 0;
// Where the parts are, in bytes: the same in all processes of 64 bits.
const PARAMETERS_IN_BLOCK: usize = 0x20;
const COMMAND_LINE: usize = 0x70;
const ENVIRONMENT: usize = 0x80;
const ENVIRONMENT_SIZE: usize = 0x3F0;

impl Given {
    /// What the living process of this id was given.
    pub fn to(pid: u32) -> Option<Self> {
        let memory = Memory::of(pid)?;
        let mut basic = [0_usize; 6];
        // SAFETY: the handle is open; what is written is as large as is said.
        let status = unsafe {
            NtQueryInformationProcess(
                memory.0.as_raw_handle(),
                BASIC_INFORMATION,
                basic.as_mut_ptr().cast(),
                size_of_val(&basic) as u32,
                ptr::null_mut(),
            )
        };
        if status != 0 {
            return None;
        }
        let parameters = memory.word(basic[1] + PARAMETERS_IN_BLOCK)?;
        // The length in bytes is the first of four shorts, the place the next word.
        let length = memory.word(parameters + COMMAND_LINE)? & 0xFFFF;
        let command_line = memory.text(memory.word(parameters + COMMAND_LINE + 8)?, length)?;
        let size = memory.word(parameters + ENVIRONMENT_SIZE)?;
        let environment = memory.text(memory.word(parameters + ENVIRONMENT)?, size)?;
        let variables = environment.split('\0').take_while(|variable| !variable.is_empty()).map(str::to_owned);
        Some(Self { command_line, environment: variables.collect() })
    }
}

/// That of another process.
struct Memory(OwnedHandle);

impl Memory {
    fn of(pid: u32) -> Option<Self> {
        // SAFETY: asks for a handle.
        let process = unsafe { OpenProcess(PROCESS_QUERY_INFORMATION | PROCESS_VM_READ, 0, pid) };
        // SAFETY: a handle that was just made and that nobody else has.
        (!process.is_null()).then(|| Self(unsafe { OwnedHandle::from_raw_handle(process) }))
    }

    fn read(&self, at: usize, into: &mut [u8]) -> Option<()> {
        let mut read = 0;
        // SAFETY: the handle is open and the room as large as is said; what is not there is answered so.
        let done = unsafe {
            ReadProcessMemory(
                self.0.as_raw_handle(),
                ptr::without_provenance(at),
                into.as_mut_ptr().cast(),
                into.len(),
                &mut read,
            )
        };
        (done != 0 && read == into.len()).then_some(())
    }

    fn word(&self, at: usize) -> Option<usize> {
        let mut word = [0; 8];
        self.read(at, &mut word)?;
        Some(usize::from_le_bytes(word))
    }

    fn text(&self, at: usize, bytes: usize) -> Option<String> {
        let mut text = vec![0; bytes];
        self.read(at, &mut text)?;
        let units: Vec<u16> = text.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        Some(String::from_utf16_lossy(&units))
    }
}
