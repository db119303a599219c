//! The processes of a test, their wires and their clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::memories;
use crate::error::call::{CallError, NoError, NotDelivered};
use crate::error::exit::{Down, Exit, ExitCause};
use crate::router::entry::Consumer;
use crate::router::{
    Action, CallKey, EntryKey, Expired, Handles, LinkKey, Message, NewEntry, Outcome, Router, Taken, Token, Waited,
};
use crate::shm::claims::{Claims, PLACES};
use crate::shm::progress::Progress;
use crate::wire::codec::{self, Budget, Handle, Kept};
use crate::wire::frame::{Decoder, FRAME_LIMIT, Frame, Trace};
use crate::wire::ids::{Destination, NodeId, RunId, TypeHash};

pub(super) const RUN: RunId = RunId(7);
pub(super) const TYPE: TypeHash = TypeHash(99);

/// A process, by its place in the world.
pub(super) type ProcessId = usize;

/// The world.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) processes: Vec<Process>,
    wires: Vec<Wire>,
    tokens: Token,
}

/// A router, and what it asked for.
pub(super) struct Process {
    pub(super) router: Router,
    pub(super) ended: BTreeMap<Token, Vec<Outcome>>,
    pub(super) admitted: Vec<Token>,
    pub(super) cancelled: Vec<CallKey>,
    pub(super) refused: Vec<(LinkKey, String)>,
    pub(super) dead_letters: Vec<(String, u64)>,
    pub(super) unheld: Vec<Handle>,
    pub(super) memories: memories::Table,
    pub(super) woken: usize,
    /// The futures that wait, with their requests.
    futures: BTreeMap<Token, CallKey>,
    /// Those that were woken.
    rung: Arc<Mutex<Vec<Token>>>,
    pub(super) dead: bool,
    /// Requests of this process that have not ended: their keys, and when to ask again for their deadline.
    pub(super) open: HashMap<Token, (CallKey, Option<Instant>)>,
}

/// What wakes a future.
struct Bell(Token, Arc<Mutex<Vec<Token>>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

impl Process {
    /// A future begins to wait for its request.
    fn wait(&mut self, token: Token, key: CallKey) {
        match self.router.fetch(key) {
            Some(waited) => self.hear(token, waited),
            None => {
                let bell = Arc::new(Bell(token, self.rung.clone()));
                assert!(self.router.set_waker(key, &bell.into()).is_none());
                self.futures.insert(token, key);
            }
        }
    }

    /// Wakes the futures that find something, and none else does.
    fn wake(&mut self) {
        let mut woken = Vec::new();
        self.router.swap_woken(&mut woken);
        woken.into_iter().for_each(Waker::wake);
        let rung = std::mem::take(&mut *self.rung.lock().unwrap());
        for token in rung {
            let key = self.futures.remove(&token).expect("a future is woken once");
            let waited = self.router.fetch(key).expect("a future is woken for something");
            self.hear(token, waited);
        }
        if self.futures.len() < 100 {
            for &key in self.futures.values() {
                assert!(self.router.is_awaited(key), "a future of what has ended was not woken");
            }
        }
    }

    fn hear(&mut self, token: Token, waited: Waited) {
        match waited {
            Waited::Admitted => self.admitted.push(token),
            Waited::Ended(outcome) => {
                self.open.remove(&token);
                self.ended.entry(token).or_default().push(outcome);
            }
        }
    }
}

/// Two directions of bytes between two processes.
struct Wire {
    ends: [(ProcessId, LinkKey); 2],
    ways: [Way; 2],
    closed: bool,
}

/// From one end of a wire to the other.
#[derive(Debug, Default)]
struct Way {
    sent: BytesMut,
    arrived: BytesMut,
}

/// The journal of a worker.
#[derive(Debug)]
pub(super) struct Ticks {
    pub(super) started: AtomicU64,
    pub(super) finished: AtomicU64,
    places: Vec<AtomicU64>,
}

impl Default for Ticks {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::default()).collect();
        Self { started: AtomicU64::default(), finished: AtomicU64::default(), places }
    }
}

