//! The router itself: events in, actions out.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use super::arena::Arena;
use super::calls::Calls;
use super::casts::Running;
use super::entry::{Consumer, Entry, EntryKey, FIRST_WINDOW, NewEntry, PREFETCH, Source};
use super::handles::Handles;
use super::hash::{OwnMap, PeerMap};
use super::identity::Departed;
use super::link::{Journal, Link, LinkKey, WAYS_LIMIT};
use super::memories::Memories;
use super::record::{CallKey, Message, Origin, Outcome, Phase, Record, Token};
use super::references::References;
use crate::connection::flow::Credit;
use crate::error::call::{CallError, Executed, NoError, NotDelivered};
use crate::error::exit::{Down, DownReason, Exit, ExitCause};
use crate::shm::progress::Progress;
use crate::wire::codec::{self, Handle};
use crate::wire::frame::{Frame, PAYLOAD_LIMIT, Route, Status};
use crate::wire::ids::{ActorId, CallId, Destination, NodeId, RunId};
use crate::wire::rope::Part;

/// Ways to other nodes' mailboxes that are kept though nothing is under way on them.
const IDLE_WAYS: usize = 1024;

/// What the router asks of the process around it.
#[derive(Debug)]
pub(crate) enum Action {
    /// The link has bytes to write. Said once, until [`Router::take_output`] fetches them.
    Flush(LinkKey),
    /// A request with a token ended.
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
    Peer(LinkKey, Box<Frame>),
    /// Nobody holds this handle any more, whose owner this process is.
    Unheld(Handle),
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
    pub(super) owned: OwnMap<ActorId, EntryKey>,
    /// The actor that this process hosts for the node above it.
    pub(super) hosted: Option<(Route, EntryKey)>,
    /// Ways to mailboxes of other nodes.
    pub(super) onward: PeerMap<Route, EntryKey>,
    /// How many ways there may be before those on which nothing is under way are dropped.
    sweep_at: usize,
    /// Nodes below this one.
    pub(super) nodes: PeerMap<NodeId, LinkKey>,
    /// Who spoke over connections that are closed.
    pub(super) departed: Departed,
    pub(super) calls: Calls,
    /// Casts without a record that the hosted actor's thread has taken.
    pub(super) running: VecDeque<Running>,
    /// Outcomes of requests of futures that came before their records' ends.
    pub(super) early: OwnMap<CallKey, Outcome>,
    /// The futures that find something, to be woken outside.
    pub(super) woken: Vec<Waker>,
    pub(super) references: References,
    pub(super) memories: Memories,
    pub(super) next_actor: u64,
    pub(super) actions: VecDeque<Action>,
    /// The link whose output is fetched at the end of this event: it need not be said that there is some.
    pub(super) fetching: Option<LinkKey>,
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
            owned: OwnMap::default(),
            hosted: None,
            onward: PeerMap::default(),
            sweep_at: IDLE_WAYS,
            nodes: PeerMap::default(),
            departed: Departed::default(),
            calls: Calls::new(),
            running: VecDeque::new(),
            early: OwnMap::default(),
            woken: Vec::new(),
            references: References::default(),
            memories: Memories::default(),
            next_actor: 1,
            actions: VecDeque::new(),
            fetching: None,
            discarded: 0,
            now,
        }
    }

    /// Says what time it is; called before each event.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = now;
    }

    /// The run and the node of this process.
    pub(crate) fn identity(&self) -> (RunId, NodeId) {
        (self.run, self.node)
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
        self.calls.len() + self.light_casts()
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
            e.progress = None;
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
        l.actor = self.entries.get(entry).map(|e| e.route.actor);
        if let Some(e) = self.entries.get_mut(entry) {
            e.consumer = Consumer::Worker { link, credit: Credit::new(PREFETCH) };
            e.progress = Some(Journal(progress));
            e.incarnation += 1;
            e.seq = 0;
            self.settle(entry);
        }
    }

    /// The present incarnation is about to end, as a caller already knows: what is queued goes with it, what comes from
    /// now on waits for the next.
    pub(super) fn incarnation_ends(&mut self, entry: EntryKey) {
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        if e.ending || e.hosted || !matches!(e.consumer, Consumer::Local | Consumer::Worker { .. }) {
            return;
        }
        e.ending = true;
        e.doomed = mem::take(&mut e.queue);
        for key in e.doomed.keys() {
            if let Some(record) = self.calls.get_mut(key) {
                record.phase = Phase::Doomed;
            }
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
            // Nobody said how it ended; of what ran it cannot be said that it never did.
            None if executed == Executed::Maybe && *why != NotDelivered::Disconnected => {
                let exit = Exit { pid: 0, cause: ExitCause::Shutdown, stderr: String::new() };
                CallError::Died { exit: Box::new(exit), executed }
            }
            _ => undelivered.clone(),
        };
        let queued = if exit.is_some() { died(Executed::No) } else { undelivered.clone() };
        self.incarnation_over(entry, &down, died, &queued);
        let Some(mut e) = self.remove_entry(entry) else {
            return;
        };
        // Units that were kept back for a batch go home, so that no sender waits at a mailbox that is gone.
        for (link, window) in e.windows.iter_mut() {
            if let Some(grant) = window.flush() {
                self.send(link, &Frame::Credit { to: e.route, returned: grant.returned, window: grant.window });
            }
        }
        // What came for an incarnation that will not be.
        let mut dead_letters = e.queue.casts().len() as u64;
        for key in e.queue.into_keys() {
            if let Some(record) = self.calls.get(key) {
                dead_letters += u64::from(!record.reply);
                self.end(key, Outcome::Failed(undelivered.clone()));
            }
        }
        self.dead_letters(e.about.owner, &e.about.name, dead_letters);
        // Whoever still waits for room is told so, casts included.
        for key in e.waiting.into_keys() {
            self.end(key, Outcome::Failed(undelivered.clone()));
        }
    }

    fn remove_entry(&mut self, entry: EntryKey) -> Option<Entry> {
        let e = self.entries.remove(entry)?;
        if matches!(e.consumer, Consumer::Onward { .. }) {
            self.onward.remove(&e.route);
            if let Some(l) = e.opened_by.and_then(|link| self.links.get_mut(link)) {
                l.ways -= 1;
            }
        } else if e.hosted {
            self.hosted = None;
            self.running.clear();
        } else {
            self.owned.remove(&e.route.actor);
        }
        Some(e)
    }

    pub(super) fn incarnation_over(
        &mut self,
        entry: EntryKey,
        down: &DownReason,
        handed: impl Fn(Executed) -> CallError<NoError>,
        queued: &CallError<NoError>,
    ) {
        let Some(e) = self.entries.get(entry) else {
            return;
        };
        let (owner, name) = (e.about.owner, e.about.name.clone());
        let consumer = e.consumer;
        let mut dead_letters = e.lost_casts();
        let mut open: Vec<_> = self
            .calls
            .iter()
            .filter(|(_, record)| record.entry == entry)
            .filter_map(|(key, record)| match (record.phase, consumer) {
                (Phase::Sent { seq }, Consumer::Worker { .. }) if e.may_have_started(seq) == Some(false) => {
                    Some((seq, key, record.reply, Executed::No))
                }
                (Phase::Sent { seq }, Consumer::Worker { .. } | Consumer::Onward { .. }) => {
                    Some((seq, key, record.reply, Executed::Maybe))
                }
                (Phase::Sent { seq }, _) => Some((seq, key, record.reply, Executed::No)),
                (Phase::Taken, _) => Some((0, key, record.reply, Executed::Maybe)),
                (Phase::Waiting | Phase::Queued | Phase::Doomed | Phase::Watching, _) => None,
            })
            .collect();
        open.sort_unstable_by_key(|&(seq, key, ..)| (seq, key));
        let Some(e) = self.entries.get_mut(entry) else {
            return;
        };
        if !matches!(consumer, Consumer::Onward { .. }) {
            e.consumer = Consumer::Nobody;
        }
        e.progress = None;
        e.running = None;
        e.sent.clear();
        // What came since the end was known is for the next incarnation.
        let queue = if mem::take(&mut e.ending) { mem::take(&mut e.doomed) } else { mem::take(&mut e.queue) };
        if let (Consumer::Worker { link, .. }, DownReason::Exit(exit)) = (consumer, down)
            && let Some(l) = self.links.get_mut(link)
        {
            l.exit = Some(exit.clone());
        }
        for (_, key, reply, executed) in open {
            dead_letters += u64::from(!reply && executed == Executed::No);
            self.end(key, Outcome::Failed(handed(executed)));
        }
        dead_letters += queue.casts().len() as u64;
        self.release(entry, Source::Local, queue.casts().iter().map(|cast| cast.cost).sum());
        for key in queue.into_keys() {
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
        e.last_down = Some(down.clone());
        for key in mem::take(&mut e.watchers) {
            self.end(key, Outcome::Down(Box::new(down.clone())));
        }
    }

    fn dead_letters(&mut self, owner: u64, actor: &Arc<str>, count: u64) {
        if count > 0 {
            self.actions.push_back(Action::DeadLetters { owner, actor: actor.clone(), count });
        }
    }

    /// The entry of an actor of this node.
    pub(crate) fn entry_of(&self, actor: ActorId) -> Option<EntryKey> {
        self.owned.get(&actor).copied()
    }

    /// Messages in the mailbox, and handed to its consumer and not finished.
    pub(crate) fn load(&self, entry: EntryKey) -> (usize, usize) {
        self.entries.get(entry).map_or((0, 0), |e| (e.doomed.len() + e.queue.len(), e.sent.len()))
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
        self.make_room_for_way(from)?;
        let about = NewEntry {
            owner: 0,
            name: format!("actor {:x} of node {:x}", to.actor.0, to.node.0).into(),
            type_hash: to.type_hash,
            capacity: FIRST_WINDOW,
            methods: Vec::new(),
        };
        let consumer = Consumer::Onward { link, credit: Credit::new(FIRST_WINDOW) };
        let mut way = Entry::new(route, about, consumer);
        way.opened_by = from;
        let entry = self.entries.insert(way);
        self.onward.insert(route, entry);
        if let Some(l) = from.and_then(|link| self.links.get_mut(link)) {
            l.ways += 1;
        }
        Ok(entry)
    }

    /// A way is made for whatever address a message names, so there is a bound: in all to those that are idle, and for
    /// each connection to those that were made for it.
    fn make_room_for_way(&mut self, from: Option<LinkKey>) -> Result<(), CallError<NoError>> {
        let full = |router: &Self| from.and_then(|link| router.links.get(link)).is_some_and(|l| l.ways >= WAYS_LIMIT);
        if self.onward.len() >= self.sweep_at || full(self) {
            // Where all units have come back the other side has none either: both begin anew with the first window.
            let idle: Vec<_> = self
                .onward
                .values()
                .copied()
                .filter(|&way| self.entries.get(way).is_some_and(Entry::is_idle_way))
                .collect();
            for way in idle {
                self.remove_entry(way);
            }
            self.sweep_at = IDLE_WAYS.max(2 * self.onward.len());
        }
        if full(self) { Err(CallError::NotDelivered(NotDelivered::TooMany)) } else { Ok(()) }
    }

    /// The request with this number, if it was handed to the peer of this link: only then may it speak of it.
    pub(super) fn handed_to(&self, link: LinkKey, call: CallId) -> Option<&Record> {
        self.calls.get(call.0).filter(|record| record.handed == Some(link))
    }

    /// Ends a request: its record goes, its origin is told.
    pub(super) fn end(&mut self, call: CallKey, outcome: Outcome) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        if record.origin == Origin::Future {
            // Until the future has looked into it.
            self.hold(outcome.handles());
            self.wake(call);
            let handles = self.part(call);
            self.calls.end(call, outcome);
            return self.let_go(handles.list());
        }
        if record.origin != Origin::Nobody {
            let (origin, inbound) = (record.origin, record.inbound);
            self.deliver(call, origin, inbound, outcome);
        } else if record.reply && !matches!(outcome, Outcome::Failed(_)) {
            self.discarded += 1;
        }
        self.forget(call);
    }

    /// Removes a record without a word.
    pub(super) fn forget(&mut self, call: CallKey) {
        self.detach(call);
        let handles = self.part(call);
        self.calls.discard(call);
        self.let_go(handles.list());
    }

    /// A record is about to go: nobody counts it any more. What its message still holds is to be let go of behind that.
    #[inline]
    fn part(&mut self, call: CallKey) -> Handles {
        let Some(record) = self.calls.get(call) else {
            return Handles::none();
        };
        let watching = record.phase == Phase::Watching;
        let handles = record.message.as_ref().map(|message| message.handles.clone()).unwrap_or_default();
        if let Some(e) = self.entries.get_mut(record.entry) {
            e.open -= 1;
            if watching {
                e.watchers.remove(&call);
            }
        }
        if let Some(l) = record.handed.and_then(|link| self.links.get_mut(link)) {
            if watching {
                l.watching -= 1;
            } else {
                l.handed -= usize::from(record.reply);
            }
        }
        handles
    }

    /// Nobody awaits the request any more.
    pub(super) fn detach(&mut self, call: CallKey) {
        let Some(record) = self.calls.get_mut(call) else {
            return;
        };
        if let Origin::Link(link) = mem::replace(&mut record.origin, Origin::Nobody)
            && let Some(l) = self.links.get_mut(link)
        {
            if record.is_listed {
                l.inbound.remove(&record.inbound);
                l.monitors -= usize::from(record.phase == Phase::Watching);
            } else {
                l.unlisted -= 1;
            }
            if let Some(at) = record.timer.take() {
                l.timers.remove(at, call, |at, call| self.calls.is_due(at, call));
            }
        }
    }

    pub(super) fn deliver(&mut self, call: CallKey, origin: Origin, inbound: CallId, outcome: Outcome) {
        match origin {
            Origin::Local(token) => {
                // Until whoever awaits it has looked into it.
                self.hold(outcome.handles());
                self.actions.push_back(Action::Ended(token, outcome));
            }
            Origin::Future => {
                self.hold(outcome.handles());
                self.end_early(call, outcome);
            }
            Origin::Link(link) => self.reply_on(link, inbound, outcome),
            Origin::Nobody => {}
        }
    }

    pub(super) fn reply_on(&mut self, link: LinkKey, call: CallId, outcome: Outcome) {
        let handles = self.handles_sent(link, outcome.handles());
        let mut reply = |status, payload: Part<'_>| self.write_reply(link, call, status, &handles, payload);
        match outcome {
            Outcome::Value(payload, _) => reply(Status::Value, payload.whole()),
            Outcome::HandlerError(payload, _) => reply(Status::HandlerError, payload.whole()),
            Outcome::FailedElsewhere(payload) => reply(Status::Failed, Part::Shared(&payload)),
            Outcome::Failed(error) => reply(Status::Failed, Part::Shared(&encoded(&error))),
            Outcome::Fatal(error) => reply(Status::Fatal, Part::Shared(&encoded(&error))),
            Outcome::Down(down) => self.send(link, &Frame::Down { call, payload: encoded(&*down) }),
            Outcome::DownElsewhere(payload) => self.send(link, &Frame::Down { call, payload }),
        }
    }

    pub(super) fn refuse(&mut self, link: LinkKey, why: String) {
        if let Some(l) = self.links.get_mut(link)
            && !mem::replace(&mut l.refused, true)
        {
            self.actions.push_back(Action::Refuse(link, why));
        }
    }
}

/// Our own data, which always fits.
fn encoded<T: serde::Serialize>(value: &T) -> Bytes {
    codec::encode(value, PAYLOAD_LIMIT).unwrap_or_default()
}
