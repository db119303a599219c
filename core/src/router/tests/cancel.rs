//! Calls that their callers take back.

use super::*;

#[test]
fn a_call_that_waits_for_room_is_taken_back_and_the_next_one_gets_the_room() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 4);
    for n in 0..3 {
        w.cast(hub, to_a, &n.to_string());
    }
    let large = w.submit_bytes(hub, to_a.to, true, None, None, vec![b'l'; 200_000].into());
    let small = w.cast(hub, to_a, "small");
    assert!(!w.processes[hub].admitted.contains(&small));
    w.cancel(hub, large);
    assert!(w.processes[hub].admitted.contains(&small));
    let a = w.start(to_a);
    assert_eq!(w.serve(&a), ["0", "1", "2", "small"]);
    w.assert_at_rest();
}

#[test]
fn a_queued_call_that_is_taken_back_never_runs() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 8);
    let (_, b) = w.worker(hub, "b");
    let calls: Vec<_> = (0..3)
        .flat_map(|n| [(hub, n), (b.process, n)])
        .map(|(from, n)| (from, w.call(from, to_a, &n.to_string())))
        .collect();
    w.drive();
    for &(from, call) in &calls[2..4] {
        w.cancel(from, call);
    }
    w.drive();
    let a = w.start(to_a);
    assert_eq!(w.serve(&a).len(), 4);
    w.drive();
    for (at, (from, call)) in calls.into_iter().enumerate() {
        assert_eq!(w.is_open(from, call), (2..4).contains(&at));
    }
    w.assert_at_rest();
}

#[test]
fn a_call_in_the_worker_that_is_taken_back_never_runs_and_the_worker_gets_another() {
    for through in [false, true] {
        let mut w = World::new();
        let hub = w.process();
        let (to_a, a) = w.worker(hub, "a");
        let (_, b) = w.worker(hub, "b");
        let from = if through { b.process } else { hub };
        let first = w.call(from, to_a, "first");
        let second = w.call(from, to_a, "second");
        w.call(from, to_a, "third");
        w.drive();
        let running = w.take(&a).unwrap();
        w.cancel(from, second);
        w.drive();
        assert_eq!(w.processes[hub].router.load(to_a.entry).1, 2, "what runs is still known as running");
        w.answer(a.process, running.call, "1");
        w.finish(&a, &running);
        assert_eq!(w.serve(&a), ["third"]);
        w.drive();
        assert_eq!(text(w.outcome(from, first)), "1");
        assert!(w.is_open(from, second));
        w.assert_at_rest();
    }
}

#[test]
fn a_running_call_that_is_taken_back_is_told_and_its_answer_is_discarded() {
    for through in [false, true] {
        let mut w = World::new();
        let hub = w.process();
        let (to_a, a) = w.worker(hub, "a");
        let (_, b) = w.worker(hub, "b");
        let from = if through { b.process } else { hub };
        let call = w.call(from, to_a, "x");
        w.drive();
        let running = w.take(&a).unwrap();
        w.cancel(from, call);
        w.drive();
        assert_eq!(w.processes[a.process].cancelled, [running.call]);
        w.answer(a.process, running.call, "nobody wants it");
        w.finish(&a, &running);
        w.drive();
        assert!(w.is_open(from, call));
        assert_eq!(w.processes[from].router.discarded(), 1);
        w.assert_at_rest();
    }
}

#[test]
fn a_deferred_call_that_is_taken_back_is_told_too() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let call = w.call(hub, to_a, "x");
    w.drive();
    let deferred = w.take(&a).unwrap();
    w.finish(&a, &deferred);
    w.drive();
    w.cancel(hub, call);
    w.drive();
    assert_eq!(w.processes[a.process].cancelled, [deferred.call]);
    w.answer(a.process, deferred.call, "nobody wants it");
    w.drive();
    w.assert_at_rest();
}

#[test]
fn a_call_on_a_thread_of_the_hub_is_taken_back_in_each_phase() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.local(hub, "a", 8);
    let (_, b) = w.worker(hub, "b");
    for from in [hub, b.process] {
        let running = w.call(from, to_a, "running");
        let queued = w.call(from, to_a, "queued");
        w.drive();
        let taken = w.take_local(to_a).unwrap();
        w.cancel(from, running);
        w.cancel(from, queued);
        w.drive();
        assert_eq!(w.processes[hub].cancelled.pop(), Some(taken.call));
        w.answer(hub, taken.call, "nobody wants it");
        w.finish_local(to_a, &taken);
        assert!(w.take_local(to_a).is_none());
        w.drive();
        w.assert_at_rest();
    }
}

