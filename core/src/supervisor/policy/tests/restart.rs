//! Who comes back after which end, and when.

use super::*;

/// A child of this policy, ready, beside a permanent one that nothing happens to.
fn one(policy: ChildPolicy) -> Hand {
    let mut hand = Hand::new();
    hand.all_ready([(id(9), PERMANENT), (id(1), policy)]);
    hand
}

#[test]
fn permanent_child_is_restarted_after_every_end() {
    for ending in [Ending::Normal, Ending::Shutdown, Ending::Abnormal] {
        let mut hand = one(PERMANENT);
        assert_eq!(hand.exited(1, ending), [restarting(1, 0, 1), again(1, 1)], "{ending:?}");
        assert_eq!(hand.ready(1), []);
        assert_eq!(hand.policy.counts().active, 2);
    }
}

#[test]
fn transient_child_is_restarted_after_an_abnormal_end_only() {
    assert_eq!(one(TRANSIENT).exited(1, Ending::Abnormal), [restarting(1, 0, 1), again(1, 1)]);
    for ending in [Ending::Normal, Ending::Shutdown] {
        let mut hand = one(TRANSIENT);
        assert_eq!(hand.exited(1, ending), [ended(1, EndReason::Normal)], "{ending:?}");
        assert_eq!(hand.policy.state(id(1)), Some(State::Stopped), "its spec is kept");
        assert_eq!(hand.restart(1), [start(1)]);
    }
}

#[test]
fn temporary_child_is_never_restarted_and_its_spec_goes() {
    for (ending, why) in [
        (Ending::Normal, EndReason::Normal),
        (Ending::Shutdown, EndReason::Normal),
        (Ending::Abnormal, EndReason::Temporary),
    ] {
        let mut hand = one(TEMPORARY);
        assert_eq!(hand.exited(1, ending), [ended(1, why)]);
        assert_eq!(hand.policy.state(id(1)), None);
        assert_eq!(hand.policy.counts().specs, 1);
    }
}

#[test]
fn temporary_child_is_forgotten_by_terminate_too() {
    let mut hand = one(TEMPORARY);
    assert_eq!(hand.terminate(1), [stop(1)]);
    let now = hand.now;
    assert_eq!(hand.policy.restart(now, id(1)), Err(Refused::Stopping));
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Terminated)]);
    assert_eq!(hand.policy.state(id(1)), None);
}

#[test]
fn temporary_child_restarted_on_request_is_not_tried_twice() {
    let mut hand = one(TEMPORARY);
    assert_eq!(hand.restart(1), [stop(1)]);
    assert_eq!(hand.stopped(1), [start(1)]);
    assert_eq!(hand.start_failed(1), [ended(1, EndReason::Temporary)]);
    assert_eq!(hand.policy.state(id(1)), None);
}

#[test]
fn one_for_one_leaves_the_others_alone() {
    let mut hand = Hand::running(3);
    assert_eq!(hand.crashed(2), [restarting(2, 0, 1), again(2, 1)]);
    for other in [1, 3] {
        assert!(matches!(hand.policy.state(id(other)), Some(State::Running { .. })));
    }
}

#[test]
fn another_child_that_fails_during_a_restart_is_restarted_too() {
    let mut hand = Hand::running(2);
    hand.crashed(1);
    assert_eq!(hand.crashed(2), [restarting(2, 0, 1), again(2, 1)]);
    assert_eq!(hand.ready(2), []);
    assert_eq!(hand.ready(1), []);
    assert_eq!(hand.policy.counts().active, 2);
}

#[test]
fn failing_restart_is_tried_again_with_growing_waits() {
    let mut hand = Hand::with(Intensity::new(100, ms(1_000)), Backoff::default().jitter(0.0));
    hand.all_ready([(id(1), PERMANENT)]);
    assert_eq!(hand.crashed(1), [restarting(1, 0, 1), again(1, 1)]);
    for (attempt, delay) in [(2, 50), (3, 100), (4, 200), (5, 400)] {
        assert_eq!(hand.start_failed(1), [restarting(1, delay, attempt)]);
        assert_eq!(hand.pass(ms(delay - 1)), [], "not too early");
        assert_eq!(hand.pass(ms(1)), [again(1, attempt)]);
    }
}

#[test]
fn exit_before_ready_is_a_failed_restart_whatever_the_end() {
    for policy in [PERMANENT, TRANSIENT] {
        let mut hand = one(policy);
        hand.crashed(1);
        assert_eq!(hand.exited(1, Ending::Normal), [restarting(1, 50, 2)]);
    }
}

#[test]
fn crash_soon_after_ready_goes_on_with_the_waits() {
    let mut hand = one(PERMANENT);
    hand.crashed(1);
    hand.ready(1);
    hand.pass(ms(29_999));
    assert_eq!(hand.crashed(1), [restarting(1, 50, 2)]);
}

#[test]
fn life_that_was_long_enough_begins_the_waits_anew() {
    let mut hand = one(PERMANENT);
    hand.crashed(1);
    hand.ready(1);
    hand.pass(ms(30_000));
    assert_eq!(hand.crashed(1), [restarting(1, 0, 1), again(1, 1)]);
}

#[test]
fn time_spent_starting_is_not_life() {
    let mut hand = one(PERMANENT);
    hand.crashed(1);
    hand.pass(ms(60_000));
    hand.ready(1);
    assert_eq!(hand.crashed(1), [restarting(1, 50, 2)]);
}

