//! What becomes of requests when an incarnation, an actor or a connection ends.

use super::*;
use crate::error::exit::{Exit, ExitCause};

fn executed(outcome: Outcome) -> Executed {
    match failure(outcome) {
        CallError::Died { executed, exit } => {
            assert_eq!(*exit, killed());
            executed
        }
        other => panic!("not a death: {other:?}"),
    }
}

#[test]
fn at_a_death_the_running_call_may_have_been_executed_and_all_others_were_not() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    let running = w.call(b.process, to_a, "running");
    w.drive();
    let handed = w.call(hub, to_a, "handed");
    let queued = w.call(b.process, to_a, "queued");
    w.drive();
    let taken = w.take(&a).unwrap();
    assert_eq!(body(&taken), "running");
    w.kill(to_a, &a);
    w.drive();
    assert_eq!(executed(w.outcome(b.process, running)), Executed::Maybe);
    assert_eq!(executed(w.outcome(hub, handed)), Executed::No);
    assert_eq!(executed(w.outcome(b.process, queued)), Executed::No);
    assert!(w.processes[hub].dead_letters.is_empty());
}

#[test]
fn casts_that_met_no_handler_are_one_event_with_their_number() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    for n in 0..10 {
        w.cast(if n % 2 == 0 { hub } else { b.process }, to_a, &n.to_string());
    }
    w.drive();
    let first = w.take(&a).unwrap();
    w.finish(&a, &first);
    w.drive();
    let second = w.take(&a).unwrap();
    // One has ended, one runs; of the others some are in the worker, some in the mailbox, some still at their sender.
    drop(second);
    w.kill(to_a, &a);
    w.drive();
    assert_eq!(w.processes[hub].dead_letters, [("a".to_owned(), 8)]);
    let next = w.start(to_a);
    assert!(w.serve(&next).is_empty());
    w.assert_at_rest();
}

#[test]
fn a_finished_cast_is_no_dead_letter_though_its_credit_never_came_back() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    w.cast(hub, to_a, "x");
    w.drive();
    let taken = w.take(&a).unwrap();
    w.finish(&a, &taken);
    w.kill(to_a, &a);
    assert!(w.processes[hub].dead_letters.is_empty());
    w.assert_at_rest();
}

#[test]
fn an_answered_call_is_answered_though_the_worker_dies_after_it() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let call = w.call(hub, to_a, "x");
    w.drive();
    let taken = w.take(&a).unwrap();
    w.answer(a.process, taken.call, "done");
    w.drive();
    w.kill(to_a, &a);
    assert_eq!(text(w.outcome(hub, call)), "done");
}

#[test]
fn senders_that_wait_for_room_go_on_to_the_next_incarnation_in_order() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 4);
    let a = w.start(to_a);
    let calls: Vec<_> = (0..20).map(|n| w.call(hub, to_a, &n.to_string())).collect();
    w.drive();
    w.kill(to_a, &a);
    let died = calls.iter().filter(|call| !w.is_open(hub, **call)).count();
    assert_eq!(died, 4 + 2, "the mailbox and what the worker was given");
    let a = w.start(to_a);
    let served = w.serve(&a);
    assert_eq!(served, (6..20).map(|n| n.to_string()).collect::<Vec<_>>());
    for (n, call) in calls.into_iter().enumerate() {
        let outcome = w.outcome(hub, call);
        if n < 6 {
            assert_eq!(executed(outcome), Executed::No);
        } else {
            assert_eq!(text(outcome), n.to_string());
        }
    }
    w.assert_at_rest();
}

#[test]
fn calls_made_while_the_actor_starts_wait_for_it() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    w.kill(to_a, &a);
    let call = w.call(b.process, to_a, "x");
    w.drive();
    assert!(w.is_open(b.process, call));
    w.router(hub).start_failed(to_a.entry, &killed());
    w.drive();
    assert!(w.is_open(b.process, call));
    let a = w.start(to_a);
    w.serve(&a);
    w.drive();
    assert_eq!(text(w.outcome(b.process, call)), "x");
    w.assert_at_rest();
}

#[test]
fn what_waits_for_an_actor_that_stops_for_good_is_not_delivered() {
    let mut w = World::new();
    let hub = w.process();
    let (_, b) = w.worker(hub, "b");
    let to_a = w.actor(hub, "a", 4);
    let a = w.start(to_a);
    let calls: Vec<_> =
        [hub, b.process].into_iter().flat_map(|from| [from; 20]).map(|from| (from, w.call(from, to_a, "x"))).collect();
    w.drive();
    w.retire(to_a, &a, None);
    w.drive();
    for (from, call) in calls {
        let error = failure(w.outcome(from, call));
        assert!(matches!(error, CallError::NotDelivered(NotDelivered::Stopped)), "{error:?}");
    }
    for from in [hub, b.process] {
        let call = w.call(from, to_a, "late");
        w.drive();
        assert_eq!(failure(w.outcome(from, call)), CallError::NotDelivered(NotDelivered::Stopped));
    }
    w.cast(b.process, to_a, "late");
    w.drive();
    assert_eq!(w.processes[hub].dead_letters.last().unwrap().1, 1);
    w.assert_at_rest();
}

