//! Messages reach their actor, in order, and values come back.

use bytes::Bytes;

use super::*;
use crate::router::{Handles, Message};
use crate::wire::codec::Kept;
use crate::wire::content::Content;
use crate::wire::frame::Trace;

#[test]
fn a_value_comes_back_through_the_hub_from_worker_to_worker() {
    let mut w = World::new();
    let hub = w.process();
    let (_, a) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    let call = w.call(a.process, to_b, "hello");
    assert_eq!(w.serve(&b), ["hello"]);
    w.drive();
    assert_eq!(text(w.outcome(a.process, call)), "hello");
    w.assert_at_rest();
}

#[test]
fn messages_of_one_process_are_handled_in_the_order_of_their_submission() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    for from in [hub, b.process] {
        let sent: Vec<_> = (0..100).map(|n| format!("{from}:{n}")).collect();
        for (n, text) in sent.iter().enumerate() {
            if n.is_multiple_of(3) {
                w.call(from, to_a, text);
            } else {
                w.cast(from, to_a, text);
            }
        }
        assert_eq!(w.serve(&a), sent);
    }
    w.drive();
    w.assert_at_rest();
}

#[test]
fn large_messages_keep_the_order_and_pass_a_window_that_is_smaller_than_they_are() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    let sizes = [1, 3 << 20, 10, 70_000, 5 << 20, 1, 1 << 20];
    let calls = sizes.map(|size| w.submit_bytes(b.process, to_a.to, true, None, None, vec![b'x'; size].into()));
    assert_eq!(w.serve(&a).iter().map(String::len).collect::<Vec<_>>(), sizes);
    w.drive();
    for (call, size) in calls.into_iter().zip(sizes) {
        assert_eq!(text(w.outcome(b.process, call)).len(), size);
    }
    w.assert_at_rest();
}

#[test]
fn a_hub_below_a_worker_is_reached_from_everywhere_and_reaches_everybody() {
    let mut w = World::new();
    let root = w.process();
    let (_, sub) = w.hub_below(root, "sub");
    let (_, subsub) = w.hub_below(sub.process, "subsub");
    let (to_a, a) = w.worker(root, "a");
    let (to_b, b) = w.worker(sub.process, "b");
    let (to_c, c) = w.worker(subsub.process, "c");
    for (from, to, worker) in [
        (root, to_c, &c),
        (a.process, to_c, &c),
        (a.process, to_b, &b),
        (c.process, to_a, &a),
        (b.process, to_c, &c),
        (c.process, to_b, &b),
        (sub.process, to_a, &a),
    ] {
        let calls: Vec<_> = (0..30).map(|n| w.call(from, to, &n.to_string())).collect();
        assert_eq!(w.serve(worker).len(), 30, "from {from} to {to:?}");
        w.drive();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(text(w.outcome(from, call)), n.to_string());
        }
    }
    w.assert_at_rest();
}

#[test]
fn credit_that_nobody_waits_for_goes_with_what_is_sent_next() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.local(hub, "a", 64);
    let (_, b) = w.worker(hub, "b");
    let to_b = w.link(b.wire, hub);
    w.call(b.process, to_a, "one");
    w.drive();
    let router = w.router(hub);
    let one = router.take(to_a.entry).expect("it has come");
    assert!(router.has_output(to_b) && router.calm_until(to_b).is_some());
    router.answer(one.call, Outcome::Value(Content::EMPTY, Handles::none()));
    assert!(router.has_output(to_b) && router.calm_until(to_b).is_none());
}

#[test]
fn credit_that_nobody_waits_for_is_sent_when_it_has_waited_long_enough() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.local(hub, "a", 64);
    let (_, b) = w.worker(hub, "b");
    let to_b = w.link(b.wire, hub);
    w.cast(b.process, to_a, "one");
    w.drive();
    let router = w.router(hub);
    let one = router.take(to_a.entry).expect("it has come");
    assert!(!router.press(to_b, false) && router.calm_until(to_b).is_some());
    assert!(router.press(to_b, true) && router.calm_until(to_b).is_none());
    w.pump(hub);
    assert!(!w.router(hub).has_output(to_b));
    w.finish_local(to_a, &one);
    w.drive();
    w.assert_at_rest();
}

#[test]
fn what_is_told_keeps_its_place_among_casts_and_waits_for_credit_as_they_do() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.local(hub, "a", 64);
    let (_, b) = w.worker(hub, "b");
    let now = w.now;
    let (mut sent, mut told, mut heard) = (Vec::new(), 0, Vec::new());
    for n in 0..60 {
        let text = n.to_string();
        let payload = Content::from(Bytes::copy_from_slice(text.as_bytes()));
        let (method, priority, trace) = (0, 0, Trace::default());
        let mut message = Message { method, priority, trace, handles: Handles::none(), payload, kept: Kept::default() };
        if n % 4 != 0 && w.router(b.process).cast_now(&to_a.to, &mut message, || now) {
            told += 1;
        } else {
            w.cast(b.process, to_a, &text);
        }
        sent.push(text);
        if n % 20 == 19 {
            w.drive();
            while let Some(taken) = w.take_local(to_a) {
                heard.push(body(&taken));
                w.finish_local(to_a, &taken);
                w.drive();
            }
        }
    }
    assert_eq!(heard, sent);
    assert!((3..45).contains(&told), "{told} found room");
    w.assert_at_rest();
}

#[test]
fn credit_that_a_sender_may_wait_for_is_sent_at_once() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.local(hub, "a", 64);
    let (_, b) = w.worker(hub, "b");
    let to_b = w.link(b.wire, hub);
    for _ in 0..8 {
        w.cast(b.process, to_a, "one of a window");
    }
    w.drive();
    let router = w.router(hub);
    let mut taken = 0;
    while !router.has_output(to_b) && router.take(to_a.entry).is_some() {
        taken += 1;
    }
    assert_eq!(taken, 4);
    assert!(router.calm_until(to_b).is_none());
}
