//! Deadlines, by phase, and who decides on them.

use super::*;

fn timed_out(outcome: Outcome) -> (Executed, Option<String>) {
    match failure(outcome) {
        CallError::TimedOut { executed, doing } => (executed, doing),
        other => panic!("not timed out: {other:?}"),
    }
}

#[test]
fn a_call_that_never_left_its_sender_or_the_mailbox_was_not_executed() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 2);
    let (_, b) = w.worker(hub, "b");
    let calls: Vec<_> = (0..30)
        .map(|n| if n % 2 == 0 { hub } else { b.process })
        .map(|from| (from, w.call_within(from, to_a, 100, "x")))
        .collect();
    w.drive();
    w.advance(99);
    w.drive();
    assert!(calls.iter().all(|&(from, call)| w.is_open(from, call)));
    w.advance(1);
    w.drive();
    w.advance(25);
    w.drive();
    for (from, call) in calls {
        assert_eq!(timed_out(w.outcome(from, call)).0, Executed::No);
    }
    let a = w.start(to_a);
    assert!(w.serve(&a).is_empty());
    w.assert_at_rest();
}

#[test]
fn a_running_call_may_have_been_executed_and_the_error_says_what_it_was_doing() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    let here = w.call_within(hub, to_a, 1500, "x");
    w.drive();
    let running = w.take(&a).unwrap();
    let there = w.call_within(b.process, to_a, 1500, "x");
    w.drive();
    w.advance(1500);
    let (executed, doing) = timed_out(w.outcome(hub, here));
    assert_eq!(executed, Executed::Maybe);
    assert_eq!(doing.as_deref(), Some("get, for 1.5 s"));
    w.drive();
    assert_eq!(w.processes[a.process].cancelled, [running.call]);
    let (executed, doing) = timed_out(w.outcome(b.process, there));
    assert_eq!(executed, Executed::No, "it was not started, and never will be");
    assert_eq!(doing.as_deref(), Some("get, for 1.5 s"));
    w.answer(a.process, running.call, "late");
    w.finish(&a, &running);
    assert!(w.serve(&a).is_empty());
    w.assert_at_rest();
}

#[test]
fn a_call_that_a_stopped_worker_has_not_begun_was_not_executed_and_never_is() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let call = w.call_within(hub, to_a, 100, "x");
    // The worker is stopped: it reads nothing.
    w.advance(100);
    assert_eq!(timed_out(w.outcome(hub, call)).0, Executed::No);
    assert!(w.serve(&a).is_empty(), "it goes on, and does not start what nobody wants");
    w.drive();
    w.assert_at_rest();
}

#[test]
fn a_call_that_was_begun_a_moment_before_its_deadline_may_have_been_executed() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let call = w.call_within(hub, to_a, 100, "x");
    w.drive();
    let taken = w.take_up(&a).unwrap();
    // Claimed, and the journal does not say so yet.
    assert!(a.ticks.claims().begin(taken.seq));
    w.advance(100);
    assert_eq!(timed_out(w.outcome(hub, call)).0, Executed::Maybe);
    w.drive();
    assert_eq!(w.processes[a.process].cancelled, [taken.call]);
    w.answer(a.process, taken.call, "late");
    w.finish(&a, &taken);
    w.drive();
    w.assert_at_rest();
}

#[test]
fn the_owner_of_the_mailbox_decides_and_the_caller_waits_a_little_for_it() {
    let mut w = World::new();
    let root = w.process();
    let (_, sub) = w.hub_below(root, "sub");
    let (to_b, b) = w.worker(sub.process, "b");
    let call = w.call_within(root, to_b, 100, "x");
    w.drive();
    let taken = w.take(&b).unwrap();
    w.advance(100);
    assert!(w.is_open(root, call), "a moment for the owner");
    w.drive();
    let (executed, doing) = timed_out(w.outcome(root, call));
    assert_eq!((executed, doing.as_deref()), (Executed::Maybe, Some("get, for 0.1 s")));
    w.answer(b.process, taken.call, "late");
    w.finish(&b, &taken);
    w.drive();
    w.assert_at_rest();
}

#[test]
fn an_owner_that_does_not_speak_is_not_waited_for() {
    let mut w = World::new();
    let root = w.process();
    let (_, sub) = w.hub_below(root, "sub");
    let (to_b, b) = w.worker(sub.process, "b");
    let call = w.call_within(root, to_b, 100, "x");
    w.advance(100);
    assert!(w.is_open(root, call));
    w.advance(25);
    assert_eq!(timed_out(w.outcome(root, call)).0, Executed::Maybe);
    w.drive();
    assert!(w.serve(&b).is_empty());
    w.assert_at_rest();
}

#[test]
fn a_call_that_waits_in_the_hub_for_the_way_on_was_not_executed() {
    let mut w = World::new();
    let root = w.process();
    let (_, sub) = w.hub_below(root, "sub");
    let to_b = w.actor(sub.process, "b", 64);
    let (_, a) = w.worker(root, "a");
    for _ in 0..8 {
        w.cast(root, to_b, "x");
    }
    // The hub below is stopped and returns no credit.
    let call = w.call_within(a.process, to_b, 100, "x");
    w.drive_but(&[sub.wire]);
    w.advance(100);
    w.drive_but(&[sub.wire]);
    assert_eq!(timed_out(w.outcome(a.process, call)).0, Executed::No);
}

#[test]
fn nested_calls_time_out_by_the_time_that_is_left() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    w.call_within(hub, to_a, 100, "x");
    w.advance(40);
    w.drive();
    let taken = w.take(&a).unwrap();
    assert_eq!(taken.deadline.unwrap() - w.now, std::time::Duration::from_millis(100), "as told when it was sent");
}

#[test]
fn ten_thousand_deadlines_at_once_are_quick() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    w.call(hub, to_a, "running");
    w.drive();
    w.take(&a).unwrap();
    let calls: Vec<_> = (0..10_000).map(|_| w.call_within(hub, to_a, 100, "x")).collect();
    let began = std::time::Instant::now();
    w.advance(100);
    w.advance(25);
    assert!(calls.iter().all(|call| !w.is_open(hub, *call)));
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
}
