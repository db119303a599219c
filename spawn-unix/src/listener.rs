//! Listening on a name.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::uds_local_socket::tokio;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::Connection;
use crate::directory::Directory;

/// Lets other programs of the same user connect by a name.
///
/// Dropping it ends the listening and gives the name back; the connections stay.
///
/// # Platform-specific behavior
/// On Linux a socket file, `<name>.socket`, in a directory of mode 0700 that belongs to the user: `procession` below
/// `XDG_RUNTIME_DIR`, or else `procession-<uid>` where temporary files are. What a dead listener has left there is replaced. On
/// Windows a named pipe that lets in the user and nobody else, and nobody from another machine.
#[derive(Debug)]
pub struct Listener {
    /// Before the listener: as long as that lives, nobody replaces the file, so what is removed is ours.
    _file: SocketFile,
    listener: tokio::Listener,
}

impl Listener {
    /// Listens on `name`, which is the user's own: two users may have the same.
    ///
    /// # Errors
    /// `InvalidInput` for anything but 1 to 64 of `a-z`, `0-9` and `-`; `AddrInUse` if a living process listens there;
    /// `PermissionDenied` if the place of the socket files is not the user's alone.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one whose IO driver is not enabled.
    pub fn bind(name: &str) -> io::Result<Self> {
        let name = checked(name)?;
        let directory = Directory::create()?;
        let path = directory.socket(name)?;
        let _lock = directory.lock()?;
        make_room(name, &path)?;
        // The crate would remove by path what may be another's by then.
        let address = path.as_os_str().to_fs_name::<GenericFilePath>()?;
        let options = ListenerOptions::new().name(address).reclaim_name(false);
        let listener = options.create_tokio_as::<tokio::Listener>()?;
        let identity = identity(&path)?;
        Ok(Self { _file: SocketFile { path, identity }, listener })
    }

    /// Waits for the next connection.
    ///
    /// # Cancellation
    /// Safe: no connection is lost.
    ///
    /// # Errors
    /// `PermissionDenied` if somebody else's process has connected, of which nothing was read, or, on Windows, one that does not
    /// let itself be told apart; otherwise the process is out of descriptors. The listener is as good as before.
    pub async fn accept(&self) -> io::Result<Connection> {
        loop {
            let connection = Connection::with_own_user(self.listener.accept().await?)?;
            if !has_only_looked(&connection) {
                return Ok(connection);
            }
        }
    }
}

/// The name, if it is one.
pub(crate) fn checked(name: &str) -> io::Result<&str> {
    let is_one_of_them = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(is_one_of_them) {
        return Ok(name);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{name:?} is not a name to listen on: give 1 to 64 of a-z, 0-9 and '-'"),
    ))
}

/// Removes what a dead listener has left.
fn make_room(name: &str, path: &Path) -> io::Result<()> {
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        about => about?,
    };
    if !about.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} is not a socket: remove it to listen on {name:?}", path.display()),
        ));
    }
    if is_living(path)? {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("a living process listens on {name:?}: end it, or give another name"),
        ));
    }
    fs::remove_file(path)
}

/// Whether somebody listens there, which is to be found out by trying.
fn is_living(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        // So many are waiting that there is no room for one more.
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the peer has gone without a word, as who tries to bind a name that is taken does.
fn has_only_looked(connection: &Connection) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let is_gone = poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::HUP);
    is_gone && ioctl_fionread(connection.as_fd()) == Ok(0)
}

/// A socket file that is removed with its listener, unless somebody has put another in its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).ok() == Some(self.identity) {
            // If it stays, the next listener replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let about = fs::symlink_metadata(path)?;
    Ok((about.dev(), about.ino()))
}

#[cfg(test)]
mod tests {
    use super::checked;

    #[test]
    fn a_name_is_of_few_characters() {
        for name in ["a", "0", "-", "admin-2", &"x".repeat(64)] {
            assert_eq!(checked(name).ok(), Some(name));
        }
        let long = "x".repeat(65);
        for name in ["", "A", "ä", "a/b", "..", "a.b", "a_b", "a b", "a\0", "\\", &long] {
            let refused = checked(name).expect_err(name);
            assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
            assert!(refused.to_string().contains("a-z"), "{refused}");
        }
    }
}
