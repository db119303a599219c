//! Random worlds under random schedules: what holds in all of them.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::world::ProcessId;
use super::*;
use crate::router::{CallKey, Taken, Token};

/// Who serves an actor now.
#[derive(Debug)]
enum Server {
    Nobody,
    Thread,
    Worker(Worker),
    Gone,
}

/// An actor, and what it is doing.
struct Actor {
    owned: Owned,
    on_thread: bool,
    server: Server,
    running: Option<Taken>,
    deferred: Vec<CallKey>,
    /// The number of the last message from each process to this incarnation.
    last: HashMap<ProcessId, u32>,
}

/// What was submitted, and must end.
struct Submitted {
    from: ProcessId,
    to: usize,
    token: Token,
    kind: Kind,
    name: String,
    cancelled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Call,
    Cast,
    Monitor,
}

struct Model {
    w: World,
    root: ProcessId,
    sub: Option<(Owned, Worker)>,
    actors: Vec<Actor>,
    /// Processes that only send.
    clients: Vec<ProcessId>,
    submitted: Vec<Submitted>,
    taken: HashSet<String>,
    number: u32,
}

/// The make-up of a world.
#[derive(Clone, Debug)]
struct Shape {
    below: bool,
    clients: usize,
    /// For each actor: whether it belongs to the hub below, whether a thread serves it, its mailbox.
    actors: Vec<(bool, bool, u32)>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let actor = (any::<bool>(), prop::bool::weighted(0.3), 1_u32..24);
    (any::<bool>(), 0_usize..2, prop::collection::vec(actor, 1..4)).prop_map(|(below, clients, actors)| Shape {
        below,
        clients,
        actors,
    })
}

impl Model {
    fn new(shape: &Shape) -> Self {
        let mut w = World::new();
        let root = w.process();
        let sub = shape.below.then(|| w.hub_below(root, "sub"));
        let mut model = Self {
            w,
            root,
            sub,
            actors: Vec::new(),
            clients: Vec::new(),
            submitted: Vec::new(),
            taken: HashSet::new(),
            number: 0,
        };
        for (n, &(below, on_thread, capacity)) in shape.actors.iter().enumerate() {
            let hub = model.sub.as_ref().filter(|_| below).map_or(root, |(_, sub)| sub.process);
            let owned = model.w.actor(hub, &format!("actor {n}"), capacity);
            model.actors.push(Actor {
                owned,
                on_thread,
                server: Server::Nobody,
                running: None,
                deferred: Vec::new(),
                last: HashMap::new(),
            });
            model.start(n);
        }
        for n in 0..shape.clients {
            let (_, client) = model.w.worker(root, &format!("client {n}"));
            model.clients.push(client.process);
        }
        model
    }

    fn start(&mut self, at: usize) {
        let actor = &mut self.actors[at];
        if !matches!(actor.server, Server::Nobody) {
            return;
        }
        actor.last.clear();
        actor.server = if actor.on_thread {
            self.w.router(actor.owned.process).attach_local(actor.owned.entry);
            self.w.pump(actor.owned.process);
            Server::Thread
        } else {
            Server::Worker(self.w.start(actor.owned))
        };
    }

    fn stop(&mut self, at: usize, for_good: bool) {
        let actor = &mut self.actors[at];
        let exit = killed();
        match (std::mem::replace(&mut actor.server, Server::Nobody), for_good) {
            (Server::Gone, _) => actor.server = Server::Gone,
            (Server::Worker(worker), false) => self.w.kill(actor.owned, &worker),
            (Server::Worker(worker), true) => self.w.retire(actor.owned, &worker, Some(&exit)),
            (Server::Thread | Server::Nobody, true) => {
                self.w.router(actor.owned.process).retire(actor.owned.entry, &NotDelivered::Stopped, None);
                self.w.pump(actor.owned.process);
            }
            (Server::Thread, false) => {
                self.w.router(actor.owned.process).incarnation_ended(actor.owned.entry, &exit);
                self.w.pump(actor.owned.process);
            }
            (Server::Nobody, false) => {
                self.w.router(actor.owned.process).start_failed(actor.owned.entry, &exit);
                self.w.pump(actor.owned.process);
            }
        }
        if for_good {
            actor.server = Server::Gone;
        }
        actor.running = None;
        actor.deferred.clear();
    }

    /// Processes that can send, with the actor whose handler would, if there is one.
    fn senders(&self) -> Vec<(ProcessId, Option<usize>)> {
        let hubs = std::iter::once(self.root).chain(self.sub.as_ref().map(|(_, sub)| sub.process));
        let mut senders: Vec<_> = hubs.chain(self.clients.iter().copied()).map(|process| (process, None)).collect();
        for (at, actor) in self.actors.iter().enumerate() {
            match &actor.server {
                Server::Worker(worker) => senders.push((worker.process, Some(at))),
                Server::Thread => senders.push((actor.owned.process, Some(at))),
                _ => {}
            }
        }
        senders.retain(|(process, _)| !self.w.processes[*process].dead);
        senders
    }

