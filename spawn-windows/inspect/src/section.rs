//! What may be done with shared memory.

use std::fs::File;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{DUPLICATE_HANDLE_OPTIONS, DUPLICATE_SAME_ACCESS, DuplicateHandle};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_ALL_ACCESS, FILE_MAP_READ, FILE_MAP_WRITE, MapViewOfFile, PAGE_PROTECTION_FLAGS,
    PAGE_READONLY, PAGE_READWRITE, UnmapViewOfFile, VirtualProtect,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// Whether who has this handle on a section can write to it: by it, by a better one that is had from it, or by making a view
/// for reading one for writing.
pub fn can_be_written(section: BorrowedHandle<'_>) -> bool {
    let better = [FILE_MAP_WRITE, FILE_MAP_READ | FILE_MAP_WRITE, FILE_MAP_ALL_ACCESS];
    let better = better.into_iter().filter_map(|rights| duplicate(section, rights, 0));
    let same = duplicate(section, 0, DUPLICATE_SAME_ACCESS);
    better.chain(same).any(|handle| maps_for_writing(&handle))
}

/// A section of this many bytes of a file, for reading.
///
/// # Panics
/// The system does not make one.
pub fn file_section(file: &File, len: u32) -> OwnedHandle {
    // SAFETY: makes a section of an open file, without a name.
    let section = unsafe { CreateFileMappingW(file.as_raw_handle(), ptr::null(), PAGE_READONLY, 0, len, ptr::null()) };
    assert!(!section.is_null());
    // SAFETY: a handle that was just made and that nobody else has.
    unsafe { OwnedHandle::from_raw_handle(section) }
}

fn duplicate(handle: BorrowedHandle<'_>, rights: u32, options: DUPLICATE_HANDLE_OPTIONS) -> Option<OwnedHandle> {
    let mut given = ptr::null_mut();
    // SAFETY: the handles are open; the new one is written to where it may be, and nobody else has it.
    unsafe {
        let this = GetCurrentProcess();
        let done = DuplicateHandle(this, handle.as_raw_handle(), this, &mut given, rights, 0, options);
        (done != 0).then(|| OwnedHandle::from_raw_handle(given))
    }
}

fn maps_for_writing(section: &OwnedHandle) -> bool {
    let section = section.as_raw_handle();
    for rights in [FILE_MAP_WRITE, FILE_MAP_READ | FILE_MAP_WRITE, FILE_MAP_ALL_ACCESS] {
        // SAFETY: a new view touches no existing memory, and nobody has seen it when it is taken back.
        let view = unsafe { MapViewOfFile(section, rights, 0, 0, 1) };
        if !view.Value.is_null() {
            // SAFETY: as above.
            unsafe { UnmapViewOfFile(view) };
            return true;
        }
    }
    let mut before: PAGE_PROTECTION_FLAGS = 0;
    // SAFETY: as above.
    unsafe {
        let view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 1);
        let changed = !view.Value.is_null() && VirtualProtect(view.Value, 1, PAGE_READWRITE, &mut before) != 0;
        UnmapViewOfFile(view);
        changed
    }
}
