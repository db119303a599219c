//! Events that cross each other.

use super::*;

/// A permanent child whose restart fails for ever, and a supervisor that never gives up.
fn restart_loop() -> Hand {
    let mut hand = Hand::with(Intensity::new(u32::MAX, ms(1)), Backoff::default().jitter(0.0));
    hand.all_ready([(id(1), PERMANENT), (id(2), PERMANENT)]);
    hand.crashed(1);
    hand
}

fn backing_off() -> Hand {
    let mut hand = restart_loop();
    hand.start_failed(1);
    assert!(matches!(hand.policy.state(id(1)), Some(State::BackingOff { .. })));
    hand
}

#[test]
fn exit_while_the_stop_is_under_way_is_its_end() {
    for ending in [Ending::Normal, Ending::Shutdown, Ending::Abnormal] {
        let mut hand = Hand::running(1);
        assert_eq!(hand.terminate(1), [stop(1)]);
        assert_eq!(hand.exited(1, ending), [ended(1, EndReason::Terminated)]);
        assert_eq!(hand.stopped(1), [], "a second report of the same end");
    }
}

#[test]
fn failed_start_while_the_stop_is_under_way_is_its_end() {
    let mut hand = Hand::running(1);
    hand.add(2, PERMANENT);
    assert_eq!(hand.terminate(2), [stop(2)]);
    assert_eq!(hand.start_failed(2), [ended(2, EndReason::Terminated)]);
    assert_eq!(hand.policy.state(id(2)), Some(State::Stopped));
}

#[test]
fn ready_after_a_stop_was_asked_for_changes_nothing() {
    let mut hand = Hand::running(1);
    hand.add(2, PERMANENT);
    assert_eq!(hand.terminate(2), [stop(2)]);
    assert_eq!(hand.ready(2), []);
    assert!(matches!(hand.policy.state(id(2)), Some(State::Stopping { .. })));
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Terminated)]);
}

#[test]
fn reports_of_a_child_that_is_not_there_are_ignored() {
    let mut hand = Hand::running(1);
    hand.remove(1);
    hand.stopped(1);
    for child in [1, 7] {
        assert_eq!(hand.ready(child), []);
        assert_eq!(hand.start_failed(child), []);
        assert_eq!(hand.crashed(child), []);
        assert_eq!(hand.stopped(child), []);
        let now = hand.now;
        assert_eq!(hand.policy.terminate(now, id(child)), Err(Refused::Unknown));
        assert_eq!(hand.policy.restart(now, id(child)), Err(Refused::Unknown));
        assert_eq!(hand.policy.remove(now, id(child)), Err(Refused::Unknown));
    }
    assert_eq!(hand.policy.counts(), Counts::default());
}

#[test]
fn reports_that_cannot_be_true_are_ignored() {
    let mut hand = Hand::running(1);
    assert_eq!(hand.stopped(1), [], "nobody asked for a stop");
    assert_eq!(hand.start_failed(1), [], "it was ready");
    assert_eq!(hand.ready(1), [], "it was ready before");
    assert_eq!(hand.policy.counts().active, 1);
}

#[test]
fn terminate_during_backoff_ends_the_child_and_its_timer() {
    let mut hand = backing_off();
    assert_eq!(hand.terminate(1), [ended(1, EndReason::Terminated)]);
    assert_eq!(hand.policy.poll_timeout(), None);
    assert_eq!(hand.pass(ms(60_000)), []);
    assert_eq!(hand.restart(1), [start(1)], "and it begins anew");
}

#[test]
fn remove_during_backoff_ends_the_child_and_its_timer() {
    let mut hand = backing_off();
    assert_eq!(hand.remove(1), [ended(1, EndReason::Removed)]);
    assert_eq!(hand.policy.poll_timeout(), None);
    assert_eq!(hand.pass(ms(60_000)), []);
}

#[test]
fn remove_during_a_start_stops_it_and_forgets_it() {
    let mut hand = Hand::running(1);
    hand.add(2, PERMANENT);
    assert_eq!(hand.remove(2), [stop(2)]);
    assert_eq!(hand.ready(2), []);
    assert_eq!(hand.crashed(2), [ended(2, EndReason::Removed)]);
    assert_eq!(hand.policy.state(id(2)), None);
}

