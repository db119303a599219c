//! Snapshots that take more than one message.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::item::{Item, part};
use super::refusal::Refusal;
use super::reply::{Reply, Row, Version};

/// Snapshots whose rest is kept at one time.
const KEPT: usize = 16;
/// How long the rest of a snapshot is kept for somebody who does not ask for more of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Snapshots of which a part was given, and the rest is still to be fetched.
///
/// They share the encoded values with the store, so that a snapshot of many values costs a few words for each.
#[derive(Debug)]
pub(in crate::shared) struct Frozen<I> {
    rests: BTreeMap<u64, Rest<I>>,
    number: u64,
}

#[derive(Debug)]
struct Rest<I> {
    /// In reverse, so that they are given from the end.
    rows: Vec<Row<I>>,
    version: Version,
    until: Instant,
}

impl<I: Item> Frozen<I> {
    pub(in crate::shared) fn new() -> Self {
        Self { rests: BTreeMap::new(), number: 0 }
    }

    /// A snapshot of these rows as far as a message carries it; the rest is kept.
    pub(in crate::shared) fn begin(&mut self, now: Instant, mut rows: Vec<Row<I>>, version: Version) -> Reply<I> {
        if part(rows.iter().map(Row::weight)) == rows.len() {
            return Reply::Snapshot { rows, rest: None, version };
        }
        if self.rests.len() == KEPT {
            self.rests.pop_first();
        }
        rows.reverse();
        self.number += 1;
        self.rests.insert(self.number, Rest { rows, version, until: now + PATIENCE });
        self.give(now, self.number).unwrap_or(Reply::Snapshot { rows: Vec::new(), rest: None, version })
    }

    /// The next part of a snapshot.
    pub(in crate::shared) fn go_on(&mut self, now: Instant, number: u64) -> Result<Reply<I>, Refusal> {
        self.give(now, number).ok_or(Refusal::SnapshotForgotten)
    }

    /// Nobody wants the rest of it.
    pub(in crate::shared) fn forget(&mut self, number: u64) {
        self.rests.remove(&number);
    }

    /// When the first of them will have waited for too long.
    pub(in crate::shared) fn poll_timeout(&self) -> Option<Instant> {
        self.rests.values().map(|rest| rest.until).min()
    }

    /// Forgets those that have waited for too long.
    pub(in crate::shared) fn handle_timeout(&mut self, now: Instant) {
        self.rests.retain(|_, rest| rest.until > now);
    }

    fn give(&mut self, now: Instant, number: u64) -> Option<Reply<I>> {
        let rest = self.rests.get_mut(&number)?;
        let version = rest.version;
        let count = part(rest.rows.iter().rev().map(Row::weight));
        let mut rows = rest.rows.split_off(rest.rows.len() - count);
        rows.reverse();
        rest.until = now + PATIENCE;
        if rest.rows.is_empty() {
            self.rests.remove(&number);
            return Some(Reply::Snapshot { rows, rest: None, version });
        }
        Some(Reply::Snapshot { rows, rest: Some(number), version })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn rows(count: u8, size: usize) -> Vec<Row<Bytes>> {
        let row = |n| Row { key: None, value: Some(Bytes::from(vec![n; size])), version: Version(n.into()) };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_large_snapshot_comes_in_parts_and_whole() {
        let (mut frozen, now, all) = (Frozen::new(), Instant::now(), rows(20, 100 << 10));
        let mut got = Vec::new();
        let mut reply = frozen.begin(now, all.clone(), Version(7));
        loop {
            let Reply::Snapshot { rows, rest, version: Version(7) } = reply else { panic!("{reply:?}") };
            got.extend(rows);
            let Some(rest) = rest else { break };
            reply = frozen.go_on(now, rest).unwrap();
        }
        assert_eq!(got, all);
        assert_eq!((frozen.rests.len(), frozen.poll_timeout()), (0, None));
        let small = rows(20, 1);
        assert_eq!(
            frozen.begin(now, small.clone(), Version(8)),
            Reply::Snapshot { rows: small, rest: None, version: Version(8) }
        );
    }

    #[test]
    fn what_nobody_fetches_is_forgotten() {
        let (mut frozen, now) = (Frozen::new(), Instant::now());
        let begin = |frozen: &mut Frozen<Bytes>| match frozen.begin(now, rows(3, 1 << 20), Version(1)) {
            Reply::Snapshot { rest: Some(rest), .. } => rest,
            reply => panic!("{reply:?}"),
        };
        let all: Vec<u64> = (0..=KEPT).map(|_| begin(&mut frozen)).collect();
        assert_eq!(frozen.go_on(now, all[0]), Err(Refusal::SnapshotForgotten));
        frozen.forget(all[1]);
        assert_eq!(frozen.go_on(now, all[1]), Err(Refusal::SnapshotForgotten));
        let later = now + PATIENCE / 2;
        assert!(frozen.go_on(later, all[2]).is_ok());
        assert_eq!(frozen.poll_timeout(), Some(now + PATIENCE));
        frozen.handle_timeout(now + PATIENCE);
        assert_eq!(frozen.go_on(later, all[3]), Err(Refusal::SnapshotForgotten));
        assert!(frozen.go_on(later, all[2]).is_ok(), "its holder goes on");
    }
}