#[test]
fn what_waits_at_an_actor_that_stops_for_good_is_not_delivered_and_at_one_that_dies_for_good_it_died() {
    let stopped = Exit { cause: ExitCause::Shutdown, ..killed() };
    for (exit, died) in [(stopped, false), (killed(), true)] {
        let mut w = World::new();
        let hub = w.process();
        let (to_a, a) = w.worker(hub, "a");
        let calls: Vec<_> = (0..4).map(|_| w.call(hub, to_a, "x")).collect();
        w.drive();
        let running = w.take(&a).unwrap();
        drop(running);
        w.retire(to_a, &a, Some(&exit));
        let outcomes: Vec<_> = calls.into_iter().map(|call| failure(w.outcome(hub, call))).collect();
        assert!(matches!(outcomes[0], CallError::Died { executed: Executed::Maybe, .. }));
        for outcome in &outcomes[1..] {
            match outcome {
                CallError::Died { executed: Executed::No, .. } => assert!(died),
                CallError::NotDelivered(NotDelivered::Stopped) => assert!(!died),
                other => panic!("{other:?}"),
            }
        }
        w.assert_at_rest();
    }
}

#[test]
fn the_end_of_an_actor_elsewhere_leaves_the_one_with_its_number_here_alone() {
    let mut w = World::new();
    let root = w.process();
    let (to_sub, sub) = w.hub_below(root, "sub");
    let here = w.local(root, "here", 8);
    let there = w.local(sub.process, "there", 8);
    assert_eq!(to_sub.to.actor, there.to.actor, "numbers are counted in each process");
    let call = w.call(root, there, "x");
    w.drive();
    w.kill(to_sub, &sub);
    failure(w.outcome(root, call));
    for owned in [here, to_sub] {
        w.call(root, owned, "x");
    }
    w.take_local(here).unwrap();
    let next = w.start(to_sub);
    assert_eq!(w.serve(&next), ["x"]);
}

#[test]
fn a_lost_connection_on_the_way_says_that_the_call_may_have_been_executed() {
    let mut w = World::new();
    let root = w.process();
    let (to_sub, sub) = w.hub_below(root, "sub");
    let (to_b, b) = w.worker(sub.process, "b");
    let sent = w.call(root, to_b, "sent");
    w.drive();
    w.take(&b).unwrap();
    w.router(root).incarnation_ended(to_sub.entry, &killed());
    w.pump(root);
    w.close(sub.wire);
    assert!(failure(w.outcome(root, sent)).may_have_executed());
}

#[test]
fn an_actor_of_another_process_of_another_run_or_of_another_type_is_not_called() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    let mut run = to_a;
    run.to.run.0 += 1;
    let mut unknown = to_a;
    unknown.to.actor.0 = 1 << 40;
    let mut node = to_a;
    node.to.node.0 = 1 << 40;
    for from in [hub, b.process] {
        for wrong in [run, unknown, node] {
            let call = w.call(from, wrong, "x");
            let cast = w.cast(from, wrong, "x");
            w.drive();
            assert_eq!(failure(w.outcome(from, call)), CallError::NotDelivered(NotDelivered::NoSuchActor));
            if from == hub {
                failure(w.outcome(from, cast));
            }
        }
    }
    assert!(w.serve(&a).is_empty());
    w.assert_at_rest();
}

#[test]
fn an_address_of_another_type_is_refused_and_does_not_spoil_the_right_one() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (_, b) = w.worker(hub, "b");
    let mut wrong = to_a;
    wrong.to.type_hash.0 += 1;
    for from in [hub, b.process] {
        for (to, fits) in [(wrong, false), (to_a, true), (wrong, false), (to_a, true)] {
            let call = w.call(from, to, "x");
            assert_eq!(w.serve(&a).len(), usize::from(fits));
            w.drive();
            let outcome = w.outcome(from, call);
            if fits {
                text(outcome);
            } else {
                assert!(matches!(failure(outcome), CallError::Version(_)));
            }
        }
    }
    w.assert_at_rest();
}

#[test]
fn casts_of_a_process_that_has_gone_are_handled_and_its_calls_are_not() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    for n in 0..3 {
        w.cast(b.process, to_a, &format!("cast {n}"));
        w.call(b.process, to_a, &format!("call {n}"));
    }
    w.drive();
    w.kill(to_b, &b);
    // The first two were in the worker already, where the call is taken back too.
    assert_eq!(w.serve(&a), ["cast 0", "cast 1", "cast 2"]);
    w.assert_at_rest();
}

#[test]
fn a_sender_that_comes_and_goes_does_not_fill_a_mailbox_beyond_its_bound() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.actor(hub, "a", 16);
    let a = w.start(to_a);
    let to_b = w.actor(hub, "b", 8);
    for _ in 0..50 {
        let b = w.start(to_b);
        for _ in 0..100 {
            w.cast(b.process, to_a, "x");
        }
        w.drive();
        w.kill(to_b, &b);
    }
    let (queued, _) = w.router(hub).load(to_a.entry);
    assert!(queued <= 50 * 8, "a first window for each connection, and no more: {queued}");
    w.serve(&a);
    w.assert_at_rest();
}

