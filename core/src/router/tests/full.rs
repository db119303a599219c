//! Full mailboxes: senders wait, the others go on.

use std::time::Duration;

use bytes::BytesMut;

use super::*;
use crate::wire::frame::Frame;
use crate::wire::ids::{ActorId, CallId, Destination};

#[test]
fn an_actor_that_is_called_may_cast_to_its_caller_whose_mailbox_is_full() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 4);
    let a = w.start(to_a);
    let (to_b, b) = w.worker(hub, "b");
    w.cast(hub, to_a, "go");
    w.drive();
    let in_a = w.take(&a).unwrap();
    for _ in 0..50 {
        w.cast(hub, to_a, "filling");
    }
    let call = w.call_from(a.process, &in_a, to_b, "ask");
    w.drive();
    let in_b = w.take(&b).unwrap();
    for _ in 0..8 {
        w.cast_from(b.process, &in_b, to_a, "told");
    }
    w.drive();
    w.answer(b.process, in_b.call, "answer");
    w.finish(&b, &in_b);
    w.drive();
    assert_eq!(text(w.outcome(a.process, call)), "answer");
    w.finish(&a, &in_a);
    assert_eq!(w.serve(&a).len(), 58);
    w.drive();
    w.assert_at_rest();
}

#[test]
fn a_handler_that_waits_for_room_at_its_caller_gets_it_while_the_caller_waits_for_the_answer() {
    // C calls A, whose handler casts to C, whose mailbox is full, until it has room, and then replies.
    let mut w = World::new();
    let hub = w.process();
    let to_c = w.actor(hub, "c", 4);
    let c = w.start(to_c);
    let (to_a, a) = w.worker(hub, "a");
    w.cast(hub, to_c, "go");
    w.drive();
    let in_c = w.take(&c).unwrap();
    for _ in 0..50 {
        w.cast(hub, to_c, "filling");
    }
    let call = w.call_from(c.process, &in_c, to_a, "x");
    w.drive();
    let in_a = w.take(&a).unwrap();
    let cast = w.cast_from(a.process, &in_a, to_c, "x");
    w.drive();
    assert!(w.processes[a.process].admitted.contains(&cast), "its own window is not what others have filled");
    w.answer(a.process, in_a.call, "x");
    w.drive();
    text(w.outcome(c.process, call));
}

#[test]
fn three_workers_flood_a_stopped_one_and_nobody_else_notices() {
    let mut w = World::new();
    let hub = w.process();
    let (to_stopped, stopped) = w.worker(hub, "stopped");
    let floods: Vec<_> = (0..3).map(|n| w.worker(hub, &n.to_string())).collect();
    for round in 0..200 {
        for (_, worker) in &floods {
            for _ in 0..20 {
                w.submit_bytes(worker.process, to_stopped.to, false, None, None, vec![0; 1000].into());
            }
        }
        w.drive_but(&[stopped.wire]);
        let (queued, handed) = w.router(hub).load(to_stopped.entry);
        assert!(queued <= 64 + 3 * 8, "{queued} queued");
        assert!(handed <= 2);
        assert!(w.under_way(stopped.wire, 0) < 10_000);
        if round % 10 == 0 {
            for at in 0..3 {
                let (from, to) = (&floods[at].1, floods[(at + 1) % 3].0);
                let call = w.call(from.process, to, "hello");
                w.drive_but(&[stopped.wire]);
                let server = &floods[(at + 1) % 3].1;
                let taken = w.take(server).unwrap();
                w.answer(server.process, taken.call, "hi");
                w.finish(server, &taken);
                w.drive_but(&[stopped.wire]);
                assert_eq!(text(w.outcome(from.process, call)), "hi");
            }
        }
    }
    assert_eq!(w.serve(&stopped).len(), 3 * 20 * 200);
    w.assert_at_rest();
}

