//! Peers that break the protocol: they are refused, nobody else is affected, nothing panics.

use super::*;
use crate::wire::frame::{Frame, Request, Route, Status, Trace};
use crate::wire::ids::{CallId, NodeId};
use bytes::Bytes;

fn request(to: Owned, call: u64, reply: bool) -> Frame {
    Frame::Request(Request {
        call: CallId(call),
        reply,
        to: to.to,
        method: 0,
        priority: 0,
        remaining: None,
        caused_by: CallId::NONE,
        trace: Trace::default(),
        handles: Vec::new(),
        payload: Bytes::new().into(),
    })
}

/// A hub with two workers; what the second sends is written by hand.
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
    fn sends(&mut self, frame: Frame) {
        let link = self.w.link(self.b.wire, self.hub);
        self.w.frame(self.hub, link, frame);
    }

    #[track_caller]
    fn refused(&mut self) {
        let link = self.w.link(self.b.wire, self.hub);
        let refused = std::mem::take(&mut self.w.processes[self.hub].refused);
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(refused[0].0, link);
        self.w.kill(self.to_b, &self.b);
        let call = self.w.call(self.hub, self.to_a, "still there");
        assert_eq!(self.w.serve(&self.a).last().unwrap(), "still there");
        text(self.w.outcome(self.hub, call));
        self.w.assert_at_rest();
    }
}

#[test]
fn more_than_the_window_is_refused() {
    for reply in [false, true] {
        let mut s = scene();
        for n in 1..=9 {
            let frame = request(s.to_b, n, reply);
            s.sends(frame);
        }
        // Two have gone on into the worker itself, and their room has come back.
        assert!(s.w.processes[s.hub].refused.is_empty());
        for n in 10..=12 {
            let frame = request(s.to_b, n, reply);
            s.sends(frame);
        }
        s.refused();
    }
}

#[test]
fn a_number_that_is_used_twice_is_refused() {
    let mut s = scene();
    let frame = request(s.to_a, 5, true);
    s.sends(frame.clone());
    s.sends(frame);
    s.refused();
    let mut s = scene();
    let to = s.to_a.to;
    s.sends(Frame::Monitor { call: CallId(5), to });
    s.sends(Frame::Monitor { call: CallId(5), to });
    s.refused();
}

#[test]
fn a_call_without_a_number_is_refused() {
    let mut s = scene();
    let frame = request(s.to_a, 0, true);
    s.sends(frame);
    s.refused();
    let mut s = scene();
    let to = s.to_a.to;
    s.sends(Frame::Monitor { call: CallId::NONE, to });
    s.refused();
}

#[test]
fn credit_that_was_never_spent_is_refused() {
    let mut s = scene();
    let to = Route { node: s.to_b.to.node, actor: s.to_b.to.actor };
    s.sends(Frame::Credit { to, returned: 1, window: 8 });
    s.refused();
}

#[test]
fn credit_of_somebody_elses_route_does_nothing() {
    let mut s = scene();
    s.w.cast(s.hub, s.to_a, "x");
    let to = Route { node: s.to_a.to.node, actor: s.to_a.to.actor };
    s.sends(Frame::Credit { to, returned: 1, window: 8 });
    assert!(s.w.processes[s.hub].refused.is_empty());
    assert_eq!(s.w.router(s.hub).load(s.to_a.entry), (0, 1));
    assert_eq!(s.w.serve(&s.a), ["x"]);
    s.w.assert_at_rest();
}

#[test]
fn a_window_beyond_all_bounds_is_taken_for_the_largest() {
    let mut s = scene();
    let to = Route { node: s.to_b.to.node, actor: s.to_b.to.actor };
    s.w.cast(s.hub, s.to_b, "x");
    s.sends(Frame::Credit { to, returned: 1, window: u32::MAX });
    for _ in 0..2000 {
        s.w.cast(s.hub, s.to_b, "x");
    }
    assert_eq!(s.w.router(s.hub).load(s.to_b.entry), (64, 1024));
}

#[test]
fn only_the_peer_that_was_asked_can_answer() {
    let mut s = scene();
    let call = s.w.call(s.hub, s.to_a, "x");
    let monitor = s.w.monitor(s.hub, s.to_b.to);
    let key = s.w.processes[s.hub].open[&call].0;
    let watch = s.w.processes[s.hub].open[&monitor].0;
    for number in [key, watch] {
        let number = CallId(number);
        s.sends(Frame::Reply {
            call: number,
            status: Status::Value,
            handles: Vec::new(),
            payload: Bytes::new().into(),
        });
        s.sends(Frame::Down { call: number, payload: Bytes::new() });
        s.sends(Frame::Deferred { call: number });
        s.sends(Frame::Cancel { call: number });
    }
    assert!(s.w.is_open(s.hub, call) && s.w.is_open(s.hub, monitor));
    // Nor is a call ended by the word that a monitor is, nor the other way round.
    let mine = s.w.call(s.hub, s.to_b, "x");
    let number = CallId(s.w.processes[s.hub].open[&mine].0);
    s.sends(Frame::Down { call: number, payload: Bytes::new() });
    assert!(s.w.is_open(s.hub, mine));
    assert_eq!(s.w.serve(&s.a), ["x"]);
    text(s.w.outcome(s.hub, call));
}

