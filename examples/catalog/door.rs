//! The one place of this example that names an operating system: what std has no common word for.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What a file system holds besides files and folders. It is counted and never opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Special {
    Symlink,
    Socket,
    Fifo,
    BlockDevice,
    CharacterDevice,
    /// Something this system does not name.
    Other,
}

impl Special {
    /// One of them, and several.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Symlink => ("symlink", "symlinks"),
            Self::Socket => ("socket", "sockets"),
            Self::Fifo => ("FIFO", "FIFOs"),
            Self::BlockDevice => ("block device", "block devices"),
            Self::CharacterDevice => ("character device", "character devices"),
            Self::Other => ("other", "others"),
        }
    }

    /// What this is, given that it is neither a file nor a folder.
    #[cfg(unix)]
    pub(crate) fn of(kind: FileType) -> Self {
        use std::os::unix::fs::FileTypeExt;
        match kind {
            _ if kind.is_symlink() => Self::Symlink,
            _ if kind.is_socket() => Self::Socket,
            _ if kind.is_fifo() => Self::Fifo,
            _ if kind.is_block_device() => Self::BlockDevice,
            _ if kind.is_char_device() => Self::CharacterDevice,
            _ => Self::Other,
        }
    }

    /// What this is, given that it is neither a file nor a folder.
    #[cfg(windows)]
    pub(crate) fn of(kind: FileType) -> Self {
        if kind.is_symlink() { Self::Symlink } else { Self::Other }
    }
}

/// Kills a process, as somebody from outside would: nothing of it is asked.
#[cfg(unix)]
pub(crate) fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Kills a process, as somebody from outside would: nothing of it is asked.
#[cfg(windows)]
pub(crate) fn kill(pid: u32) {
    // It may have ended by itself.
    let _ = std::process::Command::new("taskkill").args(["/F", "/PID", &pid.to_string()]).output();
}

/// Opens for reading what should be a file, in a way that neither follows a link nor waits.
///
/// Between the walk and this call the file may have become anything. A symlink is refused here; opening a FIFO returns at
/// once instead of waiting for a writer. What was opened is the caller's to check, by its metadata.
#[cfg(unix)]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Opens for reading what should be a file; a link is opened itself, not followed.
#[cfg(windows)]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    OpenOptions::new().read(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)
}

/// Which folder this is, however it was reached; `None` where the system does not tell.
#[cfg(unix)]
pub(crate) fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

/// Which folder this is: std does not tell on Windows, where only links make loops and links are not followed.
#[cfg(windows)]
pub(crate) fn identity(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType as Node, Mode, mknodat};

    use super::*;
    use crate::inspect::{Finding, Job, inspect};
    use crate::name::RelativePath;

    fn special(path: &Path) -> Special {
        Special::of(fs::symlink_metadata(path).expect("it exists").file_type())
    }

    #[test]
    fn a_fifo_without_a_writer_is_opened_at_once_and_known_as_one() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("fifo");
        mknodat(CWD, &path, Node::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO");
        let opened = open(&path).expect("opening does not wait");
        assert_eq!(Special::of(opened.metadata().expect("metadata").file_type()), Special::Fifo);
        assert_eq!(special(&path), Special::Fifo);
    }

    #[test]
    fn what_became_special_after_the_walk_has_no_row() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let fifo = Mode::from_raw_mode(0o600);
        mknodat(CWD, folder.path().join("fifo"), Node::Fifo, fifo, 0).expect("a FIFO");
        symlink("/etc/passwd", folder.path().join("link")).expect("a symlink");
        drop(UnixListener::bind(folder.path().join("socket")).expect("a socket"));
        for (name, kind) in [("fifo", Special::Fifo), ("link", Special::Symlink), ("socket", Special::Socket)] {
            let path = RelativePath::default().entry(name.as_ref());
            assert_eq!(inspect(&Job::new(folder.path(), path)), Finding::Special(kind));
        }
    }

    #[test]
    fn a_symlink_is_not_followed() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("link");
        symlink("/dev/null", &path).expect("a symlink");
        open(&path).expect_err("a symlink is refused");
        assert_eq!(special(&path), Special::Symlink);
    }

    #[test]
    fn sockets_and_devices_are_told_apart() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("socket");
        let _listener = UnixListener::bind(&path).expect("a socket");
        open(&path).expect_err("a socket cannot be opened");
        assert_eq!(special(&path), Special::Socket);
        assert_eq!(special(Path::new("/dev/null")), Special::CharacterDevice);
    }
}