    fn submit(&mut self, kind: Kind, a: usize, b: usize, c: usize) {
        let senders = self.senders();
        let (from, handler) = senders[a % senders.len()];
        let at = b % self.actors.len();
        let to = self.actors[at].owned.to;
        self.number += 1;
        let name = format!("{from}:{}", self.number);
        let cause = handler.and_then(|at| self.actors[at].running.as_ref()).map(|taken| taken.call);
        let deadline =
            (!c.is_multiple_of(3)).then(|| self.w.now + std::time::Duration::from_millis((c as u64 * 7) % 60));
        let token = match kind {
            Kind::Monitor => self.w.monitor(from, to),
            _ => {
                let size = if c.is_multiple_of(11) { (c % 4) << 16 } else { 0 };
                let mut payload = name.clone().into_bytes();
                payload.resize(payload.len().max(size), b' ');
                self.w.submit_bytes(from, to, kind == Kind::Call, deadline, cause, payload.into())
            }
        };
        self.submitted.push(Submitted { from, to: at, token, kind, name, cancelled: false });
    }

    fn take(&mut self, at: usize) -> bool {
        let actor = &mut self.actors[at];
        if actor.running.is_some() {
            return false;
        }
        let taken = match &actor.server {
            Server::Worker(worker) => self.w.take(worker),
            Server::Thread => self.w.take_local(actor.owned),
            _ => None,
        };
        let Some(taken) = taken else { return false };
        let name = body(&taken).trim_end().to_owned();
        let (from, number) = name.split_once(':').unwrap();
        let number = number.parse().unwrap();
        let last = actor.last.insert(from.parse().unwrap(), number);
        assert!(last.is_none_or(|last| last < number), "{name} came after {last:?}");
        assert!(self.taken.insert(name), "taken twice");
        actor.running = Some(taken);
        true
    }

    /// Ends the running handler: with its answer before, or after, or not yet.
    fn finish(&mut self, at: usize, how: usize) -> bool {
        let actor = &mut self.actors[at];
        let Some(taken) = actor.running.take() else { return false };
        let process = match &actor.server {
            Server::Worker(worker) => worker.process,
            _ => actor.owned.process,
        };
        let answer = body(&taken).trim_end().to_owned();
        if taken.reply && how.is_multiple_of(3) {
            self.w.answer(process, taken.call, &answer);
        }
        let ran = std::time::Duration::from_micros(if how.is_multiple_of(2) { 1 } else { 1000 });
        match &self.actors[at].server {
            Server::Worker(worker) => {
                let worker = worker.clone();
                self.w.finish_after(&worker, &taken, ran);
            }
            _ => self.w.finish_local(self.actors[at].owned, &taken),
        }
        match how % 3 {
            1 if taken.reply => self.w.answer(process, taken.call, &answer),
            2 if taken.reply => self.actors[at].deferred.push(taken.call),
            _ => {}
        }
        true
    }

    fn answer_deferred(&mut self, at: usize) -> bool {
        let actor = &mut self.actors[at];
        let process = match &actor.server {
            Server::Worker(worker) => worker.process,
            _ => actor.owned.process,
        };
        let Some(call) = actor.deferred.pop() else { return false };
        self.w.answer(process, call, "deferred");
        true
    }

    fn step(&mut self, kind: u8, a: usize, b: usize, c: usize) {
        let at = a % self.actors.len();
        match kind {
            0..=13 => self.submit(Kind::Call, a, b, c),
            14..=22 => self.submit(Kind::Cast, a, b, c),
            23..=24 => self.submit(Kind::Monitor, a, b, c),
            25..=38 => drop(self.take(at)),
            39..=50 => drop(self.finish(at, b)),
            51..=54 => drop(self.answer_deferred(at)),
            55..=60 => {
                let open: Vec<_> = self
                    .submitted
                    .iter()
                    .enumerate()
                    .filter(|(_, s)| {
                        !self.w.processes[s.from].dead && self.w.processes[s.from].open.contains_key(&s.token)
                    })
                    .map(|(at, _)| at)
                    .collect();
                if !open.is_empty() {
                    let s = &mut self.submitted[open[a % open.len()]];
                    s.cancelled = true;
                    let (from, token) = (s.from, s.token);
                    self.w.cancel(from, token);
                }
            }
            61..=66 => self.w.advance(c as u64 % 30),
            67..=86 => {
                let wire = a % self.w.wires().max(1);
                if self.w.wires() > 0 {
                    self.w.carry(wire, b % 2, 1 + c % 400);
                }
            }
            87..=90 => self.w.drive(),
            91..=92 => self.stop(at, false),
            93..=97 => self.start(at),
            98 if b.is_multiple_of(16) => self.stop(at, true),
            99 if b.is_multiple_of(12) => self.lose_sub(),
            _ => {}
        }
        self.check();
    }