#[test]
fn a_node_that_is_not_its_own_cannot_be_announced() {
    let mut s = scene();
    let node = s.w.router(s.hub).identity().1;
    s.sends(Frame::Announce { node });
    s.refused();
    let mut s = scene();
    s.w.router(s.a.process).announce();
    s.w.pump(s.a.process);
    s.w.drive();
    let node = s.w.router(s.a.process).identity().1;
    s.sends(Frame::Announce { node });
    s.refused();
}

#[test]
fn a_worker_cannot_announce_the_hub_above_its_own() {
    let mut w = World::new();
    let root = w.process();
    let (to_sub, sub) = w.hub_below(root, "sub");
    let (_, b) = w.worker(sub.process, "b");
    let link = w.link(b.wire, sub.process);
    w.frame(sub.process, link, Frame::Announce { node: to_sub.to.node });
    w.drive();
    assert_eq!(w.processes[sub.process].refused.len(), 1);
    assert!(w.processes[root].refused.is_empty());
}

#[test]
fn a_peer_cannot_announce_nodes_without_end() {
    let mut s = scene();
    for node in 1..=2000 {
        s.sends(Frame::Announce { node: NodeId(node << 32) });
    }
    assert!(!s.w.processes[s.hub].refused.is_empty());
}

#[test]
fn a_cause_that_the_peer_was_not_handed_is_not_believed() {
    let mut s = scene();
    s.w.call(s.hub, s.to_a, "x");
    s.w.drive();
    let taken = s.w.take(&s.a).unwrap();
    let number = taken.call;
    let Frame::Request(mut forged) = request(s.to_a, 9, true) else { unreachable!() };
    forged.caused_by = CallId(number);
    s.sends(Frame::Request(forged));
    s.w.drive();
    assert_eq!(s.w.under_way(s.b.wire, 0), 0, "no deadlock was seen where the cause was made up");
}

#[test]
fn the_calls_of_one_peer_in_flight_are_bounded() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.local(hub, "a", 1000);
    let (_, b) = w.worker(hub, "b");
    // All are taken and deferred: no credit bounds them.
    let limit = crate::router::link::CALLS_LIMIT;
    let mut open = Vec::new();
    for _ in 0..limit + 100 {
        let call = w.call(b.process, to_a, "x");
        w.drive();
        match w.take_local(to_a) {
            Some(taken) => {
                w.finish_local(to_a, &taken);
                open.push((call, taken.call));
            }
            None => break,
        }
    }
    assert_eq!(open.len(), limit);
    assert!(w.processes[hub].refused.is_empty());
    let (first, key) = open[0];
    w.answer(hub, key, "done");
    w.drive();
    text(w.outcome(b.process, first));
    assert!(w.take_local(to_a).is_some(), "the next one was let go");
    // A peer that does not keep to it is refused.
    let link = w.link(b.wire, hub);
    w.frame(hub, link, request(to_a, 1, true));
    assert_eq!(w.processes[hub].refused.len(), 1);
}

#[test]
fn the_monitors_of_one_peer_are_bounded() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.local(hub, "a", 8);
    let (_, b) = w.worker(hub, "b");
    let limit = crate::router::link::MONITORS_LIMIT;
    let monitors: Vec<_> = (0..limit + 1).map(|_| w.monitor(b.process, to_a.to)).collect();
    w.drive();
    assert!(w.processes[hub].refused.is_empty());
    assert_eq!(monitors.iter().filter(|monitor| !w.is_open(b.process, **monitor)).count(), 1);
    let link = w.link(b.wire, hub);
    w.frame(hub, link, Frame::Monitor { call: CallId(1), to: to_a.to });
    assert_eq!(w.processes[hub].refused.len(), 1);
}

#[test]
fn addresses_that_are_made_up_do_not_fill_a_hub() {
    let mut w = World::new();
    let root = w.process();
    let (_, sub) = w.hub_below(root, "sub");
    let (to_x, x) = w.worker(sub.process, "x");
    let (_, b) = w.worker(root, "b");
    let link = w.link(b.wire, root);
    let mut made_up = to_x;
    for n in 0..10_000 {
        made_up.to.actor.0 = 1_000_000 + n;
        w.frame(root, link, request(made_up, n + 1, true));
        if n.is_multiple_of(16) {
            w.drive_but(&[b.wire]);
        }
    }
    assert!(w.processes[root].router.ways() <= 5000, "{}", w.processes[root].router.ways());
    // The hub below reads nothing, so none of it can be given up; the sender is told, and others are not touched.
    for n in 0..20_000 {
        made_up.to.actor.0 = 2_000_000 + n;
        w.frame(root, link, request(made_up, 0, false));
    }
    assert!(w.processes[root].router.ways() <= 10_000, "{}", w.processes[root].router.ways());
    let call = w.call(root, to_x, "x");
    assert_eq!(w.serve(&x), ["x"]);
    text(w.outcome(root, call));
}

#[test]
fn a_peer_that_was_refused_is_not_heard_any_more() {
    let mut s = scene();
    let to = Route { node: s.to_b.to.node, actor: s.to_b.to.actor };
    s.sends(Frame::Credit { to, returned: 1, window: 8 });
    s.sends(Frame::Credit { to, returned: 1, window: 8 });
    let frame = request(s.to_a, 1, false);
    s.sends(frame);
    assert!(s.w.serve(&s.a).is_empty());
    s.refused();
}
