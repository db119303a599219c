//! The changes that watchers have not read yet.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::Change;
use super::item::{Weight, part};
use super::refusal::Refusal;
use super::reply::Version;

/// Watchers of one object.
pub(in crate::shared) const MAX_WATCHERS: usize = 1024;
/// Bytes of changes that are kept for watchers.
const MAX_BYTES: usize = 64 << 20;

/// Whole operations, each with the version after it; some may be missing before them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) struct Read<C> {
    /// Operations that the watcher was too slow for.
    pub(in crate::shared) missed: u64,
    pub(in crate::shared) changes: Vec<(Version, Vec<C>)>,
    /// The number of the operation that comes after these.
    pub(in crate::shared) next: u64,
}

/// The changes that watchers have not read yet: numbered, whole operations, the latest of them up to a bound.
///
/// Nothing is kept while nobody watches, and nothing that all watchers have read.
#[derive(Debug)]
pub(in crate::shared) struct Log<C> {
    entries: VecDeque<Entry<C>>,
    /// The number of the first entry.
    first: u64,
    bytes: usize,
    lag: usize,
    /// By watcher: the number of the operation that it wants next.
    watchers: HashMap<u64, u64>,
    watcher: u64,
}

#[derive(Debug)]
struct Entry<C> {
    version: Version,
    changes: Vec<C>,
    weight: Weight,
}

impl<C: Change> Log<C> {
    /// A log of at most so many operations.
    pub(in crate::shared) fn new(lag: usize) -> Self {
        Self { entries: VecDeque::new(), first: 0, bytes: 0, lag, watchers: HashMap::new(), watcher: 0 }
    }

    pub(in crate::shared) fn is_watched(&self) -> bool {
        !self.watchers.is_empty()
    }

    /// An operation has changed this. Nothing is computed where nobody watches.
    pub(in crate::shared) fn note(&mut self, version: Version, changes: impl FnOnce() -> Vec<C>) {
        if !self.is_watched() {
            return;
        }
        let changes = changes();
        let weight: Weight = changes.iter().map(Change::weight).sum();
        self.bytes += weight.bytes;
        self.entries.push_back(Entry { version, changes, weight });
        while self.entries.len() > self.lag || self.bytes > MAX_BYTES && self.entries.len() > 1 {
            self.drop_first();
        }
    }

    /// A new watcher: its number, and that of the first operation it will be told of.
    pub(in crate::shared) fn watch(&mut self) -> Result<(u64, u64), Refusal> {
        if self.watchers.len() >= MAX_WATCHERS {
            return Err(Refusal::TooManyWatchers { limit: MAX_WATCHERS as u64 });
        }
        self.watcher += 1;
        self.watchers.insert(self.watcher, self.end());
        Ok((self.watcher, self.end()))
    }

    /// The watcher has gone.
    pub(in crate::shared) fn unwatch(&mut self, watcher: u64) {
        self.watchers.remove(&watcher);
        self.trim();
    }

    /// What a watcher has not read, from operation number `from` on; none where there is nothing yet.
    ///
    /// What was read before `from` is not asked for again; the rest may be, so that an answer may get lost.
    pub(in crate::shared) fn read(&mut self, watcher: u64, from: u64) -> Result<Option<Read<C>>, Refusal> {
        let end = self.end();
        let wanted = self.watchers.get_mut(&watcher).ok_or(Refusal::UnknownWatcher)?;
        // A number that was never given out must not let the log forget what this watcher has to be told.
        *wanted = from.clamp(*wanted, end);
        let from = *wanted;
        self.trim();
        if from == end {
            return Ok(None);
        }
        let missed = self.first.saturating_sub(from);
        let unread = self.entries.range((from + missed - self.first) as usize..);
        let count = part(unread.clone().map(|entry| entry.weight));
        let changes = unread.take(count).map(|entry| (entry.version, entry.changes.clone())).collect();
        Ok(Some(Read { missed, changes, next: from + missed + count as u64 }))
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Forgets what nobody will ask for.
    fn trim(&mut self) {
        let wanted = self.watchers.values().copied().min().unwrap_or_else(|| self.end());
        while self.first < wanted && !self.entries.is_empty() {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.first += 1;
            self.bytes -= entry.weight.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Changed(usize);

    impl Change for Changed {
        fn weight(&self) -> Weight {
            Weight { bytes: self.0, handles: 0 }
        }
    }

    fn note(log: &mut Log<Changed>, version: u64, bytes: usize) {
        log.note(Version(version), || vec![Changed(bytes)]);
    }

    fn versions(read: &Read<Changed>) -> Vec<u64> {
        read.changes.iter().map(|(version, _)| version.0).collect()
    }

    #[test]
    fn nothing_is_kept_that_nobody_will_read() {
        let mut log = Log::new(10);
        log.note(Version(1), || panic!("nobody watches"));
        let (one, from_one) = log.watch().unwrap();
        note(&mut log, 2, 1);
        let (two, from_two) = log.watch().unwrap();
        note(&mut log, 3, 1);
        let read = log.read(one, from_one).unwrap().unwrap();
        assert_eq!((versions(&read), read.missed), (vec![2, 3], 0));
        // Its answer may have got lost: it is the same for the same question.
        assert_eq!(log.read(one, from_one).unwrap().unwrap(), read);
        assert_eq!(log.read(one, read.next), Ok(None));
        assert_eq!(log.entries.len(), 1, "the other watcher has still to read it");
        assert_eq!(versions(&log.read(two, from_two).unwrap().unwrap()), [3]);
        log.unwatch(two);
        assert_eq!((log.entries.len(), log.bytes), (0, 0));
        log.unwatch(one);
        assert_eq!(log.read(one, 0), Err(Refusal::UnknownWatcher));
    }

    #[test]
    fn a_slow_watcher_is_told_how_much_it_missed() {
        let mut log = Log::new(3);
        let (slow, from) = log.watch().unwrap();
        for version in 1..=5 {
            note(&mut log, version, 1);
        }
        let read = log.read(slow, from).unwrap().unwrap();
        assert_eq!((versions(&read), read.missed), (vec![3, 4, 5], 2));
        assert_eq!(log.read(slow, read.next), Ok(None));
        // An invented number is no way to lose or to reach anything.
        note(&mut log, 6, 1);
        assert_eq!(versions(&log.read(slow, 2).unwrap().unwrap()), [6]);
        assert_eq!(log.read(slow, u64::MAX), Ok(None));
    }

    #[test]
    fn large_changes_are_read_in_parts_and_bounded_in_bytes() {
        let mut log = Log::new(1000);
        let (watcher, mut from) = log.watch().unwrap();
        for version in 1..=100 {
            note(&mut log, version, 1 << 20);
        }
        let mut seen = Vec::new();
        let mut missed = 0;
        while let Some(read) = log.read(watcher, from).unwrap() {
            assert_eq!(read.changes.len(), 1);
            missed += read.missed;
            seen.extend(versions(&read));
            from = read.next;
        }
        assert_eq!((missed, seen), (36, (37..=100).collect::<Vec<_>>()));
    }

    #[test]
    fn watchers_are_bounded() {
        let mut log = Log::<Changed>::new(1);
        for _ in 0..MAX_WATCHERS {
            log.watch().unwrap();
        }
        assert_eq!(log.watch(), Err(Refusal::TooManyWatchers { limit: MAX_WATCHERS as u64 }));
    }
}
