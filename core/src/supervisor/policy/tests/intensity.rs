//! When a supervisor gives up.

use super::*;

fn hand(max: u32, within: u64) -> Hand {
    let mut hand = Hand::with(Intensity::new(max, ms(within)), Backoff::none());
    hand.all_ready([(id(1), PERMANENT)]);
    hand
}

fn escalates(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Escalated { .. }))
}

/// Crashes whatever is started until nothing is any more: (starts, escalations, done).
fn crash_loop(max: u32, backoff: Backoff, ready_first: bool) -> (u32, u32, u32) {
    let mut hand = Hand::with(Intensity::new(max, Duration::from_secs(3_600)), backoff);
    hand.policy.add_all(hand.now, []).unwrap();
    hand.policy.add(hand.now, id(1), PERMANENT).unwrap();
    let (mut starts, mut escalations, mut done) = (0, 0, 0);
    loop {
        while let Some(action) = hand.policy.poll_action() {
            match action {
                Action::Start { id, .. } => {
                    starts += 1;
                    if ready_first || starts == 1 {
                        hand.policy.handle_ready(hand.now, id);
                        hand.policy.handle_exited(hand.now, id, Ending::Abnormal);
                    } else {
                        hand.policy.handle_start_failed(hand.now, id);
                    }
                }
                Action::Escalated { .. } => escalations += 1,
                Action::Done { .. } => done += 1,
                _ => {}
            }
        }
        let Some(due) = hand.policy.poll_timeout() else {
            break;
        };
        hand.now = due;
        hand.policy.handle_timeout(due);
    }
    (starts, escalations, done)
}

#[test]
fn crash_loop_makes_intensity_plus_one_starts_and_one_escalation() {
    for max in [0, 1, 2, 3, 10, 100] {
        for backoff in [Backoff::none(), Backoff::default()] {
            for ready_first in [true, false] {
                assert_eq!(crash_loop(max, backoff, ready_first), (max + 1, 1, 1), "{max} {ready_first}");
            }
        }
    }
}

#[test]
fn default_crash_loop_ends_after_four_starts() {
    assert_eq!(crash_loop(Intensity::default().max(), Backoff::default(), true), (4, 1, 1));
}

#[test]
fn escalation_tells_who_and_stops_the_others_in_reverse() {
    let mut hand = Hand::with(Intensity::new(1, ms(1_000)), Backoff::none());
    hand.all_ready([1, 2, 3, 4].map(|child| (id(child), PERMANENT)));
    hand.crashed(3);
    hand.ready(3);
    assert_eq!(
        hand.crashed(2),
        [Action::Escalated { id: id(2), restarts: 1, within: ms(1_000) }, ended(2, EndReason::Supervisor), stop(4)]
    );
    assert_eq!(hand.stopped(4), [ended(4, EndReason::Supervisor), stop(3)]);
    assert_eq!(hand.crashed(1), [ended(1, EndReason::Supervisor)], "no second escalation");
    assert_eq!(hand.stopped(3), [ended(3, EndReason::Supervisor), done(DoneReason::Escalated)]);
}

#[test]
fn escalation_drops_children_that_are_backing_off() {
    let mut hand = Hand::with(Intensity::new(2, ms(1_000)), Backoff::default());
    hand.all_ready([1, 2].map(|child| (id(child), PERMANENT)));
    hand.crashed(1);
    hand.start_failed(1);
    let actions = hand.crashed(2);
    assert!(escalates(&actions));
    assert_eq!(
        actions[1..],
        [ended(2, EndReason::Supervisor), ended(1, EndReason::Supervisor), done(DoneReason::Escalated)]
    );
    assert_eq!(hand.pass(ms(10_000)), []);
}

#[test]
fn intensity_counts_the_children_together() {
    let mut hand = Hand::running(4);
    for child in [1, 2, 3] {
        assert!(!escalates(&hand.crashed(child)));
    }
    assert!(escalates(&hand.crashed(4)));
}

#[test]
fn restarts_far_enough_apart_never_escalate() {
    let mut hand = hand(2, 1_000);
    for _ in 0..1_000 {
        assert_eq!(hand.crashed(1).len(), 2);
        hand.ready(1);
        hand.pass(ms(501));
    }
}

#[test]
fn restart_exactly_one_period_ago_still_counts() {
    let mut on_the_edge = hand(1, 1_000);
    on_the_edge.crashed(1);
    on_the_edge.ready(1);
    on_the_edge.pass(ms(1_000));
    assert!(escalates(&on_the_edge.crashed(1)));

    let mut beyond = hand(1, 1_000);
    beyond.crashed(1);
    beyond.ready(1);
    beyond.pass(ms(1_001));
    assert!(!escalates(&beyond.crashed(1)));
}

#[test]
fn window_slides() {
    let mut hand = hand(2, 1_000);
    for time in [0, 900, 200, 900] {
        hand.pass(ms(time));
        assert!(!escalates(&hand.crashed(1)), "at most two in any second: 0, 900, 1100, 2000");
        hand.ready(1);
    }
    hand.pass(ms(50));
    assert!(escalates(&hand.crashed(1)), "1100, 2000 and 2050");
}

#[test]
fn temporary_children_cost_nothing() {
    let mut hand = hand(1, 1_000);
    for child in 2..1_000 {
        hand.add(child, TEMPORARY);
        hand.ready(child);
        assert_eq!(hand.crashed(child), [ended(child, EndReason::Temporary)]);
    }
    assert!(!escalates(&hand.crashed(1)));
}

#[test]
fn normal_ends_of_transient_children_cost_nothing() {
    let mut hand = hand(1, 1_000);
    for child in 2..100 {
        hand.add(child, TRANSIENT);
        hand.ready(child);
        hand.exited(child, Ending::Normal);
    }
    assert!(!escalates(&hand.crashed(1)));
}

#[test]
fn terminating_and_removing_cost_nothing() {
    let mut hand = hand(1, 1_000);
    for _ in 0..100 {
        hand.terminate(1);
        hand.crashed(1);
        hand.restart(1);
        hand.ready(1);
    }
    assert!(!escalates(&hand.crashed(1)));
}

#[test]
fn failed_restarts_count() {
    let mut hand = hand(2, 1_000);
    assert!(!escalates(&hand.crashed(1)));
    assert!(!escalates(&hand.start_failed(1)));
    assert!(escalates(&hand.start_failed(1)));
}

#[test]
fn nothing_is_taken_after_an_escalation() {
    let mut hand = hand(0, 1_000);
    hand.add(2, PERMANENT);
    let actions = hand.crashed(1);
    assert_eq!(actions.last(), Some(&stop(2)));
    let now = hand.now;
    assert_eq!(hand.policy.add(now, id(3), PERMANENT), Err(Refused::Ending));
    assert_eq!(hand.policy.add_all(now, [(id(3), PERMANENT)]), Err(Refused::Ending));
    assert_eq!(hand.policy.terminate(now, id(2)), Err(Refused::Ending));
    assert_eq!(hand.policy.restart(now, id(2)), Err(Refused::Ending));
    assert_eq!(hand.policy.remove(now, id(2)), Err(Refused::Ending));
    assert_eq!(hand.shutdown(), []);
    assert_eq!(
        hand.stopped(2),
        [ended(2, EndReason::Supervisor), done(DoneReason::Escalated)],
        "the first reason stays"
    );
    assert_eq!(hand.policy.add(now, id(3), PERMANENT), Err(Refused::Ending));
    assert_eq!(hand.shutdown(), []);
}
