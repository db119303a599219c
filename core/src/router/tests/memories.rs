//! Memory that messages refer to: it is there for as long as anybody holds it, and the same for all.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::world::Process;
use super::*;
use crate::router::memories::Ahead;
use crate::router::{LinkKey, Taken, Token};
use crate::wire::codec::Handle;
use crate::wire::frame::{Frame, MemoryAbout, MemoryForm, Status};
use crate::wire::ids::{ActorId, CallId, NodeId};

/// What a process has of the memory that it knows, by its number there: a tag in place of the bytes.
#[derive(Default)]
pub(super) struct Table {
    tags: HashMap<u64, u64>,
    last: u64,
}

impl Table {
    fn keep(&mut self, tag: u64) -> u64 {
        self.last += 1;
        self.tags.insert(self.last, tag);
        self.last
    }

    fn tag(&self, handle: Handle) -> Option<u64> {
        self.tags.get(&handle.actor.0).copied()
    }
}

/// Puts what gives memory in front of what refers to it.
pub(super) fn give(table: &Table, ahead: Vec<Ahead>, data: &mut BytesMut) {
    // Or all that nobody reads is copied for each frame.
    if ahead.is_empty() {
        return;
    }
    let mut rest = std::mem::take(data);
    let mut moved = 0;
    for Ahead { at, handle, withheld } in ahead {
        data.extend_from_slice(&rest.split_to(at - moved));
        moved = at;
        let tag = table.tag(handle).expect("what is given is held");
        let form = if withheld { MemoryForm::Lost } else { MemoryForm::Sealed };
        Frame::Memory { handle, about: MemoryAbout { tag, len: 1, told: 0, form } }.encode(data);
    }
    data.extend_from_slice(&rest);
}

impl Process {
    pub(super) fn forget(&mut self, handle: Handle) {
        if handle.kind == Handle::MEMORY {
            assert!(self.memories.tags.remove(&handle.actor.0).is_some(), "{handle:?} is forgotten twice");
        }
    }
}

impl World {
    pub(super) fn take_memory(&mut self, process: usize, link: LinkKey, theirs: Handle, about: MemoryAbout) {
        let number = self.processes[process].memories.keep(about.tag);
        self.router(process).handle_memory(link, theirs, number, about.form == MemoryForm::Lost);
    }

    /// New memory, which a value of the process holds.
    fn make(&mut self, process: usize, tag: u64) -> Handle {
        let number = self.processes[process].memories.keep(tag);
        let handle = self.router(process).memory(number);
        self.keep_memory(process, &[handle]);
        handle
    }

    fn keep_memory(&mut self, process: usize, handles: &[Handle]) {
        self.router(process).hold(handles);
        self.pump(process);
    }

    fn drop_memory(&mut self, process: usize, handles: &[Handle]) {
        self.router(process).let_go(handles);
        self.pump(process);
    }

    /// A message with memory, whose text is the tags of it.
    fn send_memory(&mut self, from: usize, to: Owned, reply: bool, handles: &[Handle]) -> Token {
        let text = self.tags(from, handles);
        self.submit_with(from, to.to, reply, None, None, Bytes::from(text), handles.to_vec())
    }

    fn tags(&self, process: usize, handles: &[Handle]) -> String {
        let table = &self.processes[process].memories;
        let tags = handles.iter().map(|&handle| table.tag(handle).expect("what is held is there"));
        format!("{:?}", tags.collect::<Vec<_>>())
    }

    /// What a message refers to, as values of the process that has taken it.
    fn unpack_memory(&mut self, process: usize, taken: &Taken) -> Vec<Handle> {
        let handles = taken.message.handles.list().to_vec();
        assert_eq!(self.tags(process, &handles), body(taken), "each is what it was where it came from");
        self.keep_memory(process, &handles);
        self.drop_memory(process, &handles);
        handles
    }

    fn known(&self, process: usize) -> usize {
        self.processes[process].memories.tags.len()
    }
}

/// What a peer may call memory of its own.
fn theirs(number: u64) -> Handle {
    Handle { kind: Handle::MEMORY, node: NodeId(999), actor: ActorId(number) }
}

struct Scene {
    w: World,
    hub: usize,
    to_a: Owned,
    a: Worker,
    to_b: Owned,
    b: Worker,
}

fn scene() -> Scene {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    Scene { w, hub, to_a, a, to_b, b }
}

