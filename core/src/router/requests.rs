//! Requests of this process and of its actors' threads: from submission to the one outcome.

use std::time::{Duration, Instant};

use super::entry::{Consumer, EntryKey, Source};
use super::link::{LinkKey, Progress};
use super::record::{CallKey, Message, Origin, Outcome, Phase, Record, Token};
use super::router::{Action, Expired, Router, Taken};
use crate::connection::flow::cost;
use crate::error::call::{CallError, Executed, NotDelivered};
use crate::error::exit::{Down, DownReason};
use crate::wire::frame::Frame;
use crate::wire::ids::{CallId, Destination};

/// How much later than a deadline a caller waits for what the receiver's process says of it.
const DEADLINE_GRACE: Duration = Duration::from_millis(25);

impl Router {
    /// Takes a request of this process. Its end, and for a cast its admission, come as actions with the token.
    pub(crate) fn submit(
        &mut self,
        token: Token,
        to: Destination,
        reply: bool,
        deadline: Option<Instant>,
        caused_by: Option<CallKey>,
        message: Message,
    ) -> CallKey {
        let cost = cost(message.payload.len());
        let record = Record {
            origin: Origin::Local(token),
            source: Source::Local,
            inbound: None,
            entry: 0,
            phase: Phase::Waiting,
            reply,
            method: message.method,
            cost,
            deadline,
            caused_by,
            handler_runs: true,
            since: None,
            message: Some(message),
        };
        let entry = match self.resolve(&to, None) {
            Ok(entry) => entry,
            Err(error) => {
                let key = self.calls.insert(record);
                self.end(key, Outcome::Failed(error));
                return key;
            }
        };
        if reply && let Some(path) = self.deadlock(entry, caused_by) {
            let key = self.calls.insert(record);
            self.end(key, Outcome::Failed(CallError::WouldDeadlock { path }));
            return key;
        }
        let key = self.calls.insert(Record { entry, ..record });
        if let Some(e) = self.entries.get_mut(entry) {
            e.waiting.push_back(key);
        }
        self.settle(entry);
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
        if e.waiting.iter().any(|key| self.calls.get(*key).is_some()) {
            return false;
        }
        match e.consumer {
            Consumer::Onward { credit, .. } => credit.allows(cost),
            _ => e.window(Source::Local).allows(cost),
        }
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
        let entry = match self.resolve(to, from) {
            Ok(entry) => entry,
            Err(error) => {
                let why = match error {
                    CallError::NotDelivered(why) => why,
                    _ => NotDelivered::NoSuchActor,
                };
                let name = format!("actor {:x} of node {:x}", to.actor.0, to.node.0);
                let down = Down { name, incarnation: 0, reason: DownReason::NotDelivered(why) };
                self.deliver(origin, inbound, Outcome::Down(down));
                return CallId::NONE.0;
            }
        };
        let key = self.calls.insert(Record {
            origin,
            source: from.map_or(Source::Local, Source::Link),
            inbound,
            entry,
            phase: Phase::Watching,
            reply: true,
            method: 0,
            cost: 0,
            deadline: None,
            caused_by: None,
            handler_runs: false,
            since: None,
            message: None,
        });
        if let (Some(l), Some(number)) = (from.and_then(|link| self.links.get_mut(link)), inbound) {
            l.inbound.insert(number, key);
        }
        let Some(e) = self.entries.get_mut(entry) else { return key };
        e.watchers.push(key);
        if let Consumer::Onward { link, .. } = e.consumer {
            self.send(link, &Frame::Monitor { call: CallId(key), to: *to });
        }
        key
    }

    /// Takes a request of this process back: before its handler starts it never runs, later the handler is told.
    pub(crate) fn cancel(&mut self, call: CallKey) {
        self.detach(call);
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let (entry, phase, reply, source, cost) =
            (record.entry, record.phase, record.reply, record.source, record.cost);
        let consumer = self.entries.get(entry).map(|e| e.consumer);
        match phase {
            Phase::Waiting => self.forget(call),
            Phase::Watching => {
                if let Some(e) = self.entries.get_mut(entry) {
                    e.watchers.retain(|&key| key != call);
                }
                if let Some(Consumer::Onward { link, .. }) = consumer {
                    self.send(link, &Frame::Cancel { call: CallId(call) });
                }
                self.forget(call);
            }
            Phase::Queued => {
                self.forget(call);
                self.release(entry, source, cost);
                self.settle(entry);
            }
            Phase::Sent { .. } if reply => match consumer {
                // Over the control stream, to be heard while a handler computes; and over the data stream, to be heard
                // before anything that its sender does next.
                Some(Consumer::Worker { link, .. }) => {
                    self.send_control(link, &Frame::Cancel { call: CallId(call) });
                    self.send(link, &Frame::Cancel { call: CallId(call) });
                }
                Some(Consumer::Onward { link, .. }) => self.send(link, &Frame::Cancel { call: CallId(call) }),
                _ => {}
            },
            Phase::Taken if reply => self.actions.push_back(Action::Cancel(entry, call)),
            // A cast that was handed on is the receiver's.
            Phase::Sent { .. } | Phase::Taken => {}
        }
    }

    /// The caller's deadline has passed.
    pub(crate) fn expire(&mut self, call: CallKey) -> Expired {
        let Some(record) = self.calls.get(call) else {
            return Expired::Ended;
        };
        let onward = matches!(self.entries.get(record.entry).map(|e| e.consumer), Some(Consumer::Onward { .. }));
        if onward
            && matches!(record.phase, Phase::Sent { .. })
            && let Some(deadline) = record.deadline
            && self.now < deadline + DEADLINE_GRACE
        {
            return Expired::Later(deadline + DEADLINE_GRACE);
        }
        self.time_out(call);
        Expired::Ended
    }

