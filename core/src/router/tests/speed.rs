//! How fast requests pass two routers: printed, not asserted.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::router::record::Record;
use crate::router::{Action, EntryKey, Handles, LinkKey, Message, NewEntry, Outcome, Router};
use crate::wire::codec::Kept;
use crate::wire::frame::{Decoder, FRAME_LIMIT, Frame, Trace};
use crate::wire::ids::{Destination, NodeId, RunId, TypeHash};

struct Pair {
    hub: Router,
    worker: Router,
    down: LinkKey,
    up: LinkKey,
    entry: EntryKey,
    to: Destination,
    wire: BytesMut,
    frames: Vec<Frame>,
    ended: usize,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let (mut hub, mut worker) = (Router::new(RunId(1), NodeId(1), now), Router::new(RunId(1), NodeId(2), now));
        let about = NewEntry { owner: 0, name: "a".into(), type_hash: TypeHash(1), capacity: 256, methods: Vec::new() };
        let (at_hub, to) = hub.own(about.clone());
        let (down, up) = (hub.add_link(), worker.add_link());
        worker.set_uplink(up);
        let entry = worker.host(to, about);
        hub.attach_worker(at_hub, down, std::sync::Arc::new(super::world::Ticks::default()));
        let wire = BytesMut::new();
        Self { hub, worker, down, up, entry, to, wire, frames: Vec::new(), ended: 0 }
    }

    fn carry(&mut self) {
        let decoder = Decoder::new(FRAME_LIMIT);
        let now = Instant::now();
        self.hub.take_output(self.down, &mut self.wire);
        self.worker.advance(now);
        decoder.take_all(&mut self.wire, &mut self.frames).unwrap();
        for frame in self.frames.drain(..) {
            self.worker.handle_frame(self.up, frame);
        }
        while let Some(taken) = self.worker.take(self.entry) {
            if taken.reply {
                self.worker.answer(taken.call, Outcome::Value(taken.message.payload.clone(), Handles::none()));
            }
            self.worker.observe(self.entry, Duration::ZERO);
            self.worker.finish(self.entry, &taken);
        }
        while self.worker.poll_action().is_some() {}
        self.worker.take_output(self.up, &mut self.wire);
        self.hub.advance(now);
        decoder.take_all(&mut self.wire, &mut self.frames).unwrap();
        for frame in self.frames.drain(..) {
            self.hub.handle_frame(self.down, frame);
        }
        while let Some(action) = self.hub.poll_action() {
            self.ended += usize::from(matches!(action, Action::Ended(..)));
        }
    }
}

fn pass(what: &str, reply: bool, ahead: usize) {
    let calls = if cfg!(debug_assertions) { 20_000 } else { 3_000_000 };
    let mut pair = Pair::new();
    let payload = Bytes::from_static(b"sixteen bytes ..");
    let began = Instant::now();
    for n in (0..calls).step_by(ahead) {
        let now = Instant::now();
        pair.hub.advance(now);
        for k in 0..ahead as u64 {
            let message = Message {
                method: 0,
                priority: 0,
                trace: Trace::default(),
                handles: Handles::none(),
                payload: payload.clone().into(),
                kept: Kept::default(),
            };
            let deadline = reply.then(|| now + Duration::from_secs(5));
            pair.hub.submit(n as u64 + k, pair.to, reply, deadline, None, message);
        }
        while pair.hub.open_requests() > 0 {
            pair.carry();
        }
    }
    println!("{what}: {:.0} ns", began.elapsed().as_nanos() as f64 / f64::from(calls as u32));
    assert!(!reply || pair.ended >= calls);
}

#[test]
fn calls_one_at_a_time() {
    pass("a call alone", true, 1);
}

#[test]
fn calls_64_at_a_time() {
    pass("a call among 64", true, 64);
}

#[test]
fn casts_64_at_a_time() {
    pass("a cast among 64", false, 64);
}

#[test]
fn what_moves_with_each_request_is_small() {
    assert!(size_of::<Record>() <= 264, "{}", size_of::<Record>());
    assert!(size_of::<Frame>() <= 136, "{}", size_of::<Frame>());
    assert!(size_of::<Action>() <= 72, "{}", size_of::<Action>());
    assert!(size_of::<Outcome>() <= 64, "{}", size_of::<Outcome>());
}
