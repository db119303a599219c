//! A peer that sends whatever it likes: nothing panics, nothing grows, the others go on.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::wire::codec::Handle;
use crate::wire::frame::{Decoder, FRAME_LIMIT, Frame, MemoryAbout, MemoryForm, Request, Route, Short, Status, Trace};
use crate::wire::ids::{ActorId, CallId, Destination, NodeId};
use crate::wire::mutations::{self, Mutations};

/// A frame of numbers that mean something, more often than not.
fn frame(keys: &[u64], destinations: &[Destination], draw: &[u32; 6]) -> Frame {
    let [kind, a, b, c, d, e] = draw.map(|n| n as usize);
    let call = CallId(keys[a % keys.len()]);
    let to = destinations[b % destinations.len()];
    let route = Route { node: to.node, actor: to.actor };
    let payload: bytes::Bytes = vec![0; if e.is_multiple_of(9) { c % 200_000 } else { c % 50 }].into();
    // Names of memory: of its own, of the hub's, and of those that lie beyond.
    let handle = Handle { kind: Handle::MEMORY, node: to.node, actor: ActorId(d as u64 % 4) };
    let handle = if c.is_multiple_of(3) { handle } else { Handle { node: NodeId(c as u64 % 3), ..handle } };
    let handles = if e.is_multiple_of(4) { vec![handle] } else { Vec::new() };
    match kind % 16 {
        15 => Frame::Short(Short {
            call,
            reply: c.is_multiple_of(2),
            method: d as u16,
            priority: 0,
            remaining: None,
            payload: payload.into(),
        }),
        0..=3 => Frame::Request(Request {
            call,
            reply: c.is_multiple_of(2),
            to,
            method: d as u16,
            priority: 0,
            remaining: (d.is_multiple_of(2)).then_some(d as u32 % 50),
            caused_by: CallId(keys[e % keys.len()]),
            trace: Trace::default(),
            handles,
            payload: payload.into(),
        }),
        4 => {
            let status = [Status::Value, Status::HandlerError, Status::Failed, Status::Withdrawn][c % 4];
            Frame::Reply { call, status, handles, payload: payload.into() }
        }
        5 => Frame::Cancel { call },
        6 | 7 => Frame::Credit { to: route, returned: c as u32 % 4, window: d as u32 },
        8 => Frame::Deferred { call },
        9 => Frame::Monitor { call, to },
        10 => Frame::Down { call, payload },
        11 => Frame::Release { handle, count: e as u64 % 3 },
        12 => Frame::Forget { handle },
        13 => {
            let form = [MemoryForm::Sealed, MemoryForm::Parted, MemoryForm::Lost][d % 3];
            Frame::Memory { handle, about: MemoryAbout { tag: a as u64, len: 1, told: 0, form } }
        }
        _ => Frame::Announce { node: NodeId(if c.is_multiple_of(2) { to.node.0 } else { c as u64 }) },
    }
}

proptest! {
    #[test]
    fn whatever_a_peer_sends_it_ends_alone(
        draws in prop::collection::vec(any::<[u32; 6]>(), 1..80),
        from_above in any::<bool>(),
    ) {
        let mut w = World::new();
        let root = w.process();
        let (_, sub) = w.hub_below(root, "sub");
        let (to_a, a) = w.worker(root, "a");
        let (to_x, x) = w.worker(sub.process, "x");
        let (to_b, b) = w.worker(root, "b");
        let to_t = w.local(root, "t", 4);
        let mut gone = to_a;
        gone.to.actor.0 = 77;
        // The hub hears the bad worker, or a worker its bad hub.
        let (hearer, link) = if from_above { (a.process, w.link(a.wire, a.process)) } else { (root, w.link(b.wire, root)) };
        let destinations = [to_a.to, to_b.to, to_t.to, to_x.to, gone.to];
        let mut keys = vec![0, 1, 2, u64::MAX, 1 << 32, 2 << 32, 1 << 32 | 1, 1 << 63 | 1, 1 << 63 | 1 << 32 | 1];
        let mut honest = Vec::new();
        for (at, draw) in draws.iter().enumerate() {
            if at.is_multiple_of(5) {
                honest.push(w.call(root, to_a, "honest"));
                w.call(root, to_b, "to the bad one");
                w.monitor(root, to_b.to);
                w.call_within(root, to_x, 20, "x");
                w.call(a.process, to_b, "from a");
                keys.extend(w.processes.iter().flat_map(|process| process.open.values().map(|(key, _)| *key)));
            }
            let frame = frame(&keys, &destinations, draw);
            w.frame(hearer, link, frame);
            if at.is_multiple_of(3) {
                // What is meant for the bad worker stays where it is.
                w.drive_but(&[if from_above { a.wire } else { b.wire }]);
                if let Some(taken) = w.take_local(to_t) {
                    // Whoever takes a message holds what it refers to, until they do no more.
                    w.router(root).let_go(taken.message.handles.list());
                    w.pump(root);
                }
                w.advance(5);
            }
            for (id, process) in w.processes.iter().enumerate() {
                for (refused, why) in &process.refused {
                    prop_assert!(id == hearer && *refused == link, "process {} refused another one: {}", id, why);
                }
            }
        }
        if !from_above {
            w.kill(to_b, &b);
            // The others have been served as if nothing had been.
            w.serve(&a);
            w.serve(&x);
            w.drive();
            for call in honest {
                text(w.outcome(root, call));
            }
            for owned in [to_t, to_b] {
                w.router(root).retire(owned.entry, &NotDelivered::Stopped, None);
            }
            w.pump(root);
            w.drive();
            w.advance(100);
            w.serve(&a);
            w.serve(&x);
            w.drive();
            // What came with answers.
            for id in 0..w.processes.len() {
                for outcome in std::mem::take(&mut w.processes[id].ended).into_values().flatten() {
                    w.router(id).let_go(outcome.handles());
                }
                w.pump(id);
            }
            w.drive();
            for (id, process) in w.processes.iter().enumerate().filter(|(_, process)| !process.dead) {
                let left = process.router.left_over();
                prop_assert!(left.is_empty(), "left in process {}: {:#?}", id, left);
            }
        }
    }
}