    pub(super) fn time_out(&mut self, call: CallKey) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let executed = match record.phase {
            Phase::Waiting | Phase::Queued | Phase::Watching => Executed::No,
            Phase::Taken => Executed::Maybe,
            Phase::Sent { seq } => match self.started(record.entry) {
                Some(started) if seq > started => Executed::No,
                _ => Executed::Maybe,
            },
        };
        let doing = self.doing(record.entry);
        let (origin, inbound) = (record.origin, record.inbound);
        // The caller has its outcome; what is left of the request goes the way of a cancelled one.
        let outcome = Outcome::Failed(CallError::TimedOut { executed, doing });
        self.deliver(origin, inbound, outcome);
        self.cancel(call);
    }

    /// What the actor's handler is doing, in words.
    fn doing(&self, entry: EntryKey) -> Option<String> {
        let e = self.entries.get(entry)?;
        let progress = self.progress(entry);
        let runs = |r: &&Record| {
            r.handler_runs
                && match r.phase {
                    Phase::Sent { seq } => progress.is_none_or(|p| p.finished() < seq && seq <= p.started()),
                    phase => phase == Phase::Taken,
                }
        };
        let of_entry = self.calls.iter().map(|(_, r)| r).filter(|r| r.entry == entry);
        let record = of_entry.filter(runs).min_by_key(|r| r.since)?;
        let name = e.about.methods.get(usize::from(record.method)).copied().unwrap_or("a handler");
        let since = record.since?;
        Some(format!("{name}, for {:.1} s", self.now.saturating_duration_since(since).as_secs_f64()))
    }

    fn started(&self, entry: EntryKey) -> Option<u64> {
        self.progress(entry).map(Progress::started)
    }

    fn progress(&self, entry: EntryKey) -> Option<&dyn Progress> {
        match self.entries.get(entry)?.consumer {
            Consumer::Worker { link, .. } => Some(&*self.links.get(link)?.progress.as_ref()?.0),
            _ => None,
        }
    }

    /// Takes the next message of an entry that a thread of this process serves.
    pub(crate) fn take(&mut self, entry: EntryKey) -> Option<Taken> {
        loop {
            let e = self.entries.get_mut(entry).filter(|e| !e.ending)?;
            let call = e.queue.pop_front()?;
            let hosted = e.hosted;
            let Some(record) = self.calls.get_mut(call) else {
                continue;
            };
            let Some(message) = record.message.take() else {
                // Taken back by its sender.
                let (source, cost) = (record.source, record.cost);
                self.forget(call);
                self.release(entry, source, cost);
                continue;
            };
            let seq = match record.phase {
                Phase::Sent { seq } => seq,
                _ => 0,
            };
            record.phase = Phase::Taken;
            record.since = Some(self.now);
            let taken = Taken {
                call,
                seq,
                reply: record.reply,
                deadline: record.deadline,
                cost: record.cost,
                source: record.source,
                message,
            };
            if !hosted {
                self.release(entry, taken.source, taken.cost);
                self.settle(entry);
            }
            return Some(taken);
        }
    }

    /// The handler of a taken message has ended after `ran`; its answer may come later.
    pub(crate) fn finish(&mut self, entry: EntryKey, taken: &Taken, ran: Duration) {
        let hosted = match self.entries.get_mut(entry) {
            Some(e) => {
                e.observe(ran);
                e.hosted
            }
            None => return,
        };
        if let Some(record) = self.calls.get_mut(taken.call) {
            record.handler_runs = false;
            match (record.origin, record.inbound) {
                _ if !record.reply => self.forget(taken.call),
                (Origin::Link(link), Some(call)) if hosted => self.send(link, &Frame::Deferred { call }),
                _ => {}
            }
        }
        if hosted {
            self.release(entry, taken.source, taken.cost);
        }
    }

    /// The answer to a taken call.
    pub(crate) fn answer(&mut self, call: CallKey, outcome: Outcome) {
        let Some(record) = self.calls.get(call).filter(|record| record.phase == Phase::Taken && record.reply) else {
            return;
        };
        if let Outcome::Failed(CallError::Panicked(_)) = outcome {
            self.incarnation_ends(record.entry);
        }
        self.end(call, outcome);
    }

    /// The call with this number came in over this link and is not wanted any more.
    ///
    /// Called from the control stream, so that it works while a handler computes.
    pub(crate) fn cancel_inbound(&mut self, link: LinkKey, call: CallId) {
        let Some(&key) = self.links.get(link).and_then(|l| l.inbound.get(&call)) else {
            return;
        };
        let Some(record) = self.calls.get(key) else {
            return;
        };
        let (entry, phase) = (record.entry, record.phase);
        let hosted = self.entries.get(entry).is_some_and(|e| e.hosted);
        if hosted && matches!(phase, Phase::Sent { .. }) {
            // Received and not started: it never runs. It keeps its place in the queue, without a message: the other side
            // counts messages as finished by the units that come back, so they must come back in order.
            self.reply_on(link, call, Outcome::Failed(CallError::Cancelled));
            self.detach(key);
            if let Some(record) = self.calls.get_mut(key) {
                record.message = None;
            }
        } else {
            self.cancel(key);
        }
    }
}
