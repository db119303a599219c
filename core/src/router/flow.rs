//! How messages move: from those that wait, through the mailbox, to the consumer, as far as credit goes.

use std::mem;
use std::time::Instant;

use super::awaited::Waiting;
use super::casts::light_key;
use super::entry::{Consumer, EntryKey, Sent, Source};
use super::line::Turn;
use super::link::{CALLS_LIMIT, LinkKey};
use super::record::{CallKey, Message, Origin, Phase, Record};
use super::router::{Action, Router};
use crate::connection::flow::cost;
use crate::wire::frame::{Frame, RequestParts};
use crate::wire::ids::{CallId, Destination, TypeHash};

impl Router {
    /// Moves what can be moved at an entry. Ends every event that may have made room or brought a message.
    pub(super) fn settle(&mut self, entry: EntryKey) {
        loop {
            self.admit(entry);
            let moved = self.forward(entry);
            let Some(e) = self.entries.get_mut(entry) else { return };
            // What was handed on may have made room for what waits.
            if moved && !e.waiting.is_empty() {
                continue;
            }
            if matches!(e.consumer, Consumer::Local) && !e.queue.is_empty() {
                // Who serves it takes until there is nothing more, and is told once until then.
                if !mem::replace(&mut e.is_woken, true) {
                    self.actions.push_back(Action::Wake(entry));
                }
            }
            return;
        }
    }

    /// A message of this source has left the mailbox: its units go back.
    pub(super) fn release(&mut self, entry: EntryKey, source: Source, cost: u32) {
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        let route = e.route;
        let grant = e.release(source, cost);
        let Source::Link(link) = source else {
            return;
        };
        if self.links.get(link).is_none() {
            e.forget_window(link);
        } else if let Some(grant) = grant {
            let credit = Frame::Credit { to: route, returned: grant.returned, window: grant.window };
            match grant.is_pressing(self.links.get(link).map_or(0, |l| l.returned_calmly)) {
                true => self.send(link, &credit),
                false => self.return_calmly(link, &credit, grant.returned),
            }
        }
    }

    /// Lets local requests into the mailbox, in order, while there is room.
    fn admit(&mut self, entry: EntryKey) {
        let Some(e) = self.entries.get_mut(entry) else { return };
        while let Some(Turn::Request(key)) = e.waiting.front(&self.calls)
            && let Some(record) = self.calls.get_mut(key)
            && e.has_room(record.cost)
            && e.local.admit(record.cost).is_ok()
        {
            e.waiting.pop();
            record.phase = Phase::Queued;
            e.queue.push(key);
            if !record.reply {
                // That is the end of a cast, as far as its sender is told.
                record.origin = Origin::Nobody;
                self.woken.extend(record.waiting.take());
            }
        }
    }

    /// Hands a call on that is the next to go and refers to nothing, as [`forward`](Self::forward) would at once: its key. Nothing
    /// has happened where it has to wait, or there is more to it.
    #[inline]
    pub(super) fn call_now(
        &mut self,
        origin: Origin,
        entry: EntryKey,
        type_hash: TypeHash,
        deadline: Option<Instant>,
        cause: Option<CallKey>,
        message: &Message,
    ) -> Option<CallKey> {
        let caused_by = match cause {
            None => CallId::NONE,
            Some(_) => match self.entries.get(entry)?.consumer {
                Consumer::Worker { link, .. } | Consumer::Onward { link, .. } => self.cause_as_known_by(link, cause),
                _ => return None,
            },
        };
        let cost = cost(message.len());
        let e = self.entries.get_mut(entry).filter(|e| !e.ending && e.queue.is_empty() && e.waiting.is_empty())?;
        let (link, credit, to_worker) = match &mut e.consumer {
            Consumer::Worker { link, credit } => (*link, credit, true),
            Consumer::Onward { link, credit } => (*link, credit, false),
            _ => return None,
        };
        let is_plain = message.handles.is_empty() && credit.allows(cost);
        let l = self.links.get_mut(link).filter(|l| is_plain && l.handed < CALLS_LIMIT)?;
        credit.spend(cost);
        l.handed += 1;
        l.urgent |= l.handed == 1;
        e.open += 1;
        e.seq += 1;
        let (seq, since, method) = (e.seq, self.now, message.method);
        let key = self.calls.insert(|| Record {
            origin,
            source: Source::Local,
            inbound: CallId::NONE,
            is_listed: false,
            entry,
            phase: Phase::Sent { seq },
            handed: Some(link),
            reply: true,
            unwanted: false,
            type_hash,
            method,
            cost,
            deadline,
            timer: None,
            caused_by: cause.unwrap_or_default(),
            handler_runs: true,
            since: Some(since),
            waiting: Waiting::default(),
            message: None,
        });
        if to_worker {
            e.sent.push_back(Sent { seq, key, since, cost, method });
        }
        let request = RequestParts {
            call: CallId(key),
            reply: true,
            to: Destination { run: self.run, node: e.route.node, actor: e.route.actor, type_hash },
            method,
            priority: message.priority,
            remaining: deadline.map(|at| millis_until(at, since)),
            caused_by,
            trace: &message.trace,
            handles: &[],
            payload: &message.payload,
            kept: &message.kept,
        };
        if l.write_request(&request, to_worker) {
            self.say_flush(link);
        }
        Some(key)
    }

