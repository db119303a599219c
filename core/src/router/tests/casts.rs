//! Casts of which no record is kept.

use std::time::Duration;

use super::*;
use crate::router::TakenCast;
use crate::wire::frame::{Frame, Short};
use crate::wire::ids::CallId;

/// A worker whose handlers take a microsecond, which is known of them.
fn brief(w: &mut World, hub: usize) -> (Owned, Worker) {
    let (to_a, a) = w.worker(hub, "a");
    // So many at a time that its window grows.
    for _ in 0..20 {
        for _ in 0..8 {
            w.cast(hub, to_a, "before");
        }
        w.drive();
        while let Some(taken) = w.take(&a) {
            w.finish_after(&a, &taken, Duration::from_micros(1));
            w.drive();
        }
    }
    (to_a, a)
}

fn take_casts(w: &mut World, a: &Worker, most: usize) -> Vec<TakenCast> {
    let mut casts = Vec::new();
    w.router(a.process).take_casts(a.entry, most, &mut casts);
    casts
}

fn texts(casts: &[TakenCast]) -> Vec<&str> {
    casts.iter().map(|cast| std::str::from_utf8(&cast.payload).unwrap()).collect()
}

#[test]
fn casts_are_taken_together_up_to_what_is_none_and_in_their_order() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = brief(&mut w, hub);
    for text in ["1", "2", "3"] {
        w.cast(hub, to_a, text);
    }
    let call = w.call(hub, to_a, "call");
    w.cast(hub, to_a, "4");
    w.drive();
    let casts = take_casts(&mut w, &a, 2);
    assert_eq!(texts(&casts), ["1", "2"]);
    w.router(a.process).finish_casts(a.entry, 2);
    let casts = take_casts(&mut w, &a, 10);
    assert_eq!(texts(&casts), ["3"]);
    w.router(a.process).finish_casts(a.entry, 1);
    assert!(take_casts(&mut w, &a, 10).is_empty(), "a call is handled by itself");
    let taken = w.take(&a).unwrap();
    assert_eq!(body(&taken), "call");
    w.answer(a.process, taken.call, "done");
    w.finish(&a, &taken);
    w.drive();
    assert_eq!(text(w.outcome(hub, call)), "done");
    assert_eq!(w.serve(&a), ["4"]);
    w.assert_at_rest();
}

#[test]
fn casts_are_taken_one_by_one_while_handlers_take_their_time() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    for text in ["1", "2", "3"] {
        w.cast(hub, to_a, text);
    }
    w.drive();
    assert!(take_casts(&mut w, &a, 10).is_empty());
    assert_eq!(w.serve(&a), ["1", "2", "3"]);
    w.assert_at_rest();
}

#[test]
fn of_casts_that_were_taken_together_a_death_loses_those_that_had_not_started() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = brief(&mut w, hub);
    for _ in 0..10 {
        w.cast(hub, to_a, "x");
    }
    w.drive();
    let casts = take_casts(&mut w, &a, 8);
    assert_eq!(casts.len(), 8);
    // The first two have ended, the third is running.
    a.ticks.started.store(casts[2].seq, std::sync::atomic::Ordering::Relaxed);
    a.ticks.finished.store(casts[1].seq, std::sync::atomic::Ordering::Relaxed);
    w.kill(to_a, &a);
    w.drive();
    assert_eq!(w.processes[hub].dead_letters, [("a".to_owned(), 7)]);
    let next = w.start(to_a);
    assert!(w.serve(&next).is_empty());
    w.assert_at_rest();
}

#[test]
fn a_cast_is_a_cause_in_its_turn_and_not_after_it() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = brief(&mut w, hub);
    let (to_b, b) = w.worker(hub, "b");
    w.cast(hub, to_a, "1");
    w.cast(hub, to_a, "2");
    w.drive();
    let casts = take_casts(&mut w, &a, 8);
    a.ticks.started.store(casts[0].seq, std::sync::atomic::Ordering::Relaxed);
    // From the handler of the first to b, and from there back.
    w.submit(a.process, to_b.to, true, None, Some(casts[0].key), "there");
    w.drive();
    let in_b = w.take(&b).unwrap();
    let back = w.call_from(b.process, &in_b, to_a, "back");
    w.drive();
    assert!(
        matches!(failure(w.outcome(b.process, back)), CallError::WouldDeadlock { path } if path == ["a", "b", "a"])
    );
    // Its handler has ended: a would come to it.
    a.ticks.finished.store(casts[0].seq, std::sync::atomic::Ordering::Relaxed);
    w.router(a.process).finish_casts(a.entry, 1);
    w.pump(a.process);
    let back = w.call_from(b.process, &in_b, to_a, "back");
    w.drive();
    assert!(w.is_open(b.process, back));
}

#[test]
fn a_worker_is_not_believed_about_a_cast_that_another_was_given() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = brief(&mut w, hub);
    let (to_b, b) = w.worker(hub, "b");
    w.cast(hub, to_a, "x");
    w.drive();
    let taken = w.take(&a).unwrap();
    let link = w.link(b.wire, hub);
    // What a's cast is called in the hub: its entry there and its number.
    let number = 1 << 63 | u64::from(to_a.entry as u32) << 32 | taken.seq;
    let own = w.link(a.wire, hub);
    assert!(w.router(hub).was_handed_to(own, CallId(number)));
    assert!(!w.router(hub).was_handed_to(link, CallId(number)));
    // With that as a cause, this call would wait for itself.
    w.call(hub, to_b, "y");
    w.drive();
    let in_b = w.take(&b).unwrap();
    let call = w.submit(b.process, to_a.to, true, None, Some(in_b.call), "z");
    w.drive();
    assert!(w.is_open(b.process, call));
}

#[test]
fn a_short_request_to_a_process_that_hosts_nothing_for_its_sender_is_refused() {
    let mut w = World::new();
    let hub = w.process();
    let (_, a) = w.worker(hub, "a");
    let link = w.link(a.wire, hub);
    let short = Short {
        call: CallId(1),
        reply: true,
        method: 0,
        priority: 0,
        remaining: None,
        payload: "x".as_bytes().to_vec().into(),
    };
    w.router(hub).handle_frame(link, Frame::Short(short));
    w.pump(hub);
    assert_eq!(w.processes[hub].refused.len(), 1);
}

#[test]
fn casts_beyond_the_credit_of_their_sender_are_refused() {
    let mut w = World::new();
    let hub = w.process();
    let (_, a) = w.worker(hub, "a");
    let link = w.link(a.wire, a.process);
    for number in 0..3 {
        let call = CallId(1 << 63 | number);
        let short = Short { call, reply: false, method: 0, priority: 0, remaining: None, payload: Vec::new().into() };
        w.router(a.process).handle_frame(link, Frame::Short(short));
    }
    w.pump(a.process);
    assert_eq!(w.processes[a.process].refused.len(), 1);
}
