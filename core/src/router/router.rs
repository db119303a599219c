//! The router itself: events in, actions out.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::arena::Arena;
use super::entry::{Consumer, Entry, EntryKey, FIRST_WINDOW, NewEntry, PREFETCH, Source};
use super::link::{Journal, Link, LinkKey, Progress};
use super::record::{CallKey, Message, Origin, Outcome, Phase, Record, Token};
use crate::connection::flow::Credit;
use crate::error::call::{CallError, Executed, NoError, NotDelivered};
use crate::error::exit::{Down, DownReason, Exit};
use crate::wire::codec;
use crate::wire::frame::{Frame, PAYLOAD_LIMIT, Route, Status};
use crate::wire::ids::{ActorId, CallId, Destination, NodeId, RunId};

/// What the router asks of the process around it.
#[derive(Debug)]
pub(crate) enum Action {
    /// The link has bytes to write.
    Flush(LinkKey),
    /// A local request was taken into the sending window.
    Admitted(Token),
    /// A local request ended.
    Ended(Token, Outcome),
    /// The thread that serves the entry has something to take.
    Wake(EntryKey),
    /// The running message of the entry is not wanted any more.
    Cancel(EntryKey, CallKey),
    /// The peer broke the protocol: end it.
    Refuse(LinkKey, String),
    /// Casts ended in no handler.
    DeadLetters { owner: u64, actor: Arc<str>, count: u64 },
    /// A frame that concerns the process at the other end and not a request.
    Peer(LinkKey, Frame),
}

/// A message that an actor's thread has taken out of its mailbox.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) call: CallKey,
    /// Its number among those of this incarnation.
    pub(crate) seq: u64,
    pub(crate) reply: bool,
    pub(crate) deadline: Option<Instant>,
    pub(crate) message: Message,
    pub(super) cost: u32,
    pub(super) source: Source,
}

/// What a deadline that passed at the caller means.
#[derive(Debug)]
pub(crate) enum Expired {
    /// The request has ended; its outcome comes as an action.
    Ended,
    /// The process that holds the mailbox decides; ask again at this time if it has not.
    Later(Instant),
}

/// The mailboxes and connections of one process.
#[derive(Debug)]
pub(crate) struct Router {
    pub(super) run: RunId,
    pub(super) node: NodeId,
    pub(super) uplink: Option<LinkKey>,
    pub(super) links: Arena<Link>,
    pub(super) entries: Arena<Entry>,
    /// Mailboxes of this node.
    pub(super) owned: HashMap<ActorId, EntryKey>,
    /// The actor that this process hosts for the node above it.
    pub(super) hosted: Option<(Route, EntryKey)>,
    /// Ways to mailboxes of other nodes.
    pub(super) onward: HashMap<Route, EntryKey>,
    /// Nodes below this one.
    pub(super) nodes: HashMap<NodeId, LinkKey>,
    pub(super) calls: Arena<Record>,
    pub(super) next_actor: u64,
    pub(super) actions: VecDeque<Action>,
    /// Outcomes that nobody awaited any more.
    pub(super) discarded: u64,
    /// The time of the present event, told by [`Router::advance`].
    pub(super) now: Instant,
}

impl Router {
    pub(crate) fn new(run: RunId, node: NodeId, now: Instant) -> Self {
        Self {
            run,
            node,
            uplink: None,
            links: Arena::new(),
            entries: Arena::new(),
            owned: HashMap::new(),
            hosted: None,
            onward: HashMap::new(),
            nodes: HashMap::new(),
            calls: Arena::new(),
            next_actor: 1,
            actions: VecDeque::new(),
            discarded: 0,
            now,
        }
    }

