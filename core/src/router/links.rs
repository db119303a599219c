//! Connections: frames in, and what their ends mean.

use std::mem;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::awaited::Waiting;
use super::entry::{Consumer, FIRST_WINDOW, LARGEST_PREFETCH, LARGEST_WINDOW, Sent, Source};
use super::handles::Handles;
use super::identity::Behind;
use super::link::{Answers, CALLS_LIMIT, Link, LinkKey, MONITORS_LIMIT, NODES_LIMIT, UNREAD_LIMIT};
use super::memories::Ahead;
use super::record::{CallKey, Message, Origin, Outcome, Phase, Record};
use super::router::{Action, Expired, Router};
use crate::connection::flow::cost;
use crate::error::call::NotDelivered;
use crate::wire::codec::{Handle, Kept};
use crate::wire::content::Content;
use crate::wire::frame::{Frame, Request, Route, Short, Status, Trace, encode_reply};
use crate::wire::ids::{CallId, Destination, NodeId, TypeHash};
use crate::wire::rope::{Output, Part, Rope};

/// How long what nobody waits for may wait for what it can go with. Only the sender of a message that is larger than half of its
/// window ever waits for that time.
const CALM: Duration = Duration::from_millis(2);

impl Router {
    pub(crate) fn add_link(&mut self) -> LinkKey {
        self.links.insert(Link::default())
    }

    /// The link to the process that started this one.
    pub(crate) fn set_uplink(&mut self, link: LinkKey) {
        self.uplink = Some(link);
    }

