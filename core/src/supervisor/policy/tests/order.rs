//! Who starts and stops when.

use super::*;

fn three() -> [(ChildId, ChildPolicy); 3] {
    [1, 2, 3].map(|child| (id(child), PERMANENT))
}

#[test]
fn children_start_one_after_another_each_when_the_one_before_is_ready() {
    let mut hand = Hand::new();
    hand.policy.add_all(hand.now, three()).unwrap();
    assert_eq!(hand.actions(), [start(1)]);
    assert_eq!(hand.ready(1), [start(2)]);
    assert_eq!(hand.policy.state(id(3)), Some(State::Waiting));
    assert_eq!(hand.ready(2), [start(3)]);
    assert_eq!(hand.ready(3), [Action::Ready]);
}

#[test]
fn children_stop_in_reverse_one_after_another() {
    let mut hand = Hand::running(3);
    assert_eq!(hand.shutdown(), [stop(3)]);
    assert_eq!(hand.stopped(3), [ended(3, EndReason::Supervisor), stop(2)]);
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Supervisor), stop(1)]);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Supervisor), done(DoneReason::Shutdown)]);
    assert_eq!(hand.policy.counts(), Counts::default());
}

#[test]
fn start_without_children_is_ready_at_once() {
    let mut hand = Hand::new();
    hand.policy.add_all(hand.now, []).unwrap();
    assert_eq!(hand.actions(), [Action::Ready]);
    assert_eq!(hand.shutdown(), [done(DoneReason::Shutdown)]);
}

#[test]
fn shutdown_before_anything_was_added_ends() {
    let mut hand = Hand::new();
    assert_eq!(hand.shutdown(), [done(DoneReason::Shutdown)]);
}

#[test]
fn late_reports_before_anything_was_added_do_not_make_it_ready() {
    let mut hand = Hand::new();
    assert_eq!(hand.ready(1), []);
    assert_eq!(hand.crashed(1), []);
    assert_eq!(hand.start_failed(1), []);
    assert_eq!(hand.stopped(1), []);
    assert_eq!(hand.pass(ms(1)), []);
}

#[test]
fn child_added_during_the_initial_start_is_the_last_of_it() {
    let mut hand = Hand::new();
    hand.policy.add_all(hand.now, three()).unwrap();
    assert_eq!(hand.actions(), [start(1)]);
    assert_eq!(hand.add(4, PERMANENT), []);
    assert_eq!(hand.ready(1), [start(2)]);
    assert_eq!(hand.ready(2), [start(3)]);
    assert_eq!(hand.ready(3), [start(4)]);
    assert_eq!(hand.ready(4), [Action::Ready]);
}

#[test]
fn children_added_later_start_at_once_beside_each_other() {
    let mut hand = Hand::running(1);
    assert_eq!(hand.add(2, PERMANENT), [start(2)]);
    assert_eq!(hand.add(3, TEMPORARY), [start(3)]);
    assert_eq!(hand.ready(3), []);
    assert_eq!(hand.ready(2), []);
    assert_eq!(hand.shutdown(), [stop(3)], "the order is that of the adding, not of being ready");
}

#[test]
fn later_group_starts_in_its_order_and_does_not_hold_up_others() {
    let mut hand = Hand::running(1);
    hand.policy.add_all(hand.now, [(id(2), PERMANENT), (id(3), PERMANENT)]).unwrap();
    assert_eq!(hand.actions(), [start(2)]);
    assert_eq!(hand.add(4, PERMANENT), [start(4)]);
    assert_eq!(hand.ready(4), []);
    assert_eq!(hand.ready(2), [start(3)]);
    assert_eq!(hand.ready(3), [], "ready is told once, of the initial start");
}

#[test]
fn failed_start_in_a_later_group_leaves_out_that_child_only() {
    let mut hand = Hand::running(1);
    hand.policy.add_all(hand.now, [(id(2), PERMANENT), (id(3), PERMANENT)]).unwrap();
    hand.actions();
    assert_eq!(hand.start_failed(2), [ended(2, EndReason::StartFailed), start(3)]);
    assert_eq!(hand.policy.state(id(2)), None);
}

