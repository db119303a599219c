//! Who may open something.

use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{HANDLE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW, GetSecurityInfo, SDDL_REVISION_1,
    SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetTokenInformation, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// The access list of something, in the system's own notation.
///
/// # Panics
/// The system does not tell.
pub fn access_list(of: BorrowedHandle<'_>) -> String {
    let mut descriptor = ptr::null_mut();
    // SAFETY: asks; the descriptor is written to where it may be.
    let error = unsafe {
        GetSecurityInfo(
            of.as_raw_handle(),
            SE_KERNEL_OBJECT,
            DACL_SECURITY_INFORMATION,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut descriptor,
        )
    };
    assert_eq!(error, 0);
    let mut text = ptr::null_mut();
    // SAFETY: the descriptor is valid; the pointer is written to where it may be.
    let told = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &mut text,
            ptr::null_mut(),
        )
    };
    assert_ne!(told, 0);
    // SAFETY: both were allocated by the system for us to free.
    unsafe {
        LocalFree(descriptor);
        taken(text)
    }
}

/// The user of this process, as `S-1-..`.
///
/// # Panics
/// The system does not tell.
pub fn user() -> String {
    let mut token: HANDLE = ptr::null_mut();
    let mut buf = [0_u64; 32];
    let mut length = 0;
    let mut text = ptr::null_mut();
    // SAFETY: asks; the room is as large as is said and aligned, and the id that is pointed to is in it.
    unsafe {
        assert_ne!(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token), 0);
        let token = OwnedHandle::from_raw_handle(token);
        let (room, size) = (buf.as_mut_ptr().cast(), size_of_val(&buf) as u32);
        assert_ne!(GetTokenInformation(token.as_raw_handle(), TokenUser, room, size, &mut length), 0);
        let sid = (*buf.as_ptr().cast::<TOKEN_USER>()).User.Sid;
        assert_ne!(ConvertSidToStringSidW(sid, &mut text), 0);
        taken(text)
    }
}

/// # Safety
/// The text ends with a zero and was allocated by the system for us to free.
unsafe fn taken(text: *mut u16) -> String {
    let mut units = Vec::new();
    // SAFETY: as the caller says.
    unsafe {
        let mut at = text;
        while *at != 0 {
            units.push(*at);
            at = at.add(1);
        }
        LocalFree(text.cast());
    }
    String::from_utf16_lossy(&units)
}
