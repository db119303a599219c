//! One lock: its units, who holds them, and who waits in line.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::action::{ConditionId, Poison, Request, Share, Token};
use crate::sync::kind::LockKind;

/// Units of a lock for readers and writers: a reader takes one, a writer all.
const READERS: u32 = u32::MAX;

/// Units that are given in the order of the requests. A mutex is a lock of one unit, a semaphore one of many, and a
/// writer takes all units of a lock whose readers take one each. Nobody overtakes, however little they want: so neither
/// a writer starves, nor a reader, nor a large request.
#[derive(Clone, Debug)]
pub(super) struct Lock<P, D, E> {
    size: u32,
    free: u32,
    /// Units of it are anonymous: they may be released by others than took them.
    pub(super) permits: bool,
    readers: bool,
    pub(super) holds: Holds<P, E>,
    pub(super) line: BTreeMap<u64, Wait<P>>,
    pub(super) conditions: BTreeMap<ConditionId, BTreeMap<u64, Wait<P>>>,
    pub(super) data: Option<D>,
    pub(super) poison: Option<Poison<P, E>>,
}

/// One that waits.
#[derive(Clone, Debug)]
pub(super) struct Wait<P> {
    pub(super) request: Request,
    pub(super) who: P,
    pub(super) units: u32,
    pub(super) lease: Option<Duration>,
    pub(super) since: Instant,
    /// The condition of which it was the one to be woken: if it goes away, another is.
    pub(super) woken: Option<ConditionId>,
}

/// The grants that last, in order. Where there is one, as a mutex has, it lies in place: a map is made anew for each.
#[derive(Clone, Debug)]
pub(super) struct Holds<P, E> {
    /// Older than the others.
    only: Option<(Token, Hold<P, E>)>,
    others: BTreeMap<Token, Hold<P, E>>,
}

impl<P, E> Holds<P, E> {
    /// A token that is larger than all before.
    fn insert(&mut self, token: Token, hold: Hold<P, E>) {
        if self.only.is_none() && self.others.is_empty() {
            self.only = Some((token, hold));
        } else {
            self.others.insert(token, hold);
        }
    }

    fn remove(&mut self, token: Token) -> Option<Hold<P, E>> {
        match self.only.take_if(|(only, _)| *only == token) {
            Some((_, hold)) => Some(hold),
            None => self.others.remove(&token),
        }
    }

    pub(super) fn get(&self, token: Token) -> Option<&Hold<P, E>> {
        match &self.only {
            Some((only, hold)) if *only == token => Some(hold),
            _ => self.others.get(&token),
        }
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Hold<P, E>> {
        match &mut self.only {
            Some((only, hold)) if *only == token => Some(hold),
            _ => self.others.get_mut(&token),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Token, &Hold<P, E>)> {
        let only = self.only.iter().map(|(token, hold)| (*token, hold));
        only.chain(self.others.iter().map(|(token, hold)| (*token, hold)))
    }
}

/// One grant.
#[derive(Clone, Debug)]
pub(super) struct Hold<P, E> {
    pub(super) who: P,
    pub(super) units: u32,
    pub(super) since: Instant,
    pub(super) lease: Option<Duration>,
    pub(super) until: Option<Instant>,
    pub(super) woken: Option<ConditionId>,
    /// What it was told of the holder before, who is to be told again if it never came to hold the lock.
    pub(super) told: Option<Poison<P, E>>,
}

impl<P, D, E> Lock<P, D, E> {
    pub(super) fn size(&self) -> u32 {
        self.size
    }
}

impl<P: Copy, D: Clone, E: Clone> Lock<P, D, E> {
    /// A lock of this kind; none for what has no units.
    pub(super) fn new(kind: &LockKind, data: Option<D>) -> Option<Self> {
        let size = match kind {
            LockKind::Mutex { .. } => 1,
            LockKind::RwLock { .. } => READERS,
            LockKind::Semaphore { permits } => *permits,
            LockKind::Event | LockKind::Barrier { .. } => return None,
        };
        Some(Self {
            size,
            free: size,
            permits: matches!(kind, LockKind::Semaphore { .. }),
            readers: matches!(kind, LockKind::RwLock { .. }),
            holds: Holds { only: None, others: BTreeMap::new() },
            line: BTreeMap::new(),
            conditions: BTreeMap::new(),
            data,
            poison: None,
        })
    }

    /// The units of a share; none where the lock has no such shares.
    pub(super) fn units(&self, share: Share) -> Option<u32> {
        match share {
            Share::All if !self.permits => Some(self.size),
            Share::Read if self.readers => Some(1),
            Share::Permits(units) if self.permits => Some(units),
            Share::All | Share::Read | Share::Permits(_) => None,
        }
    }

    /// Whether so many units would be granted at once.
    pub(super) fn is_open(&self, units: u32) -> bool {
        self.line.is_empty() && units <= self.free
    }

    /// Takes the next out of the line, if there are units for it.
    pub(super) fn next(&mut self) -> Option<Wait<P>> {
        let first = self.line.first_entry().filter(|first| first.get().units <= self.free)?;
        Some(first.remove())
    }

    /// Gives a grant its units. It gets the data, and what there is to tell of the last holder.
    pub(super) fn grant(
        &mut self,
        token: Token,
        wait: &Wait<P>,
        since: Instant,
        until: Option<Instant>,
    ) -> (Option<D>, Option<Poison<P, E>>) {
        self.free -= wait.units;
        let told = if self.tells(wait.units) { self.poison.take() } else { None };
        let &Wait { who, units, lease, woken, .. } = wait;
        self.holds.insert(token, Hold { who, units, since, lease, until, woken, told: told.clone() });
        (self.data.clone(), told)
    }

    /// Takes the units of a grant back.
    pub(super) fn remove(&mut self, token: Token) -> Option<Hold<P, E>> {
        let hold = self.holds.remove(token)?;
        self.free += hold.units;
        Some(hold)
    }

    /// Whether one with so many units may have left something half done: any but a reader.
    pub(super) fn tells(&self, units: u32) -> bool {
        !self.readers || units == self.size
    }

    /// Whether one with so many units is alone and may change the data.
    pub(super) fn is_alone(&self, units: u32) -> bool {
        units == self.size
    }
}
