//! Listening on a name.

use std::ffi::OsStr;
use std::io;

use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::named_pipe::tokio::PipeListener;
use interprocess::os::windows::named_pipe::{PipeListenerOptions, PipeMode};
use interprocess::os::windows::security_descriptor::{
    AsSecurityDescriptorExt, BorrowedSecurityDescriptor, SecurityDescriptor,
};

use crate::Connection;
use crate::security::{self, Descriptor};

/// As much as one side may say before the other reads.
const ROOM: u32 = 64 * 1024;

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
    listener: PipeListener<Bytes, Bytes>,
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
        let path = pipe_name(name)?;
        let options = PipeListenerOptions::new()
            .path(OsStr::new(&path))
            .mode(PipeMode::Bytes)
            .accept_remote(false)
            .input_buffer_size_hint(ROOM)
            .output_buffer_size_hint(ROOM)
            .security_descriptor(Some(only_me()?));
        // The first of its name, or none.
        let listener = options.create_tokio_duplex::<Bytes>().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("a living process listens on {name:?}: end it, or give another name"),
            ),
            _ => error,
        })?;
        Ok(Self { listener })
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
            if let Some(connection) = Connection::with_own_user(self.listener.accept().await?)? {
                return Ok(connection);
            }
        }
    }
}

/// The system's name for a name, which has the user's in it: two users may have the same.
pub(crate) fn pipe_name(name: &str) -> io::Result<String> {
    Ok(format!(r"\\.\pipe\procession.{}.{}", security::user()?, checked(name)?))
}

/// The name, if it is one.
fn checked(name: &str) -> io::Result<&str> {
    let is_one_of_them = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&name.len()) && name.bytes().all(is_one_of_them) {
        return Ok(name);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{name:?} is not a name to listen on: give 1 to 64 of a-z, 0-9 and '-'"),
    ))
}

/// A copy, for each instance of the pipe is made with it.
fn only_me() -> io::Result<SecurityDescriptor> {
    let descriptor = Descriptor::only_me()?.as_ptr();
    // SAFETY: a valid one, which lives as long as the process and does not change.
    unsafe { BorrowedSecurityDescriptor::from_ptr(descriptor) }.to_owned_sd()
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
