//! Casts to a worker, and within it, of which no record is kept.
//!
//! Nobody awaits a cast, and once it is handed on nobody takes it back. If it refers to nothing that is counted and no other
//! request caused it, little is left to know of it: its place in the row of what the worker was given. So it is a line in that
//! row, and its key says which one. Most casts are such, and a record for each would be half of what they cost.

use std::mem;
use std::time::Instant;

use super::arena::Key;
use super::entry::{Consumer, Entry, EntryKey, Source};
use super::handles::Handles;
use super::link::LinkKey;
use super::record::{CallKey, Message};
use super::router::{Action, Router, Taken};
use crate::connection::flow::cost;
use crate::wire::codec::Kept;
use crate::wire::content::Content;
use crate::wire::frame::{Short, ShortParts, Trace};
use crate::wire::ids::{CallId, Destination};

/// What tells the key of such a cast from that of a record: an arena has no such keys.
const LIGHT: Key = 1 << 63;
/// What is left of the place of the entry beside that.
const PLACE: u32 = (1 << 31) - 1;

/// The key of a cast without a record: the place of its entry and the number that it has there.
pub(super) fn light_key(entry: EntryKey, seq: u64) -> CallKey {
    LIGHT | u64::from(entry as u32 & PLACE) << 32 | u64::from(seq as u32)
}

/// Whether this is such a key.
#[inline]
pub(super) fn is_light(key: CallKey) -> bool {
    key & LIGHT != 0
}