#[test]
fn failed_first_start_is_reported_and_not_kept() {
    for exits in [false, true] {
        let mut hand = Hand::running(1);
        hand.add(2, PERMANENT);
        let actions = if exits { hand.exited(2, Ending::Normal) } else { hand.start_failed(2) };
        assert_eq!(actions, [ended(2, EndReason::StartFailed)]);
        assert_eq!(hand.policy.state(id(2)), None);
        assert_eq!(hand.policy.counts().specs, 1);
    }
}

#[test]
fn failed_first_starts_cost_no_intensity() {
    let mut hand = Hand::running(1);
    for child in 2..100 {
        hand.add(child, PERMANENT);
        assert_eq!(hand.start_failed(child), [ended(child, EndReason::StartFailed)]);
    }
    assert_eq!(hand.crashed(1), [restarting(1, 0, 1), again(1, 1)]);
}

#[test]
fn failed_initial_start_stops_in_reverse_what_had_started_and_ends() {
    let mut hand = Hand::new();
    let children = [1, 2, 3, 4].map(|child| (id(child), PERMANENT));
    hand.policy.add_all(hand.now, children).unwrap();
    hand.ready(1);
    hand.ready(2);
    assert_eq!(
        hand.start_failed(3),
        [Action::StartFailed { id: id(3) }, ended(3, EndReason::StartFailed), ended(4, EndReason::Supervisor), stop(2)]
    );
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Supervisor), stop(1)]);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Supervisor), done(DoneReason::StartFailed)]);
}

#[test]
fn exit_before_ready_is_a_failed_initial_start() {
    let mut hand = Hand::new();
    hand.policy.add_all(hand.now, [(id(1), TRANSIENT)]).unwrap();
    hand.actions();
    assert_eq!(
        hand.exited(1, Ending::Normal),
        [Action::StartFailed { id: id(1) }, ended(1, EndReason::StartFailed), done(DoneReason::StartFailed)]
    );
}

#[test]
fn shutdown_during_the_initial_start_stops_the_starting_child_and_drops_the_waiting() {
    let mut hand = Hand::new();
    hand.policy.add_all(hand.now, three()).unwrap();
    hand.ready(1);
    assert_eq!(hand.shutdown(), [ended(3, EndReason::Supervisor), stop(2)]);
    assert_eq!(hand.ready(2), [], "ready after the stop was asked for");
    assert_eq!(hand.stopped(2), [ended(2, EndReason::Supervisor), stop(1)]);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Supervisor), done(DoneReason::Shutdown)]);
}

#[test]
fn child_that_crashes_during_the_initial_start_restarts_beside_it() {
    let mut hand = Hand::new();
    hand.policy.add_all(hand.now, three()).unwrap();
    hand.ready(1);
    assert_eq!(hand.crashed(1), [restarting(1, 0, 1), again(1, 1)]);
    assert_eq!(hand.start_failed(1), [restarting(1, 50, 2)], "a failed restart does not fail the initial start");
    assert_eq!(hand.ready(2), [start(3)]);
    assert_eq!(hand.wait(), [again(1, 2)]);
    assert_eq!(hand.ready(3), [Action::Ready]);
    assert_eq!(hand.ready(1), []);
}

#[test]
fn crash_loop_during_the_initial_start_escalates() {
    let mut hand = Hand::with(Intensity::new(1, ms(1_000)), Backoff::none());
    hand.policy.add_all(hand.now, three()).unwrap();
    hand.ready(1);
    hand.crashed(1);
    assert_eq!(
        hand.start_failed(1),
        [
            Action::Escalated { id: id(1), restarts: 1, within: ms(1_000) },
            ended(1, EndReason::Supervisor),
            ended(3, EndReason::Supervisor),
            stop(2)
        ]
    );
    assert_eq!(hand.start_failed(2), [ended(2, EndReason::Supervisor), done(DoneReason::Escalated)]);
}

#[test]
fn child_taken_out_of_the_initial_start_is_not_waited_for() {
    let mut hand = Hand::new();
    hand.policy.add_all(hand.now, three()).unwrap();
    hand.actions();
    assert_eq!(hand.remove(2), [ended(2, EndReason::Removed)], "it had not started");
    assert_eq!(hand.remove(1), [stop(1), start(3)]);
    assert_eq!(hand.ready(3), [Action::Ready]);
    assert_eq!(hand.stopped(1), [ended(1, EndReason::Removed)]);
}

