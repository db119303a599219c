//! Which request caused which: calls that would wait for themselves.

use super::entry::{Consumer, EntryKey, Source};
use super::link::LinkKey;
use super::record::{CallKey, Phase, Record};
use super::router::Router;
use crate::error::call::{CallError, NoError};
use crate::wire::ids::CallId;

/// How many causes are looked at; a longer chain ends by its deadline.
const DEPTH: usize = 256;

impl Router {
    /// The entry again, unless a call to it would wait for itself; a cast waits for nobody.
    pub(super) fn without_deadlock(
        &self,
        entry: EntryKey,
        reply: bool,
        caused_by: Option<CallKey>,
    ) -> Result<EntryKey, CallError<NoError>> {
        match caused_by.filter(|_| reply).and_then(|cause| self.deadlock(entry, cause)) {
            Some(path) => Err(CallError::WouldDeadlock { path }),
            None => Ok(entry),
        }
    }

    /// The path by which a call to `entry` would wait for itself.
    ///
    /// Only who owns the mailbox, or hosts the actor, decides: it alone knows whether the handler still runs.
    fn deadlock(&self, entry: EntryKey, cause: CallKey) -> Option<Vec<String>> {
        if matches!(self.entries.get(entry)?.consumer, Consumer::Onward { .. }) {
            return None;
        }
        let at = self.chain(Some(cause)).position(|record| record.entry == entry && self.handler_runs(record))?;
        let name = |entry| self.entries.get(entry).map_or_else(String::new, |e| e.about.name.to_string());
        let mut path = vec![name(entry)];
        path.extend(self.chain(Some(cause)).take(at + 1).map(|record| name(record.entry)));
        path.reverse();
        Some(path)
    }

    /// The number by which the peer of `link` knows the request that this one comes of.
    ///
    /// Where the nearest cause did not come from there, an earlier one may have: it waits as well.
    pub(super) fn cause_as_known_by(&self, link: LinkKey, caused_by: Option<CallKey>) -> CallId {
        self.chain(caused_by)
            .find(|record| record.source == Source::Link(link))
            .and_then(|record| record.inbound)
            .unwrap_or(CallId::NONE)
    }

    /// A request and those that wait for it, nearest first: a cast, or a call that nobody awaits, holds up nobody.
    fn chain(&self, cause: Option<CallKey>) -> impl Iterator<Item = &Record> {
        let first = cause.and_then(|key| self.calls.get(key));
        std::iter::successors(first, |record| {
            record.caused_by.filter(|_| record.is_awaited()).and_then(|key| self.calls.get(key))
        })
        .take(DEPTH)
    }

    fn handler_runs(&self, record: &Record) -> bool {
        let finished = self.entries.get(record.entry).and_then(|e| e.progress.as_ref());
        record.handler_runs
            && match (record.phase, finished) {
                (Phase::Sent { seq }, Some(journal)) => seq > journal.0.finished(),
                _ => true,
            }
    }
}