#[test]
fn a_call_that_is_taken_back_on_its_way_to_the_worker_never_runs() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let call = w.call(hub, to_a, "x");
    w.cancel(hub, call);
    assert!(w.serve(&a).is_empty());
    w.drive();
    let again = w.call(hub, to_a, "y");
    assert_eq!(w.serve(&a), ["y"]);
    text(w.outcome(hub, again));
    w.assert_at_rest();
}

#[test]
fn a_cancel_that_crosses_the_answer_changes_nothing() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    let call = w.call(b.process, to_a, "x");
    w.drive();
    let taken = w.take(&a).unwrap();
    w.answer(a.process, taken.call, "y");
    w.finish(&a, &taken);
    w.cancel(b.process, call);
    w.drive();
    let again = w.call(b.process, to_a, "y");
    assert_eq!(w.serve(&a), ["y"]);
    text(w.outcome(b.process, again));
    w.assert_at_rest();
}

#[test]
fn calls_that_are_made_and_taken_back_leave_nothing_while_the_mailbox_is_full() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 4);
    for _ in 0..5 {
        w.cast(hub, to_a, "x");
    }
    for _ in 0..10_000 {
        let call = w.call(hub, to_a, "x");
        w.cancel(hub, call);
    }
    assert!(w.processes[hub].router.lines(to_a.entry) < 200);
    let a = w.start(to_a);
    assert_eq!(w.serve(&a).len(), 5);
    let to_b = w.actor(hub, "b", 4);
    w.cast(hub, to_b, "x");
    for _ in 0..10_000 {
        let call = w.call(hub, to_b, "x");
        w.cancel(hub, call);
    }
    assert!(w.processes[hub].router.lines(to_b.entry) < 200);
    assert_eq!(w.router(hub).load(to_b.entry), (1, 0));
}

#[test]
fn a_call_that_is_wanted_back_is_withdrawn_unless_it_runs_and_ends_once() {
    for tell in [false, true] {
        let mut w = World::new();
        let hub = w.process();
        let (to_a, a) = w.worker(hub, "a");
        let calls: Vec<_> = (0..4).map(|n| w.call(hub, to_a, &n.to_string())).collect();
        w.drive();
        let running = w.take(&a).unwrap();
        // One runs, one waits in the worker, two in the mailbox.
        for call in &calls[..3] {
            w.take_back(hub, *call, tell);
        }
        w.drive();
        assert_eq!(w.processes[a.process].cancelled.len(), usize::from(tell), "it is told if it is to be");
        w.answer(a.process, running.call, "0");
        w.finish(&a, &running);
        assert_eq!(w.serve(&a), ["3"]);
        w.drive();
        assert_eq!(text(w.outcome(hub, calls[0])), "0");
        for call in &calls[1..3] {
            assert_eq!(failure(w.outcome(hub, *call)), CallError::Cancelled);
        }
        text(w.outcome(hub, calls[3]));
        w.assert_at_rest();
    }
}

#[test]
fn a_call_is_taken_back_from_a_worker_that_reads_nothing_at_once() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let call = w.call(hub, to_a, "x");
    w.take_back(hub, call, false);
    assert_eq!(failure(w.outcome(hub, call)), CallError::Cancelled);
    let next = w.call(hub, to_a, "y");
    w.drive();
    assert_eq!(w.serve(&a), ["y"]);
    w.drive();
    text(w.outcome(hub, next));
    w.assert_at_rest();
}

#[test]
fn a_call_that_was_taken_up_and_not_begun_can_be_taken_back() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let call = w.call(hub, to_a, "x");
    w.drive();
    let taken = w.take_up(&a).unwrap();
    w.take_back(hub, call, true);
    assert_eq!(failure(w.outcome(hub, call)), CallError::Cancelled);
    assert!(!w.begin(&a, &taken));
    w.drive();
    assert!(w.processes[a.process].cancelled.is_empty(), "nobody is told of what does not run");
    w.assert_at_rest();
}

#[test]
fn a_call_whose_answer_is_on_its_way_is_not_taken_back() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let call = w.call(hub, to_a, "x");
    w.drive();
    let running = w.take(&a).unwrap();
    w.answer(a.process, running.call, "done");
    w.finish(&a, &running);
    w.take_back(hub, call, false);
    w.drive();
    assert_eq!(text(w.outcome(hub, call)), "done");
    w.assert_at_rest();
}