#[test]
fn waiting_child_that_is_terminated_never_starts_until_asked() {
    let mut hand = Hand::new();
    hand.policy.add_all(hand.now, three()).unwrap();
    hand.actions();
    assert_eq!(hand.terminate(2), [ended(2, EndReason::Terminated)]);
    assert_eq!(hand.ready(1), [start(3)]);
    assert_eq!(hand.ready(3), [Action::Ready]);
    assert_eq!(hand.restart(2), [start(2)]);
}

#[test]
fn restarted_child_keeps_its_place_in_the_stop_order() {
    let mut hand = Hand::running(3);
    hand.crashed(1);
    hand.ready(1);
    hand.restart(2);
    hand.stopped(2);
    hand.ready(2);
    let mut stops = Vec::new();
    let mut actions = hand.shutdown();
    while let Some(Action::Stop { id }) = actions.last().copied() {
        stops.push(id.0);
        actions = hand.stopped(id.0);
    }
    assert_eq!(stops, [3, 2, 1]);
}

#[test]
fn child_that_dies_before_its_turn_to_stop_is_not_stopped() {
    let mut hand = Hand::running(3);
    assert_eq!(hand.shutdown(), [stop(3)]);
    assert_eq!(hand.crashed(2), [ended(2, EndReason::Supervisor)]);
    assert_eq!(hand.crashed(1), [ended(1, EndReason::Supervisor)]);
    assert_eq!(hand.stopped(3), [ended(3, EndReason::Supervisor), done(DoneReason::Shutdown)]);
}

#[test]
fn child_added_twice_is_refused_and_nothing_of_its_group_is_added() {
    let mut hand = Hand::running(1);
    let now = hand.now;
    assert_eq!(hand.policy.add(now, id(1), PERMANENT), Err(Refused::Known));
    assert_eq!(hand.policy.add_all(now, [(id(2), PERMANENT), (id(1), PERMANENT)]), Err(Refused::Known));
    assert_eq!(hand.policy.add_all(now, [(id(3), PERMANENT), (id(3), PERMANENT)]), Err(Refused::Known));
    assert_eq!(hand.policy.counts().specs, 1);
    assert_eq!(hand.actions(), []);
}

/// Linear in what is done, not only in time: one stop and one end for each child.
#[test]
fn stopping_many_children_is_linear() {
    const CHILDREN: u64 = 10_000;
    let began = Instant::now();
    let mut hand = Hand::running(CHILDREN);
    let mut stops = Vec::new();
    let mut count = 0;
    let mut actions = VecDeque::from(hand.shutdown());
    while let Some(action) = actions.pop_front() {
        count += 1;
        if let Action::Stop { id } = action {
            stops.push(id.0);
            actions.extend(hand.stopped(id.0));
        }
    }
    assert!(stops.iter().copied().eq((1..=CHILDREN).rev()));
    assert_eq!(count, 2 * CHILDREN + 1);
    let took = began.elapsed();
    println!("{CHILDREN} children started and stopped in {took:?}");
    assert!(took < Duration::from_secs(10));
}

#[test]
fn shutdown_of_many_children_in_a_restart_loop_is_linear() {
    const CHILDREN: u64 = 10_000;
    let mut hand = Hand::with(Intensity::new(u32::MAX, ms(1_000)), Backoff::default());
    hand.all_ready((1..=CHILDREN).map(|child| (id(child), PERMANENT)));
    let began = Instant::now();
    for child in 1..=CHILDREN {
        hand.crashed(child);
        hand.start_failed(child);
    }
    assert_eq!(hand.policy.counts().restarting, 10_000);
    let actions = hand.shutdown();
    assert_eq!(actions.len(), 10_001);
    assert_eq!(actions.last(), Some(&done(DoneReason::Shutdown)));
    assert_eq!(hand.policy.poll_timeout(), None);
    let took = began.elapsed();
    println!("{CHILDREN} children crashed twice and dropped in {took:?}");
    assert!(took < Duration::from_secs(10));
}