impl Ticks {
    pub(super) fn claims(&self) -> Claims<'_> {
        Claims::of(&self.places)
    }

    /// All that it says, as text.
    pub(super) fn state(&self) -> String {
        let said = self.places.iter().map(|place| place.load(Ordering::Relaxed)).filter(|place| *place > 0);
        format!("{:?} {:?} {:?}", self.started, self.finished, said.collect::<Vec<_>>())
    }
}

impl Progress for Ticks {
    fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }
    fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }
    fn take_back(&self, seq: u64) -> bool {
        self.claims().take_back(seq)
    }
    fn tell(&self, seq: u64) {
        self.claims().tell(seq);
    }
}

/// An incarnation of an actor in a process of its own.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) process: ProcessId,
    /// Its entry in its own process.
    pub(super) entry: EntryKey,
    pub(super) wire: usize,
    pub(super) ticks: Arc<Ticks>,
}

/// A mailbox in a hub.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owned {
    pub(super) process: ProcessId,
    pub(super) entry: EntryKey,
    pub(super) to: Destination,
}

impl World {
    pub(super) fn new() -> Self {
        Self::at(Instant::now() + Duration::from_secs(3600))
    }

    /// A world that begins at this time.
    pub(super) fn at(now: Instant) -> Self {
        Self { now, processes: Vec::new(), wires: Vec::new(), tokens: 0 }
    }

    pub(super) fn process(&mut self) -> ProcessId {
        let id = self.processes.len();
        self.processes.push(Process {
            router: Router::new(RUN, NodeId(1000 + id as u64), self.now),
            ended: BTreeMap::new(),
            admitted: Vec::new(),
            cancelled: Vec::new(),
            refused: Vec::new(),
            dead_letters: Vec::new(),
            unheld: Vec::new(),
            memories: memories::Table::default(),
            woken: 0,
            futures: BTreeMap::new(),
            rung: Arc::default(),
            dead: false,
            open: HashMap::new(),
        });
        id
    }

    /// A mailbox that nobody serves yet.
    pub(super) fn actor(&mut self, hub: ProcessId, name: &str, capacity: u32) -> Owned {
        let about = NewEntry { owner: 1, name: name.into(), type_hash: TYPE, capacity, methods: vec!["get", "put"] };
        let (entry, to) = self.router(hub).own(about);
        Owned { process: hub, entry, to }
    }

    /// A mailbox that a thread of its own process serves.
    pub(super) fn local(&mut self, hub: ProcessId, name: &str, capacity: u32) -> Owned {
        let owned = self.actor(hub, name, capacity);
        self.router(hub).attach_local(owned.entry);
        self.pump(hub);
        owned
    }

    /// Starts a process that hosts the actor.
    pub(super) fn start(&mut self, owned: Owned) -> Worker {
        let process = self.process();
        let wire = self.join(owned.process, process);
        let [(_, down), (_, up)] = self.wires[wire].ends;
        let router = self.router(process);
        router.set_uplink(up);
        let about =
            NewEntry { owner: 1, name: "hosted".into(), type_hash: TYPE, capacity: 64, methods: vec!["get", "put"] };
        let entry = router.host(owned.to, about);
        let ticks = Arc::<Ticks>::default();
        self.router(owned.process).attach_worker(owned.entry, down, ticks.clone());
        self.pump(owned.process);
        Worker { process, entry, wire, ticks }
    }

    /// A mailbox and the process that serves it.
    pub(super) fn worker(&mut self, hub: ProcessId, name: &str) -> (Owned, Worker) {
        let owned = self.actor(hub, name, 64);
        let worker = self.start(owned);
        (owned, worker)
    }

    /// A hub whose own actor lives in another hub, and who announces mailboxes of its own.
    pub(super) fn hub_below(&mut self, hub: ProcessId, name: &str) -> (Owned, Worker) {
        let (owned, worker) = self.worker(hub, name);
        self.router(worker.process).announce();
        self.pump(worker.process);
        self.drive();
        (owned, worker)
    }