#[test]
fn terminate_during_a_restart_stops_it() {
    let mut hand = restart_loop();
    assert_eq!(hand.terminate(1), [stop(1)]);
    assert_eq!(hand.start_failed(1), [ended(1, EndReason::Terminated)]);
    assert_eq!(hand.policy.poll_timeout(), None);
}

#[test]
fn shutdown_during_the_restart_loop_drops_a_child_that_backs_off() {
    let mut hand = backing_off();
    assert_eq!(hand.shutdown(), [ended(1, EndReason::Supervisor), stop(2)]);
    assert_eq!(hand.policy.poll_timeout(), None);
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Supervisor), done(DoneReason::Shutdown)]);
}

#[test]
fn shutdown_during_the_restart_loop_stops_a_child_that_is_starting() {
    let mut hand = restart_loop();
    assert_eq!(hand.shutdown(), [stop(2)]);
    assert_eq!(hand.start_failed(1), [ended(1, EndReason::Supervisor)], "and is not tried again");
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Supervisor), done(DoneReason::Shutdown)]);

    let mut hand = restart_loop();
    assert_eq!(hand.shutdown(), [stop(2)]);
    assert_eq!(hand.ready(1), []);
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Supervisor), stop(1)]);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Supervisor), done(DoneReason::Shutdown)]);
}

/// The most valuable case of OTP's suite: there a supervisor once could not be reached while a child kept failing.
#[test]
fn child_that_keeps_failing_to_restart_never_stops_the_policy_from_answering() {
    let mut hand = restart_loop();
    for round in 0..10_000_u64 {
        hand.start_failed(1);
        let backing_off = hand.policy.counts();
        assert_eq!((backing_off.specs, backing_off.active, backing_off.restarting), (2, 1, 1));
        assert_eq!(hand.wait().len(), 1);
        let starting = hand.policy.counts();
        assert_eq!((starting.specs, starting.active, starting.restarting), (2, 1, 1));
        let other = 10 + round;
        assert_eq!(hand.add(other, TEMPORARY), [start(other)]);
        hand.ready(other);
        assert_eq!(hand.policy.counts().active, 2);
        assert_eq!(hand.terminate(other), [stop(other)]);
        assert_eq!(hand.stopped(other), [ended(other, EndReason::Terminated)]);
    }
    assert_eq!(hand.terminate(1), [stop(1)]);
    assert_eq!(hand.start_failed(1), [ended(1, EndReason::Terminated)]);
    assert_eq!(hand.shutdown(), [stop(2)]);
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Supervisor), done(DoneReason::Shutdown)]);
}

#[test]
fn counts_are_exact_in_every_state() {
    let mut hand = Hand::with(Intensity::new(100, ms(1_000)), Backoff::default());
    hand.policy.add_all(hand.now, (1..=6).map(|child| (id(child), PERMANENT))).unwrap();
    let counts = |hand: &Hand| {
        let Counts { specs, waiting, starting, active, restarting, stopping, stopped } = hand.policy.counts();
        assert_eq!(specs, waiting + starting + active + restarting + stopping + stopped);
        [waiting, starting, active, restarting, stopping, stopped]
    };
    assert_eq!(counts(&hand), [5, 1, 0, 0, 0, 0]);
    for child in 1..=5 {
        hand.ready(child);
    }
    assert_eq!(counts(&hand), [0, 1, 5, 0, 0, 0]);
    hand.crashed(1);
    assert_eq!(counts(&hand), [0, 1, 4, 1, 0, 0], "restarting");
    hand.start_failed(1);
    assert_eq!(counts(&hand), [0, 1, 4, 1, 0, 0], "backing off");
    hand.terminate(2);
    assert_eq!(counts(&hand), [0, 1, 3, 1, 1, 0]);
    hand.stopped(2);
    assert_eq!(counts(&hand), [0, 1, 3, 1, 0, 1]);
    hand.restart(2);
    assert_eq!(counts(&hand), [0, 2, 3, 1, 0, 0]);
    hand.remove(3);
    hand.stopped(3);
    assert_eq!(counts(&hand), [0, 2, 2, 1, 0, 0]);
}

