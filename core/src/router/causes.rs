//! Which request caused which: calls that would wait for themselves.

use std::sync::Arc;

use super::casts::is_light;
use super::entry::{Consumer, EntryKey, Source};
use super::link::LinkKey;
use super::record::{CallKey, Phase, Record};
use super::router::Router;
use crate::error::call::{CallError, NoError};
use crate::wire::frame::Route;
use crate::wire::ids::{CallId, Destination};

/// How many causes are looked at; a longer chain ends by its deadline.
pub(super) const DEPTH: usize = 256;

/// A call under way from the handler of one actor to another actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallBetween {
    pub(crate) call: CallKey,
    pub(crate) from: Route,
    pub(crate) to: Route,
    pub(crate) method: Arc<str>,
}

/// A request that may have caused another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) entry: EntryKey,
    pub(super) source: Source,
    pub(super) inbound: CallId,
    pub(super) is_awaited: bool,
    pub(super) handler_runs: bool,
    pub(super) caused_by: Option<CallKey>,
}

impl Router {
    /// The calls that running handlers have made and wait for, unless their receiver has deferred its answer: as far as
    /// they have come through this process, and were not made by what handlers left behind.
    pub(crate) fn calls_between(&self) -> Vec<CallBetween> {
        let awaited = self
            .calls
            .iter()
            .filter(|(_, record)| record.is_awaited() && record.phase != Phase::Watching && self.handler_runs(record));
        let between = awaited.filter_map(|(call, record)| {
            let cause = self.cause(record.cause()?).filter(|cause| cause.handler_runs)?;
            let (from, to) = (self.entries.get(cause.entry)?, self.entries.get(record.entry)?);
            let method = to.about.methods.get(usize::from(record.method)).copied().unwrap_or("a method");
            Some(CallBetween { call, from: from.route, to: to.route, method: method.into() })
        });
        between.collect()
    }

    /// Whether the request, or one of those that caused it, went to one of these actors.
    pub(crate) fn is_caused_at(&self, call: CallKey, actors: &[Destination]) -> bool {
        let mut next = Some(call);
        while let Some(cause) = next.and_then(|key| self.cause(key)) {
            if let Some(e) = self.entries.get(cause.entry)
                && actors.iter().any(|to| to.node == e.route.node && to.actor == e.route.actor)
            {
                return true;
            }
            next = cause.caused_by;
        }
        false
    }

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
        let at = self.chain(Some(cause)).position(|cause| cause.entry == entry && cause.handler_runs)?;
        let name = |entry| self.entries.get(entry).map_or_else(String::new, |e| e.about.name.to_string());
        let mut path = vec![name(entry)];
        path.extend(self.chain(Some(cause)).take(at + 1).map(|cause| name(cause.entry)));
        path.reverse();
        Some(path)
    }

    /// The number by which the peer of `link` knows the request that this one comes of.
    ///
    /// Where the nearest cause did not come from there, an earlier one may have: it waits as well.
    pub(super) fn cause_as_known_by(&self, link: LinkKey, caused_by: Option<CallKey>) -> CallId {
        self.chain(caused_by)
            .find(|cause| cause.source == Source::Link(link))
            .map_or(CallId::NONE, |cause| cause.inbound)
    }

    /// A request and those that wait for it, nearest first: a cast, or a call that nobody awaits, holds up nobody.
    fn chain(&self, first: Option<CallKey>) -> impl Iterator<Item = Cause> {
        let first = first.and_then(|key| self.cause(key));
        let next = |cause: &Cause| cause.caused_by.filter(|_| cause.is_awaited).and_then(|key| self.cause(key));
        std::iter::successors(first, next).take(DEPTH)
    }

    /// What there is to know of a request as a cause.
    pub(super) fn cause(&self, key: CallKey) -> Option<Cause> {
        if is_light(key) {
            return self.light_cause(key);
        }
        let record = self.calls.get(key)?;
        Some(Cause {
            entry: record.entry,
            source: record.source,
            inbound: record.inbound,
            is_awaited: record.is_awaited(),
            handler_runs: self.handler_runs(record),
            caused_by: record.cause(),
        })
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