    /// Says what time it is; called before each event.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = now;
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) fn run(&self) -> RunId {
        self.run
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Outcomes that were thrown away because their caller had gone.
    pub(crate) fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Requests that have not ended.
    pub(crate) fn open_requests(&self) -> usize {
        self.calls.len()
    }

    /// Makes a mailbox of this node. Nobody serves it yet: what is sent to it waits.
    pub(crate) fn own(&mut self, about: NewEntry) -> (EntryKey, Destination) {
        let actor = ActorId(self.next_actor);
        self.next_actor += 1;
        let route = Route { node: self.node, actor };
        let to = Destination { run: self.run, node: self.node, actor, type_hash: about.type_hash };
        let key = self.entries.insert(Entry::new(route, about, Consumer::Nobody));
        self.owned.insert(actor, key);
        (key, to)
    }

    /// Makes the entry of the actor that this process hosts for the node above.
    pub(crate) fn host(&mut self, to: Destination, about: NewEntry) -> EntryKey {
        let route = Route { node: to.node, actor: to.actor };
        let mut entry = Entry::new(route, about, Consumer::Local);
        entry.hosted = true;
        entry.incarnation = 1;
        let key = self.entries.insert(entry);
        self.hosted = Some((route, key));
        key
    }

    /// A thread of this process serves the entry from now on.
    pub(crate) fn attach_local(&mut self, entry: EntryKey) {
        if let Some(e) = self.entries.get_mut(entry) {
            e.consumer = Consumer::Local;
            e.incarnation += 1;
            e.seq = 0;
            self.settle(entry);
        }
    }

    /// The process at the other end of the link serves the entry from now on.
    pub(crate) fn attach_worker(&mut self, entry: EntryKey, link: LinkKey, progress: Arc<dyn Progress>) {
        let Some(l) = self.links.get_mut(link) else {
            return;
        };
        l.worker = Some(entry);
        l.progress = Some(Journal(progress));
        if let Some(e) = self.entries.get_mut(entry) {
            e.consumer = Consumer::Worker { link, credit: Credit::new(PREFETCH) };
            e.incarnation += 1;
            e.seq = 0;
            self.settle(entry);
        }
    }

    /// The present incarnation is about to end, as a caller already knows: what is queued goes with it, what comes from
    /// now on waits for the next.
    pub(super) fn incarnation_ends(&mut self, entry: EntryKey) {
        if let Some(e) = self.entries.get_mut(entry)
            && !e.hosted
            && matches!(e.consumer, Consumer::Local | Consumer::Worker { .. })
        {
            e.doomed.append(&mut e.queue);
            e.ending = true;
        }
    }

    /// The present incarnation has ended: what it was handed and what is queued ends; the mailbox stays.
    pub(crate) fn incarnation_ended(&mut self, entry: EntryKey, exit: &Exit) {
        let died = |executed| CallError::Died { exit: Box::new(exit.clone()), executed };
        self.incarnation_over(entry, &DownReason::Exit(exit.clone()), died, &died(Executed::No));
        self.settle(entry);
    }

    /// A new incarnation did not start: its monitors are told; what waits goes on waiting.
    pub(crate) fn start_failed(&mut self, entry: EntryKey, exit: &Exit) {
        if let Some(e) = self.entries.get_mut(entry) {
            e.incarnation += 1;
        }
        self.tell_watchers(entry, &DownReason::Exit(exit.clone()));
    }

    /// The actor has ended for good, where `exit` says how.
    ///
    /// What its handlers had begun ends with that. What waited ends with it too where the actor died, and with `why`
    /// where somebody wanted its end; so does everything that comes from now on.
    pub(crate) fn retire(&mut self, entry: EntryKey, why: &NotDelivered, exit: Option<&Exit>) {
        let undelivered = CallError::NotDelivered(why.clone());
        let down = match exit {
            Some(exit) => DownReason::Exit(exit.clone()),
            None => DownReason::NotDelivered(why.clone()),
        };
        let wanted = exit.is_none_or(Exit::is_wanted) || *why != NotDelivered::Stopped;
        let died = |executed| match exit {
            Some(exit) if executed == Executed::Maybe || !wanted => {
                CallError::Died { exit: Box::new(exit.clone()), executed }
            }
            _ => undelivered.clone(),
        };
        self.incarnation_over(entry, &down, died, &died(Executed::No));
        let Some(mut e) = self.entries.remove(entry) else {
            return;
        };
        self.owned.remove(&e.route.actor);
        self.onward.remove(&e.route);
        // Units that were kept back for a batch go home, so that no sender waits at a mailbox that is gone.
        for (source, window) in &mut e.windows {
            if let (Source::Link(link), Some(grant)) = (*source, window.flush()) {
                self.send(link, &Frame::Credit { to: e.route, returned: grant.returned, window: grant.window });
            }
        }
        // What came for an incarnation that will not be.
        let mut dead_letters = 0;
        for key in e.queue {
            if let Some(record) = self.calls.get(key) {
                dead_letters += u64::from(!record.reply);
                self.end(key, Outcome::Failed(undelivered.clone()));
            }
        }
        self.dead_letters(e.about.owner, &e.about.name, dead_letters);
        // Whoever still waits for room is told so, casts included.
        for key in e.waiting {
            self.end(key, Outcome::Failed(undelivered.clone()));
        }
    }

    pub(super) fn incarnation_over(
        &mut self,
        entry: EntryKey,
        down: &DownReason,
        handed: impl Fn(Executed) -> CallError<NoError>,
        queued: &CallError<NoError>,
    ) {
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        let (owner, name) = (e.about.owner, e.about.name.clone());
        let (started, finished) = match e.consumer {
            Consumer::Worker { link, .. } => match self.links.get(link).and_then(|l| l.progress.as_ref()) {
                Some(journal) => (journal.0.started(), journal.0.finished()),
                None => (u64::MAX, 0),
            },
            _ => (u64::MAX, u64::MAX),
        };
        if !matches!(e.consumer, Consumer::Onward { .. }) {
            e.consumer = Consumer::Nobody;
        }
        e.sent.clear();
        let queue = if mem::take(&mut e.ending) { mem::take(&mut e.doomed) } else { mem::take(&mut e.queue) };
        let open: Vec<_> = self
            .calls
            .iter()
            .filter(|(_, record)| record.entry == entry)
            .filter_map(|(key, record)| match record.phase {
                Phase::Sent { seq } => Some((key, record.reply, seq)),
                Phase::Taken => Some((key, record.reply, 0)),
                _ => None,
            })
            .collect();
        let mut dead_letters = 0;
        for (key, reply, seq) in open {
            let executed = if seq > started { Executed::No } else { Executed::Maybe };
            if !reply && seq > finished && executed == Executed::No {
                dead_letters += 1;
            }
            self.end(key, Outcome::Failed(handed(executed)));
        }
        for key in queue {
            let Some(record) = self.calls.get(key) else {
                continue;
            };
            dead_letters += u64::from(!record.reply);
            let (source, cost) = (record.source, record.cost);
            self.release(entry, source, cost);
            self.end(key, Outcome::Failed(queued.clone()));
        }
        self.dead_letters(owner, &name, dead_letters);
        self.tell_watchers(entry, down);
    }

    fn tell_watchers(&mut self, entry: EntryKey, reason: &DownReason) {
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        let down = Down { name: e.about.name.to_string(), incarnation: e.incarnation, reason: reason.clone() };
        for key in mem::take(&mut e.watchers) {
            self.end(key, Outcome::Down(down.clone()));
        }
    }

    fn dead_letters(&mut self, owner: u64, actor: &Arc<str>, count: u64) {
        if count > 0 {
            self.actions.push_back(Action::DeadLetters { owner, actor: actor.clone(), count });
        }
    }

    /// Messages in the mailbox, and handed to its consumer and not finished.
    pub(crate) fn load(&self, entry: EntryKey) -> (usize, usize) {
        self.entries
            .get(entry)
            .map_or((0, 0), |e| {
                let queued = e.doomed.iter().chain(&e.queue);
                (queued.filter(|key| self.calls.get(**key).is_some()).count(), e.sent.len())
            })
    }

    pub(super) fn resolve(&mut self, to: &Destination, from: Option<LinkKey>) -> Result<EntryKey, CallError<NoError>> {
        if to.run != self.run {
            return Err(CallError::NotDelivered(NotDelivered::NoSuchActor));
        }
        if to.node == self.node {
            let Some(&entry) = self.owned.get(&to.actor) else {
                let known = to.actor.0 > 0 && to.actor.0 < self.next_actor;
                let why = if known { NotDelivered::Stopped } else { NotDelivered::NoSuchActor };
                return Err(CallError::NotDelivered(why));
            };
            return match self.entries.get(entry) {
                Some(e) if e.about.type_hash == to.type_hash => Ok(entry),
                Some(e) => Err(CallError::Version(format!(
                    "{} has other messages than the address says: was it made by another build of the program?",
                    e.about.name
                ))),
                None => Err(CallError::NotDelivered(NotDelivered::Stopped)),
            };
        }
        let route = Route { node: to.node, actor: to.actor };
        if let Some(&entry) = self.onward.get(&route) {
            return Ok(entry);
        }
        let link = match (self.nodes.get(&to.node), self.uplink) {
            (Some(&below), _) => below,
            (None, Some(up)) if from != Some(up) => up,
            _ => return Err(CallError::NotDelivered(NotDelivered::NoSuchActor)),
        };
        let about = NewEntry {
            owner: 0,
            name: format!("actor {:x} of node {:x}", to.actor.0, to.node.0).into(),
            type_hash: to.type_hash,
            capacity: FIRST_WINDOW,
            methods: Vec::new(),
        };
        let consumer = Consumer::Onward { link, credit: Credit::new(FIRST_WINDOW) };
        let entry = self.entries.insert(Entry::new(route, about, consumer));
        self.onward.insert(route, entry);
        Ok(entry)
    }

    /// The path by which a call to `entry` would wait for itself.
    pub(super) fn deadlock(&self, entry: EntryKey, caused_by: Option<CallKey>) -> Option<Vec<String>> {
        let name = |entry| self.entries.get(entry).map_or_else(String::new, |e| e.about.name.to_string());
        let mut path = vec![name(entry)];
        let mut cause = caused_by;
        while let Some(record) = cause.and_then(|key| self.calls.get(key)) {
            path.push(name(record.entry));
            if record.entry == entry && record.handler_runs {
                path.reverse();
                return Some(path);
            }
            cause = record.caused_by;
        }
        None
    }

    /// Whether the request with this number was handed to the peer of this link: only then may it speak of it.
    pub(super) fn was_handed_to(&self, link: LinkKey, call: CallId) -> bool {
        let Some(record) = self.calls.get(call.0) else {
            return false;
        };
        matches!(record.phase, Phase::Sent { .. } | Phase::Watching)
            && matches!(
                self.entries.get(record.entry).map(|e| e.consumer),
                Some(Consumer::Worker { link: at, .. } | Consumer::Onward { link: at, .. }) if at == link
            )
    }

    /// Ends a request: its record goes, its origin is told.
    pub(super) fn end(&mut self, call: CallKey, outcome: Outcome) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let (origin, inbound) = (record.origin, record.inbound);
        self.deliver(origin, inbound, outcome);
        self.forget(call);
    }

    /// Removes a record without a word.
    pub(super) fn forget(&mut self, call: CallKey) {
        self.detach(call);
        self.calls.remove(call);
    }

    /// Nobody awaits the request any more.
    pub(super) fn detach(&mut self, call: CallKey) {
        let Some(record) = self.calls.get_mut(call) else {
            return;
        };
        if let Origin::Link(link) = mem::replace(&mut record.origin, Origin::Nobody)
            && let Some(l) = self.links.get_mut(link)
        {
            if let Some(number) = record.inbound {
                l.inbound.remove(&number);
            }
            if let Some(deadline) = record.deadline {
                l.timers.remove(&(deadline, call));
            }
        }
    }

    pub(super) fn deliver(&mut self, origin: Origin, inbound: Option<CallId>, outcome: Outcome) {
        match origin {
            Origin::Local(token) => self.actions.push_back(Action::Ended(token, outcome)),
            Origin::Link(link) => self.reply_on(link, inbound.unwrap_or(CallId::NONE), outcome),
            Origin::Nobody => self.discarded += 1,
        }
    }

    pub(super) fn reply_on(&mut self, link: LinkKey, call: CallId, outcome: Outcome) {
        let frame = match outcome {
            Outcome::Value(payload) => Frame::Reply { call, status: Status::Value, payload },
            Outcome::HandlerError(payload) => Frame::Reply { call, status: Status::HandlerError, payload },
            Outcome::FailedElsewhere(payload) => Frame::Reply { call, status: Status::Failed, payload },
            Outcome::Failed(error) => {
                let status = if matches!(error, CallError::Panicked(_)) { Status::Fatal } else { Status::Failed };
                Frame::Reply { call, status, payload: encoded(&error) }
            }
            Outcome::Down(down) => Frame::Down { call, payload: encoded(&down) },
            Outcome::DownElsewhere(payload) => Frame::Down { call, payload },
        };
        self.send(link, &frame);
    }

    pub(super) fn refuse(&mut self, link: LinkKey, why: String) {
        self.actions.push_back(Action::Refuse(link, why));
    }
}

/// Our own data, which always fits.
fn encoded<T: serde::Serialize>(value: &T) -> Bytes {
    codec::encode(value, PAYLOAD_LIMIT).unwrap_or_default()
}