#[test]
fn a_connection_may_end_before_the_exit_is_known() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let calls: Vec<_> = (0..4).map(|n| w.call(hub, to_a, &n.to_string())).collect();
    w.drive();
    w.take(&a).unwrap();
    w.close(a.wire);
    let between = w.call(hub, to_a, "between");
    w.router(hub).incarnation_ended(to_a.entry, &killed());
    w.pump(hub);
    let told: Vec<_> = calls.into_iter().map(|call| executed(w.outcome(hub, call))).collect();
    assert_eq!(told, [Executed::Maybe, Executed::No, Executed::No, Executed::No]);
    assert_eq!(executed(w.outcome(hub, between)), Executed::No);
    let next = w.start(to_a);
    let after = w.call(hub, to_a, "after");
    assert_eq!(w.serve(&next), ["after"]);
    text(w.outcome(hub, after));
    w.assert_at_rest();
}

#[test]
fn an_actor_on_a_thread_dies_alike() {
    let mut w = World::new();
    let hub = w.process();
    let to_a = w.local(hub, "a", 8);
    let (_, b) = w.worker(hub, "b");
    let running = w.call(b.process, to_a, "running");
    let queued = w.call(b.process, to_a, "queued");
    let cast = w.cast(b.process, to_a, "cast");
    w.drive();
    let taken = w.take_local(to_a).unwrap();
    w.router(hub).incarnation_ended(to_a.entry, &killed());
    w.pump(hub);
    w.finish_local(to_a, &taken);
    w.answer(hub, taken.call, "too late");
    w.drive();
    assert_eq!(executed(w.outcome(b.process, running)), Executed::Maybe);
    assert_eq!(executed(w.outcome(b.process, queued)), Executed::No);
    assert!(w.is_open(b.process, cast));
    assert_eq!(w.processes[hub].dead_letters, [("a".to_owned(), 1)]);
    w.router(hub).attach_local(to_a.entry);
    let again = w.call(hub, to_a, "again");
    let taken = w.take_local(to_a).unwrap();
    w.answer(hub, taken.call, "here");
    w.finish_local(to_a, &taken);
    assert_eq!(text(w.outcome(hub, again)), "here");
    w.assert_at_rest();
}

#[test]
fn an_admitted_cast_is_heard_of_no_more() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let casts: Vec<_> = (0..5).map(|_| w.cast(hub, to_a, "x")).collect();
    w.drive();
    assert_eq!(w.processes[hub].admitted, casts);
    w.kill(to_a, &a);
    assert!(w.processes[hub].ended.is_empty());
    assert_eq!(w.processes[hub].router.discarded(), 0);
}

#[test]
fn a_worker_that_loses_its_supervisor_starts_nothing_more_and_waits_for_nobody() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, _) = w.worker(hub, "b");
    w.call(hub, to_a, "running");
    w.call(hub, to_a, "never");
    w.drive();
    let taken = w.take(&a).unwrap();
    let own = w.local(a.process, "own", 8);
    let call = w.call_from(a.process, &taken, to_b, "x");
    let monitor = w.monitor(a.process, to_b.to);
    w.drive();
    let link = w.link(a.wire, a.process);
    w.router(a.process).handle_closed(link);
    w.pump(a.process);
    assert_eq!(failure(w.outcome(a.process, call)), CallError::NotDelivered(NotDelivered::Disconnected));
    down(w.outcome(a.process, monitor));
    assert_eq!(w.processes[a.process].cancelled, [taken.call]);
    w.answer(a.process, taken.call, "nobody hears it");
    w.finish(&a, &taken);
    assert!(w.take(&a).is_none());
    let late = w.call(a.process, to_b, "x");
    assert_eq!(failure(w.outcome(a.process, late)), CallError::NotDelivered(NotDelivered::NoSuchActor));
    let here = w.call(a.process, own, "x");
    let taken = w.take_local(own).unwrap();
    w.answer(a.process, taken.call, "here");
    w.finish_local(own, &taken);
    text(w.outcome(a.process, here));
    assert!(w.processes[a.process].router.left_over().is_empty());
}

#[test]
fn what_somebody_had_sent_is_still_theirs_when_their_connection_is_closed() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, _) = w.worker(hub, "b");
    let (_, sub) = w.hub_below(hub, "sub");
    let (to_c, c) = w.worker(sub.process, "c");
    let service = w.local(hub, "service", 8);
    w.cast(a.process, service, "of a");
    w.drive();
    w.cast(c.process, service, "of c");
    w.drive();
    w.kill(to_a, &a);
    w.close(sub.wire);
    w.drive();
    w.router(hub).retire(to_a.entry, &NotDelivered::Stopped, Some(&killed()));
    for (text, own) in [("of a", to_a.to), ("of c", to_c.to)] {
        let taken = w.take_local(service).unwrap();
        assert_eq!(body(&taken), text);
        assert!(w.router(hub).vouches(&taken, &own));
        assert!(!w.router(hub).vouches(&taken, &to_b.to), "nobody speaks for another one");
        w.finish_local(service, &taken);
    }
}
