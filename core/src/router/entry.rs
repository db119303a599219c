//! A mailbox, or the way to one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arena::Key;
use super::hash::OwnMap;
use super::line::Line;
use super::link::{Journal, LinkKey};
use super::record::CallKey;
use crate::connection::flow::{Credit, Grant, Window};
use crate::error::exit::Down;
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
/// What handlers that end within [`SHORT`] are given ahead: so much of their time, and no less than this many.
const SHORT_AHEAD: Duration = Duration::from_micros(6400);
pub(super) const SHORT_PREFETCH: u32 = 64;
/// And no more than this many: with fewer, a worker whose handlers take less than a microsecond waits again and again for the
/// sender, which hears of room only with its answers.
pub(super) const LARGEST_PREFETCH: u32 = 1024;
/// A handler this short costs no more than what goes with its message.
const BRIEF: Duration = Duration::from_micros(2);
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

/// A message that was handed to a worker and is not finished.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// Its number among those of this incarnation.
    pub(super) seq: u64,
    /// Its record, or what stands for it.
    pub(super) key: CallKey,
    pub(super) since: Instant,
    pub(super) cost: u32,
    pub(super) method: u16,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) route: Route,
    pub(super) about: NewEntry,
    pub(super) consumer: Consumer,
    /// Accepted messages, in order.
    pub(super) queue: Line,
    /// Whether a caller knows already that the present incarnation ends: what comes from now on waits for the next.
    pub(super) ending: bool,
    /// What was queued when that became known.
    pub(super) doomed: Line,
    /// Messages of this process that wait for room, in order.
    pub(super) waiting: Line,
    /// The window of this process.
    pub(super) local: Window,
    /// The windows of the connections; that of a closed one stays until its messages have left.
    pub(super) windows: Windows,
    /// Units by which those windows together exceed what each has before anyone could refuse it.
    reserved: u32,
    /// Messages handed to the worker and not finished.
    pub(super) sent: VecDeque<Sent>,
    /// The number of the last message handed to the worker (or, where the actor is hosted, received).
    pub(super) seq: u64,
    /// What the worker's process has told of its progress.
    pub(super) progress: Option<Journal>,
    /// Whether the thread that serves a hosted actor was told that there is something to take, and has not found nothing since.
    pub(super) is_woken: bool,
    /// The message whose handler runs on a thread of this process.
    pub(super) running: Option<CallKey>,
    pub(super) watchers: BTreeSet<CallKey>,
    /// The end of the incarnation before.
    pub(super) last_down: Option<Down>,
    /// Requests and monitors that have not ended.
    pub(super) open: usize,
    /// Whether it stands in line for a connection on which all calls are in flight that may be.
    pub(super) blocked: bool,
    /// The connection for whose request the way was opened, where this is a way.
    pub(super) opened_by: Option<LinkKey>,
    /// The present incarnation, or the last; counted from 1.
    pub(super) incarnation: u32,
    /// Whether units go back when a handler ends (the prefetch of a worker) and not when the message is taken.
    pub(super) hosted: bool,
    /// A moving average of how long handlers run, in nanoseconds, where the actor is hosted.
    pub(super) pace: Option<u64>,
}

impl Entry {
    pub(super) fn new(route: Route, about: NewEntry, consumer: Consumer) -> Self {
        Self {
            route,
            consumer,
            queue: Line::default(),
            ending: false,
            doomed: Line::default(),
            waiting: Line::default(),
            local: Window::new(about.capacity),
            windows: Windows::default(),
            reserved: 0,
            sent: VecDeque::new(),
            seq: 0,
            progress: None,
            is_woken: false,
            running: None,
            watchers: BTreeSet::new(),
            last_down: None,
            open: 0,
            blocked: false,
            opened_by: None,
            incarnation: 0,
            hosted: false,
            pace: None,
            about,
        }
    }

    /// The window of a connection, its first one where it has none yet.
    pub(super) fn window(&mut self, link: LinkKey) -> &mut Window {
        let first = if self.hosted { PREFETCH } else { FIRST_WINDOW };
        self.windows.get_or_insert(link, first)
    }

    /// A message of this source has left the mailbox; what goes back to it now.
    pub(super) fn release(&mut self, source: Source, cost: u32) -> Option<Grant> {
        let Source::Link(link) = source else {
            // Between threads there is no frame to save: what is free is free at once.
            self.local.release(cost, self.about.capacity);
            self.local.flush();
            return None;
        };
        let prefetch = self.hosted.then(|| self.prefetch());
        let window = self.windows.get_mut(link)?;
        let before = beyond_first(window.size());
        let wanted = if let Some(prefetch) = prefetch {
            prefetch
        } else {
            // What the others have beyond their first windows is taken from what this one may grow to.
            let others = self.reserved - before;
            let least = FIRST_WINDOW.min(self.about.capacity.max(1));
            self.about.capacity.saturating_sub(others).clamp(least, LARGEST_WINDOW)
        };
        let grant = window.release(cost, wanted);
        self.reserved = self.reserved - before + beyond_first(window.size());
        grant
    }