impl Scene {
    /// Carries a message with memory to a worker that keeps it.
    fn pass(&mut self, from: usize, to: Owned, worker: &Worker, handles: &[Handle]) -> Vec<Handle> {
        self.w.send_memory(from, to, false, handles);
        self.w.drive();
        let taken = self.w.take(worker).unwrap();
        let held = self.w.unpack_memory(worker.process, &taken);
        self.w.finish(worker, &taken);
        self.w.drive();
        held
    }
}

#[test]
fn memory_is_given_once_and_again_when_it_was_dropped() {
    let mut s = scene();
    let (to_a, a, hub) = (s.to_a, s.a.clone(), s.hub);
    let handle = s.w.make(hub, 7);
    let first = s.pass(hub, to_a, &a, &[handle]);
    let second = s.pass(hub, to_a, &a, &[handle, handle]);
    assert_eq!(second, [first[0], first[0]]);
    assert_eq!((s.w.known(a.process), s.w.processes[a.process].memories.last), (1, 1));
    s.w.drop_memory(a.process, &[first[0], first[0], first[0]]);
    s.w.drive();
    assert_eq!((s.w.known(a.process), s.w.known(hub)), (0, 1));
    let third = s.pass(hub, to_a, &a, &[handle]);
    assert_eq!(s.w.processes[a.process].memories.last, 2);
    s.w.drop_memory(hub, &[handle]);
    assert_eq!(s.w.known(hub), 1, "kept for the worker");
    s.w.drop_memory(a.process, &third);
    s.w.drive();
    assert_eq!((s.w.known(a.process), s.w.known(hub)), (0, 0));
    s.w.assert_at_rest();
}

#[test]
fn a_mention_that_crosses_with_a_release_finds_the_memory() {
    let mut s = scene();
    let (to_a, a, hub) = (s.to_a, s.a.clone(), s.hub);
    let handle = s.w.make(hub, 7);
    let held = s.pass(hub, to_a, &a, &[handle]);
    // Released, and mentioned again before either has arrived.
    s.w.drop_memory(a.process, &held);
    s.w.send_memory(hub, to_a, false, &[handle]);
    s.w.drive();
    assert_eq!(s.w.processes[a.process].memories.last, 1);
    let taken = s.w.take(&a).unwrap();
    let again = s.w.unpack_memory(a.process, &taken);
    assert_eq!(again, held);
    s.w.finish(&a, &taken);
    s.w.drop_memory(a.process, &again);
    s.w.drop_memory(hub, &[handle]);
    s.w.drive();
    assert_eq!((s.w.known(a.process), s.w.known(hub)), (0, 0));
    s.w.assert_at_rest();
}

#[test]
fn memory_outlives_its_maker_and_the_dead_hold_none() {
    let mut s = scene();
    let (to_b, b, a, hub) = (s.to_b, s.b.clone(), s.a.clone(), s.hub);
    let handle = s.w.make(a.process, 7);
    let held = s.pass(a.process, to_b, &b, &[handle]);
    s.w.kill(s.to_a, &a);
    s.w.drive();
    assert_eq!((s.w.known(hub), s.w.tags(b.process, &held)), (1, "[7]".to_owned()));
    s.w.kill(to_b, &b);
    s.w.drive();
    assert_eq!(s.w.known(hub), 0);
    s.w.assert_at_rest();
}

#[test]
fn a_peer_can_name_only_what_it_was_given_and_gives_under_its_own_name() {
    let about = MemoryAbout { tag: 1, len: 1, told: 0, form: MemoryForm::Sealed };
    let own = theirs(5);
    let mention = |handle| {
        let (call, payload) = (CallId(1), Bytes::new());
        Frame::Reply { call, status: Status::Value, handles: vec![handle], payload: payload.into() }
    };
    let gift = |handle| Frame::Memory { handle, about };
    type Case<'a> = (&'a str, &'a dyn Fn(Handle) -> Vec<Frame>);
    let cases: [Case<'_>; 6] = [
        ("it referred to memory that it does not have", &|secret| vec![mention(secret)]),
        ("it referred to memory that it does not have", &|_| vec![mention(own)]),
        ("it gave memory under a name that is not its own", &|secret| vec![gift(secret)]),
        ("it gave the same memory twice", &|_| vec![gift(own), gift(own)]),
        ("it forgot memory that is held", &|_| vec![Frame::Forget { handle: own }]),
        ("it released 1 times what it did not hold", &|handle| vec![Frame::Release { handle, count: 1 }]),
    ];
    for (why, frames) in cases {
        let mut s = scene();
        let secret = s.w.make(s.hub, 7);
        let link = s.w.link(s.b.wire, s.hub);
        let frames = frames(secret);
        for frame in frames {
            s.w.frame(s.hub, link, frame);
        }
        let refused = &s.w.processes[s.hub].refused;
        assert_eq!(refused.first().map(|(at, said)| (*at, said.as_str())), Some((link, why)));
        s.w.kill(s.to_b, &s.b.clone());
        assert_eq!(s.w.known(s.hub), 1, "nothing stays of what it gave, and all of ours");
    }
}