    /// Joins two processes.
    pub(super) fn join(&mut self, a: ProcessId, b: ProcessId) -> usize {
        let ends = [(a, self.router(a).add_link()), (b, self.router(b).add_link())];
        self.wires.push(Wire { ends, ways: Default::default(), closed: false });
        self.wires.len() - 1
    }

    /// The link of a process on a wire.
    pub(super) fn link(&self, wire: usize, process: ProcessId) -> LinkKey {
        self.wires[wire].ends.iter().find(|end| end.0 == process).unwrap().1
    }

    pub(super) fn router(&mut self, process: ProcessId) -> &mut Router {
        let now = self.now;
        let router = &mut self.processes[process].router;
        router.advance(now);
        router
    }

    // ---- requests

    pub(super) fn call(&mut self, from: ProcessId, to: Owned, text: &str) -> Token {
        self.submit(from, to.to, true, None, None, text)
    }

    pub(super) fn call_within(&mut self, from: ProcessId, to: Owned, ms: u64, text: &str) -> Token {
        let deadline = self.now + Duration::from_millis(ms);
        self.submit(from, to.to, true, Some(deadline), None, text)
    }

    /// A call that the handler of a taken message makes.
    pub(super) fn call_from(&mut self, from: ProcessId, cause: &Taken, to: Owned, text: &str) -> Token {
        self.submit(from, to.to, true, None, Some(cause.call), text)
    }

    pub(super) fn cast(&mut self, from: ProcessId, to: Owned, text: &str) -> Token {
        self.submit(from, to.to, false, None, None, text)
    }

    pub(super) fn cast_from(&mut self, from: ProcessId, cause: &Taken, to: Owned, text: &str) -> Token {
        self.submit(from, to.to, false, None, Some(cause.call), text)
    }

    pub(super) fn submit(
        &mut self,
        from: ProcessId,
        to: Destination,
        reply: bool,
        deadline: Option<Instant>,
        cause: Option<CallKey>,
        text: &str,
    ) -> Token {
        self.submit_bytes(from, to, reply, deadline, cause, Bytes::copy_from_slice(text.as_bytes()))
    }

    pub(super) fn submit_bytes(
        &mut self,
        from: ProcessId,
        to: Destination,
        reply: bool,
        deadline: Option<Instant>,
        cause: Option<CallKey>,
        payload: Bytes,
    ) -> Token {
        self.submit_with(from, to, reply, deadline, cause, payload, Vec::new())
    }

    /// A request with handles in it.
    #[expect(clippy::too_many_arguments, reason = "all that a request is made of")]
    pub(super) fn submit_with(
        &mut self,
        from: ProcessId,
        to: Destination,
        reply: bool,
        deadline: Option<Instant>,
        cause: Option<CallKey>,
        payload: Bytes,
        handles: Vec<Handle>,
    ) -> Token {
        self.tokens += 1;
        let token = self.tokens;
        let handles = Handles::from(handles);
        let payload = payload.into();
        let mut message =
            Message { method: 0, priority: 0, trace: Trace::default(), handles, payload, kept: Kept::default() };
        // Of casts each second one goes without a record, where it can.
        let now = self.now;
        let is_bare = !reply && cause.is_none() && token.is_multiple_of(2);
        if is_bare && self.router(from).cast_now(&to, &mut message, || now) {
            self.processes[from].admitted.push(token);
            self.pump(from);
            return token;
        }
        // Each second one is of a future, and so is whatever is told of its admission.
        let key = match !reply || token.is_multiple_of(2) {
            true => self.router(from).request(to, reply, deadline, cause, message),
            false => self.router(from).submit(token, to, reply, deadline, cause, message),
        };
        self.processes[from].open.insert(token, (key, deadline));
        if !reply || token.is_multiple_of(2) {
            self.processes[from].wait(token, key);
        }
        self.pump(from);
        token
    }

    pub(super) fn monitor(&mut self, from: ProcessId, to: Destination) -> Token {
        self.tokens += 1;
        let token = self.tokens;
        let of_future = token.is_multiple_of(2);
        let router = self.router(from);
        let key = if of_future { router.request_monitor(&to) } else { router.monitor(token, &to) };
        self.processes[from].open.insert(token, (key, None));
        if of_future {
            self.processes[from].wait(token, key);
        }
        self.pump(from);
        token
    }