#[test]
fn failed_restart_was_no_life_however_short_a_life_may_be() {
    let backoff = Backoff::default().jitter(0.0).reset_after(Duration::ZERO);
    let mut hand = Hand::with(Intensity::default(), backoff);
    hand.all_ready([(id(1), PERMANENT)]);
    hand.crashed(1);
    assert_eq!(hand.start_failed(1), [restarting(1, 50, 2)]);
}

#[test]
fn waits_are_each_childs_own() {
    let mut hand = Hand::running(2);
    hand.crashed(1);
    assert_eq!(hand.start_failed(1), [restarting(1, 50, 2)]);
    assert_eq!(hand.crashed(2), [restarting(2, 0, 1), again(2, 1)]);
}

#[test]
fn children_that_are_due_together_start_together_and_no_other() {
    let mut hand = Hand::with(Intensity::new(100, ms(1_000)), Backoff::default().jitter(0.0));
    hand.all_ready([1, 2, 3].map(|child| (id(child), PERMANENT)));
    for child in [1, 2, 3] {
        hand.crashed(child);
    }
    hand.start_failed(2);
    hand.start_failed(1);
    hand.pass(ms(10));
    hand.start_failed(3);
    assert_eq!(hand.wait(), [again(1, 2), again(2, 2)]);
    assert_eq!(hand.wait(), [again(3, 2)]);
    assert_eq!(hand.policy.poll_timeout(), None);
}

#[test]
fn timeout_that_comes_late_starts_all_that_is_due() {
    let mut hand = Hand::running(2);
    hand.crashed(1);
    hand.start_failed(1);
    assert_eq!(hand.pass(Duration::from_secs(3_600)), [again(1, 2)]);
    assert_eq!(hand.pass(Duration::from_secs(3_600)), []);
}

#[test]
fn same_seed_gives_the_same_waits() {
    let waits = |seed| {
        let mut hand = Hand::new();
        let intensity = Intensity::new(100, ms(1));
        hand.policy = Policy::new(Config { intensity, seed, ..Config::default() });
        hand.all_ready([(id(1), PERMANENT)]);
        hand.crashed(1);
        let mut waits = Vec::new();
        for _ in 0..10 {
            waits.extend(hand.start_failed(1));
            hand.wait();
        }
        waits
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}

#[test]
fn restart_on_request_stops_then_starts_and_costs_no_intensity() {
    let mut hand = one(PERMANENT);
    for _ in 0..100 {
        assert_eq!(hand.restart(1), [stop(1)]);
        assert_eq!(hand.stopped(1), [start(1)]);
        assert_eq!(hand.ready(1), []);
    }
    assert_eq!(hand.crashed(1), [restarting(1, 0, 1), again(1, 1)]);
}

#[test]
fn restart_on_request_that_fails_is_tried_again_like_any_restart() {
    let mut hand = one(PERMANENT);
    hand.restart(1);
    hand.stopped(1);
    assert_eq!(hand.start_failed(1), [restarting(1, 0, 1), again(1, 1)]);
}

#[test]
fn stopped_child_that_cannot_be_started_on_request_stays_stopped() {
    let mut hand = one(PERMANENT);
    hand.terminate(1);
    hand.stopped(1);
    for _ in 0..100 {
        assert_eq!(hand.restart(1), [start(1)]);
        assert_eq!(hand.start_failed(1), [ended(1, EndReason::StartFailed)]);
        assert_eq!(hand.policy.state(id(1)), Some(State::Stopped));
    }
    hand.restart(1);
    hand.ready(1);
    assert_eq!(hand.crashed(1), [restarting(1, 0, 1), again(1, 1)], "and it cost no intensity");
}

#[test]
fn restart_on_request_does_not_wait_for_the_backoff() {
    let mut hand = one(PERMANENT);
    hand.crashed(1);
    hand.start_failed(1);
    assert_eq!(hand.restart(1), [again(1, 2)]);
    assert_eq!(hand.policy.poll_timeout(), None);
    assert_eq!(hand.pass(ms(1_000)), [], "and does not start twice");
}

#[test]
fn restart_types_read_as_their_words() {
    fn de(text: &'static str) -> Result<Restart, serde::de::value::Error> {
        serde::Deserialize::deserialize(serde::de::value::StrDeserializer::new(text))
    }
    assert_eq!(Restart::default(), Restart::Permanent);
    assert_eq!(de("permanent"), Ok(Restart::Permanent));
    assert_eq!(de("transient"), Ok(Restart::Transient));
    assert_eq!(de("temporary"), Ok(Restart::Temporary));
    assert!(de("forever").unwrap_err().to_string().contains("expected one of"));
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let bytes = postcard::to_allocvec(&restart).unwrap();
        assert_eq!(postcard::from_bytes::<Restart>(&bytes), Ok(restart));
    }
}

#[test]
fn a_thousand_restarts_leave_as_much_behind_as_a_hundred() {
    let mut hand = Hand::with(Intensity::new(u32::MAX, Duration::from_secs(30)), Backoff::default().jitter(0.0));
    hand.all_ready((1..=3).map(|child| (id(child), PERMANENT)));
    let mut kept = Vec::new();
    for round in 1..=1000 {
        // Far enough apart for each to be the first.
        hand.pass(Duration::from_secs(1));
        hand.crashed(2);
        if hand.policy.poll_timeout().is_some() {
            hand.wait();
        }
        hand.ready(2);
        if matches!(round, 100 | 1000) {
            kept.push(format!("{:?}", hand.policy).matches(", ").count());
        }
    }
    assert_eq!(kept[0], kept[1]);
}
