//! Requests of this process and of its actors' threads: from submission to the one outcome.

use std::time::{Duration, Instant};

use super::awaited::Waiting;
use super::casts::is_light;
use super::entry::{Consumer, EntryKey, Source};
use super::handles::Handles;
use super::line::Turn;
use super::link::{LinkKey, MONITORS_LIMIT};
use super::record::{CallKey, Message, Origin, Outcome, Phase, Record, Token};
use super::router::{Action, Expired, Router, Taken};
use crate::connection::flow::cost;
use crate::error::call::{CallError, Executed, NotDelivered};
use crate::error::exit::{Down, DownReason};
use crate::wire::content::Content;
use crate::wire::frame::{Frame, Status};
use crate::wire::ids::{CallId, Destination};
use crate::wire::rope::Part;

/// How much later than a deadline a caller waits for what the owner of the mailbox says of it.
const OWNER_GRACE: Duration = Duration::from_millis(25);

impl Router {
    /// Takes a request of this process. The end of a call comes as an action with the token; of a cast nothing is told.
    pub(crate) fn submit(
        &mut self,
        token: Token,
        to: Destination,
        reply: bool,
        deadline: Option<Instant>,
        caused_by: Option<CallKey>,
        message: Message,
    ) -> CallKey {
        self.accept(Origin::Local(token), to, reply, deadline, caused_by, message)
    }

    pub(super) fn accept(
        &mut self,
        origin: Origin,
        to: Destination,
        reply: bool,
        deadline: Option<Instant>,
        caused_by: Option<CallKey>,
        message: Message,
    ) -> CallKey {
        let resolved = self.resolve(&to, None).and_then(|entry| self.without_deadlock(entry, reply, caused_by));
        if let Ok(entry) = resolved
            && reply
            && let Some(key) = self.call_now(origin, entry, to.type_hash, deadline, caused_by, &message)
        {
            return key;
        }
        self.hold(message.handles.list());
        let key = self.calls.insert(|| Record {
            origin,
            source: Source::Local,
            inbound: CallId::NONE,
            is_listed: false,
            entry: resolved.as_ref().copied().unwrap_or_default(),
            phase: Phase::Waiting,
            handed: None,
            reply,
            unwanted: false,
            type_hash: to.type_hash,
            method: message.method,
            cost: cost(message.len()),
            deadline,
            timer: None,
            caused_by: caused_by.unwrap_or_default(),
            handler_runs: true,
            since: None,
            waiting: Waiting::default(),
            message: Some(message),
        });
        match resolved {
            Ok(entry) => {
                if let Some(e) = self.entries.get_mut(entry) {
                    e.waiting.push(key);
                    e.open += 1;
                }
                self.settle(entry);
            }
            Err(error) => self.end(key, Outcome::Failed(error)),
        }
        key
    }

    /// Whether a request of this cost would be taken at once.
    pub(crate) fn has_room(&mut self, to: &Destination, payload: usize) -> bool {
        let Ok(entry) = self.resolve(to, None) else {
            return true;
        };
        let cost = cost(payload);
        let Some(e) = self.entries.get_mut(entry) else {
            return true;
        };
        e.waiting.is_empty() && e.has_room(cost)
    }

    /// Asks to be told when the actor's present incarnation ends.
    pub(crate) fn monitor(&mut self, token: Token, to: &Destination) -> CallKey {
        self.watch(Origin::Local(token), None, to)
    }

