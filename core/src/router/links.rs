//! Connections: frames in, and what their ends mean.

use std::mem;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::entry::{Consumer, FIRST_WINDOW, Source};
use super::link::{Link, LinkKey};
use super::record::{Message, Origin, Outcome, Phase, Record};
use super::router::{Action, Router};
use crate::connection::flow::cost;
use crate::error::call::{CallError, NotDelivered};
use crate::wire::frame::{Frame, Request, Route, Status};
use crate::wire::ids::CallId;

impl Router {
    pub(crate) fn add_link(&mut self) -> LinkKey {
        self.links.insert(Link::new())
    }

    /// The link to the process that started this one.
    pub(crate) fn set_uplink(&mut self, link: LinkKey) {
        self.uplink = Some(link);
    }

    /// Says upward that this process owns mailboxes of its own.
    pub(crate) fn announce(&mut self) {
        if let Some(link) = self.uplink {
            self.send(link, &Frame::Announce { node: self.node });
        }
    }

    /// Makes something known to the process above; false where there is none.
    pub(crate) fn report(&mut self, payload: Bytes) -> bool {
        let Some(link) = self.uplink else { return false };
        self.send(link, &Frame::Event { payload });
        true
    }

    /// Moves what waits to be written into `out` (data) and `control`.
    pub(crate) fn take_output(&mut self, link: LinkKey, out: &mut BytesMut, control: &mut BytesMut) {
        if let Some(l) = self.links.get_mut(link) {
            take_into(&mut l.out, out);
            take_into(&mut l.control, control);
        }
    }

    /// Sends a frame that is not about a request.
    pub(crate) fn send(&mut self, link: LinkKey, frame: &Frame) {
        if let Some(l) = self.links.get_mut(link) {
            frame.encode(&mut l.out);
            self.actions.push_back(Action::Flush(link));
        }
    }

    /// Sends a frame over the control stream.
    pub(crate) fn send_control(&mut self, link: LinkKey, frame: &Frame) {
        if let Some(l) = self.links.get_mut(link) {
            frame.encode(&mut l.control);
            self.actions.push_back(Action::Flush(link));
        }
    }

    /// A frame has come in over the link.
    pub(crate) fn handle_frame(&mut self, link: LinkKey, frame: Frame) {
        match frame {
            Frame::Request(request) => self.handle_request(link, request),
            Frame::Reply { call, status, payload } => self.handle_reply(link, call, status, payload),
            Frame::Cancel { call } => self.cancel_inbound(link, call),
            Frame::Credit { to, returned, window } => self.handle_credit(link, to, returned, window),
            Frame::Deferred { call } => {
                if self.was_handed_to(link, call)
                    && let Some(record) = self.calls.get_mut(call.0)
                {
                    record.handler_runs = false;
                }
            }
            Frame::Monitor { call, to } => {
                if self.links.get(link).is_some_and(|l| l.inbound.contains_key(&call)) {
                    self.refuse(link, format!("it used the number {:x} for two requests", call.0));
                    return;
                }
                self.watch(Origin::Link(link), Some(call), &to);
            }
            Frame::Down { call, payload } => {
                if self.was_handed_to(link, call) {
                    self.end(call.0, Outcome::DownElsewhere(payload));
                }
            }
            Frame::Announce { node } => {
                if node == self.node || self.nodes.get(&node).is_some_and(|&l| l != link) || self.nodes.len() > 4096 {
                    self.refuse(link, "it announced a node that is not its own".to_owned());
                    return;
                }
                self.nodes.insert(node, link);
                if let Some(up) = self.uplink {
                    self.send(up, &Frame::Announce { node });
                }
            }
            other => self.actions.push_back(Action::Peer(link, other)),
        }
    }

    fn handle_request(&mut self, link: LinkKey, request: Request) {
        let route = Route { node: request.to.node, actor: request.to.actor };
        let cost = cost(request.payload.len());
        let deadline = request.remaining.map(|left| self.now + Duration::from_millis(u64::from(left)));
        // The number is one of ours, and believed only where the message it names was handed to this very peer.
        let caused_by = Some(request.caused_by)
            .filter(|&call| call != CallId::NONE && self.was_handed_to(link, call))
            .map(|call| call.0);
        if request.reply && self.links.get(link).is_some_and(|l| l.inbound.contains_key(&request.call)) {
            self.refuse(link, format!("it used the number {:x} for two requests", request.call.0));
            return;
        }
        let hosted = self.hosted.filter(|(at, _)| *at == route && self.uplink == Some(link)).map(|(_, entry)| entry);
        let resolved = match hosted {
            Some(entry) => Ok(entry),
            None => self.resolve(&request.to, Some(link)),
        };
        let resolved = resolved.and_then(|entry| match self.deadlock(entry, caused_by) {
            Some(path) if request.reply => Err(CallError::WouldDeadlock { path }),
            _ => Ok(entry),
        });
        let entry = match resolved {
            Ok(entry) => entry,
            Err(error) => {
                self.send(link, &Frame::Credit { to: route, returned: cost, window: FIRST_WINDOW });
                if request.reply {
                    self.reply_on(link, request.call, Outcome::Failed(error));
                } else {
                    let sender = self.links.get(link).and_then(|l| l.worker).and_then(|entry| self.entries.get(entry));
                    let owner = sender.map_or(0, |sender| sender.about.owner);
                    let actor = format!("actor {:x} of node {:x}", route.actor.0, route.node.0).into();
                    self.actions.push_back(Action::DeadLetters { owner, actor, count: 1 });
                }
                return;
            }
        };
        let source = Source::Link(link);
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        if e.window(source).admit(cost).is_err() {
            let name = e.about.name.clone();
            self.refuse(link, format!("it sent more to {name} than it had credit for"));
            return;
        }
        e.seq += u64::from(e.hosted);
        let phase = if e.hosted { Phase::Sent { seq: e.seq } } else { Phase::Queued };
        let key = self.calls.insert(Record {
            origin: if request.reply { Origin::Link(link) } else { Origin::Nobody },
            source,
            inbound: Some(request.call).filter(|&call| call != CallId::NONE),
            entry,
            phase,
            reply: request.reply,
            method: request.method,
            cost,
            deadline,
            caused_by,
            handler_runs: true,
            since: None,
            message: Some(Message {
                method: request.method,
                priority: request.priority,
                trace: request.trace,
                handles: request.handles,
                payload: request.payload,
            }),
        });
        if request.reply
            && let Some(l) = self.links.get_mut(link)
        {
            l.inbound.insert(request.call, key);
            if let (Some(deadline), None) = (deadline, hosted) {
                l.timers.insert((deadline, key));
            }
        }
        if let Some(e) = self.entries.get_mut(entry) {
            e.queue.push_back(key);
        }
        self.settle(entry);
    }