#[test]
fn a_peer_cannot_give_without_end_and_nobody_tries_to() {
    let mut s = scene();
    let (to_a, a, hub) = (s.to_a, s.a.clone(), s.hub);
    let link = s.w.link(s.b.wire, hub);
    let about = |form| MemoryAbout { tag: 1, len: 1, told: 0, form };
    for number in 0..512 {
        s.w.frame(hub, link, Frame::Memory { handle: theirs(number), about: about(MemoryForm::Sealed) });
    }
    s.w.frame(hub, link, Frame::Memory { handle: theirs(513), about: about(MemoryForm::Lost) });
    assert_eq!(s.w.processes[hub].refused, []);
    s.w.frame(hub, link, Frame::Memory { handle: theirs(514), about: about(MemoryForm::Sealed) });
    assert_eq!(s.w.processes[hub].refused.len(), 1);
    s.w.kill(s.to_b, &s.b.clone());
    assert_eq!(s.w.known(hub), 0);
    s.w.processes[hub].refused.clear();
    // More than that in honest messages: what is beyond is told of and not given.
    for number in 0..600 {
        let handle = s.w.make(a.process, number);
        s.w.send_memory(a.process, to_a, false, &[handle]);
        s.w.drive();
    }
    assert_eq!(s.w.processes[hub].refused, []);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Make(usize),
    Drop(usize),
    Send { from: usize, to: usize, reply: bool, keep: bool },
    Serve { actor: usize, answer: bool },
    Hear(usize),
    Carry { wire: usize, from: usize, bytes: usize },
    Kill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let some = || 0_usize..1000;
    prop_oneof![
        2 => some().prop_map(Step::Make),
        4 => some().prop_map(Step::Drop),
        5 => (some(), some(), any::<bool>(), any::<bool>())
            .prop_map(|(from, to, reply, keep)| Step::Send { from, to, reply, keep }),
        5 => (some(), any::<bool>()).prop_map(|(actor, answer)| Step::Serve { actor, answer }),
        2 => some().prop_map(Step::Hear),
        9 => (some(), some(), 1_usize..400).prop_map(|(wire, from, bytes)| Step::Carry { wire, from, bytes }),
        1 => some().prop_map(Step::Kill),
    ]
}

/// The tree of a random history: a root with two workers and a hub below it that has a worker.
struct History {
    w: World,
    bags: Vec<Vec<(Handle, u64)>>,
    actors: Vec<(Owned, Worker)>,
    calls: Vec<(usize, Token)>,
    made: u64,
}

impl History {
    fn new() -> Self {
        let mut w = World::new();
        let root = w.process();
        let a = w.worker(root, "a");
        let b = w.worker(root, "b");
        let m = w.hub_below(root, "m");
        let x = w.worker(m.1.process, "x");
        w.drive();
        let bags = vec![Vec::new(); w.processes.len()];
        Self { bags, w, actors: vec![a, b, m, x], calls: Vec::new(), made: 0 }
    }

    fn put(&mut self, process: usize, handles: Vec<Handle>) {
        for handle in handles {
            let tag = self.w.processes[process].memories.tag(handle).expect("what is held is there");
            self.bags[process].push((handle, tag));
        }
    }

    fn drop_one(&mut self, process: usize, at: usize) {
        if !self.bags[process].is_empty() {
            let at = at % self.bags[process].len();
            let (handle, _) = self.bags[process].swap_remove(at);
            self.w.drop_memory(process, &[handle]);
        }
    }

