//! Monitors: one end for each.

use super::*;
use crate::error::exit::DownReason;

#[test]
fn each_monitor_is_told_of_one_end_from_near_and_far() {
    let mut w = World::new();
    let root = w.process();
    let (_, sub) = w.hub_below(root, "sub");
    let (to_a, a) = w.worker(sub.process, "a");
    let (_, b) = w.worker(root, "b");
    let watchers = [root, b.process, sub.process, a.process];
    let monitors = watchers.map(|from| (from, w.monitor(from, to_a.to)));
    w.drive();
    assert!(monitors.iter().all(|&(from, token)| w.is_open(from, token)));
    w.kill(to_a, &a);
    w.drive();
    for (from, token) in monitors {
        if from == a.process {
            continue;
        }
        let down = down(w.outcome(from, token));
        assert_eq!((down.name.as_str(), down.incarnation), ("a", 1));
        assert_eq!(down.reason, DownReason::Exit(killed()));
    }
    let a = w.start(to_a);
    w.kill(to_a, &a);
    w.drive();
    assert!(w.processes[root].ended.is_empty(), "a monitor is for one incarnation");
    w.assert_at_rest();
}

#[test]
fn a_start_that_fails_is_an_end() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 8);
    let (_, b) = w.worker(hub, "b");
    let monitor = w.monitor(b.process, to_a.to);
    w.drive();
    w.router(hub).start_failed(to_a.entry, &killed());
    w.pump(hub);
    w.drive();
    assert_eq!(down(w.outcome(b.process, monitor)).incarnation, 1);
    w.assert_at_rest();
}

#[test]
fn what_is_not_there_is_down_at_once() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 8);
    let (_, b) = w.worker(hub, "b");
    let last = w.monitor(b.process, to_a.to);
    w.drive();
    w.router(hub).retire(to_a.entry, &NotDelivered::Stopped, None);
    w.pump(hub);
    w.drive();
    assert_eq!(down(w.outcome(b.process, last)).reason, DownReason::NotDelivered(NotDelivered::Stopped));
    let mut unknown = to_a.to;
    unknown.actor.0 = 1 << 40;
    for from in [hub, b.process] {
        for (to, why) in [(to_a.to, NotDelivered::Stopped), (unknown, NotDelivered::NoSuchActor)] {
            let monitor = w.monitor(from, to);
            w.drive();
            let down = down(w.outcome(from, monitor));
            assert_eq!((down.incarnation, down.reason), (0, DownReason::NotDelivered(why)));
        }
    }
    w.assert_at_rest();
}

#[test]
fn a_monitor_that_is_taken_back_leaves_nothing() {
    let mut w = World::new();
    let root = w.process();
    let (_, sub) = w.hub_below(root, "sub");
    let (to_a, _) = w.worker(sub.process, "a");
    let (_, b) = w.worker(root, "b");
    for from in [root, b.process, sub.process] {
        for _ in 0..100 {
            let monitor = w.monitor(from, to_a.to);
            w.drive();
            w.cancel(from, monitor);
            w.drive();
        }
    }
    w.assert_at_rest();
}

#[test]
fn a_hub_that_is_lost_is_the_end_of_what_it_owned() {
    let mut w = World::new();
    let root = w.process();
    let (to_sub, sub) = w.hub_below(root, "sub");
    let (to_a, _) = w.worker(sub.process, "a");
    let monitor = w.monitor(root, to_a.to);
    w.drive();
    w.kill(to_sub, &sub);
    down(w.outcome(root, monitor));
    assert!(w.processes[root].router.left_over().is_empty());
}

#[test]
fn a_watcher_that_goes_leaves_nothing() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, _) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    for _ in 0..10 {
        w.monitor(b.process, to_a.to);
    }
    w.drive();
    w.kill(to_b, &b);
    assert!(w.processes[hub].router.left_over().is_empty());
}
