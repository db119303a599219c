//! Who holds a handle: nobody is forgotten, and nobody is remembered who is gone.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::router::{Outcome, Taken, Token};
use crate::wire::codec::Handle;
use crate::wire::frame::Frame;
use crate::wire::ids::{ActorId, NodeId};

const KIND: u8 = 2;

fn handle_of(to: Owned) -> Handle {
    Handle { kind: KIND, node: to.to.node, actor: to.to.actor }
}

impl World {
    fn hold(&mut self, process: usize, handles: &[Handle]) {
        self.router(process).hold(handles);
        self.pump(process);
    }

    fn let_go(&mut self, process: usize, handles: &[Handle]) {
        self.router(process).let_go(handles);
        self.pump(process);
    }

    fn send_handles(&mut self, from: usize, to: Owned, reply: bool, handles: &[Handle]) -> Token {
        self.submit_with(from, to.to, reply, None, None, Bytes::from_static(b"x"), handles.to_vec())
    }

    /// What a message refers to, as values of the process that has taken it.
    fn unpack(&mut self, process: usize, taken: &Taken) -> Vec<Handle> {
        let handles = taken.message.handles.list().to_vec();
        self.hold(process, &handles);
        self.let_go(process, &handles);
        handles
    }

    fn unheld(&mut self, process: usize) -> Vec<Handle> {
        std::mem::take(&mut self.processes[process].unheld)
    }
}

/// A hub that owns a thing, and two workers.
struct Scene {
    w: World,
    hub: usize,
    thing: Handle,
    to_a: Owned,
    a: Worker,
    to_b: Owned,
    b: Worker,
}

fn scene() -> Scene {
    let mut w = World::new();
    let hub = w.process();
    let thing = w.local(hub, "thing", 8);
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    Scene { w, hub, thing: handle_of(thing), to_a, a, to_b, b }
}

#[test]
fn a_handle_in_a_message_that_nobody_has_taken_is_held() {
    let Scene { mut w, hub, thing, to_a, a, .. } = scene();
    w.hold(hub, &[thing]);
    w.send_handles(hub, to_a, false, &[thing]);
    w.let_go(hub, &[thing]);
    w.drive();
    assert_eq!(w.unheld(hub), []);
    let taken = w.take(&a).unwrap();
    let value = w.unpack(a.process, &taken);
    w.finish(&a, &taken);
    w.drive();
    assert_eq!(w.unheld(hub), []);
    w.let_go(a.process, &value);
    w.drive();
    assert_eq!(w.unheld(hub), [thing]);
    w.assert_at_rest();
}

#[test]
fn what_a_worker_passes_on_and_drops_stays_held_on_the_way() {
    let Scene { mut w, hub, thing, to_a, a, to_b, b } = scene();
    w.hold(hub, &[thing]);
    w.send_handles(hub, to_a, false, &[thing]);
    w.let_go(hub, &[thing]);
    w.drive();
    let taken = w.take(&a).unwrap();
    let value = w.unpack(a.process, &taken);
    w.send_handles(a.process, to_b, false, &value);
    w.let_go(a.process, &value);
    w.finish(&a, &taken);
    w.drive();
    assert_eq!(w.unheld(hub), []);
    w.kill(to_a, &a);
    assert_eq!(w.unheld(hub), []);
    let taken = w.take(&b).unwrap();
    let value = w.unpack(b.process, &taken);
    w.finish(&b, &taken);
    w.let_go(b.process, &value);
    w.drive();
    assert_eq!(w.unheld(hub), [thing]);
    w.assert_at_rest();
}

#[test]
fn the_death_of_a_process_releases_all_that_it_held() {
    let Scene { mut w, hub, thing, to_a, a, .. } = scene();
    w.hold(hub, &[thing]);
    for _ in 0..3 {
        w.send_handles(hub, to_a, false, &[thing, thing]);
    }
    w.let_go(hub, &[thing]);
    w.drive();
    let taken = w.take(&a).unwrap();
    w.unpack(a.process, &taken);
    w.kill(to_a, &a);
    assert_eq!(w.unheld(hub), [thing]);
    w.router(hub).retire(to_a.entry, &NotDelivered::Stopped, None);
    w.pump(hub);
    w.assert_at_rest();
}

