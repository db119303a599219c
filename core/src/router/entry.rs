//! A mailbox, or the way to one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::arena::Key;
use super::link::LinkKey;
use super::record::CallKey;
use crate::connection::flow::{Credit, Window};
use crate::wire::frame::Route;
use crate::wire::ids::TypeHash;

/// An entry's key.
pub(crate) type EntryKey = Key;

/// The window of a sender that the mailbox has not met yet.
pub(super) const FIRST_WINDOW: u32 = 8;
/// The largest window.
pub(super) const LARGEST_WINDOW: u32 = 256;
/// Messages that a worker is given ahead: one that runs, one that is ready when it ends.
pub(crate) const PREFETCH: u32 = 2;
/// The same for handlers that end within [`SHORT`].
pub(super) const SHORT_PREFETCH: u32 = 64;
/// A handler this short is over before the next message could arrive.
pub(super) const SHORT: Duration = Duration::from_micros(100);

/// What an owner says of an actor when it is made known.
#[derive(Clone, Debug)]
pub(crate) struct NewEntry {
    /// The supervisor it belongs to, for what is told of it.
    pub(crate) owner: u64,
    pub(crate) name: Arc<str>,
    pub(crate) type_hash: TypeHash,
    /// Units that the mailbox holds.
    pub(crate) capacity: u32,
    /// The names of its methods, by number.
    pub(crate) methods: Vec<&'static str>,
}

/// Who takes messages out of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Consumer {
    /// Nobody now: the actor is starting. Messages wait.
    Nobody,
    /// A thread of this process.
    Local,
    /// The process at the other end: a worker that hosts the actor.
    Worker { link: LinkKey, credit: Credit },
    /// The process at the other end, on the way to the actor's mailbox.
    Onward { link: LinkKey, credit: Credit },
}

/// Who puts messages into an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Local,
    Link(LinkKey),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) route: Route,
    pub(super) about: NewEntry,
    pub(super) consumer: Consumer,
    /// Accepted messages, in order; keys of removed ones are skipped.
    pub(super) queue: VecDeque<CallKey>,
    /// Whether a caller knows already that the present incarnation ends.
    pub(super) ending: bool,
    /// What was queued when that became known: it ends with the incarnation.
    pub(super) doomed: VecDeque<CallKey>,
    /// Messages of this process that wait for room, in order; keys of removed ones are skipped.
    pub(super) waiting: VecDeque<CallKey>,
    pub(super) windows: HashMap<Source, Window>,
    /// Messages handed to the worker and not finished: number, cost, record.
    pub(super) sent: VecDeque<(u64, u32, CallKey)>,
    /// The number of the last message handed to the worker (or, where the actor is hosted, received).
    pub(super) seq: u64,
    pub(super) watchers: Vec<CallKey>,
    /// The present incarnation, or the last; counted from 1.
    pub(super) incarnation: u32,
    /// Whether units go back when a handler ends (the prefetch of a worker) and not when the message is taken.
    pub(super) hosted: bool,
    /// A moving average of how long handlers run, where the actor is hosted.
    pub(super) pace: Option<Duration>,
}

impl Entry {
    pub(super) fn new(route: Route, about: NewEntry, consumer: Consumer) -> Self {
        Self {
            route,
            about,
            consumer,
            queue: VecDeque::new(),
            ending: false,
            doomed: VecDeque::new(),
            waiting: VecDeque::new(),
            windows: HashMap::new(),
            sent: VecDeque::new(),
            seq: 0,
            watchers: Vec::new(),
            incarnation: 0,
            hosted: false,
            pace: None,
        }
    }

    pub(super) fn window(&mut self, source: Source) -> &mut Window {
        let first = match source {
            Source::Local => self.about.capacity,
            Source::Link(_) if self.hosted => PREFETCH,
            Source::Link(_) => FIRST_WINDOW,
        };
        self.windows.entry(source).or_insert_with(|| Window::new(first))
    }

    /// The size that this source's window should have when it fills it.
    ///
    /// The windows of all connections together stay within the mailbox's capacity, save that a connection that was
    /// never heard of has its first window before anyone could refuse it.
    pub(super) fn wanted(&self, source: Source) -> u32 {
        if self.hosted {
            return match self.pace {
                Some(pace) if pace < SHORT => SHORT_PREFETCH,
                _ => PREFETCH,
            };
        }
        if source == Source::Local {
            return self.about.capacity;
        }
        let others: u32 = self
            .windows
            .iter()
            .filter(|&(&other, _)| other != source && other != Source::Local)
            .map(|(_, window)| window.size())
            .sum();
        self.about.capacity.saturating_sub(others).clamp(1, LARGEST_WINDOW)
    }

    pub(super) fn observe(&mut self, ran: Duration) {
        self.pace = Some(match self.pace {
            Some(pace) => (pace * 7 + ran) / 8,
            None => ran,
        });
    }
}
