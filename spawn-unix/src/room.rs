//! Whether a stream takes bytes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::fcntl_dupfd_cloexec;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// So many writes in a row that find room end the watch for it: a writer that fills the stream again and again keeps it.
const ENOUGH: u32 = 16;
/// How long to wait where the system has no descriptor left for a watch.
const POOR: Duration = Duration::from_millis(1);

/// What is known of the room in a stream. The system is asked to tell of it only while it has been short: it tells of every
/// read of the peer, which wakes up the writer for nothing.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// As far as is known.
    #[default]
    Free,
    /// The last write found none, and nobody has waited since.
    Full,
    /// A second name of the socket, watched for room, and how many writes in a row have found some.
    Watched(Arc<AsyncFd<OwnedFd>>, u32),
}

impl Room {
    /// Writes, unless it is known that there is no room.
    pub(crate) fn try_write(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        let mut state = self.state();
        let State::Watched(watch, found) = &mut *state else {
            let written = write();
            *state = if is_full(&written) { State::Full } else { State::Free };
            return written;
        };
        let written = watch.try_io(Interest::WRITABLE, |_| write());
        *found = if is_full(&written) { 0 } else { *found + 1 };
        if *found == ENOUGH {
            *state = State::Free;
        }
        written
    }

    /// What tells of room, where that has been short.
    pub(crate) async fn watch(&self, socket: impl AsFd) -> io::Result<Option<Arc<AsyncFd<OwnedFd>>>> {
        let made = {
            let mut state = self.state();
            match &*state {
                State::Free => return Ok(None),
                State::Watched(watch, _) => return Ok(Some(Arc::clone(watch))),
                State::Full => {}
            }
            // The system tells at once of room that there is by now.
            let made = fcntl_dupfd_cloexec(socket, 0).map_err(io::Error::from);
            let made = made.and_then(|socket| {
                // SAFETY: an owned descriptor stays open, and is the same, for as long as it lives.
                Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::WRITABLE) }?)
            });
            made.map(|watch| {
                let watch = Arc::new(watch);
                *state = State::Watched(Arc::clone(&watch), 0);
                watch
            })
        };
        match made {
            Ok(watch) => Ok(Some(watch)),
            Err(_) => {
                tokio::time::sleep(POOR).await;
                Ok(None)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(written: &io::Result<usize>) -> bool {
    matches!(written, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
