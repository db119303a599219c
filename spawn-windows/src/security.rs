//! Who may open what this program names.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1,
    SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, RevertToSelf, SECURITY_ATTRIBUTES,
    TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Pipes::ImpersonateNamedPipeClient;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetCurrentThread, OpenProcessToken, OpenThreadToken};

/// A security descriptor: who may do what with something.
#[derive(Debug)]
pub(crate) struct Descriptor(PSECURITY_DESCRIPTOR);

// SAFETY: it is made once and only read from then on.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// Lets in the user of this process and nobody else. It lives as long as the process.
    pub(crate) fn only_me() -> io::Result<&'static Self> {
        static ONLY_ME: OnceLock<Descriptor> = OnceLock::new();
        if let Some(only_me) = ONLY_ME.get() {
            return Ok(only_me);
        }
        // Owned by the user and not by a group of theirs; protected, so that nothing is inherited; all rights to one user.
        let user = user()?;
        let made = Self::new(&format!("O:{user}D:P(A;;GA;;;{user})"))?;
        Ok(ONLY_ME.get_or_init(|| made))
    }

    /// The attributes of something that is not inherited.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }

    /// As the system takes it, for as long as `self` lives.
    pub(crate) fn as_ptr(&self) -> PSECURITY_DESCRIPTOR {
        self.0
    }

    /// One that says what `sddl` does, in the system's own notation.
    pub(crate) fn new(sddl: &str) -> io::Result<Self> {
        let sddl: Vec<u16> = sddl.encode_utf16().chain([0]).collect();
        let mut descriptor = ptr::null_mut();
        // SAFETY: the text ends with a zero; the descriptor is written to where it may be.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                ptr::null_mut(),
            )
        };
        if made == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(descriptor)) }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system has allocated it so, and nobody refers to it any more.
        unsafe { LocalFree(self.0) };
    }
}

/// The user of this process, as `S-1-..`.
pub(crate) fn user() -> io::Result<String> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: asks for a handle, which is written to where it may be.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a handle that was just made and that nobody else has.
    user_of(&unsafe { OwnedHandle::from_raw_handle(token) })
}

/// The user of whoever has connected to a pipe, whose other end this is.
///
/// The system has noted it when they did; a process that has since taken the id of another is not asked.
pub(crate) fn client(pipe: BorrowedHandle<'_>) -> io::Result<String> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the handle is open. This thread is the client for the next two calls, which do nothing but to ask who that is.
    let opened = unsafe {
        if ImpersonateNamedPipeClient(pipe.as_raw_handle()) == 0 {
            return Err(io::Error::last_os_error());
        }
        let opened = OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, 1, &mut token);
        let error = io::Error::last_os_error();
        if RevertToSelf() == 0 {
            // What is done from here on would be done by somebody else.
            std::process::abort();
        }
        if opened == 0 { Err(error) } else { Ok(OwnedHandle::from_raw_handle(token)) }
    };
    user_of(&opened?)
}

/// The user who has made a pipe.
pub(crate) fn owner(pipe: BorrowedHandle<'_>) -> io::Result<String> {
    let mut owner = ptr::null_mut();
    let mut descriptor = ptr::null_mut();
    // SAFETY: asks; both are written to where they may be.
    let error = unsafe {
        GetSecurityInfo(
            pipe.as_raw_handle(),
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &mut owner,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut descriptor,
        )
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error.cast_signed()));
    }
    let descriptor = Descriptor(descriptor);
    // SAFETY: the id is in the descriptor, which lives until here.
    let text = unsafe { text_of(owner) };
    drop(descriptor);
    text
}

fn user_of(token: &OwnedHandle) -> io::Result<String> {
    // A user with the longest id there can be; in words, for what is written has pointers in it.
    let mut buf = [0_u64; 32];
    let mut length = 0;
    // SAFETY: the room is as large as is said, and aligned for what is written.
    let told = unsafe {
        let size = size_of_val(&buf) as u32;
        GetTokenInformation(token.as_raw_handle(), TokenUser, buf.as_mut_ptr().cast(), size, &mut length)
    };
    if told == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: this is what was written; the id it points to is behind it in the same room.
    unsafe { text_of((*buf.as_ptr().cast::<TOKEN_USER>()).User.Sid) }
}

/// # Safety
/// The id is null, or valid until this returns.
unsafe fn text_of(sid: PSID) -> io::Result<String> {
    let mut text = ptr::null_mut();
    // SAFETY: the id is what the caller says, and null is answered by an error; the pointer is written to where it may be.
    if unsafe { ConvertSidToStringSidW(sid, &mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut units = Vec::new();
    // SAFETY: a text that ends with a zero, which the system has allocated for us to free.
    unsafe {
        let mut at = text;
        while *at != 0 {
            units.push(*at);
            at = at.add(1);
        }
        LocalFree(text.cast());
    }
    Ok(String::from_utf16_lossy(&units))
}