    pub(super) fn cancel(&mut self, from: ProcessId, token: Token) {
        if let Some((key, _)) = self.processes[from].open.remove(&token) {
            match self.processes[from].futures.remove(&token) {
                Some(_) => drop(self.router(from).abandon(key)),
                None => self.router(from).cancel(key),
            }
            self.pump(from);
        }
    }

    /// Wants a call back that is still awaited.
    pub(super) fn take_back(&mut self, from: ProcessId, token: Token, tell: bool) {
        if let Some(&(key, _)) = self.processes[from].open.get(&token) {
            self.router(from).take_back(key, tell);
            self.pump(from);
        }
    }

    /// How a request ended; panics unless it ended exactly once.
    #[track_caller]
    pub(super) fn outcome(&mut self, process: ProcessId, token: Token) -> Outcome {
        let mut outcomes = self.processes[process].ended.remove(&token).unwrap_or_default();
        assert_eq!(outcomes.len(), 1, "outcomes of request {token}: {outcomes:?}");
        outcomes.remove(0)
    }

    pub(super) fn is_open(&self, process: ProcessId, token: Token) -> bool {
        !self.processes[process].ended.contains_key(&token)
    }

    // ---- handlers

    /// The next message of a worker, its handler started.
    pub(super) fn take(&mut self, worker: &Worker) -> Option<Taken> {
        loop {
            let taken = self.take_up(worker)?;
            if self.begin(worker, &taken) {
                return Some(taken);
            }
        }
    }

    /// The next message of a worker, its handler not started yet.
    pub(super) fn take_up(&mut self, worker: &Worker) -> Option<Taken> {
        let taken = self.router(worker.process).take(worker.entry);
        self.pump(worker.process);
        taken
    }

    /// Starts the handler of a message that was taken up; false where the message was taken back.
    pub(super) fn begin(&mut self, worker: &Worker, taken: &Taken) -> bool {
        let begins = !taken.reply || worker.ticks.claims().begin(taken.seq);
        if begins {
            worker.ticks.started.store(taken.seq, Ordering::Relaxed);
        } else {
            self.router(worker.process).forgo(worker.entry, taken);
            self.router(worker.process).let_go(taken.message.handles.list());
            self.pump(worker.process);
        }
        begins
    }

    pub(super) fn take_local(&mut self, owned: Owned) -> Option<Taken> {
        let taken = self.router(owned.process).take(owned.entry);
        self.pump(owned.process);
        taken
    }

    pub(super) fn finish(&mut self, worker: &Worker, taken: &Taken) {
        self.finish_after(worker, taken, Duration::from_millis(1));
    }

    pub(super) fn finish_after(&mut self, worker: &Worker, taken: &Taken, ran: Duration) {
        self.router(worker.process).observe(worker.entry, ran);
        self.router(worker.process).finish(worker.entry, taken);
        worker.ticks.finished.store(taken.seq, Ordering::Relaxed);
        self.pump(worker.process);
    }

    pub(super) fn finish_local(&mut self, owned: Owned, taken: &Taken) {
        self.router(owned.process).finish(owned.entry, taken);
        self.pump(owned.process);
    }

    pub(super) fn answer(&mut self, process: ProcessId, call: CallKey, text: &str) {
        self.answer_with(process, call, text, Vec::new());
    }

    /// An answer with handles in it.
    pub(super) fn answer_with(&mut self, process: ProcessId, call: CallKey, text: &str, handles: Vec<Handle>) {
        let value = Outcome::Value(Bytes::copy_from_slice(text.as_bytes()).into(), handles.into());
        self.router(process).answer(call, value);
        self.pump(process);
    }

