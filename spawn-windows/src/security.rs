//! Who may open what this program names.

use std::io;
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

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
        // Protected, so that nothing is inherited; all rights to one user.
        let made = Self::new(&format!("D:P(A;;GA;;;{})", user()?))?;
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
fn user() -> io::Result<String> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: asks for a handle, which is written to where it may be.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // A user with the longest id there can be; in words, for what is written has pointers in it.
    let mut buf = [0_u64; 32];
    let mut length = 0;
    // SAFETY: the room is as large as is said, and aligned for what is written.
    let told = unsafe {
        GetTokenInformation(token, TokenUser, buf.as_mut_ptr().cast(), size_of_val(&buf) as u32, &mut length)
    };
    let error = io::Error::last_os_error();
    // SAFETY: the handle is ours and not used any more.
    unsafe { CloseHandle(token) };
    if told == 0 {
        return Err(error);
    }
    // SAFETY: this is what was written; the id it points to is behind it in the same room.
    let sid = unsafe { (*buf.as_ptr().cast::<TOKEN_USER>()).User.Sid };
    let mut text = ptr::null_mut();
    // SAFETY: the id is valid; the pointer is written to where it may be.
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
