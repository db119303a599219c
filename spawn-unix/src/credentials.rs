//! Who is at the other end of a named stream.

use std::io;

use interprocess::local_socket::traits::StreamCommon;
use interprocess::os::unix::uds_local_socket::tokio::Stream;
use rustix::process::geteuid;

/// Who is at the other end of a [`Connection`](crate::Connection), as the system tells it: a peer cannot choose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The user, which is always that of this process: nobody else's connection is handed out.
    ///
    /// # Platform-specific behavior
    /// On Linux the number of the effective user at the time of connecting or listening, like `1000`; on Windows the security
    /// id, like `S-1-5-21-..`.
    pub user: String,
    /// The process that has connected or listens, if the system tells. A hint for people: it may have ended, its id may be
    /// another's by now, and whoever has the connection may be a child of it.
    pub pid: Option<u32>,
}

impl Credentials {
    /// Those of the peer, if it belongs to the user of this process.
    pub(crate) fn of_peer(stream: &Stream) -> io::Result<Self> {
        let peer = stream.peer_creds()?;
        let own = geteuid().as_raw();
        match peer.euid() {
            Some(user) if user == own => {
                Ok(Self { user: user.to_string(), pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()) })
            }
            user => {
                let user = user.map_or("unknown".to_owned(), |user| user.to_string());
                Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("the peer is a process of user {user}, and only those of user {own} are let in"),
                ))
            }
        }
    }
}