    /// Takes, answers with the message's own text, finishes: all that is there. Returns the texts.
    pub(super) fn serve(&mut self, worker: &Worker) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            self.drive();
            let Some(taken) = self.take(worker) else {
                // What was taken back has made room, for which something may have waited.
                if self.drive_but(&[]) {
                    continue;
                }
                return texts;
            };
            let text = body(&taken);
            if taken.reply {
                self.answer(worker.process, taken.call, &text);
            }
            self.router(worker.process).let_go(taken.message.handles.list());
            self.finish(worker, &taken);
            texts.push(text);
        }
    }

    // ---- ends

    /// The worker's process dies: what it has written may still arrive, what it has not read is lost.
    pub(super) fn kill(&mut self, owned: Owned, worker: &Worker) {
        self.router(owned.process).incarnation_ended(owned.entry, &killed());
        self.pump(owned.process);
        self.close(worker.wire);
    }

    /// The actor stops for good, and its process ends.
    pub(super) fn retire(&mut self, owned: Owned, worker: &Worker, exit: Option<&Exit>) {
        self.router(owned.process).retire(owned.entry, &NotDelivered::Stopped, exit);
        self.pump(owned.process);
        self.close(worker.wire);
    }

    /// The lower process of a wire ends, and with it all its wires; what is under way is lost.
    pub(super) fn close(&mut self, wire: usize) {
        let [(upper, link), (lower, _)] = self.wires[wire].ends;
        self.wires[wire].closed = true;
        self.wires[wire].ways = Default::default();
        self.processes[lower].dead = true;
        self.router(upper).handle_closed(link);
        self.pump(upper);
        for below in 0..self.wires.len() {
            if !self.wires[below].closed && self.wires[below].ends[0].0 == lower {
                self.close(below);
            }
        }
    }

    // ---- steps

    /// Does what a router asked for.
    pub(super) fn pump(&mut self, id: ProcessId) {
        while let Some(action) = self.processes[id].router.poll_action() {
            let process = &mut self.processes[id];
            match action {
                Action::Flush(link) => {
                    for wire in &mut self.wires {
                        for (end, way) in wire.ends.iter().zip(&mut wire.ways) {
                            if *end == (id, link) {
                                let ahead = process.router.take_output(link, &mut way.sent);
                                memories::give(&process.memories, ahead, &mut way.sent);
                            }
                        }
                    }
                }
                Action::Ended(token, outcome) => {
                    process.open.remove(&token);
                    process.ended.entry(token).or_default().push(outcome);
                }
                Action::Wake(_) => process.woken += 1,
                Action::Cancel(_, call) => process.cancelled.push(call),
                Action::Refuse(link, why) => process.refused.push((link, why)),
                Action::DeadLetters { actor, count, .. } => process.dead_letters.push((actor.to_string(), count)),
                Action::Peer(..) => {}
                Action::Unheld(handle) => {
                    process.forget(handle);
                    process.unheld.push(handle);
                }
            }
        }
        self.processes[id].wake();
    }

    /// Carries at most `most` bytes of one direction of a wire; whether there were any.
    pub(super) fn carry(&mut self, wire: usize, from: usize, most: usize) -> bool {
        let w = &mut self.wires[wire];
        if w.closed {
            return false;
        }
        let Way { sent, arrived } = &mut w.ways[from];
        if sent.is_empty() {
            return false;
        }
        arrived.extend_from_slice(&sent.split_to(most.min(sent.len())));
        let decoder = Decoder::new(FRAME_LIMIT);
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next(arrived).expect("a router writes frames") {
            frames.push(frame);
        }
        let (process, link) = w.ends[1 - from];
        for frame in frames {
            self.frame(process, link, frame);
        }
        true
    }

    /// A frame arrives.
    pub(super) fn frame(&mut self, process: ProcessId, link: LinkKey, frame: Frame) {
        match frame {
            Frame::Memory { handle, about } => self.take_memory(process, link, handle, about),
            frame => self.router(process).handle_frame(link, frame),
        }
        self.pump(process);
    }

    pub(super) fn wires(&self) -> usize {
        self.wires.len()
    }

    /// The length of the next frame of a direction of a wire.
    pub(super) fn next_frame(&self, wire: usize, from: usize) -> Option<usize> {
        let w = &self.wires[wire];
        let len = w.ways[from].sent.first_chunk().filter(|_| !w.closed)?;
        Some(u32::from_le_bytes(*len) as usize + 4)
    }

    /// All that is on its way, as text.
    pub(super) fn on_the_wires(&self) -> String {
        self.wires.iter().map(|wire| format!("{} {:?}", wire.closed, wire.ways)).collect()
    }

    /// Bytes that wait on a wire for the end `1 - from`.
    pub(super) fn under_way(&self, wire: usize, from: usize) -> usize {
        self.wires[wire].ways[from].sent.len() + self.wires[wire].ways[from].arrived.len()
    }

    /// Carries all that is under way, save over the wires that are `held`, until all is quiet.
    pub(super) fn drive_but(&mut self, held: &[usize]) -> bool {
        let mut any = false;
        loop {
            let mut moved = false;
            for wire in (0..self.wires.len()).filter(|wire| !held.contains(wire)) {
                for from in 0..2 {
                    moved |= self.carry(wire, from, usize::MAX);
                }
            }
            if !moved {
                return any;
            }
            any = true;
        }
    }

    pub(super) fn drive(&mut self) {
        self.drive_but(&[]);
    }

    /// Lets time pass, then everybody looks at the deadlines.
    pub(super) fn advance(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.timers();
    }

    pub(super) fn timers(&mut self) {
        for id in 0..self.processes.len() {
            let mine: Vec<_> = self
                .wires
                .iter()
                .filter(|wire| !wire.closed)
                .flat_map(|wire| wire.ends)
                .filter(|end| end.0 == id)
                .map(|end| end.1)
                .collect();
            for link in mine {
                if self.processes[id].router.poll_timeout(link).is_some_and(|at| at <= self.now) {
                    self.router(id).handle_timeout(link);
                    self.pump(id);
                }
            }
            let now = self.now;
            let mut due: Vec<_> = self.processes[id]
                .open
                .iter()
                .filter(|(_, (_, at))| at.is_some_and(|at| at <= now))
                .map(|(token, (key, _))| (*token, *key))
                .collect();
            due.sort_unstable();
            for (token, key) in due {
                let next = match self.router(id).expire(key) {
                    Expired::Ended => None,
                    Expired::Later(at) => {
                        assert!(at > self.now, "a time to ask again lies ahead");
                        Some(at)
                    }
                };
                if let Some(open) = self.processes[id].open.get_mut(&token) {
                    open.1 = next;
                }
                self.pump(id);
            }
        }
    }

    /// The earliest time at which somebody wants to look at a deadline.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let links = self
            .wires
            .iter()
            .filter(|wire| !wire.closed)
            .flat_map(|wire| wire.ends)
            .filter_map(|(process, link)| self.processes[process].router.poll_timeout(link));
        let local = self.processes.iter().flat_map(|process| process.open.values().filter_map(|(_, at)| *at));
        links.chain(local).min()
    }

    /// Nobody was refused, and nothing is left anywhere.
    #[track_caller]
    pub(super) fn assert_at_rest(&self) {
        for (id, process) in self.processes.iter().enumerate().filter(|(_, process)| !process.dead) {
            assert_eq!(process.refused, [], "process {id} refused a peer");
            let left = process.router.left_over();
            assert!(left.is_empty(), "left in process {id}: {left:#?}");
        }
    }
}

