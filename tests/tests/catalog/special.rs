//! Names, special files and permissions that only one system can make: the platform door of the catalog's test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file with an unusual name: its path below the folder, and the text that the table must have for it.
pub(crate) type Named = (PathBuf, &'static str);

/// Makes files in `folder` whose names only this system allows.
#[cfg(unix)]
pub(crate) fn odd_names(folder: &Path) -> Vec<Named> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let names: [(&[u8], &str); 9] = [
        (b"caf\xe9", "caf\\xe9"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"cut\xe2\x82", "cut\\xe2\\x82"),
        (b"back\\slash", "back\\slash"),
        (b"\\xff\\xfe", "\\x5cxff\\x5cxfe"),
        (b"\\x5c", "\\x5cx5c"),
        (b"new\nline", "new\nline"),
        (b"\x1b[31mred", "\x1b[31mred"),
        (b"-rf '\"*?", "-rf '\"*?"),
    ];
    let make = |(name, text): (&[u8], &'static str)| {
        let name = PathBuf::from(OsStr::from_bytes(name));
        fs::write(folder.join(&name), text).expect("a file");
        (name, text)
    };
    names.map(make).to_vec()
}

/// On Windows a name that is not Unicode: a lone surrogate, whose three bytes are not UTF-8.
#[cfg(windows)]
pub(crate) fn odd_names(folder: &Path) -> Vec<Named> {
    use std::ffi::OsString;
    use std::os::windows::ffi::OsStringExt;
    let mut names = vec![(PathBuf::from("a';[]{}%^&~"), "a';[]{}%^&~")];
    // Wine keeps its files under names that are Unicode.
    if !procession_inspect_windows::is_wine() {
        names.push((PathBuf::from(OsString::from_wide(&[0x61, 0xd800])), "a\\xed\\xa0\\x80"));
    }
    for (name, text) in &names {
        fs::write(folder.join(name), text).expect("a file");
    }
    names
}

/// Makes what is no file: symlinks to a file, a folder and nothing, a socket, two FIFOs. Returns what the summary must say.
#[cfg(unix)]
pub(crate) fn special_files(folder: &Path) -> &'static str {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    fs::write(folder.join("target"), "of a symlink").expect("a file");
    symlink("target", folder.join("to-file")).expect("a symlink");
    symlink("..", folder.join("to-folder")).expect("a symlink");
    symlink("nowhere", folder.join("to-nothing")).expect("a symlink");
    // The listener may go: its file stays.
    UnixListener::bind(folder.join("socket")).expect("a socket");
    for name in ["fifo", "other fifo"] {
        mknodat(CWD, folder.join(name), FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO");
    }
    "not opened: 3 symlinks, 1 socket, 2 FIFOs"
}

/// On Windows a symlink needs a privilege, and the others do not exist.
#[cfg(windows)]
pub(crate) fn special_files(_folder: &Path) -> &'static str {
    "not opened: nothing"
}

/// Makes `path` unreadable for everybody but a superuser; `false` where that cannot be done.
#[cfg(unix)]
pub(crate) fn forbid(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).is_ok()
}

/// Windows forbids by access lists, which std cannot write.
#[cfg(windows)]
pub(crate) fn forbid(_path: &Path) -> bool {
    false
}

/// Undoes `forbid`, and opens a folder for everybody.
#[cfg(unix)]
pub(crate) fn allow(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("permissions");
}

/// Undoes `forbid`.
#[cfg(windows)]
pub(crate) fn allow(_path: &Path) {}

/// Lets `command` run as a user to whom permissions apply.
#[cfg(unix)]
pub(crate) fn as_nobody(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.uid(65_534).gid(65_534);
}

/// Windows needs a password for that.
#[cfg(windows)]
pub(crate) fn as_nobody(_command: &mut Command) {}
