//! What the process thread waits on.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::Output;

/// One epoll, whose events say what happened in this crate's words.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: Arc<OwnedFd>,
    last_key: u64,
}

/// The name of one process for as long as the program lives; pids are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(u64);

/// Something to look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody has a request.
    Request,
    /// This child has ended.
    Exit(Key),
    /// There is output of this child, or the end of it.
    Output(Key, Output),
    /// This guardian has ended.
    Guardian(Key),
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll: Arc::new(epoll), last_key: 0 })
    }

    pub(crate) fn next_key(&mut self) -> Key {
        self.last_key += 1;
        Key(self.last_key)
    }

    /// Reports `event` again and again for as long as `descriptor` is readable.
    pub(crate) fn watch(&self, descriptor: impl AsFd, event: Event) -> io::Result<()> {
        let data = epoll::EventData::new_u64(event.encode());
        epoll::add(&self.epoll, descriptor, data, epoll::EventFlags::IN)?;
        Ok(())
    }

    /// Says no more of `descriptor`. Closing it is not enough: a process that this one is just forking may have it too.
    pub(crate) fn forget(&self, descriptor: impl AsFd) {
        // It may not have been watched at all.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// The end of this child, for whoever looks for it by himself for a while.
    pub(crate) fn watched(&self, key: Key) -> Watched {
        Watched { epoll: Arc::clone(&self.epoll), key, is_open: Mutex::new(true) }
    }

    /// Waits for at most `timeout` and puts what happened into `events`.
    pub(crate) fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> Result<(), Errno> {
        let timeout = timeout.map(|timeout| {
            // No timeout of this crate is longer than seconds.
            Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 })
        });
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); 128];
        events.clear();
        match epoll::wait(&self.epoll, &mut space, timeout.as_ref()) {
            Ok((ready, _)) => {
                events.extend(ready.iter().map(|event| {
                    let data = event.data;
                    Event::decode(data.u64())
                }));
                Ok(())
            }
            // A stopped and continued program.
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The end of a child, as a poller reports it.
#[derive(Debug)]
pub(crate) struct Watched {
    epoll: Arc<OwnedFd>,
    key: Key,
    /// Held while it is changed whether the poller reports it; false when it never will again.
    is_open: Mutex<bool>,
}

impl Watched {
    /// Has the poller sleep on, whatever `pidfd` tells. It is not enough to ask for nothing: that a process was reaped is told all the
    /// same.
    pub(crate) fn pause(&self, pidfd: impl AsFd) {
        let is_open = self.is_open();
        if *is_open {
            let _ = epoll::delete(&self.epoll, pidfd);
        }
    }

    /// Reports it again, and at once if it came meanwhile.
    ///
    /// # Errors
    /// The system is out of memory or of watches.
    pub(crate) fn resume(&self, pidfd: impl AsFd) -> Result<(), Key> {
        let is_open = self.is_open();
        let data = epoll::EventData::new_u64(Event::Exit(self.key).encode());
        if !*is_open {
            return Ok(());
        }
        match epoll::add(&self.epoll, pidfd, data, epoll::EventFlags::IN) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(_) => Err(self.key),
        }
    }

    /// Reports it no more.
    pub(crate) fn close(&self, pidfd: impl AsFd) {
        let mut is_open = self.is_open();
        *is_open = false;
        // It may not be reported at this moment.
        let _ = epoll::delete(&self.epoll, pidfd);
    }

    fn is_open(&self) -> MutexGuard<'_, bool> {
        self.is_open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    const KINDS: u64 = 8;

    fn encode(self) -> u64 {
        let (kind, key) = match self {
            Self::Request => (0, 0),
            Self::Exit(Key(key)) => (1, key),
            Self::Output(Key(key), Output::Stdout) => (2, key),
            Self::Output(Key(key), Output::Stderr) => (3, key),
            Self::Guardian(Key(key)) => (4, key),
        };
        key * Self::KINDS + kind
    }

    fn decode(data: u64) -> Self {
        let key = Key(data / Self::KINDS);
        match data % Self::KINDS {
            1 => Self::Exit(key),
            2 => Self::Output(key, Output::Stdout),
            3 => Self::Output(key, Output::Stderr),
            4 => Self::Guardian(key),
            _ => Self::Request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Key};
    use crate::Output;

    #[test]
    fn an_event_survives_its_encoding() {
        for event in [
            Event::Request,
            Event::Exit(Key(1)),
            Event::Output(Key(2), Output::Stdout),
            Event::Output(Key(3), Output::Stderr),
            Event::Guardian(Key(1 << 40)),
        ] {
            assert_eq!(Event::decode(event.encode()), event);
        }
    }
}