#[test]
fn an_answer_carries_handles_and_one_that_nobody_awaits_lets_go_of_them() {
    for cancelled in [false, true] {
        let Scene { mut w, hub, thing, to_b, b, a, .. } = scene();
        // The worker has it by an earlier message.
        w.hold(hub, &[thing]);
        w.send_handles(hub, to_b, false, &[thing]);
        w.let_go(hub, &[thing]);
        w.drive();
        let taken = w.take(&b).unwrap();
        let value = w.unpack(b.process, &taken);
        w.finish(&b, &taken);
        let call = w.call(a.process, to_b, "give");
        w.drive();
        let taken = w.take(&b).unwrap();
        if cancelled {
            w.cancel(a.process, call);
            w.drive();
        }
        w.answer_with(b.process, taken.call, "here", value.clone());
        w.finish(&b, &taken);
        w.let_go(b.process, &value);
        w.drive();
        if cancelled {
            assert_eq!(w.unheld(hub), [thing]);
        } else {
            assert_eq!(w.unheld(hub), []);
            let outcome = w.outcome(a.process, call);
            assert_eq!(outcome.handles(), [thing]);
            w.let_go(a.process, outcome.handles());
            w.drive();
            assert_eq!(w.unheld(hub), [thing]);
        }
        w.assert_at_rest();
    }
}

/// The end of a history waits for the message that comes into the room of one that was taken back.
#[test]
fn a_message_behind_ones_that_were_taken_back_arrives_before_the_history_ends() {
    let mut history = History::new();
    for step in [
        Step::Send { from: 3, to: 2, reply: true, keep: true },
        Step::Forget(0),
        Step::Send { from: 3, to: 2, reply: false, keep: true },
        Step::Send { from: 0, to: 2, reply: true, keep: true },
        Step::Forget(0),
    ] {
        history.step(step);
        history.check();
    }
    history.end();
}

#[test]
fn a_release_of_what_was_never_held_is_refused() {
    let Scene { mut w, hub, thing, a, .. } = scene();
    w.hold(hub, &[thing]);
    let link = w.link(a.wire, hub);
    w.frame(hub, link, Frame::Release { handle: thing, count: 1 });
    assert_eq!(w.processes[hub].refused.len(), 1);
    assert_eq!(w.unheld(hub), []);
}

#[test]
fn a_handle_that_its_sender_was_never_given_keeps_nothing_alive() {
    let Scene { mut w, hub, thing, to_b, a, b, .. } = scene();
    w.hold(hub, &[thing]);
    let elsewhere = Handle { kind: KIND, node: NodeId(4711), actor: ActorId(1) };
    w.send_handles(a.process, to_b, false, &[thing, elsewhere]);
    w.drive();
    w.let_go(hub, &[thing]);
    assert_eq!(w.unheld(hub), [thing]);
    let taken = w.take(&b).unwrap();
    assert!(taken.message.handles.is_empty());
    w.finish(&b, &taken);
    w.drive();
    w.assert_at_rest();
}

/// What a random history does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Clone(usize),
    Drop(usize),
    Send { from: usize, to: usize, reply: bool, keep: bool },
    Serve { actor: usize, answer: bool },
    Forget(usize),
    Carry { wire: usize, from: usize, bytes: usize },
    Kill(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let n = any::<prop::sample::Index>;
    let some = move || n().prop_map(|index| index.index(1 << 20));
    prop_oneof![
        2 => some().prop_map(Step::Clone),
        4 => some().prop_map(Step::Drop),
        6 => (some(), some(), any::<bool>(), any::<bool>())
            .prop_map(|(from, to, reply, keep)| Step::Send { from, to, reply, keep }),
        6 => (some(), any::<bool>()).prop_map(|(actor, answer)| Step::Serve { actor, answer }),
        1 => some().prop_map(Step::Forget),
        9 => (some(), some(), 1_usize..400).prop_map(|(wire, from, bytes)| Step::Carry { wire, from, bytes }),
        1 => some().prop_map(Step::Kill),
    ]
}

/// The tree of a random history: a root with two workers and a hub below it that has a worker; both own things.
struct History {
    w: World,
    owners: [usize; 2],
    things: Vec<Handle>,
    /// The values of each process.
    bags: Vec<Vec<Handle>>,
    /// Actors with the worker that hosts each.
    actors: Vec<(Owned, Worker)>,
    calls: Vec<(usize, Token)>,
    gone: Vec<Handle>,
}

impl History {
    fn new() -> Self {
        let mut w = World::new();
        let root = w.process();
        let things = [w.local(root, "one", 8), w.local(root, "two", 8)];
        let a = w.worker(root, "a");
        let b = w.worker(root, "b");
        let m = w.hub_below(root, "m");
        let third = w.local(m.1.process, "three", 8);
        let x = w.worker(m.1.process, "x");
        w.drive();
        let things: Vec<_> = things.into_iter().chain([third]).map(handle_of).collect();
        let owners = [root, m.1.process];
        let mut history = Self {
            bags: vec![Vec::new(); w.processes.len()],
            w,
            owners,
            things: things.clone(),
            actors: vec![a, b, m, x],
            calls: Vec::new(),
            gone: Vec::new(),
        };
        for (thing, owner) in things.iter().zip([root, root, owners[1]]) {
            history.keep(owner, &[*thing]);
        }
        history
    }

