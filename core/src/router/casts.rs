//! Casts to a worker, and within it, of which no record is kept.
//!
//! Nobody awaits a cast, and once it is handed on nobody takes it back. If it refers to nothing that is counted and no other
//! request caused it, little is left to know of it: its place in the row of what the worker was given. So it is a line in that
//! row, and its key says which one. In a mailbox its content stands in the line itself. Most casts are such, and a record for
//! each would be half of what they cost. They are called light here.

use std::mem;
use std::time::Instant;

use super::arena::Key;
use super::causes::Cause;
use super::entry::{Consumer, Entry, EntryKey, Sent, Source};
use super::handles::Handles;
use super::link::LinkKey;
use super::record::{CallKey, Message};
use super::router::{Action, Router, Taken};
use crate::connection::flow::cost;
use crate::wire::codec::Kept;
use crate::wire::content::Content;
use crate::wire::frame::{RequestParts, Route, Short, ShortParts, Trace};
use crate::wire::ids::{CallId, Destination};
use crate::wire::rope::Output;

/// What tells the key of such a cast from that of a record: an arena has no such keys.
const LIGHT: Key = 1 << 63;
/// Bytes that are written without waiting for what may come yet.
const MUCH: usize = 16 << 10;
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

/// A cast without a record that waits in a mailbox.
#[derive(Debug)]
pub(super) struct LightCast {
    payload: Content,
    kept: Kept,
    /// What its sender calls it, and its number, where it has come to the process that hosts the actor.
    inbound: CallId,
    seq: u64,
    pub(super) cost: u32,
    method: u16,
    priority: u8,
}

/// One whose handler is running, or is to run at once, in the process that hosts the actor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    key: CallKey,
    inbound: CallId,
    cost: u32,
}

/// A cast without a record that the actor's thread has taken.
#[derive(Debug)]
pub(crate) struct TakenCast {
    pub(crate) key: CallKey,
    pub(crate) seq: u64,
    pub(crate) method: u16,
    pub(crate) payload: Content,
}

impl Router {
    /// Takes a cast of this process that nothing has caused, if it is admitted at once and needs no record; whether it does. Nothing
    /// has happened if not.
    #[inline]
    pub(crate) fn cast_now(
        &mut self,
        to: &Destination,
        message: &mut Message,
        clock: impl FnOnce() -> Instant,
    ) -> bool {
        if to.run != self.run || !message.handles.is_empty() || !message.trace.is_none() {
            return false;
        }
        if to.node == self.node { self.cast_down(to, message, clock) } else { self.cast_onward(to, message) }
    }

    /// Sends it on the way to another node's mailbox, where it can go at once.
    fn cast_onward(&mut self, to: &Destination, message: &Message) -> bool {
        let route = Route { node: to.node, actor: to.actor };
        let Some(e) = self.onward.get(&route).and_then(|&entry| self.entries.get_mut(entry)) else { return false };
        // Not before others.
        if e.ending || !e.waiting.is_empty() || !e.queue.is_empty() {
            return false;
        }
        let Consumer::Onward { link, credit } = &mut e.consumer else { return false };
        let (link, cost) = (*link, cost(message.len()));
        let Some(l) = self.links.get_mut(link).filter(|_| credit.allows(cost)) else { return false };
        credit.spend(cost);
        e.seq += 1;
        let request = RequestParts {
            call: CallId::NONE,
            reply: false,
            to: *to,
            method: message.method,
            priority: message.priority,
            remaining: None,
            caused_by: CallId::NONE,
            trace: &message.trace,
            handles: &[],
            payload: &message.payload,
            kept: &message.kept,
        };
        if l.write_request(&request, false) {
            self.say_flush(link);
        }
        true
    }

    /// Hands it to its worker or leaves it in the mailbox, which takes the message's content along.
    ///
    /// While something waits to be written there, the time of the last event is near enough, and the clock is not looked at.
    #[inline]
    fn cast_down(&mut self, to: &Destination, message: &mut Message, clock: impl FnOnce() -> Instant) -> bool {
        let Some(&entry) = self.owned.get(&to.actor) else { return false };
        let Some(e) = self.entries.get_mut(entry).filter(|e| e.about.type_hash == to.type_hash && e.waiting.is_empty())
        else {
            return false;
        };
        let cost = cost(message.len());
        let is_next = !e.ending && e.queue.is_empty();
        let Consumer::Worker { link, credit } = &mut e.consumer else { return false };
        let link = *link;
        let Some(l) = self.links.get_mut(link).filter(|_| is_next && credit.allows(cost)) else {
            let is_admitted = e.local.admit(cost).is_ok();
            if is_admitted {
                e.queue.push_cast(LightCast {
                    payload: mem::take(&mut message.payload),
                    kept: mem::take(&mut message.kept),
                    inbound: CallId::NONE,
                    seq: 0,
                    cost,
                    method: message.method,
                    priority: message.priority,
                });
            }
            return is_admitted;
        };
        credit.spend(cost);
        if !l.flush_asked {
            self.now = clock();
        }
        e.seq += 1;
        let key = light_key(entry, e.seq);
        e.sent.push_back(Sent { seq: e.seq, key, since: self.now, cost, method: message.method });
        short_cast(key, message.method, message.priority, &message.payload, &message.kept).encode(&mut l.out);
        // What is much goes out early, so that the worker begins while its caller goes on.
        let is_much = l.out.len() >= MUCH && !mem::replace(&mut l.urgent, true);
        if l.ask_flush() || is_much {
            self.say_flush(link);
        }
        true
    }