#[test]
fn many_senders_share_a_mailbox_without_starving_and_without_overfilling_it() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 256);
    let a = w.start(to_a);
    let senders: Vec<_> = (0..100).map(|n| w.worker(hub, &n.to_string()).1).collect();
    for _ in 0..10 {
        for sender in &senders {
            for _ in 0..10 {
                w.cast(sender.process, to_a, "x");
            }
        }
        w.drive_but(&[a.wire]);
        assert!(w.router(hub).load(to_a.entry).0 <= 256 + 100 * 8);
        for _ in 0..300 {
            w.drive();
            let Some(taken) = w.take(&a) else { break };
            w.finish(&a, &taken);
        }
    }
    w.serve(&a);
    // All have been heard of, and one that goes on alone is not held to a trickle for it.
    for _ in 0..500 {
        w.cast(senders[0].process, to_a, "x");
    }
    w.drive_but(&[a.wire]);
    assert!(w.router(hub).load(to_a.entry).0 >= 8);
    w.serve(&a);
    w.assert_at_rest();
}

#[test]
fn a_local_sender_is_not_starved_by_a_connection_on_the_way_to_another_hub() {
    let mut w = World::new();
    let root = w.process();
    let (_, sub) = w.hub_below(root, "sub");
    let (to_b, b) = w.worker(sub.process, "b");
    let (_, flood) = w.worker(root, "flood");
    for _ in 0..500 {
        w.cast(flood.process, to_b, "flood");
    }
    w.drive();
    let call = w.call(root, to_b, "call");
    let mut served = 0;
    while w.is_open(root, call) {
        w.drive();
        let taken = w.take(&b).unwrap();
        if taken.reply {
            w.answer(b.process, taken.call, "");
        }
        w.finish(&b, &taken);
        served += 1;
        w.drive();
        assert!(served < 300, "the call was not let in between");
    }
    w.serve(&b);
    w.assert_at_rest();
}

#[test]
fn the_prefetch_grows_for_short_handlers_and_shrinks_for_long_ones() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 1000);
    let a = w.start(to_a);
    let refill = |w: &mut World| {
        while w.router(hub).load(to_a.entry).0 < 500 {
            w.cast(hub, to_a, "x");
        }
        w.drive();
    };
    let run = |w: &mut World, n: usize, ran: Duration| {
        for _ in 0..n {
            refill(w);
            let taken = w.take(&a).unwrap();
            w.finish_after(&a, &taken, ran);
            w.drive();
        }
    };
    refill(&mut w);
    assert_eq!(w.router(hub).load(to_a.entry).1, 2);
    run(&mut w, 200, Duration::from_micros(90));
    assert!((32..=72).contains(&w.router(hub).load(to_a.entry).1), "so many as take a few milliseconds");
    run(&mut w, 1000, Duration::from_micros(5));
    assert!((256..=1024).contains(&w.router(hub).load(to_a.entry).1));
    run(&mut w, 1100, Duration::from_millis(5));
    assert!(w.router(hub).load(to_a.entry).1 <= 2);
}

#[test]
fn whoever_may_not_wait_is_told_that_there_is_no_room() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 4);
    let (_, b) = w.worker(hub, "b");
    for (from, room) in [(hub, 4), (b.process, 8)] {
        for _ in 0..room {
            assert!(w.router(from).has_room(&to_a.to, 100));
            w.cast(from, to_a, "x");
        }
        assert!(!w.router(from).has_room(&to_a.to, 100));
    }
}

#[test]
fn who_asks_without_reading_the_answers_is_told_apart_from_who_is_sent_much() {
    let mut w = World::new();
    let hub = w.process();
    let (_, a) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    let (from_a, to_the_worker_b) = (w.link(a.wire, hub), w.link(b.wire, hub));
    let nobody = Destination { actor: ActorId(77), ..to_b.to };
    for number in 0..40_000 {
        w.frame(hub, from_a, Frame::Monitor { call: CallId(1 << 40 | number), to: nobody });
    }
    // As many bytes, which nobody there has asked for.
    w.submit_bytes(hub, to_b.to, false, None, None, vec![0; 2 << 20].into());
    assert!(w.router(hub).is_deaf(from_a), "it is fetched and not written");
    assert!(!w.router(hub).is_deaf(to_the_worker_b));
    // Whoever fetches has nothing left: it was written.
    w.router(hub).take_output(from_a, &mut BytesMut::new());
    assert!(!w.router(hub).is_deaf(from_a));
}
