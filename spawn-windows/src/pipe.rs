//! Pipes with two ends, both made here.

use std::fmt::Write;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Wdk::Storage::FileSystem::{
    FILE_PIPE_FULL_DUPLEX, FILE_PIPE_LOCAL_INFORMATION, FilePipeLocalInformation, NtQueryInformationFile,
};
use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_NO_DATA, ERROR_PIPE_NOT_CONNECTED, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE,
    SetHandleInformation,
};
use windows_sys::Win32::Security::Cryptography::{BCRYPT_USE_SYSTEM_PREFERRED_RNG, BCryptGenRandom};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, FILE_FLAGS_AND_ATTRIBUTES, FILE_TYPE_PIPE, GetFileType,
    PIPE_ACCESS_DUPLEX, PIPE_ACCESS_INBOUND, SECURITY_IDENTIFICATION,
};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;
use windows_sys::Win32::System::Pipes::{
    CreateNamedPipeW, PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE, PIPE_WAIT,
};

use crate::security::Descriptor;

/// Room for the largest greeting, so that handing it over does not wait for the child.
const ROOM: u32 = 128 * 1024;

/// Both ends of a pipe that carries bytes both ways. Neither is inherited by children, neither blocks.
pub(crate) fn duplex() -> io::Result<(OwnedHandle, OwnedHandle)> {
    let name = Name::random()?;
    let server = server(&name, PIPE_ACCESS_DUPLEX)?;
    let client = client(&name, OpenOptions::new().read(true).write(true), FILE_FLAG_OVERLAPPED)?;
    Ok((server, client))
}

/// A pipe from a child to us: our end does not block, the other does, as programs expect of their standard output.
pub(crate) fn inbound() -> io::Result<(OwnedHandle, OwnedHandle)> {
    let name = Name::random()?;
    let server = server(&name, PIPE_ACCESS_INBOUND)?;
    let client = client(&name, OpenOptions::new().write(true), 0)?;
    Ok((server, client))
}

/// Whether this is the end of a pipe that a child is given by [`duplex`]: the client's, of one instance, both ways.
pub(crate) fn is_childs_end(handle: BorrowedHandle<'_>) -> bool {
    let handle = handle.as_raw_handle();
    // SAFETY: asks; a handle that is none of a file is answered so.
    if unsafe { GetFileType(handle) } != FILE_TYPE_PIPE {
        return false;
    }
    let mut status = IO_STATUS_BLOCK::default();
    let mut about = FILE_PIPE_LOCAL_INFORMATION::default();
    // SAFETY: the handle is open; what is written fits into where it is written to, as is said.
    let told = unsafe {
        NtQueryInformationFile(
            handle,
            &mut status,
            (&raw mut about).cast(),
            size_of::<FILE_PIPE_LOCAL_INFORMATION>() as u32,
            FilePipeLocalInformation,
        )
    };
    // Type 0 is a pipe of bytes, end 0 the client's.
    told == 0
        && about.NamedPipeConfiguration == FILE_PIPE_FULL_DUPLEX
        && about.NamedPipeType == 0
        && about.NamedPipeEnd == 0
        && about.MaximumInstances == 1
}

/// Lets children inherit a handle, or no more.
pub(crate) fn set_inheritable(handle: BorrowedHandle<'_>, inheritable: bool) -> io::Result<()> {
    let flag = if inheritable { HANDLE_FLAG_INHERIT } else { 0 };
    // SAFETY: sets a flag of an open handle.
    let set = unsafe { SetHandleInformation(handle.as_raw_handle(), HANDLE_FLAG_INHERIT, flag) };
    if set == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether an error says that nobody is at the other end. Which of the three comes is a matter of the moment.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    let gone = [ERROR_BROKEN_PIPE, ERROR_NO_DATA, ERROR_PIPE_NOT_CONNECTED];
    error.kind() == io::ErrorKind::BrokenPipe
        || error.raw_os_error().is_some_and(|error| gone.contains(&error.cast_unsigned()))
}

/// A peer that is gone, whatever the error, is the end of what can be read.
pub(crate) fn end_of_stream(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if is_gone(&error) => Ok(0),
        read => read,
    }
}

/// The same for the writing side, whose word for it is `BrokenPipe`.
pub(crate) fn broken_pipe(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if is_gone(&error) => Err(io::ErrorKind::BrokenPipe.into()),
        written => written,
    }
}

/// A name that nobody can have guessed: needed for the moment between the making of the two ends.
struct Name(String);

impl Name {
    fn random() -> io::Result<Self> {
        let mut secret = [0; 16];
        // SAFETY: the room is as large as is said.
        let status = unsafe {
            BCryptGenRandom(ptr::null_mut(), secret.as_mut_ptr(), secret.len() as u32, BCRYPT_USE_SYSTEM_PREFERRED_RNG)
        };
        if status != 0 {
            return Err(io::Error::other(format!("the system has no random numbers: status {status:#x}")));
        }
        let mut name = String::from(r"\\.\pipe\procession-");
        for byte in secret {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        Ok(Self(name))
    }
}

fn server(name: &Name, access: FILE_FLAGS_AND_ATTRIBUTES) -> io::Result<OwnedHandle> {
    let attributes = Descriptor::only_me()?.attributes();
    let name: Vec<u16> = name.0.encode_utf16().chain([0]).collect();
    // SAFETY: the name ends with a zero, and the attributes and what they point to live until the call returns.
    let server = unsafe {
        CreateNamedPipeW(
            name.as_ptr(),
            access | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
            PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
            1,
            ROOM,
            ROOM,
            0,
            &attributes,
        )
    };
    if server == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a handle that was just made and that nobody else has.
    Ok(unsafe { OwnedHandle::from_raw_handle(server) })
}

fn client(name: &Name, options: &mut OpenOptions, flags: u32) -> io::Result<OwnedHandle> {
    // No more than who we are is told to whoever is at the other end.
    let opened: io::Result<File> =
        options.share_mode(0).custom_flags(flags).security_qos_flags(SECURITY_IDENTIFICATION).open(&name.0);
    Ok(opened?.into())
}
