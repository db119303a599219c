//! The first acts of a worker, and its last.

use std::ffi::{c_char, c_int};
use std::fs::OpenOptions;
use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, IntoRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Console::{GetStdHandle, STD_INPUT_HANDLE, SetStdHandle};
use windows_sys::Win32::System::Diagnostics::Debug::{
    SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX, SetErrorMode,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, SetThreadDescription, TerminateProcess,
};

use crate::exit::KILLED;
use crate::{Endpoint, pipe};

/// Makes this process the worker of the process `parent`, and takes the stream that it was started with.
///
/// This must be the first act of the process. Afterwards the standard input is the null device, the stream is not inherited
/// by children, and a crash ends the process without asking anybody. If the parent dies, this process is killed.
///
/// # Errors
/// `InvalidInput` if the standard input is not a stream: somebody has started the program by hand as if it were a worker.
///
/// # Platform-specific behavior
/// On Windows `parent` is not looked at: an id may belong to somebody else by now, while the job that this process is in is
/// its parent's and nobody else's.
pub fn enter_worker(parent: u32) -> io::Result<Endpoint> {
    let _ = parent;
    let endpoint = take_stdin()?;
    // SAFETY: sets a mode of this process.
    unsafe { SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX) };
    Ok(endpoint)
}

/// Names the calling thread, in debuggers: a process itself has no name but its file's.
pub fn set_process_name(name: &str) {
    let name: Vec<u16> = name.encode_utf16().filter(|unit| *unit != 0).chain([0]).collect();
    // SAFETY: the text ends with a zero. A name is decoration: a thread that cannot have one works as well.
    unsafe { SetThreadDescription(GetCurrentThread(), name.as_ptr()) };
}

/// Kills this process and everything in its job at once.
///
/// # Platform-specific behavior
/// On Windows a process has no handle on its own job, which would keep the job alive beyond the parent. It ends itself, with
/// the same code as [`Child::kill`](crate::Child::kill); the parent ends the rest of the job as soon as it hears of that, and
/// the system does so if there is no parent any more.
pub fn die_with_tree() -> ! {
    // SAFETY: ends this process, and runs nothing of it.
    unsafe { TerminateProcess(GetCurrentProcess(), KILLED) };
    std::process::abort()
}

/// Moves the standard input away and puts the null device in its place.
fn take_stdin() -> io::Result<Endpoint> {
    // SAFETY: asks.
    let stdin = unsafe { GetStdHandle(STD_INPUT_HANDLE) };
    // SAFETY: if it is a handle at all it is open, for as long as this is the first thing that runs in this process.
    let is_stream = !stdin.is_null()
        && stdin != INVALID_HANDLE_VALUE
        && pipe::is_childs_end(unsafe { BorrowedHandle::borrow_raw(stdin) });
    if !is_stream {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "standard input is not a stream: a worker is started by its parent, not by hand",
        ));
    }
    let mut moved = ptr::null_mut();
    // SAFETY: the handles are those of this process and of an open pipe; the new one is written to where it may be.
    let duplicated = unsafe {
        let this = GetCurrentProcess();
        DuplicateHandle(this, stdin, this, &mut moved, 0, 0, DUPLICATE_SAME_ACCESS)
    };
    if duplicated == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a handle that was just made and that nobody else has.
    let moved = unsafe { OwnedHandle::from_raw_handle(moved) };
    put_null(stdin.addr())?;
    Endpoint::adopt(moved).map_err(|_| io::Error::other("the standard input has changed"))
}

unsafe extern "C" {
    fn _open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn _dup2(from: c_int, to: c_int) -> c_int;
    fn _close(descriptor: c_int) -> c_int;
    fn _get_osfhandle(descriptor: c_int) -> isize;
}

/// Makes the null device the standard input, for Rust and for C: the C runtime has a number of its own for what it was started
/// with, and a library that reads from that would take what is for us.
fn put_null(stdin: usize) -> io::Result<()> {
    // SAFETY: the text ends with a zero; number 0 is the standard input's, which the runtime has opened at the start. What it had
    // there is closed by `_dup2`, which makes the new one the system's standard input as well.
    let closed = unsafe {
        let null = _open(c"NUL".as_ptr(), 0);
        let known = null > 0 && _get_osfhandle(0).cast_unsigned() == stdin;
        let put = known && _dup2(null, 0) == 0;
        if null > 0 {
            _close(null);
        }
        put
    };
    // SAFETY: asks.
    let now = unsafe { GetStdHandle(STD_INPUT_HANDLE) };
    if !closed {
        // SAFETY: this process was started with it, and uses it no more.
        drop(unsafe { OwnedHandle::from_raw_handle(ptr::with_exposed_provenance_mut(stdin)) });
    }
    if !closed || now.addr() == stdin {
        let null = OpenOptions::new().read(true).open("NUL")?;
        // SAFETY: the handle stays open for as long as this process lives.
        unsafe { SetStdHandle(STD_INPUT_HANDLE, null.as_raw_handle()) };
        let _ = null.into_raw_handle();
    }
    Ok(())
}