    fn handle_reply(&mut self, link: LinkKey, call: CallId, status: Status, payload: Bytes) {
        if self.was_handed_to(link, call) {
            let entry = self.calls.get(call.0).map(|record| record.entry);
            if let (Status::Fatal, Some(entry)) = (status, entry) {
                self.incarnation_ends(entry);
            }
            self.end(call.0, Outcome::from_reply(status, payload));
        } else {
            self.discarded += 1;
        }
    }

    fn handle_credit(&mut self, link: LinkKey, to: Route, returned: u32, window: u32) {
        let hosted = self.links.get(link).and_then(|l| l.worker);
        let entry = match hosted.filter(|&entry| self.entries.get(entry).is_some_and(|e| e.route == to)) {
            Some(entry) => entry,
            None => match self.onward.get(&to) {
                Some(&entry) => entry,
                // The actor is gone, and with it all that was counted.
                None => return,
            },
        };
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        let refilled = match &mut e.consumer {
            Consumer::Worker { link: at, credit } | Consumer::Onward { link: at, credit } if *at == link => {
                credit.refill(returned, window)
            }
            _ => return,
        };
        if refilled.is_err() {
            self.refuse(link, format!("it returned {returned} units that it never had"));
            return;
        }
        // A worker finishes its messages in order.
        let mut finished = returned;
        while let Some(&(_, cost, key)) = self.entries.get(entry).and_then(|e| e.sent.front())
            && cost <= finished
        {
            finished -= cost;
            if let Some(e) = self.entries.get_mut(entry) {
                e.sent.pop_front();
            }
            match self.calls.get_mut(key) {
                Some(record) if record.reply => record.handler_runs = false,
                Some(_) => self.forget(key),
                None => {}
            }
        }
        self.settle(entry);
    }

    /// The earliest deadline among the requests that came in over the link.
    pub(crate) fn poll_timeout(&self, link: LinkKey) -> Option<Instant> {
        self.links.get(link)?.timers.first().map(|(at, _)| *at)
    }

    /// Ends the requests of the link whose deadline has passed.
    pub(crate) fn handle_timeout(&mut self, link: LinkKey) {
        while let Some(&(at, key)) = self.links.get(link).and_then(|l| l.timers.first())
            && at <= self.now
        {
            if let Some(l) = self.links.get_mut(link) {
                l.timers.pop_first();
            }
            let onward = self
                .calls
                .get(key)
                .and_then(|r| self.entries.get(r.entry))
                .is_some_and(|e| matches!(e.consumer, Consumer::Onward { .. }));
            if !onward {
                self.time_out(key);
            }
        }
    }

    /// The connection has ended. Requests of the peer that wait are dropped, those it was asked end as lost; an actor
    /// that it hosted must have been told of by [`incarnation_ended`](Self::incarnation_ended).
    pub(crate) fn handle_closed(&mut self, link: LinkKey) {
        let Some(l) = self.links.remove(link) else {
            return;
        };
        for (_, key) in l.inbound {
            if let Some(record) = self.calls.get_mut(key) {
                record.origin = Origin::Nobody;
                self.cancel(key);
            }
        }
        self.nodes.retain(|_, at| *at != link);
        let lost: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, e)| matches!(e.consumer, Consumer::Onward { link: at, .. } if at == link))
            .map(|(key, _)| key)
            .collect();
        for key in lost {
            self.retire(key, &NotDelivered::Disconnected, None);
        }
        let entries: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        for key in entries {
            if let Some(e) = self.entries.get_mut(key) {
                e.windows.remove(&Source::Link(link));
            }
        }
        if self.uplink == Some(link) {
            self.uplink = None;
        }
    }
}

/// Moves bytes to a writer's buffer, and lets go of a large one when it is empty.
fn take_into(from: &mut BytesMut, to: &mut BytesMut) {
    if to.is_empty() {
        mem::swap(from, to);
    } else {
        to.unsplit(from.split());
    }
}