    fn keep(&mut self, process: usize, handles: &[Handle]) {
        self.w.hold(process, handles);
        self.bags[process].extend_from_slice(handles);
    }

    fn drop_one(&mut self, process: usize, at: usize) {
        if !self.bags[process].is_empty() {
            let at = at % self.bags[process].len();
            let handle = self.bags[process].swap_remove(at);
            self.w.let_go(process, &[handle]);
        }
    }

    fn step(&mut self, step: Step) {
        let processes = self.w.processes.len();
        match step {
            Step::Clone(at) => {
                let process = at % processes;
                if let Some(&handle) = self.bags[process].first() {
                    self.keep(process, &[handle]);
                }
            }
            Step::Drop(at) => self.drop_one(at % processes, at / processes),
            Step::Send { from, to, reply, keep } => {
                let process = from % processes;
                let (owned, _) = self.actors[to % self.actors.len()];
                let some: Vec<_> = self.bags[process].iter().copied().take(1 + from % 3).collect();
                if self.w.processes[process].dead || some.is_empty() {
                    return;
                }
                let token = self.w.send_handles(process, owned, reply, &some);
                if reply {
                    self.calls.push((process, token));
                }
                if !keep {
                    for _ in &some {
                        self.drop_one(process, 0);
                    }
                }
            }
            Step::Serve { actor, answer } => {
                let (_, worker) = self.actors[actor % self.actors.len()].clone();
                if self.w.processes[worker.process].dead {
                    return;
                }
                let Some(taken) = self.w.take(&worker) else { return };
                let handles = self.w.unpack(worker.process, &taken);
                self.bags[worker.process].extend(handles);
                if taken.reply {
                    let given = if answer { self.bags[worker.process].first().copied() } else { None };
                    self.w.answer_with(worker.process, taken.call, "y", given.into_iter().collect());
                }
                self.w.finish(&worker, &taken);
            }
            Step::Forget(at) => {
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
                // One of the root's workers, so that both owners stay.
                let at = at % 2;
                let (owned, worker) = self.actors[at].clone();
                self.w.kill(owned, &worker);
                self.bags[worker.process].clear();
                self.calls.retain(|(process, _)| *process != worker.process);
                let again = self.w.start(owned);
                self.bags.resize(self.w.processes.len(), Vec::new());
                self.actors[at].1 = again;
            }
        }
    }

    fn hear(&mut self, process: usize, token: Token) {
        let outcome = self.w.outcome(process, token);
        if let Outcome::Value(_, handles) = outcome {
            self.w.hold(process, handles.list());
            self.bags[process].extend_from_slice(handles.list());
            self.w.let_go(process, handles.list());
        }
    }

    fn check(&mut self) {
        for owner in self.owners {
            for handle in self.w.unheld(owner) {
                let held = self.bags.iter().any(|bag| bag.contains(&handle));
                assert!(!held, "{handle:?} is said to be held by nobody");
                assert!(!self.gone.contains(&handle), "{handle:?} is said so twice");
                self.gone.push(handle);
            }
        }
    }

    /// Everything arrives, is handled and dropped.
    fn end(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "calls never end: {:?}", self.calls);
            // Also by what was taken back: its room goes to the next message when its turn would have come.
            let mut moved = self.w.drive_but(&[]);
            for actor in 0..self.actors.len() {
                let before = self.w.processes.len();
                let worker = self.actors[actor].1.clone();
                let taken = self.w.take(&worker);
                if let Some(taken) = taken {
                    moved = true;
                    let handles = self.w.unpack(worker.process, &taken);
                    self.bags[worker.process].extend(handles);
                    if taken.reply {
                        self.w.answer(worker.process, taken.call, "end");
                    }
                    self.w.finish(&worker, &taken);
                }
                assert_eq!(before, self.w.processes.len());
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
        self.check();
        let mut gone = self.gone.clone();
        gone.sort_unstable();
        self.things.sort_unstable();
        assert_eq!(gone, self.things, "each is said to be held by nobody, once");
        self.w.assert_at_rest();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_owner_hears_once_and_at_the_right_time(steps in proptest::collection::vec(step(), 1..120)) {
        let mut history = History::new();
        for step in steps {
            history.step(step);
            history.check();
        }
        history.end();
    }
}