    pub(super) fn watch(&mut self, origin: Origin, inbound: Option<CallId>, to: &Destination) -> CallKey {
        let from = match origin {
            Origin::Link(link) => Some(link),
            _ => None,
        };
        let resolved = self.resolve(to, from).and_then(|entry| {
            let link = match self.entries.get(entry).map(|e| e.consumer) {
                Some(Consumer::Onward { link, .. }) => Some(link),
                _ => None,
            };
            let set = link.and_then(|link| self.links.get(link)).map_or(0, |l| l.watching);
            if set < MONITORS_LIMIT { Ok((entry, link)) } else { Err(CallError::NotDelivered(NotDelivered::TooMany)) }
        });
        let (entry, onward) = match resolved {
            Ok(resolved) => resolved,
            Err(error) => {
                let why = match error {
                    CallError::NotDelivered(why) => why,
                    _ => NotDelivered::NoSuchActor,
                };
                let name = format!("actor {:x} of node {:x}", to.actor.0, to.node.0);
                let down = Down { name, incarnation: 0, reason: DownReason::NotDelivered(why) };
                let down = Outcome::Down(Box::new(down));
                if origin == Origin::Future {
                    return self.calls.insert_ended(down);
                }
                self.deliver(CallId::NONE.0, origin, inbound.unwrap_or(CallId::NONE), down);
                return CallId::NONE.0;
            }
        };
        let key = self.calls.insert(|| Record {
            origin,
            source: from.map_or(Source::Local, Source::Link),
            inbound: inbound.unwrap_or(CallId::NONE),
            is_listed: true,
            entry,
            phase: Phase::Watching,
            handed: onward,
            reply: true,
            unwanted: false,
            type_hash: to.type_hash,
            method: 0,
            cost: 0,
            deadline: None,
            timer: None,
            caused_by: 0,
            handler_runs: false,
            since: None,
            waiting: Waiting::default(),
            message: None,
        });
        if let (Some(l), Some(number)) = (from.and_then(|link| self.links.get_mut(link)), inbound) {
            l.inbound.insert(number, key);
            l.monitors += 1;
        }
        if let Some(e) = self.entries.get_mut(entry) {
            e.watchers.insert(key);
            e.open += 1;
        }
        if let Some(link) = onward {
            if let Some(l) = self.links.get_mut(link) {
                l.watching += 1;
            }
            self.send(link, &Frame::Monitor { call: CallId(key), to: *to });
        }
        key
    }

    /// Takes a request of this process back: before its handler starts it never runs, later the handler is told.
    pub(crate) fn cancel(&mut self, call: CallKey) {
        self.detach(call);
        self.withdraw(call);
    }

    /// Stops a request where it is.
    pub(super) fn withdraw(&mut self, call: CallKey) {
        let Some(record) = self.calls.get_mut(call) else {
            return;
        };
        let (entry, phase, handed) = (record.entry, record.phase, record.handed);
        let (reply, source, cost) = (record.reply, record.source, record.cost);
        match (phase, handed) {
            (Phase::Waiting, _) => {
                self.forget(call);
                if let Some(e) = self.entries.get_mut(entry) {
                    e.waiting.ended(&self.calls);
                }
                // The next may need less room than this one.
                self.settle(entry);
            }
            (Phase::Watching, onward) => {
                self.forget(call);
                if let Some(link) = onward {
                    self.send(link, &Frame::Cancel { call: CallId(call) });
                }
            }
            // What waits in the process that hosts the actor its supervisor takes back by itself: here it goes with the connection.
            (Phase::Queued | Phase::Doomed, _) | (Phase::Sent { .. }, None) => {
                let doomed = record.phase == Phase::Doomed;
                self.forget(call);
                if let Some(e) = self.entries.get_mut(entry) {
                    let line = if doomed { &mut e.doomed } else { &mut e.queue };
                    line.ended(&self.calls);
                }
                self.release(entry, source, cost);
                self.settle(entry);
            }
            (Phase::Sent { seq }, Some(link)) if reply => {
                if !self.recall(call, entry, seq, link) {
                    self.tell(call, entry, seq, link);
                }
            }
            (Phase::Taken, _) if reply => self.actions.push_back(Action::Cancel(entry, call)),
            // A cast that was handed on is the receiver's.
            (Phase::Sent { .. } | Phase::Taken, _) => {}
        }
    }

    /// Takes a call back that a worker was handed and has not begun, which ends it; whether it could be. Its room in the worker
    /// comes back when its turn would have come.
    fn recall(&mut self, call: CallKey, entry: EntryKey, seq: u64, link: LinkKey) -> bool {
        let is_back = self.take_from_worker(entry, seq);
        if is_back {
            self.end(call, Outcome::Failed(CallError::Cancelled));
            self.unblock(link);
        }
        is_back
    }

    /// Makes sure that a worker never begins a message that it was handed; false where it may have.
    fn take_from_worker(&self, entry: EntryKey, seq: u64) -> bool {
        let Some(e) = self.entries.get(entry) else { return false };
        let is_workers = matches!(e.consumer, Consumer::Worker { .. });
        is_workers && e.progress.as_ref().is_some_and(|journal| journal.0.take_back(seq))
    }

    /// Tells the peer that a call is not wanted any more; its reply comes all the same.
    fn tell(&mut self, call: CallKey, entry: EntryKey, seq: u64, link: LinkKey) {
        // To be seen while a handler computes; and over the stream, to be heard where one waits, before anything that its
        // sender does next.
        if let Some(e) = self.entries.get(entry)
            && let Consumer::Worker { .. } = e.consumer
            && let Some(journal) = &e.progress
        {
            journal.0.tell(seq);
        }
        self.send(link, &Frame::Cancel { call: CallId(call) });
    }