fn place(key: CallKey) -> u32 {
    (key >> 32) as u32 & PLACE
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

/// A cast that has come in for the actor that this process hosts.
#[derive(Debug)]
pub(super) struct Come {
    key: CallKey,
    /// What its sender calls it.
    inbound: CallId,
    seq: u64,
    payload: Content,
    cost: u32,
    method: u16,
    priority: u8,
    /// Whether its handler is running, or is to run at once.
    taken: bool,
}

/// A cast without a record that the actor's thread has taken.
#[derive(Debug)]
pub(crate) struct TakenCast {
    pub(crate) key: CallKey,
    pub(crate) seq: u64,
    pub(crate) method: u16,
    pub(crate) payload: Content,
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
    /// Hands a cast of this process to a worker, if it can be handed over now and needs no record. Nothing has happened if not.
    ///
    /// While something waits to be written there, the time of the last event is near enough, and the clock is not looked at.
    #[inline]
    pub(crate) fn cast_now(&mut self, to: &Destination, message: &Message, clock: impl FnOnce() -> Instant) -> bool {
        if to.run != self.run || to.node != self.node || !message.handles.is_empty() || !message.trace.is_none() {
            return false;
        }
        let Some(&entry) = self.owned.get(&to.actor) else { return false };
        let Some(e) = self.entries.get_mut(entry) else { return false };
        let is_next = e.about.type_hash == to.type_hash && !e.ending && e.waiting.is_empty() && e.queue.is_empty();
        let cost = cost(message.len());
        let Consumer::Worker { link, credit } = &mut e.consumer else { return false };
        let link = *link;
        let Some(l) = self.links.get_mut(link).filter(|_| is_next && credit.allows(cost)) else { return false };
        credit.spend(cost);
        if !l.flush_asked {
            self.now = clock();
        }
        e.seq += 1;
        let key = light_key(entry, e.seq);
        e.sent.push_back(Sent { seq: e.seq, key, since: self.now, cost, method: message.method });
        let short = ShortParts {
            call: CallId(key),
            reply: false,
            method: message.method,
            priority: message.priority,
            remaining: None,
            payload: &message.payload,
            kept: &message.kept,
        };
        short.encode(&mut l.out);
        if l.ask_flush() {
            self.say_flush(link);
        }
        true
    }

    /// A cast without a record has come in for the actor that this process hosts.
    pub(super) fn handle_cast(&mut self, link: LinkKey, entry: EntryKey, short: Short) {
        let cost = cost(short.payload.len());
        let Some(e) = self.entries.get_mut(entry) else { return };
        if e.window(link).admit(cost).is_err() {
            let name = e.about.name.clone();
            return self.refuse(link, format!("it sent more to {name} than it had credit for"));
        }
        e.seq += 1;
        let key = light_key(entry, e.seq);
        e.queue.push(key);
        if !mem::replace(&mut e.is_woken, true) {
            self.actions.push_back(Action::Wake(entry));
        }
        let Short { call, method, priority, payload, .. } = short;
        self.come.push_back(Come { key, inbound: call, seq: e.seq, payload, cost, method, priority, taken: false });
    }

    /// Takes the next cast, which the line of the entry begins with.
    pub(super) fn take_light(&mut self, entry: EntryKey) -> Option<Taken> {
        let e = self.entries.get_mut(entry)?;
        e.queue.pop();
        let come = self.come.iter_mut().find(|come| !come.taken)?;
        come.taken = true;
        e.running = Some(come.key);
        let message = Message {
            method: come.method,
            priority: come.priority,
            trace: Trace::default(),
            handles: Handles::none(),
            payload: mem::take(&mut come.payload),
            kept: Kept::default(),
        };
        let source = Source::Link(self.uplink?);
        Some(Taken { call: come.key, seq: come.seq, reply: false, deadline: None, message, cost: come.cost, source })
    }

    /// Takes as many of the next messages as are casts without a record, if their handlers are short: what one of them takes up
    /// is not given back before all have ended.
    pub(crate) fn take_casts(&mut self, entry: EntryKey, most: usize, into: &mut impl Extend<TakenCast>) {
        let Some(e) = self.entries.get_mut(entry).filter(|e| e.hosted && !e.ending && e.is_brief()) else { return };
        let mut waiting = self.come.iter_mut().skip_while(|come| come.taken);
        for _ in 0..most {
            // Whatever stands between two of them has its turn first.
            if e.queue.first().is_none_or(|key| !is_light(key)) {
                return;
            }
            let Some(come) = waiting.next() else { return };
            e.queue.pop();
            come.taken = true;
            e.running = Some(come.key);
            let (key, seq, method) = (come.key, come.seq, come.method);
            into.extend([TakenCast { key, seq, method, payload: mem::take(&mut come.payload) }]);
        }
    }

    /// The handlers of the first casts that were taken have ended.
    pub(crate) fn finish_casts(&mut self, entry: EntryKey, handled: usize) {
        let mut units = 0;
        for _ in 0..handled {
            units += self.come.pop_front_if(|come| come.taken).map_or(0, |come| come.cost);
        }
        let Some(e) = self.entries.get_mut(entry) else { return };
        if self.come.front().is_none_or(|come| !come.taken) {
            e.running = None;
        }
        if let Some(link) = self.uplink.filter(|_| units > 0) {
            self.release(entry, Source::Link(link), units);
        }
    }

    /// Such casts that have not ended.
    pub(super) fn light_casts(&self) -> usize {
        let sent = self.entries.iter().flat_map(|(_, e)| &e.sent);
        sent.filter(|sent| is_light(sent.key)).count() + self.come.len()
    }

    /// Whether this request was handed to the peer of this link, which alone may speak of it.
    pub(super) fn was_handed_to(&self, link: LinkKey, call: CallId) -> bool {
        if !is_light(call.0) {
            return self.handed_to(link, call).is_some();
        }
        let entry = self.entries.at(place(call.0));
        entry.is_some_and(|(_, e)| {
            matches!(e.consumer, Consumer::Worker { link: at, .. } if at == link) && e.find_light(call.0).is_some()
        })
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

    fn light_cause(&self, key: CallKey) -> Option<Cause> {
        let (entry, e) = self.entries.at(place(key))?;
        let bare = |source, inbound, handler_runs| Cause {
            entry,
            source,
            inbound,
            is_awaited: false,
            handler_runs,
            caused_by: None,
        };
        if e.hosted {
            let come = self.come.iter().take_while(|come| come.taken).find(|come| come.key == key)?;
            return Some(bare(Source::Link(self.uplink?), come.inbound, true));
        }
        let sent = e.find_light(key)?;
        let runs = e.progress.as_ref().is_none_or(|journal| sent.seq > journal.0.finished());
        Some(bare(Source::Local, CallId::NONE, runs))
    }
}

impl Entry {
    /// The message that was handed to the worker under this number.
    pub(super) fn sent(&self, seq: u64) -> Option<&Sent> {
        // Numbers are handed out in a row.
        let first = self.sent.front()?.seq;
        self.sent.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    fn find_light(&self, key: CallKey) -> Option<&Sent> {
        let first = self.sent.front()?.seq;
        let at = (key as u32).wrapping_sub(first as u32);
        self.sent.get(at as usize).filter(|sent| sent.key == key)
    }

    /// Casts without a record of which it is certain that their handlers have not started.
    pub(super) fn lost_casts(&self) -> u64 {
        let lost = self.sent.iter().filter(|sent| is_light(sent.key) && self.may_have_started(sent.seq) == Some(false));
        lost.count() as u64
    }
}
