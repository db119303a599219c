//! What is kept of incarnations that have ended: nothing.

use super::*;

/// One incarnation that dies with a call running, others handed to it and waiting for it, from here and from a sibling, with
/// monitors, a cast and a call that nobody awaits any more; and the next one, which serves what is left.
fn die_once(w: &mut World, hub: usize, to_a: Owned, a: &Worker, b: &Worker) -> Worker {
    let near: Vec<_> = (0..4).map(|n| w.call(hub, to_a, &n.to_string())).collect();
    let far: Vec<_> = (0..4).map(|n| w.call(b.process, to_a, &n.to_string())).collect();
    w.cast(b.process, to_a, "cast");
    let watching = [w.monitor(hub, to_a.to), w.monitor(b.process, to_a.to)];
    let gone = w.call(b.process, to_a, "gone");
    w.drive();
    w.cancel(b.process, gone);
    let running = w.take(a).unwrap();
    w.drive();
    w.kill(to_a, a);
    w.drive();
    drop(running);
    let next = w.start(to_a);
    w.serve(&next);
    w.drive();
    for (process, calls) in [(hub, near), (b.process, far)] {
        calls.into_iter().for_each(|call| drop(w.outcome(process, call)));
    }
    for (process, monitor) in [hub, b.process].into_iter().zip(watching) {
        down(w.outcome(process, monitor));
    }
    next
}

#[test]
fn a_thousand_restarts_leave_as_much_behind_as_a_hundred() {
    let mut w = World::new();
    let hub = w.process();
    let (_, b) = w.worker(hub, "b");
    let (to_a, mut a) = w.worker(hub, "a");
    let mut kept = Vec::new();
    for round in 1..=1000 {
        a = die_once(&mut w, hub, to_a, &a, &b);
        if matches!(round, 100 | 1000) {
            w.assert_at_rest();
            kept.push((w.router(hub).kept(), w.router(b.process).kept()));
        }
    }
    assert_eq!(kept[0], kept[1]);
}

#[test]
fn a_thousand_actors_that_ended_for_good_leave_as_much_behind_as_a_hundred() {
    let mut w = World::new();
    let hub = w.process();
    let (_, b) = w.worker(hub, "b");
    let mut kept = Vec::new();
    for round in 1..=1000 {
        let (to_a, a) = w.worker(hub, "a");
        let call = w.call(hub, to_a, "x");
        let watching = w.monitor(hub, to_a.to);
        w.drive();
        w.retire(to_a, &a, Some(&killed()));
        w.drive();
        failure(w.outcome(hub, call));
        down(w.outcome(hub, watching));
        if matches!(round, 100 | 1000) {
            w.assert_at_rest();
            kept.push((w.router(hub).kept(), w.router(b.process).kept()));
        }
    }
    assert_eq!(kept[0], kept[1]);
}