    /// Messages that the actor's handlers are given ahead, going by how long they have taken lately.
    fn prefetch(&self) -> u32 {
        match self.pace {
            Some(pace) if u128::from(pace) < SHORT.as_nanos() => {
                let ahead = SHORT_AHEAD.as_nanos() / u128::from(pace.max(1));
                u32::try_from(ahead).unwrap_or(u32::MAX).clamp(SHORT_PREFETCH, LARGEST_PREFETCH)
            }
            _ => PREFETCH,
        }
    }

    /// Removes the window of a connection that is closed, once nothing of it is left in the mailbox.
    pub(super) fn forget_window(&mut self, link: LinkKey) {
        if self.windows.get(link).is_some_and(|window| window.held() == 0)
            && let Some(window) = self.windows.remove(link)
        {
            self.reserved -= beyond_first(window.size());
        }
    }

    /// Whether a message of this process may enter the line now.
    pub(super) fn has_room(&self, cost: u32) -> bool {
        match self.consumer {
            // The way to another node has no mailbox: a message is taken when it can be sent, or, where those of
            // connections stand in line, one at a time behind them.
            Consumer::Onward { credit, .. } if self.queue.is_empty() => credit.allows(cost),
            Consumer::Onward { .. } => self.local.held() == 0,
            _ => self.local.allows(cost),
        }
    }

    /// Whether this is a way on which nothing is under way.
    pub(super) fn is_idle_way(&self) -> bool {
        matches!(self.consumer, Consumer::Onward { credit, .. } if self.open == 0 && credit.outstanding() == 0)
    }

    /// The message that was handed to the worker under this number.
    pub(super) fn sent(&self, seq: u64) -> Option<&Sent> {
        // Numbers are handed out in a row.
        let first = self.sent.front()?.seq;
        self.sent.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// The message whose handler runs in the worker, as far as is known here.
    pub(super) fn runs(&self) -> Option<&Sent> {
        let progress = &self.progress.as_ref()?.0;
        let started = progress.started();
        if started <= progress.finished() { None } else { self.sent(started) }
    }

    /// Whether its handlers take so little time that it matters what is done around each.
    pub(super) fn is_brief(&self) -> bool {
        self.pace.is_some_and(|pace| u128::from(pace) < BRIEF.as_nanos())
    }

    /// Whether a worker may have started the handler of this message; `None` where there is no worker.
    pub(super) fn may_have_started(&self, seq: u64) -> Option<bool> {
        match self.consumer {
            Consumer::Worker { .. } => Some(self.progress.as_ref().is_none_or(|journal| seq <= journal.0.started())),
            _ => None,
        }
    }

    pub(super) fn observe(&mut self, ran: Duration) {
        let ran = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        self.pace = Some(match self.pace {
            Some(pace) => pace - pace / 8 + ran / 8,
            None => ran,
        });
    }
}

/// The windows of connections. Most mailboxes have one, which takes no look into a map.
#[derive(Debug, Default)]
pub(super) struct Windows {
    first: Option<(LinkKey, Window)>,
    others: OwnMap<LinkKey, Window>,
}

impl Windows {
    pub(super) fn get(&self, link: LinkKey) -> Option<&Window> {
        match &self.first {
            Some((at, window)) if *at == link => Some(window),
            _ => self.others.get(&link),
        }
    }

    #[inline]
    fn get_mut(&mut self, link: LinkKey) -> Option<&mut Window> {
        match &mut self.first {
            Some((at, window)) if *at == link => Some(window),
            _ => self.others.get_mut(&link),
        }
    }

    /// The window of this connection, of this size where it is a new one.
    #[inline]
    fn get_or_insert(&mut self, link: LinkKey, size: u32) -> &mut Window {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some((link, Window::new(size)));
        }
        match &mut self.first {
            Some((at, window)) if *at == link => window,
            _ => self.others.entry(link).or_insert_with(|| Window::new(size)),
        }
    }

    fn remove(&mut self, link: LinkKey) -> Option<Window> {
        match self.first.take_if(|(at, _)| *at == link) {
            Some((_, window)) => Some(window),
            None => self.others.remove(&link),
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkKey, &Window)> {
        let others = self.others.iter().map(|(link, window)| (*link, window));
        self.first.iter().map(|(link, window)| (*link, window)).chain(others)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (LinkKey, &mut Window)> {
        let first = self.first.iter_mut().map(|(link, window)| (*link, window));
        first.chain(self.others.iter_mut().map(|(link, window)| (*link, window)))
    }
}

fn beyond_first(size: u32) -> u32 {
    size.saturating_sub(FIRST_WINDOW)
}