    fn serve(&mut self, actor: usize, answer: bool) -> bool {
        let (_, worker) = self.actors[actor].clone();
        if self.w.processes[worker.process].dead {
            return false;
        }
        let Some(taken) = self.w.take(&worker) else { return false };
        let handles = self.w.unpack_memory(worker.process, &taken);
        self.put(worker.process, handles);
        if taken.reply {
            let given: Vec<_> =
                self.bags[worker.process].iter().take(usize::from(answer)).map(|(handle, _)| *handle).collect();
            let text = self.w.tags(worker.process, &given);
            self.w.answer_with(worker.process, taken.call, &text, given);
        }
        self.w.finish(&worker, &taken);
        true
    }

    fn hear(&mut self, process: usize, token: Token) {
        if let Outcome::Value(bytes, handles) = self.w.outcome(process, token) {
            let list = handles.list().to_vec();
            assert_eq!(bytes, self.w.tags(process, &list).as_bytes());
            self.w.keep_memory(process, &list);
            self.w.drop_memory(process, &list);
            self.put(process, list);
        }
    }

    fn step(&mut self, step: Step) {
        let processes = self.w.processes.len();
        match step {
            Step::Make(at) if !self.w.processes[at % processes].dead => {
                self.made += 1;
                let handle = self.w.make(at % processes, self.made);
                self.bags[at % processes].push((handle, self.made));
            }
            Step::Make(_) => {}
            Step::Drop(at) => self.drop_one(at % processes, at / processes),
            Step::Send { from, to, reply, keep } => {
                let process = from % processes;
                let (owned, _) = self.actors[to % self.actors.len()];
                let some: Vec<_> = self.bags[process].iter().map(|(handle, _)| *handle).take(1 + from % 3).collect();
                if self.w.processes[process].dead || some.is_empty() {
                    return;
                }
                let token = self.w.send_memory(process, owned, reply, &some);
                if reply {
                    self.calls.push((process, token));
                }
                for _ in some.iter().filter(|_| !keep) {
                    self.drop_one(process, 0);
                }
            }
            Step::Serve { actor, answer } => drop(self.serve(actor % self.actors.len(), answer)),
            Step::Hear(at) => {
                if !self.calls.is_empty() {
                    let (process, token) = self.calls.swap_remove(at % self.calls.len());
                    if self.w.is_open(process, token) {
                        self.w.cancel(process, token);
                    } else {
                        self.hear(process, token);
                    }
                }
            }
            Step::Carry { wire, from, bytes } => {
                let wires = self.w.wires();
                self.w.carry(wire % wires, from % 2, bytes);
            }
            Step::Kill(at) => {
                let at = at % 2;
                let (owned, worker) = self.actors[at].clone();
                self.w.kill(owned, &worker);
                self.bags[worker.process].clear();
                self.calls.retain(|(process, _)| *process != worker.process);
                self.actors[at].1 = self.w.start(owned);
                self.bags.resize(self.w.processes.len(), Vec::new());
            }
        }
    }

    /// Every value is there, and is what it was.
    fn check(&self) {
        for (process, bag) in self.bags.iter().enumerate() {
            for &(handle, tag) in bag {
                assert_eq!(self.w.processes[process].memories.tag(handle), Some(tag), "{handle:?} in {process}");
            }
        }
    }

    /// Everything arrives, is handled and dropped; nothing is left.
    fn end(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "calls never end: {:?}", self.calls);
            let mut moved = self.w.drive_but(&[]);
            for actor in 0..self.actors.len() {
                moved |= self.serve(actor, false);
            }
            for (process, token) in std::mem::take(&mut self.calls) {
                if self.w.is_open(process, token) {
                    self.calls.push((process, token));
                } else {
                    self.hear(process, token);
                    moved = true;
                }
            }
            self.check();
            if !moved && self.calls.is_empty() {
                break;
            }
        }
        for process in 0..self.bags.len() {
            while !self.bags[process].is_empty() {
                self.drop_one(process, 0);
                self.w.drive();
                self.check();
            }
        }
        self.w.drive();
        for process in (0..self.bags.len()).filter(|&process| !self.w.processes[process].dead) {
            assert_eq!(self.w.known(process), 0, "memory is left in process {process}");
            assert!(!self.w.processes[process].router.has_imports(), "memory is on record in process {process}");
        }
        self.w.assert_at_rest();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_is_held_is_there_and_what_is_not_is_gone(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut history = History::new();
        for step in steps {
            history.step(step);
            history.check();
        }
        history.end();
    }
}
