//! How messages move: from those that wait, through the mailbox, to the consumer, as far as credit goes.

use super::entry::{Consumer, EntryKey, Source};
use super::record::{Origin, Phase};
use super::router::{Action, Router};
use crate::wire::frame::{Frame, Request};
use crate::wire::ids::{CallId, Destination};

impl Router {
    /// Moves what can be moved at an entry. Ends every event that may have made room or brought a message.
    pub(super) fn settle(&mut self, entry: EntryKey) {
        while self.admit(entry) | self.forward(entry) {}
        if let Some(e) = self.entries.get(entry)
            && matches!(e.consumer, Consumer::Local)
            && !e.queue.is_empty()
        {
            self.actions.push_back(Action::Wake(entry));
        }
    }

    /// A message of this source has left the mailbox: its units go back.
    pub(super) fn release(&mut self, entry: EntryKey, source: Source, cost: u32) {
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        let wanted = e.wanted(source);
        let route = e.route;
        // A cast outlives its sender: the units of a connection that is gone are nobody's.
        let Some(window) = e.windows.get_mut(&source) else { return };
        let grant = window.release(cost, wanted);
        match source {
            // Between threads there is no frame to save: what is free is free at once.
            Source::Local => drop(window.flush()),
            Source::Link(link) => {
                if let Some(grant) = grant {
                    self.send(link, &Frame::Credit { to: route, returned: grant.returned, window: grant.window });
                }
            }
        }
    }

    /// Lets local requests into the mailbox, in order, while there is room; whether any went.
    fn admit(&mut self, entry: EntryKey) -> bool {
        let mut moved = false;
        loop {
            let Some(e) = self.entries.get_mut(entry) else {
                return moved;
            };
            let Some(&key) = e.waiting.front() else {
                return moved;
            };
            let Some(record) = self.calls.get_mut(key) else {
                e.waiting.pop_front();
                continue;
            };
            match e.consumer {
                // The way to another node has no mailbox: a message is taken when it can be sent.
                Consumer::Onward { credit, .. } => {
                    if !e.queue.is_empty() || !credit.allows(record.cost) {
                        return moved;
                    }
                }
                _ => {
                    if e.window(Source::Local).admit(record.cost).is_err() {
                        return moved;
                    }
                }
            }
            e.waiting.pop_front();
            record.phase = Phase::Queued;
            e.queue.push_back(key);
            moved = true;
            let onward = matches!(e.consumer, Consumer::Onward { .. });
            if let Origin::Local(token) = record.origin {
                self.actions.push_back(Action::Admitted(token));
            }
            if onward {
                return moved;
            }
        }
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
            let Some(&key) = e.queue.front() else {
                return moved;
            };
            let Some(record) = self.calls.get_mut(key) else {
                e.queue.pop_front();
                continue;
            };
            let (link, to_worker) = match &mut e.consumer {
                Consumer::Worker { link, credit } if credit.allows(record.cost) => {
                    credit.spend(record.cost);
                    (*link, true)
                }
                Consumer::Onward { link, credit } if credit.allows(record.cost) => {
                    credit.spend(record.cost);
                    (*link, false)
                }
                _ => return moved,
            };
            moved = true;
            e.queue.pop_front();
            e.seq += 1;
            record.phase = Phase::Sent { seq: e.seq };
            record.since = Some(self.now);
            if to_worker {
                e.sent.push_back((e.seq, record.cost, key));
            }
            let to =
                Destination { run: self.run, node: e.route.node, actor: e.route.actor, type_hash: e.about.type_hash };
            let (source, cost, reply) = (record.source, record.cost, record.reply);
            let (deadline, cause) = (record.deadline, record.caused_by);
            let Some(message) = record.message.take() else {
                continue;
            };
            // A cause is named as the receiver numbers it, so it must have come from there.
            let caused_by = cause
                .and_then(|cause| self.calls.get(cause))
                .filter(|cause| cause.source == Source::Link(link))
                .and_then(|cause| cause.inbound)
                .unwrap_or(CallId::NONE);
            let frame = Frame::Request(Request {
                // A cast that goes onward is forgotten here; one in a worker can still be a cause.
                call: if reply || to_worker { CallId(key) } else { CallId::NONE },
                reply,
                to,
                method: message.method,
                priority: message.priority,
                remaining: deadline.map(|at| {
                    let left = at.saturating_duration_since(self.now).as_millis();
                    u32::try_from(left).unwrap_or(u32::MAX - 1).min(u32::MAX - 1)
                }),
                caused_by,
                trace: message.trace,
                handles: message.handles,
                payload: message.payload,
            });
            self.send(link, &frame);
            // Local messages that go onward never were in a mailbox.
            if to_worker || source != Source::Local {
                self.release(entry, source, cost);
            }
            if !to_worker && !reply {
                self.forget(key);
            }
        }
    }
}
