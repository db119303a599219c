//! What tests see of other processes on Windows, and do to them: nothing of the product uses this.
//!
//! A process is known by its handle. Its id is given to others as soon as nobody holds one.
#![cfg(windows)]

mod below;
mod given;
mod job;
mod limits;
mod section;
mod security;

use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{
    GetHandleInformation, HANDLE, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::Diagnostics::Debug::RaiseException;
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessTimes, OpenProcess, PROCESS_QUERY_INFORMATION, PROCESS_SUSPEND_RESUME,
    PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, TerminateProcess, WaitForSingleObject,
};

pub use below::kill_below;
pub use given::Given;
pub use job::Job;
pub use limits::{cpus, memory_limit, priority_class};
pub use section::{can_be_written, file_section};
pub use security::{access_list, user};

/// A process, for as long as this is held.
#[derive(Debug)]
pub struct Process(OwnedHandle);

#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtSuspendProcess(process: HANDLE) -> i32;
    fn NtResumeProcess(process: HANDLE) -> i32;
}

impl Process {
    /// The process that has this id now.
    pub fn open(pid: u32) -> Option<Self> {
        let rights = PROCESS_SYNCHRONIZE | PROCESS_TERMINATE | PROCESS_SUSPEND_RESUME | PROCESS_QUERY_INFORMATION;
        // SAFETY: asks for a handle.
        let process = unsafe { OpenProcess(rights, 0, pid) };
        // SAFETY: a handle that was just made and that nobody else has.
        (!process.is_null()).then(|| Self(unsafe { OwnedHandle::from_raw_handle(process) }))
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(self.0.as_raw_handle(), 0) == WAIT_TIMEOUT }
    }

    /// Ends it, and only it, with this exit code.
    pub fn terminate(&self, code: u32) {
        // SAFETY: the handle is open.
        unsafe { TerminateProcess(self.0.as_raw_handle(), code) };
    }

    /// Holds every thread of it where it is.
    pub fn suspend(&self) {
        // SAFETY: the handle is open.
        unsafe { NtSuspendProcess(self.0.as_raw_handle()) };
    }

    /// Lets them go on.
    pub fn resume(&self) {
        // SAFETY: the handle is open.
        unsafe { NtResumeProcess(self.0.as_raw_handle()) };
    }
}

/// A process in the system's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub pid: u32,
    /// The id of the process that has started it, which may be another's by now.
    pub parent: u32,
    /// How many threads it has.
    pub threads: u32,
    /// The name of its file.
    pub file: String,
}

/// All processes.
pub fn list() -> Vec<Listed> {
    let mut all = Vec::new();
    // SAFETY: asks for a handle.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return all;
    }
    // SAFETY: a handle that was just made and that nobody else has.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    let mut entry = PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>() as u32, ..PROCESSENTRY32W::default() };
    // SAFETY: the handle is that of a list; what is written is as large as is said.
    let mut more = unsafe { Process32FirstW(snapshot.as_raw_handle(), &mut entry) };
    while more != 0 {
        let file = entry.szExeFile.split(|unit| *unit == 0).next().unwrap_or_default();
        let file = String::from_utf16_lossy(file);
        let (pid, parent, threads) = (entry.th32ProcessID, entry.th32ParentProcessID, entry.cntThreads);
        all.push(Listed { pid, parent, threads, file });
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.as_raw_handle(), &mut entry) };
    }
    all
}

/// Those that this process has started and that live.
pub fn children() -> Vec<u32> {
    children_of(std::process::id())
}

/// Those that this process, which lives, has started and that live.
pub fn children_of(parent: u32) -> Vec<u32> {
    let mut all = list();
    all.retain(|listed| listed.parent == parent && listed.pid != parent);
    all.into_iter().map(|listed| listed.pid).collect()
}

/// How many handles this process has open, as far as a test can have made them: of all numbers up to 32 Ki those that are one's.
///
/// The system's own count is always 0 under Wine.
pub fn open_handles() -> u32 {
    let is_open = |number: &usize| {
        let mut flags = 0;
        // SAFETY: asks; a number that is no handle's is answered so.
        unsafe { GetHandleInformation(std::ptr::without_provenance_mut(*number), &mut flags) != 0 }
    };
    (4..0x8000).step_by(4).filter(is_open).count() as u32
}

/// Bytes of memory that this process has in use.
pub fn memory() -> usize {
    let mut counters = PROCESS_MEMORY_COUNTERS::default();
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: asks of this process; what is written is as large as is said.
    unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &mut counters, size) };
    counters.WorkingSetSize
}

/// What this process has spent on a processor.
pub fn processor_time() -> std::time::Duration {
    let mut times = [windows_sys::Win32::Foundation::FILETIME::default(); 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: asks of this process; the times are written to where they may be.
    unsafe { GetProcessTimes(GetCurrentProcess(), created, ended, kernel, user) };
    let ticks = |time: &windows_sys::Win32::Foundation::FILETIME| {
        u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime)
    };
    std::time::Duration::from_nanos((ticks(kernel) + ticks(user)) * 100)
}

/// Whether this is Wine and not Windows.
pub fn is_wine() -> bool {
    let ntdll: Vec<u16> = "ntdll.dll\0".encode_utf16().collect();
    // SAFETY: the texts end with zeros; every process has this library.
    unsafe {
        let ntdll = GetModuleHandleW(ntdll.as_ptr());
        !ntdll.is_null() && GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()).is_some()
    }
}

/// Writes to where nothing may be written.
pub fn fault() -> ! {
    loop {
        // SAFETY: none, on purpose: this process ends here.
        unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    }
}

/// Lets children that inherit what they can inherit this.
pub fn make_inheritable(handle: BorrowedHandle<'_>) {
    // SAFETY: sets a flag of an open handle.
    unsafe { SetHandleInformation(handle.as_raw_handle(), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) };
}

unsafe extern "C" {
    fn _read(descriptor: i32, buf: *mut u8, count: u32) -> i32;
}

/// What C code gets when it reads from its standard input: the number of bytes, 0 at the end, less for an error.
pub fn c_read_stdin() -> i32 {
    let mut buf = [0; 16];
    // SAFETY: the room is as large as is said.
    unsafe { _read(0, buf.as_mut_ptr(), buf.len() as u32) }
}

/// Runs what is no instruction.
pub fn illegal_instruction() -> ! {
    // SAFETY: none is needed: this process ends here.
    unsafe { std::arch::asm!("ud2", options(noreturn)) }
}

/// Runs into a breakpoint that nobody has set.
pub fn breakpoint() {
    // SAFETY: a debugger, were there one, would go on behind it.
    unsafe { std::arch::asm!("int3") };
}

/// Ends as at an exception with this code.
pub fn raise(code: u32) {
    // SAFETY: the exception has no arguments.
    unsafe { RaiseException(code, 0, 0, std::ptr::null()) };
}
