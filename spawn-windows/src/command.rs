//! The making of a process.

use std::env;
use std::ffi::{OsStr, c_void};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::{Path, PathBuf};
use std::ptr;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_UNICODE_ENVIRONMENT, CreateProcessW,
    DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT, InitializeProcThreadAttributeList,
    LPPROC_THREAD_ATTRIBUTE_LIST, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROC_THREAD_ATTRIBUTE_JOB_LIST,
    PROCESS_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOEXW, UpdateProcThreadAttribute,
};

use crate::job::Job;
use crate::quote::command_line;
use crate::{Program, pipe};

/// The standard handles of a child.
#[derive(Debug)]
pub(crate) struct Standard {
    pub(crate) stdin: OwnedHandle,
    pub(crate) stdout: OwnedHandle,
    pub(crate) stderr: OwnedHandle,
    /// Whether one of them is our console, which the child then shares.
    pub(crate) console: bool,
}

/// A process that was just made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) process: OwnedHandle,
    pub(crate) pid: u32,
}

/// Makes a process that is in the job from its first moment and has the standard handles and no others of this process.
///
/// Both are the system's doing at the making itself: there is no moment at which this process could die and leave behind one
/// that is in no job, and no handle comes along because somebody has made it inheritable.
pub(crate) fn create(program: &Program, standard: &Standard, job: &Job) -> io::Result<Made> {
    let file = file_of(&program.path)?;
    let mut line = command_line(file.as_os_str(), &program.args)?;
    let application: Vec<u16> = file.as_os_str().encode_wide().chain([0]).collect();
    let handles = [&standard.stdin, &standard.stdout, &standard.stderr];
    // Other code of this program that makes a child in just this moment may hand them on to it. There is no remedy for that, but
    // its effect is bounded: deaths are told by the process, not by the end of its streams.
    for handle in handles {
        pipe::set_inheritable(handle.as_handle(), true)?;
    }
    let inherited = handles.map(AsRawHandle::as_raw_handle);
    let jobs = [job.handle()];
    let mut attributes = Attributes::new()?;
    attributes.set(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, &inherited)?;
    attributes.set(PROC_THREAD_ATTRIBUTE_JOB_LIST, &jobs)?;
    let mut startup = STARTUPINFOEXW { lpAttributeList: attributes.list(), ..STARTUPINFOEXW::default() };
    startup.StartupInfo.cb = size_of::<STARTUPINFOEXW>() as u32;
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    [startup.StartupInfo.hStdInput, startup.StartupInfo.hStdOutput, startup.StartupInfo.hStdError] = inherited;
    let mut flags = EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT;
    // Ctrl-C is for this process, which then ends its children in order.
    flags |= CREATE_NEW_PROCESS_GROUP;
    if !standard.console {
        flags |= CREATE_NO_WINDOW;
    }
    let mut made = PROCESS_INFORMATION::default();
    // SAFETY: the texts end with zeros and the line may be written to; the attributes and what they refer to live until the call
    // returns; no environment and no folder means this process' own.
    let done = unsafe {
        CreateProcessW(
            application.as_ptr(),
            line.as_mut_ptr(),
            ptr::null(),
            ptr::null(),
            1,
            flags,
            ptr::null(),
            ptr::null(),
            (&raw const startup).cast(),
            &mut made,
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: two handles that were just made and that nobody else has.
    let (process, _thread) =
        unsafe { (OwnedHandle::from_raw_handle(made.hProcess), OwnedHandle::from_raw_handle(made.hThread)) };
    Ok(Made { process, pid: made.dwProcessId })
}

/// The file that is run: the system would look for a bare name in the current folder as well, and run batch files by a shell
/// that reads its arguments by other rules.
fn file_of(path: &Path) -> io::Result<PathBuf> {
    let is_name = path.components().count() == 1 && path.file_name().is_some_and(|name| name == path.as_os_str());
    let file = if is_name {
        let folders = env::var_os("PATH").unwrap_or_default();
        let found = env::split_paths(&folders).map(|folder| completed(folder.join(path))).find(|file| file.is_file());
        found.ok_or(io::ErrorKind::NotFound)?
    } else {
        completed(path.to_owned())
    };
    let extension = file.extension().unwrap_or_default();
    if ["bat", "cmd"].iter().any(|shell| extension.eq_ignore_ascii_case(shell)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a batch file cannot be given its arguments safely"));
    }
    Ok(file)
}

fn completed(file: PathBuf) -> PathBuf {
    if file.extension().is_some() || file.is_file() { file } else { file.with_extension(OsStr::new("exe")) }
}

/// What a process is made with beside its standard handles: two attributes.
struct Attributes {
    /// In words, for the alignment.
    list: Vec<usize>,
}

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut size = 0;
        // SAFETY: asks how large a list of two must be; that this is told as an error is its way.
        unsafe { InitializeProcThreadAttributeList(ptr::null_mut(), 2, 0, &mut size) };
        let mut list = vec![0_usize; size.div_ceil(size_of::<usize>())];
        // SAFETY: the room is as large as was asked for.
        let made = unsafe { InitializeProcThreadAttributeList(list.as_mut_ptr().cast(), 2, 0, &mut size) };
        if made == 0 { Err(io::Error::last_os_error()) } else { Ok(Self { list }) }
    }

    /// The list refers to the handles, which must live as long as it is used.
    fn set(&mut self, attribute: u32, handles: &[HANDLE]) -> io::Result<()> {
        // SAFETY: the list has room for another; the size of the handles is as is said.
        let set = unsafe {
            UpdateProcThreadAttribute(
                self.list(),
                0,
                attribute as usize,
                handles.as_ptr().cast::<c_void>(),
                size_of_val(handles),
                ptr::null_mut(),
                ptr::null(),
            )
        };
        if set == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn list(&mut self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.list.as_mut_ptr().cast()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the list was made by `new` and is not used any more.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}