pub(super) fn killed() -> Exit {
    let cause = ExitCause::Signal { number: 9, name: "SIGKILL".into(), core_dumped: false };
    Exit { pid: 1, cause, stderr: String::new() }
}

/// The text of a message.
pub(super) fn body(taken: &Taken) -> String {
    String::from_utf8(taken.message.payload.to_vec()).unwrap()
}

/// The text of a value.
#[track_caller]
pub(super) fn text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Value(bytes, _) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("no value: {other:?}, {:?}", failure(other.clone())),
    }
}

/// The error of a failed request.
#[track_caller]
pub(super) fn failure(outcome: Outcome) -> CallError<NoError> {
    match outcome {
        Outcome::Failed(error) => error,
        Outcome::FailedElsewhere(bytes) => codec::decode(&bytes, Budget::default()).unwrap(),
        other => panic!("no failure: {other:?}"),
    }
}

/// The end that a monitor was told of.
#[track_caller]
pub(super) fn down(outcome: Outcome) -> Down {
    match outcome {
        Outcome::Down(down) => *down,
        Outcome::DownElsewhere(bytes) => codec::decode(&bytes, Budget::default()).unwrap(),
        other => panic!("no end: {other:?}"),
    }
}

impl Router {
    /// What a router at rest must not have, in words.
    pub(super) fn left_over(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (key, record) in self.calls.iter() {
            left.push(format!("record {key:x}: {record:?}"));
        }
        for (key, link) in self.links.iter() {
            if link.handed + link.watching + link.monitors + link.blocked.len() > 0 {
                left.push(format!("link {key:x}: {link:?}"));
            }
            let timers = link.timers.left(|at, call| self.calls.is_due(at, call)).len();
            if !link.inbound.is_empty() || link.unlisted > 0 || timers > 0 {
                left.push(format!("link {key:x}: {} inbound, {timers} timers", link.inbound.len()));
            }
        }
        for (_, e) in self.entries.iter() {
            let name = &e.about.name;
            if !e.watchers.is_empty() || !e.queue.is_empty() || !e.waiting.is_empty() {
                left.push(format!("{name}: {:?} {:?} {:?}", e.watchers, e.queue, e.waiting));
            }
            if e.open > 0 || e.local.held() > 0 {
                left.push(format!("{name}: {} open, {:?}", e.open, e.local));
            }
            for (link, window) in e.windows.iter() {
                if window.held() > 0 || self.links.get(link).is_none() {
                    left.push(format!("{name}: {link:x} {window:?}"));
                }
            }
        }
        if self.light_casts() > 0 {
            left.push(format!("{} casts without a record", self.light_casts()));
        }
        if self.has_references() {
            left.push(format!("{:?}", self.references));
        }
        left
    }