/// Answers whatever there is, whatever it says.
fn serve_all(w: &mut World, worker: &Worker) {
    w.drive();
    while let Some(taken) = w.take(worker) {
        if taken.reply {
            w.answer(worker.process, taken.call, "served");
        }
        w.router(worker.process).let_go(taken.message.handles.list());
        w.finish(worker, &taken);
        w.drive();
    }
}

/// The bytes of what a peer says, changed anywhere: the same holds as for whole frames.
#[test]
fn mutated_bytes_of_a_peer_end_it_alone_and_leave_nothing() {
    let mut random = Mutations::new();
    for _ in 0..mutations::wanted(200_000) / 1_000 {
        let mut w = World::new();
        let root = w.process();
        let (to_a, a) = w.worker(root, "a");
        let (to_b, b) = w.worker(root, "b");
        let to_t = w.local(root, "t", 4);
        let link = w.link(b.wire, root);
        let destinations = [to_a.to, to_b.to, to_t.to];
        let keys: Vec<_> = (0..8).chain([u64::MAX, 1 << 32, 2 << 32]).collect();
        let honest: Vec<_> = (0..4).map(|_| w.call(root, to_a, "honest")).collect();
        w.call(root, to_b, "to the bad one");
        w.monitor(root, to_b.to);
        let originals: Vec<_> = (0..20)
            .map(|_| {
                let draw = std::array::from_fn(|_| random.next() as u32);
                let mut bytes = BytesMut::new();
                frame(&keys, &destinations, &draw).encode(&mut bytes);
                bytes.to_vec()
            })
            .collect();
        let decoder = Decoder::new(FRAME_LIMIT);
        for _ in 0..100 {
            let mut bytes = originals[random.below(originals.len())].clone();
            for _ in 0..=random.below(2) {
                random.mutate(&mut bytes, &originals);
            }
            let mut buffer = BytesMut::from(&bytes[..]);
            // What is no frame would end it before the router hears of it.
            while let Ok(Some(frame)) = decoder.next(&mut buffer) {
                w.frame(root, link, frame);
            }
            if let Some(taken) = w.take_local(to_t) {
                w.router(root).let_go(taken.message.handles.list());
                w.finish_local(to_t, &taken);
            }
        }
        for (refused, why) in &w.processes[root].refused {
            assert_eq!(*refused, link, "another one was refused: {why}");
        }
        w.kill(to_b, &b);
        serve_all(&mut w, &a);
        for call in honest {
            text(w.outcome(root, call));
        }
        for owned in [to_t, to_b] {
            w.router(root).retire(owned.entry, &NotDelivered::Stopped, None);
        }
        w.pump(root);
        serve_all(&mut w, &a);
        // What came with answers.
        for outcome in std::mem::take(&mut w.processes[root].ended).into_values().flatten() {
            w.router(root).let_go(outcome.handles());
        }
        let left = w.router(root).left_over();
        assert!(left.is_empty(), "left: {left:#?}");
    }
}
