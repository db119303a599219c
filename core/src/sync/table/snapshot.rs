//! What the table looks like at one moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::{LockId, Token, Who};
use super::lock::Wait;
use super::{Entry, Is, Table};
use crate::sync::kind::LockKind;

/// One lock as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight<P> {
    pub(crate) lock: LockId,
    pub(crate) name: Arc<str>,
    pub(crate) kind: LockKind,
    pub(crate) holders: Vec<Holder<P>>,
    /// In the order in which they will be served.
    pub(crate) waiting: Vec<Waiter<P>>,
    pub(crate) state: State,
}

/// One that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder<P> {
    pub(crate) who: P,
    pub(crate) token: Token,
    pub(crate) units: u32,
    pub(crate) held: Duration,
    /// What is left of its lease.
    pub(crate) lease: Option<Duration>,
}

/// One that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiter<P> {
    pub(crate) who: P,
    pub(crate) units: u32,
    pub(crate) waited: Duration,
    /// For a notification first.
    pub(crate) by_condition: bool,
}

/// What else there is to say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Plain,
    /// The next holder will be told that the last one did not release it.
    Poisoned,
    /// An event that is set.
    Set,
    /// A barrier that is broken.
    Broken,
}

impl<P: Who, D: Clone, E: Clone> Table<P, D, E> {
    /// All locks, in the order in which they were made.
    pub(crate) fn snapshot(&mut self, now: Instant) -> Vec<Sight<P>> {
        self.advance(now);
        let numbered = (0..).map(LockId).zip(&self.locks);
        numbered.map(|(lock, entry)| entry.sight(lock, now)).collect()
    }
}

impl<P: Who, D, E> Entry<P, D, E> {
    fn sight(&self, lock: LockId, now: Instant) -> Sight<P> {
        let age = |since| now.saturating_duration_since(since);
        let waiter = |wait: &Wait<P>, by_condition| Waiter {
            who: wait.who,
            units: wait.units,
            waited: age(wait.since),
            by_condition,
        };
        let guest = |who, since| Waiter { who, units: 1, waited: age(since), by_condition: false };
        let mut holders = Vec::new();
        let (waiting, state) = match &self.is {
            Is::Lock(lock) => {
                holders.extend(lock.holds.iter().map(|(token, hold)| Holder {
                    who: hold.who,
                    token,
                    units: hold.units,
                    held: age(hold.since),
                    lease: hold.until.map(|until| until.saturating_duration_since(now)),
                }));
                let line = lock.line.values().map(|wait| waiter(wait, false));
                let unwoken = lock.conditions.values().flat_map(|waits| waits.values());
                let state = if lock.poison.is_some() { State::Poisoned } else { State::Plain };
                (line.chain(unwoken.map(|wait| waiter(wait, true))).collect(), state)
            }
            Is::Event(event) => {
                let waiting = event.waiting.values().map(|wait| guest(wait.who, wait.since)).collect();
                (waiting, if event.is_set { State::Set } else { State::Plain })
            }
            Is::Barrier(barrier) => {
                let waiting = barrier.waiting.values().map(|wait| guest(wait.who, wait.since)).collect();
                (waiting, if barrier.broken.is_some() { State::Broken } else { State::Plain })
            }
        };
        Sight { lock, name: self.name.clone(), kind: self.kind.clone(), holders, waiting, state }
    }
}