    /// The hub below dies, and all that it owned with it.
    fn lose_sub(&mut self) {
        let Some((owned, worker)) = self.sub.take() else { return };
        self.w.kill(owned, &worker);
        for actor in &mut self.actors {
            if actor.owned.process == worker.process {
                actor.server = Server::Gone;
                actor.running = None;
                actor.deferred.clear();
            }
        }
    }

    fn check(&mut self) {
        for (id, process) in self.w.processes.iter().enumerate().filter(|(_, process)| !process.dead) {
            assert_eq!(process.refused, [], "process {id} refused a peer that keeps the rules");
        }
        let wires = self.w.wires() as u32;
        for actor in &self.actors {
            if !self.w.processes[actor.owned.process].dead {
                let router = &self.w.processes[actor.owned.process].router;
                let (local, links) = router.held(actor.owned.entry);
                let capacity = router.capacity(actor.owned.entry);
                assert!(local <= capacity.max(4), "{local} of {capacity} units of this process");
                assert!(links <= capacity + wires * 8, "{links} of {capacity} units over {wires} connections");
            }
        }
    }

    /// Everybody does what is left to do.
    fn rest(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "no rest");
            let mut moved = self.w.drive_but(&[]);
            for at in 0..self.actors.len() {
                moved |= matches!(self.actors[at].server, Server::Nobody);
                self.start(at);
                moved |= self.take(at);
                moved |= self.finish(at, round);
                moved |= self.answer_deferred(at);
            }
            // A turn without a message may have made room, too.
            if !moved && !self.w.drive_but(&[]) {
                if self.w.next_timer().is_none() {
                    break;
                }
                self.w.advance(10);
            }
        }
        self.w.drive();
        self.check();
    }

    /// At rest nobody waits for anything but the end of an incarnation, and what is there was reached.
    fn check_served(&self) {
        for s in &self.submitted {
            let process = &self.w.processes[s.from];
            if process.dead || s.cancelled || s.kind == Kind::Monitor {
                continue;
            }
            let admitted = s.kind == Kind::Cast && process.admitted.contains(&s.token);
            assert!(admitted || process.ended.contains_key(&s.token), "{} waits for ever", s.name);
            if let Some([outcome @ (Outcome::Failed(_) | Outcome::FailedElsewhere(_))]) =
                process.ended.get(&s.token).map(Vec::as_slice)
                && let CallError::NotDelivered(why) = failure(outcome.clone())
            {
                let gone = matches!(self.actors[s.to].server, Server::Gone);
                assert!(gone, "{} to an actor that is there: {why}", s.name);
            }
        }
    }

    fn run(mut self, steps: &[(u8, usize, usize, usize)]) {
        for &(kind, a, b, c) in steps {
            self.step(kind, a, b, c);
        }
        self.rest();
        self.check_served();
        // Every second monitor is taken back, the others end with the actors.
        let monitors: Vec<_> =
            (0..self.submitted.len()).filter(|&at| self.submitted[at].kind == Kind::Monitor).collect();
        for at in monitors.into_iter().step_by(2) {
            self.submitted[at].cancelled = true;
            let (from, token) = (self.submitted[at].from, self.submitted[at].token);
            self.w.cancel(from, token);
        }
        for at in 0..self.actors.len() {
            self.stop(at, true);
        }
        self.w.drive();
        self.w.assert_at_rest();
        for s in &self.submitted {
            let process = &self.w.processes[s.from];
            let outcomes = process.ended.get(&s.token).map_or(&[][..], Vec::as_slice);
            let admitted = process.admitted.iter().filter(|token| **token == s.token).count();
            assert!(outcomes.len() <= 1 && admitted <= 1, "{}: {outcomes:?}, admitted {admitted} times", s.name);
            if s.kind == Kind::Cast {
                assert!(outcomes.len() + admitted <= 1, "{}: {outcomes:?} after it was admitted", s.name);
            }
            if !process.dead && !s.cancelled {
                assert_eq!(outcomes.len() + if s.kind == Kind::Cast { admitted } else { 0 }, 1, "{}", s.name);
            }
            match outcomes {
                [Outcome::Value(..)] => assert!(self.taken.contains(&s.name)),
                [Outcome::Down(_) | Outcome::DownElsewhere(_)] => assert!(s.kind == Kind::Monitor),
                [outcome] => {
                    let error = failure(outcome.clone());
                    let safe = !error.may_have_executed();
                    assert!(!safe || !self.taken.contains(&s.name), "{} was handled and ended in {error:?}", s.name);
                }
                _ => {}
            }
        }
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500)
}

proptest! {
    // PROPTEST_CASES says otherwise.
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_request_ends_once_in_order_and_leaves_nothing(
        shape in shape(),
        steps in prop::collection::vec((0_u8..100, 0_usize..1000, 0_usize..1000, 0_usize..1000), 0..400),
    ) {
        Model::new(&shape).run(&steps);
    }
}
