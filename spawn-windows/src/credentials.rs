//! Who is at the other end of a named stream.

use std::io;

use crate::security;

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
    /// Those of a peer that belongs to `user`, if that is the user of this process.
    pub(crate) fn own(user: String, pid: Option<u32>) -> io::Result<Self> {
        let own = security::user()?;
        if user == own {
            return Ok(Self { user, pid });
        }
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("the peer is a process of user {user}, and only those of user {own} are let in"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::Credentials;
    use crate::security;

    #[test]
    fn only_the_user_of_this_process_is_let_in() {
        let own = security::user().expect("everybody has one");
        assert_eq!(Credentials::own(own.clone(), None).expect("it is ours").user, own);
        // The system itself.
        assert_eq!(
            Credentials::own("S-1-5-18".into(), None).expect_err("not ours").kind(),
            ErrorKind::PermissionDenied
        );
    }
}