    /// Hands queued messages to the process behind the entry, while its credit lasts; whether any went.
    fn forward(&mut self, entry: EntryKey) -> bool {
        let mut moved = false;
        loop {
            let Some(e) = self.entries.get_mut(entry) else {
                return moved;
            };
            if e.ending || !matches!(e.consumer, Consumer::Worker { .. } | Consumer::Onward { .. }) {
                return moved;
            }
            let key = match e.queue.front(&self.calls) {
                Some(Turn::Request(key)) => key,
                Some(Turn::Cast) if self.forward_cast(entry) => {
                    moved = true;
                    continue;
                }
                Some(Turn::Cast) | None => return moved,
            };
            let Some(record) = self.calls.get_mut(key) else {
                return moved;
            };
            let (link, credit, to_worker) = match &mut e.consumer {
                Consumer::Worker { link, credit } => (*link, credit, true),
                Consumer::Onward { link, credit } => (*link, credit, false),
                _ => return moved,
            };
            // A worker whose connection has ended before its exit is known gets nothing more.
            let Some(l) = self.links.get_mut(link) else {
                return moved;
            };
            if !credit.allows(record.cost) {
                return moved;
            }
            if record.reply && l.handed >= CALLS_LIMIT {
                if !mem::replace(&mut e.blocked, true) {
                    l.blocked.push_back(entry);
                }
                return moved;
            }
            credit.spend(record.cost);
            l.handed += usize::from(record.reply);
            l.urgent |= record.reply && l.handed == 1;
            moved = true;
            e.queue.pop();
            e.seq += 1;
            record.phase = Phase::Sent { seq: e.seq };
            record.handed = Some(link);
            record.since = Some(self.now);
            let is_light_now = to_worker && !record.reply && record.cause().is_none();
            if to_worker {
                // Nothing is asked of a cast any more that nothing has caused.
                let known = if is_light_now { light_key(entry, e.seq) } else { key };
                let (seq, cost, method) = (e.seq, record.cost, record.method);
                e.sent.push_back(Sent { seq, key: known, since: self.now, cost, method });
            }
            let to =
                Destination { run: self.run, node: e.route.node, actor: e.route.actor, type_hash: record.type_hash };
            let (source, cost, reply) = (record.source, record.cost, record.reply);
            let number = if is_light_now { light_key(entry, e.seq) } else { key };
            let (deadline, cause) = (record.deadline, record.cause());
            let held = record.message.as_ref().map(|message| message.handles.clone()).unwrap_or_default();
            let caused_by = self.cause_as_known_by(link, cause);
            let handles = self.handles_sent(link, held.list());
            let remaining = deadline.map(|at| millis_until(at, self.now));
            // Written from where it lies, and dropped there: messages are many, and large to move.
            if let Some(record) = self.calls.get_mut(key)
                && let Some(l) = self.links.get_mut(link)
                && let Some(message) = &record.message
            {
                let request = RequestParts {
                    // A cast that goes onward is forgotten here; one in a worker can still be a cause.
                    call: if reply || to_worker { CallId(number) } else { CallId::NONE },
                    reply,
                    to,
                    method: message.method,
                    priority: message.priority,
                    remaining,
                    caused_by,
                    trace: &message.trace,
                    handles: &handles,
                    payload: &message.payload,
                    kept: &message.kept,
                };
                let is_news = l.write_request(&request, to_worker);
                record.message = None;
                if is_news {
                    self.say_flush(link);
                }
            }
            // Behind the message, so that a Release does not overtake it: there it would be news of what nobody holds.
            self.let_go(held.list());
            self.release(entry, source, cost);
            if !reply && (is_light_now || !to_worker) {
                self.forget(key);
            }
        }
    }

    /// A call that was handed to the peer has been answered: the next may go.
    pub(super) fn unblock(&mut self, link: LinkKey) {
        while let Some(l) = self.links.get_mut(link)
            && l.handed < CALLS_LIMIT
            && let Some(entry) = l.blocked.pop_front()
        {
            if let Some(e) = self.entries.get_mut(entry) {
                e.blocked = false;
            }
            self.settle(entry);
        }
    }
}

/// What is left until a deadline, in milliseconds, as a frame says it.
fn millis_until(at: Instant, now: Instant) -> u32 {
    let left = at.saturating_duration_since(now);
    let millis = left.as_secs().saturating_mul(1000).saturating_add(left.subsec_millis().into());
    u32::try_from(millis).unwrap_or(u32::MAX).min(u32::MAX - 1)
}