#[test]
fn terminated_child_stays_down_whatever_its_type() {
    for policy in [PERMANENT, TRANSIENT] {
        let mut hand = Hand::new();
        hand.all_ready([(id(1), policy)]);
        hand.terminate(1);
        assert_eq!(hand.stopped(1), [ended(1, EndReason::Terminated)]);
        assert_eq!(hand.policy.state(id(1)), Some(State::Stopped));
        assert_eq!(hand.policy.poll_timeout(), None);
    }
}

#[test]
fn every_terminate_and_remove_is_answered() {
    let mut hand = Hand::running(1);
    hand.terminate(1);
    hand.terminate(1);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Terminated)], "one end for both");
    assert_eq!(hand.terminate(1), [ended(1, EndReason::Terminated)], "it was down");
    assert_eq!(hand.remove(1), [ended(1, EndReason::Removed)]);
}

#[test]
fn restart_while_a_termination_is_under_way_is_refused() {
    let mut hand = Hand::running(1);
    let now = hand.now;
    hand.terminate(1);
    assert_eq!(hand.policy.restart(now, id(1)), Err(Refused::Stopping));
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Terminated)]);
    assert_eq!(hand.restart(1), [start(1)]);
}

#[test]
fn terminate_and_remove_win_over_a_restart_that_is_under_way() {
    let mut hand = Hand::running(1);
    hand.restart(1);
    hand.terminate(1);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Terminated)]);

    let mut hand = Hand::running(1);
    hand.restart(1);
    hand.remove(1);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Removed)]);
}

#[test]
fn restart_asked_for_twice_is_made_once() {
    let mut hand = Hand::running(1);
    assert_eq!(hand.restart(1), [stop(1)]);
    assert_eq!(hand.restart(1), []);
    assert_eq!(hand.stopped(1), [start(1)]);
    assert_eq!(hand.restart(1), []);
    assert_eq!(hand.ready(1), []);
}

#[test]
fn remove_cannot_be_taken_back() {
    let mut hand = Hand::running(1);
    let now = hand.now;
    hand.remove(1);
    assert_eq!(hand.policy.restart(now, id(1)), Err(Refused::Unknown));
    assert_eq!(hand.terminate(1), []);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Removed)]);
}

#[test]
fn shutdown_waits_for_a_stop_that_was_under_way_and_keeps_its_reason() {
    let mut hand = Hand::running(3);
    assert_eq!(hand.terminate(2), [stop(2)]);
    assert_eq!(hand.shutdown(), [stop(3)]);
    assert_eq!(hand.stopped(3), [ended(3, EndReason::Supervisor)], "2 is still stopping, and is not stopped twice");
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Terminated), stop(1)]);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Supervisor), done(DoneReason::Shutdown)]);
}

#[test]
fn shutdown_makes_a_restart_on_request_a_stop() {
    let mut hand = Hand::running(1);
    hand.restart(1);
    assert_eq!(hand.shutdown(), []);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Supervisor), done(DoneReason::Shutdown)]);
}

#[test]
fn stopped_children_do_not_hold_up_a_shutdown() {
    let mut hand = Hand::running(2);
    hand.terminate(2);
    hand.stopped(2);
    assert_eq!(hand.shutdown(), [stop(1)], "2 was told to have ended before");
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Supervisor), done(DoneReason::Shutdown)]);
}

#[test]
fn nothing_happens_after_done() {
    let mut hand = backing_off();
    hand.shutdown();
    hand.stopped(2);
    for child in [1, 2] {
        assert_eq!(hand.ready(child), []);
        assert_eq!(hand.start_failed(child), []);
        assert_eq!(hand.crashed(child), []);
        assert_eq!(hand.stopped(child), []);
    }
    assert_eq!(hand.pass(Duration::from_secs(3_600)), []);
    assert_eq!(hand.shutdown(), []);
    assert_eq!(hand.policy.poll_timeout(), None);
}