    pub(crate) fn uplink(&self) -> Option<LinkKey> {
        self.uplink
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

    /// Moves what waits to be written into `out`, behind what the peer has not taken of it yet; says which memory goes with it,
    /// and where in `out`.
    pub(crate) fn take_output(&mut self, link: LinkKey, out: &mut impl Output) -> Vec<Ahead> {
        let Some(l) = self.links.get_mut(link) else {
            return Vec::new();
        };
        if self.fetching == Some(link) {
            self.fetching = None;
        }
        l.flush_asked = false;
        l.urgent = false;
        l.calm = None;
        l.returned_calmly = 0;
        // What was fetched before is written.
        if out.len() == 0 {
            l.fetched = Answers::default();
        }
        let answers = mem::take(&mut l.answers);
        l.fetched.frames += answers.frames;
        l.fetched.bytes += answers.bytes;
        let mut ahead = mem::take(&mut l.ahead);
        for one in &mut ahead {
            one.at += out.len();
        }
        out.take(&mut l.out);
        // Credit bounds what others send to a peer that is stopped, not what one gets that asks without reading.
        if out.len() > UNREAD_LIMIT {
            self.refuse(link, "it does not read what it is sent".to_owned());
        }
        ahead
    }

    /// The output of this link is fetched at the end of the present event, for which it need not be asked.
    #[inline]
    pub(crate) fn fetches(&mut self, link: LinkKey) {
        self.fetching = Some(link);
    }

    #[inline]
    pub(super) fn say_flush(&mut self, link: LinkKey) {
        if self.fetching != Some(link) {
            self.actions.push_back(Action::Flush(link));
        }
    }

    /// Whether there is anything that waits to be written.
    pub(crate) fn has_output(&self, link: LinkKey) -> bool {
        self.links.get(link).is_some_and(|l| l.flush_asked)
    }

    /// Whether the peer asks and does not read the answers: nothing more is to be read from it until it does.
    pub(crate) fn is_deaf(&self, link: LinkKey) -> bool {
        self.links.get(link).is_some_and(Link::is_deaf)
    }

    /// Whether somebody waits for that and for nothing else over this link: a lone call, or the answer to one.
    pub(crate) fn is_urgent(&self, link: LinkKey) -> bool {
        self.links.get(link).is_some_and(|l| l.urgent)
    }

    /// Until when what there is to write may wait for more, since nobody waits for any of it.
    pub(crate) fn calm_until(&self, link: LinkKey) -> Option<Instant> {
        Some(self.links.get(link)?.calm? + CALM)
    }

    /// What there is to write for which nobody waits has waited for long enough, if `is_due`, which is returned.
    pub(crate) fn press(&mut self, link: LinkKey, is_due: bool) -> bool {
        if is_due && let Some(l) = self.links.get_mut(link) {
            l.calm = None;
            self.say_flush(link);
        }
        is_due
    }

    /// Sends an actor's first argument to the process that is to host it.
    pub(crate) fn send_init(&mut self, link: LinkKey, payload: Bytes, handles: &[Handle]) {
        let handles = self.handles_sent(link, handles);
        self.send(link, &Frame::Init { handles, payload });
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, link: LinkKey, frame: &Frame) {
        self.write_answer(link, |out| frame.encode(out));
    }

    /// Returns units for which nobody waits at this moment: they go with what is sent next, or soon by themselves.
    pub(super) fn return_calmly(&mut self, link: LinkKey, credit: &Frame, units: u32) {
        let Some(l) = self.links.get(link) else { return };
        let calm = if l.flush_asked { l.calm } else { Some(self.now) };
        self.send(link, credit);
        if let Some(l) = self.links.get_mut(link) {
            l.calm = calm;
            l.returned_calmly += units;
        }
    }

    /// Sends what is appended, which is no request.
    #[inline]
    pub(super) fn write_answer(&mut self, link: LinkKey, append: impl FnOnce(&mut Rope)) {
        if let Some(l) = self.links.get_mut(link) {
            let before = l.out.len();
            append(&mut l.out);
            l.answers.frames += 1;
            l.answers.bytes += l.out.len() - before;
            if l.ask_flush() {
                self.say_flush(link);
            }
        }
    }

    /// Sends the outcome of a request of the peer, whose record goes only after this.
    pub(super) fn write_reply(
        &mut self,
        link: LinkKey,
        call: CallId,
        status: Status,
        handles: &[Handle],
        payload: Part<'_>,
    ) {
        if let Some(l) = self.links.get_mut(link) {
            l.urgent |= l.open_calls() <= 1;
        }
        self.write_answer(link, |out| encode_reply(out, call, status, handles, payload));
    }

    /// A value in reply to a call, without handles, has come in over the link.
    #[inline]
    pub(crate) fn handle_value(&mut self, link: LinkKey, call: CallId, value: Content) {
        if self.links.get(link).is_some_and(|l| !l.refused) {
            self.handle_reply(link, call, Status::Value, Handles::none(), value);
        }
    }

    /// A frame has come in over the link.
    pub(crate) fn handle_frame(&mut self, link: LinkKey, mut frame: Frame) {
        if self.links.get(link).is_none_or(|l| l.refused) {
            return;
        }
        // Most are requests, which are not moved for it.
        if let Frame::Request(request) = &mut frame {
            return self.handle_request(link, request);
        }
        match frame {
            Frame::Short(short) => self.handle_short(link, short),
            Frame::Reply { call, status, handles, payload } => {
                if handles.is_empty() {
                    return self.handle_reply(link, call, status, Handles::none(), payload);
                }
                let handles = self.handles_received(link, handles);
                self.handle_reply(link, call, status, Handles::from(handles.clone()), payload);
                self.let_go(&handles);
            }
            Frame::Release { handle, count } => self.handle_release(link, handle, count),
            Frame::Forget { handle } => self.handle_forget(link, handle),
            // Only who has started this process gives it an init.
            Frame::Init { handles, payload } if self.uplink == Some(link) => {
                let handles = self.handles_received(link, handles);
                self.actions.push_back(Action::Peer(link, Box::new(Frame::Init { handles, payload })));
            }
            Frame::Cancel { call } => self.cancel_inbound(link, call),
            Frame::Credit { to, returned, window } => self.handle_credit(link, to, returned, window),
            Frame::Deferred { call } => {
                if self.handed_to(link, call).is_some()
                    && let Some(record) = self.calls.get_mut(call.0)
                {
                    record.handler_runs = false;
                }
            }
            Frame::Monitor { call, to } => {
                if self.is_new_number(link, call) {
                    if self.links.get(link).is_some_and(|l| l.monitors >= MONITORS_LIMIT) {
                        return self.refuse(link, "it set more monitors than it may".to_owned());
                    }
                    self.watch(Origin::Link(link), Some(call), &to);
                }
            }
            Frame::Down { call, payload } => {
                if self.handed_to(link, call).is_some_and(|record| record.phase == Phase::Watching) {
                    self.end(call.0, Outcome::DownElsewhere(payload));
                }
            }
            Frame::Announce { node } => self.handle_announce(link, node),
            other => self.actions.push_back(Action::Peer(link, Box::new(other))),
        }
    }

    fn handle_announce(&mut self, link: LinkKey, node: NodeId) {
        let Some(l) = self.links.get_mut(link) else {
            return;
        };
        match self.nodes.get(&node) {
            Some(&at) if at == link => return,
            None if l.nodes < NODES_LIMIT
                && node != self.node
                && self.uplink != Some(link)
                && self.hosted.is_none_or(|(route, _)| route.node != node)
                // The way there goes up, or else it would be known.
                && !self.onward.keys().any(|route| route.node == node) => {}
            _ => return self.refuse(link, "it announced a node that is not its own".to_owned()),
        }
        l.nodes += 1;
        self.nodes.insert(node, link);
        if let Some(up) = self.uplink {
            self.send(up, &Frame::Announce { node });
        }
    }

    /// The open request that came in over the link with this number.
    pub(super) fn inbound(&self, link: LinkKey, call: CallId) -> Option<CallKey> {
        if let Some(&key) = self.links.get(link)?.inbound.get(&call) {
            return Some(key);
        }
        // A cancel is rare, and what a hosted actor has before it are a thousand or so at most.
        let (_, entry) = self.hosted.filter(|_| self.uplink == Some(link))?;
        let e = self.entries.get(entry)?;
        let is_it = |record: &Record| record.inbound == call && record.origin == Origin::Link(link);
        e.running.into_iter().chain(e.queue.keys()).find(|&key| self.calls.get(key).is_some_and(is_it))
    }

    /// Whether the peer may use this number for a request; it is refused where not.
    fn is_new_number(&mut self, link: LinkKey, call: CallId) -> bool {
        let used = self.links.get(link).is_some_and(|l| l.inbound.contains_key(&call));
        if used || call == CallId::NONE {
            self.refuse(link, format!("it used the number {:x} for a request, and not for the first time", call.0));
            return false;
        }
        true
    }

    /// A request without anything but arguments has come in, for the actor that this process hosts.
    #[inline]
    pub(crate) fn handle_short(&mut self, link: LinkKey, short: Short) {
        if self.links.get(link).is_none_or(|l| l.refused) {
            return;
        }
        let hosted = self.hosted.filter(|_| self.uplink == Some(link));
        let Some((route, entry)) = hosted else {
            return self.refuse(link, "it sent a short request to a process that hosts nothing for it".to_owned());
        };
        if !short.reply {
            return self.handle_cast(link, entry, short);
        }
        let Short { call, reply, method, priority, remaining, payload } = short;
        let type_hash = self.entries.get(entry).map_or(TypeHash(0), |e| e.about.type_hash);
        let to = Destination { run: self.run, node: route.node, actor: route.actor, type_hash };
        let (caused_by, trace, handles) = (CallId::NONE, Trace::default(), Vec::new());
        let mut request = Request { call, reply, to, method, priority, remaining, caused_by, trace, handles, payload };
        self.handle_request(link, &mut request);
    }

    fn handle_request(&mut self, link: LinkKey, request: &mut Request) {
        let route = Route { node: request.to.node, actor: request.to.actor };
        let cost = cost(request.payload.len());
        let deadline = request.remaining.map(|left| self.now + Duration::from_millis(u64::from(left)));
        // The number is one of ours, and believed only where the message it names was handed to this very peer.
        let caused_by = Some(request.caused_by)
            .filter(|&call| call != CallId::NONE && self.was_handed_to(link, call))
            .map(|call| call.0);
        if request.reply {
            if !self.is_new_number(link, request.call) {
                return;
            }
            if self.links.get(link).is_some_and(|l| l.open_calls() >= CALLS_LIMIT) {
                return self.refuse(link, "it has more calls in flight than it may".to_owned());
            }
        }
        let hosted = self.hosted.filter(|(at, _)| *at == route && self.uplink == Some(link)).map(|(_, entry)| entry);
        let resolved = match hosted {
            Some(entry) => Ok(entry),
            None => self.resolve(&request.to, Some(link)),
        };
        let resolved = resolved.and_then(|entry| self.without_deadlock(entry, request.reply, caused_by));
        let handles = self.handles_received(link, mem::take(&mut request.handles));
        let entry = match resolved {
            Ok(entry) => entry,
            Err(error) => {
                // It is one of those that its supervisor has counted.
                if let Some(e) = hosted.and_then(|entry| self.entries.get_mut(entry)) {
                    e.seq += 1;
                }
                self.let_go(&handles);
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
        if e.window(link).admit(cost).is_err() {
            let name = e.about.name.clone();
            self.refuse(link, format!("it sent more to {name} than it had credit for"));
            self.let_go(&handles);
            return;
        }
        e.open += 1;
        e.seq += u64::from(e.hosted);
        let phase = if e.hosted { Phase::Sent { seq: e.seq } } else { Phase::Queued };
        let key = self.calls.insert(|| Record {
            origin: if request.reply { Origin::Link(link) } else { Origin::Nobody },
            source,
            inbound: request.call,
            is_listed: hosted.is_none(),
            entry,
            phase,
            handed: None,
            reply: request.reply,
            unwanted: false,
            type_hash: request.to.type_hash,
            method: request.method,
            cost,
            deadline,
            timer: deadline.filter(|_| request.reply && hosted.is_none()),
            caused_by: caused_by.unwrap_or_default(),
            handler_runs: true,
            since: None,
            waiting: Waiting::default(),
            message: Some(Message {
                method: request.method,
                priority: request.priority,
                trace: mem::take(&mut request.trace),
                handles: handles.into(),
                payload: mem::take(&mut request.payload),
                kept: Kept::default(),
            }),
        });
        if let Some(e) = self.entries.get_mut(entry) {
            e.queue.push(key);
        }
        if request.reply
            && let Some(l) = self.links.get_mut(link)
        {
            if hosted.is_some() {
                l.unlisted += 1;
            } else {
                l.inbound.insert(request.call, key);
                if let Some(deadline) = deadline {
                    l.timers.insert(deadline, key, |at, key| self.calls.is_due(at, key));
                }
            }
        }
        self.settle(entry);
    }

    fn handle_reply(&mut self, link: LinkKey, call: CallId, status: Status, handles: Handles, payload: Content) {
        let Some(record) = self.handed_to(link, call).filter(|record| matches!(record.phase, Phase::Sent { .. }))
        else {
            self.discarded += 1;
            return;
        };
        let entry = record.entry;
        if status == Status::Fatal {
            self.incarnation_ends(entry);
        }
        self.end(call.0, Outcome::from_reply(status, payload, handles));
        self.unblock(link);
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
            Consumer::Worker { link: at, credit } if *at == link => {
                credit.refill(returned, window.min(LARGEST_PREFETCH))
            }
            Consumer::Onward { link: at, credit } if *at == link => credit.refill(returned, window.min(LARGEST_WINDOW)),
            _ => return,
        };
        if refilled.is_err() {
            self.refuse(link, format!("it returned {returned} units that it never had"));
            return;
        }
        // A worker finishes its messages in order.
        let mut finished = returned;
        while let Some(e) = self.entries.get_mut(entry)
            && let Some(Sent { key, cost, .. }) = e.sent.pop_front_if(|sent| sent.cost <= finished)
        {
            finished -= cost;
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
        self.links.get(link)?.timers.first().map(|(at, _)| at)
    }

    /// Ends the requests of the link whose deadline has passed.
    pub(crate) fn handle_timeout(&mut self, link: LinkKey) {
        while let Some((at, key)) = self.links.get(link).and_then(|l| l.timers.first())
            && at <= self.now
        {
            let record = self.calls.get_mut(key).map(|record| {
                record.timer = None;
                (record.phase, record.entry)
            });
            if let Some(l) = self.links.get_mut(link) {
                l.timers.remove(at, key, |at, key| self.calls.is_due(at, key));
            }
            let Some((phase, entry)) = record else { continue };
            let onward = matches!(self.entries.get(entry).map(|e| e.consumer), Some(Consumer::Onward { .. }));
            if onward && matches!(phase, Phase::Sent { .. }) {
                // The owner of the mailbox decides, and the caller does not wait for longer than it may.
                continue;
            }
            if let Expired::Later(at) = self.expire(key)
                && let (Some(record), Some(l)) = (self.calls.get_mut(key), self.links.get_mut(link))
            {
                record.timer = Some(at);
                l.timers.insert(at, key, |at, key| self.calls.is_due(at, key));
            }
        }
    }

    /// The connection has ended. Requests of the peer that wait are dropped, those it was asked end as lost; an actor
    /// that it hosted must have been told of by [`incarnation_ended`](Self::incarnation_ended).
    pub(crate) fn handle_closed(&mut self, link: LinkKey) {
        let Some(l) = self.links.remove(link) else {
            return;
        };
        let came = self.calls.iter().filter(|(_, record)| record.origin == Origin::Link(link));
        let mut inbound: Vec<_> = came.map(|(key, _)| key).collect();
        inbound.sort_unstable();
        for key in inbound {
            self.cancel(key);
        }
        self.references_closed(link);
        self.memories_closed(link);
        let nodes: Vec<_> = self.nodes.iter().filter(|(_, at)| **at == link).map(|(node, _)| *node).collect();
        self.nodes.retain(|_, at| *at != link);
        let lost: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, e)| matches!(e.consumer, Consumer::Onward { link: at, .. } if at == link))
            .map(|(key, _)| key)
            .collect();
        for key in lost {
            self.retire(key, &NotDelivered::Disconnected, l.exit.as_ref());
        }
        let entries: Vec<_> = self.entries.iter().map(|(key, _)| key).collect();
        for key in entries {
            if let Some(e) = self.entries.get_mut(key) {
                e.forget_window(link);
            }
        }
        if self.entries.iter().any(|(_, e)| e.windows.get(link).is_some()) {
            self.departed.add(link, Behind { actor: l.actor, nodes });
        }
        if self.uplink == Some(link) {
            self.uplink = None;
        }
    }
}