    /// Takes a call of this process back whose outcome is still wanted: it comes as ever, as `Cancelled` where the
    /// handler will never start. A handler that runs is told, if `tell`, and goes on.
    pub(crate) fn take_back(&mut self, call: CallKey, tell: bool) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let (origin, inbound, entry) = (record.origin, record.inbound, record.entry);
        match (record.phase, record.handed) {
            (Phase::Waiting | Phase::Queued | Phase::Doomed, _) => {
                self.deliver(call, origin, inbound, Outcome::Failed(CallError::Cancelled));
                self.cancel(call);
            }
            (Phase::Sent { seq }, Some(link)) => {
                let is_back = self.recall(call, entry, seq, link);
                if tell && !is_back {
                    self.tell(call, entry, seq, link);
                }
            }
            (Phase::Taken, _) if tell => self.actions.push_back(Action::Cancel(entry, call)),
            _ => {}
        }
    }

    /// The caller's deadline has passed.
    pub(crate) fn expire(&mut self, call: CallKey) -> Expired {
        let Some(record) = self.calls.get(call) else {
            return Expired::Ended;
        };
        let entry = record.entry;
        let executed = match (record.phase, record.handed, self.entries.get(entry)) {
            (Phase::Sent { seq }, Some(_), Some(e)) => match e.may_have_started(seq) {
                // The owner of the mailbox knows more.
                None => {
                    let until = record.deadline.and_then(|deadline| deadline.checked_add(OWNER_GRACE));
                    if let Some(until) = until
                        && self.now < until
                    {
                        return Expired::Later(until);
                    }
                    Executed::Maybe
                }
                Some(true) => Executed::Maybe,
                // To know that it has not been begun is to make sure that it never will be.
                Some(false) => match self.take_from_worker(entry, seq) {
                    true => Executed::No,
                    false => Executed::Maybe,
                },
            },
            (Phase::Taken, ..) => Executed::Maybe,
            _ => Executed::No,
        };
        let (origin, inbound) = (record.origin, record.inbound);
        let doing = self.doing(entry);
        // The caller has its outcome; what is left of the request goes the way of a cancelled one.
        let outcome = Outcome::Failed(CallError::TimedOut { executed, doing });
        self.deliver(call, origin, inbound, outcome);
        self.cancel(call);
        Expired::Ended
    }

    /// Whether a worker runs the handler of this call now, as far as its journal says.
    pub(crate) fn is_running(&self, call: CallKey) -> bool {
        let Some(record) = self.calls.get(call) else { return false };
        let Phase::Sent { seq } = record.phase else { return false };
        let entry = self.entries.get(record.entry);
        let journal = entry.and_then(|entry| entry.progress.as_ref());
        journal.is_some_and(|journal| journal.0.started() == seq && journal.0.finished() < seq)
    }

    /// What the actor's handler is doing, in words.
    pub(super) fn doing(&self, entry: EntryKey) -> Option<String> {
        let e = self.entries.get(entry)?;
        let (method, since) = match e.consumer {
            Consumer::Worker { .. } => e.runs().map(|sent| (sent.method, sent.since))?,
            _ => self.calls.get(e.running?).and_then(|record| Some((record.method, record.since?)))?,
        };
        let name = e.about.methods.get(usize::from(method)).copied().unwrap_or("a handler");
        Some(format!("{name}, for {:.1} s", self.now.saturating_duration_since(since).as_secs_f64()))
    }

    /// Takes the next message of an entry that a thread of this process serves.
    pub(crate) fn take(&mut self, entry: EntryKey) -> Option<Taken> {
        let mut taken = None;
        self.take_into(entry, &mut taken);
        taken
    }

    /// The same, moved once: to where it is wanted, if there is one.
    pub(crate) fn take_into(&mut self, entry: EntryKey, into: &mut Option<Taken>) {
        *into = None;
        let Some(e) = self.entries.get_mut(entry).filter(|e| !e.ending) else { return };
        let call = match e.queue.front(&self.calls) {
            Some(Turn::Request(call)) => call,
            Some(Turn::Cast) => {
                *into = self.take_light(entry);
                return;
            }
            None => {
                e.is_woken = false;
                return;
            }
        };
        e.queue.pop();
        let hosted = e.hosted;
        let Some(record) = self.calls.get_mut(call) else { return };
        let seq = match record.phase {
            Phase::Sent { seq } => seq,
            _ => 0,
        };
        record.phase = Phase::Taken;
        record.since = Some(self.now);
        e.running = Some(call);
        let (reply, deadline, cost, source) = (record.reply, record.deadline, record.cost, record.source);
        let Some(message) = record.message.take() else { return };
        *into = Some(Taken { call, seq, reply, deadline, cost, source, message });
        if !hosted {
            self.release(entry, source, cost);
            self.settle(entry);
        }
    }

    /// Handlers of the entry take so long now, each.
    pub(crate) fn observe(&mut self, entry: EntryKey, ran: Duration) {
        if let Some(e) = self.entries.get_mut(entry) {
            e.observe(ran);
        }
    }

    /// The handler of a taken message has ended; its answer may come later.
    pub(crate) fn finish(&mut self, entry: EntryKey, taken: &Taken) {
        if is_light(taken.call) {
            return self.finish_casts(entry, 1);
        }
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        if e.running == Some(taken.call) {
            e.running = None;
        }
        let hosted = e.hosted;
        if let Some(record) = self.calls.get_mut(taken.call) {
            record.handler_runs = false;
            match (record.origin, record.inbound) {
                _ if !record.reply => self.forget(taken.call),
                (Origin::Link(link), call) if hosted && call != CallId::NONE => {
                    if let Some(l) = self.links.get_mut(link)
                        && !std::mem::replace(&mut record.is_listed, true)
                    {
                        l.inbound.insert(call, taken.call);
                        l.unlisted -= 1;
                    }
                    self.send(link, &Frame::Deferred { call });
                }
                _ => {}
            }
        }
        if hosted {
            self.release(entry, taken.source, taken.cost);
        }
    }

    /// The taken message, which waited in the process that hosts the actor, was taken back before it was begun.
    pub(crate) fn forgo(&mut self, entry: EntryKey, taken: &Taken) {
        if let Some(e) = self.entries.get_mut(entry)
            && e.running == Some(taken.call)
        {
            e.running = None;
        }
        self.forget(taken.call);
        self.release(entry, taken.source, taken.cost);
    }

    /// The answer to a taken call; whether anybody still awaits it.
    pub(crate) fn answer(&mut self, call: CallKey, outcome: Outcome) -> bool {
        let Some(record) = self.calls.get(call).filter(|record| record.phase == Phase::Taken && record.reply) else {
            return false;
        };
        let awaited = record.origin != Origin::Nobody;
        if let Outcome::Fatal(_) = outcome {
            self.incarnation_ends(record.entry);
        }
        self.end(call, outcome);
        awaited
    }

    /// The same with a value, or the handler's own error, that refers to nothing and whose bytes lie elsewhere.
    pub(crate) fn answer_encoded(&mut self, call: CallKey, status: Status, payload: &[u8]) -> bool {
        let Some(record) = self.calls.get(call).filter(|record| record.phase == Phase::Taken && record.reply) else {
            return false;
        };
        let awaited = record.origin != Origin::Nobody;
        if let Origin::Link(link) = record.origin {
            self.write_reply(link, record.inbound, status, &[], Part::Copied(payload));
            self.forget(call);
        } else {
            let payload = Content::copy_from_slice(payload);
            self.end(call, Outcome::from_reply(status, payload, Handles::none()));
        }
        awaited
    }

    /// Answers that a call will never be handled.
    fn send_withdrawn(&mut self, link: LinkKey, call: CallId) {
        let (handles, payload) = (Vec::new(), Content::EMPTY);
        self.send(link, &Frame::Reply { call, status: Status::Withdrawn, handles, payload });
    }

    /// The call with this number came in over this link and is not wanted any more. One that is not here has ended: cancels come
    /// in order with the requests.
    pub(super) fn cancel_inbound(&mut self, link: LinkKey, call: CallId) {
        let Some(key) = self.inbound(link, call) else { return };
        let Some(record) = self.calls.get_mut(key) else { return };
        record.unwanted = true;
        match record.phase {
            Phase::Queued | Phase::Doomed => {
                self.send_withdrawn(link, call);
                self.cancel(key);
            }
            Phase::Watching => self.cancel(key),
            Phase::Sent { .. } if record.handed.is_none() => {}
            // Whoever has it will answer.
            _ => self.withdraw(key),
        }
    }
}