    /// How much a router keeps: every element of every table, what is told of places that are free included.
    pub(super) fn kept(&self) -> usize {
        format!("{self:?}").matches(", ").count()
    }

    /// All that what it does next depends on, as text.
    pub(super) fn state(&self) -> String {
        let links: Vec<_> = self
            .links
            .iter()
            .map(|(key, link)| {
                let inbound: BTreeMap<_, _> = link.inbound.iter().collect();
                (
                    key,
                    inbound,
                    link.unlisted,
                    &link.out,
                    link.timers.left(|at, call| self.calls.is_due(at, call)),
                    link.handed,
                    link.refused,
                )
            })
            .collect();
        format!("{:?} {:?} {:?} {links:?} {:?}", self.calls, self.running, self.entries, self.actions)
    }

    /// Units that were sent and have not come back.
    pub(super) fn outstanding(&self) -> u32 {
        let consumers = self.entries.iter().map(|(_, e)| e.consumer);
        let credits = consumers.filter_map(|consumer| match consumer {
            Consumer::Worker { credit, .. } | Consumer::Onward { credit, .. } => Some(credit.outstanding()),
            Consumer::Local | Consumer::Nobody => None,
        });
        credits.sum()
    }

    /// Keys that wait or are queued at an entry, those of ended requests included.
    pub(super) fn lines(&self, entry: EntryKey) -> usize {
        self.entries.get(entry).map_or(0, |e| e.queue.room() + e.waiting.room())
    }

    pub(super) fn capacity(&self, entry: EntryKey) -> u32 {
        self.entries.get(entry).map_or(0, |e| e.about.capacity)
    }

    /// Mailboxes of other nodes that the router knows a way to.
    pub(super) fn ways(&self) -> usize {
        self.onward.len()
    }

    /// Units in the mailbox, by who put them there: this process, and all others.
    pub(super) fn held(&self, entry: EntryKey) -> (u32, u32) {
        let Some(e) = self.entries.get(entry) else { return (0, 0) };
        (e.local.held(), e.windows.iter().map(|(_, window)| window.held()).sum())
    }
}