    /// Hands a cast that is the next in the mailbox to the worker, if its credit allows; whether it did.
    pub(super) fn forward_cast(&mut self, entry: EntryKey) -> bool {
        let Some(e) = self.entries.get_mut(entry) else { return false };
        let Consumer::Worker { link, credit } = &mut e.consumer else { return false };
        let link = *link;
        let Some(l) = self.links.get_mut(link) else { return false };
        let Some(cast) = e.queue.first_cast().filter(|cast| credit.allows(cast.cost)) else { return false };
        credit.spend(cast.cost);
        e.seq += 1;
        let key = light_key(entry, e.seq);
        let (cost, method) = (cast.cost, cast.method);
        e.sent.push_back(Sent { seq: e.seq, key, since: self.now, cost, method });
        short_cast(key, method, cast.priority, &cast.payload, &cast.kept).encode(&mut l.out);
        e.queue.pop_cast();
        if l.ask_flush() {
            self.say_flush(link);
        }
        self.release(entry, Source::Local, cost);
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
        let Short { call, method, priority, payload, .. } = short;
        let kept = Kept::default();
        e.queue.push_cast(LightCast { payload, kept, inbound: call, seq: e.seq, cost, method, priority });
        if !mem::replace(&mut e.is_woken, true) {
            self.actions.push_back(Action::Wake(entry));
        }
    }

    /// Takes the next cast, which the line of the hosted entry begins with.
    pub(super) fn take_light(&mut self, entry: EntryKey) -> Option<Taken> {
        let e = self.entries.get_mut(entry)?;
        let cast = e.queue.pop_cast()?;
        let LightCast { payload, inbound, seq, cost, method, priority, .. } = cast;
        let call = light_key(entry, seq);
        e.running = Some(call);
        self.running.push_back(Running { key: call, inbound, cost });
        let (trace, handles, kept) = (Trace::default(), Handles::none(), Kept::default());
        let message = Message { method, priority, trace, handles, payload, kept };
        Some(Taken { call, seq, reply: false, deadline: None, message, cost, source: Source::Link(self.uplink?) })
    }

    /// Takes as many of the next messages as are casts without a record, if their handlers are short: what one of them takes up
    /// is not given back before all have ended.
    pub(crate) fn take_casts(&mut self, entry: EntryKey, most: usize, into: &mut impl Extend<TakenCast>) {
        let Some(e) = self.entries.get_mut(entry).filter(|e| e.hosted && !e.ending && e.is_brief()) else { return };
        for _ in 0..most {
            let Some(LightCast { payload, inbound, seq, cost, method, .. }) = e.queue.pop_cast() else { return };
            let key = light_key(entry, seq);
            e.running = Some(key);
            self.running.push_back(Running { key, inbound, cost });
            into.extend([TakenCast { key, seq, method, payload }]);
        }
    }

    /// The handlers of the first casts that were taken have ended.
    pub(crate) fn finish_casts(&mut self, entry: EntryKey, handled: usize) {
        let units = self.running.drain(..handled.min(self.running.len())).map(|cast| cast.cost).sum();
        let Some(e) = self.entries.get_mut(entry) else { return };
        if self.running.is_empty() {
            e.running = None;
        }
        if let Some(link) = self.uplink.filter(|_| units > 0) {
            self.release(entry, Source::Link(link), units);
        }
    }

    /// Such casts that have not ended.
    pub(super) fn light_casts(&self) -> usize {
        let sent = |e: &Entry| e.sent.iter().filter(|sent| is_light(sent.key)).count();
        let open = self.entries.iter().map(|(_, e)| sent(e) + e.queue.casts().len() + e.doomed.casts().len());
        open.sum::<usize>() + self.running.len()
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

    /// What there is to know of such a cast as a cause.
    pub(super) fn light_cause(&self, key: CallKey) -> Option<Cause> {
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
            let cast = self.running.iter().find(|cast| cast.key == key)?;
            return Some(bare(Source::Link(self.uplink?), cast.inbound, true));
        }
        let sent = e.find_light(key)?;
        let runs = e.progress.as_ref().is_none_or(|journal| sent.seq > journal.0.finished());
        Some(bare(Source::Local, CallId::NONE, runs))
    }
}

/// A cast as it is written.
fn short_cast<'a>(key: CallKey, method: u16, priority: u8, payload: &'a Content, kept: &'a Kept) -> ShortParts<'a> {
    ShortParts { call: CallId(key), reply: false, method, priority, remaining: None, payload, kept }
}

impl Entry {
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
