//! Calls that would wait for themselves.

use super::*;
use crate::wire::ids::ActorId;

fn path(outcome: Outcome) -> Vec<String> {
    match failure(outcome) {
        CallError::WouldDeadlock { path } => path,
        other => panic!("no deadlock: {other:?}"),
    }
}

#[test]
fn a_call_to_oneself_ends_at_once() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    for cast in [false, true] {
        if cast {
            w.cast(hub, to_a, "x");
        } else {
            w.call(hub, to_a, "x");
        }
        w.drive();
        let taken = w.take(&a).unwrap();
        let own = w.call_from(a.process, &taken, to_a, "y");
        w.drive();
        assert_eq!(path(w.outcome(a.process, own)), ["a", "a"]);
        if !cast {
            w.answer(a.process, taken.call, "");
        }
        w.finish(&a, &taken);
        w.drive();
    }
    w.assert_at_rest();
}

#[test]
fn a_call_back_to_an_actor_that_waits_for_it_ends_at_once() {
    for root in ["call", "cast"] {
        let mut w = World::new();
        let hub = w.process();
        let (to_a, a) = w.worker(hub, "a");
        let (to_b, b) = w.worker(hub, "b");
        let to_c = w.local(hub, "c", 8);
        if root == "call" {
            w.call(hub, to_a, "x");
        } else {
            w.cast(hub, to_a, "x");
        }
        w.drive();
        let in_a = w.take(&a).unwrap();
        w.call_from(a.process, &in_a, to_b, "y");
        w.drive();
        let in_b = w.take(&b).unwrap();
        w.call_from(b.process, &in_b, to_c, "z");
        w.drive();
        let in_c = w.take_local(to_c).unwrap();
        for (target, expected) in
            [(to_a, vec!["a", "b", "c", "a"]), (to_b, vec!["b", "c", "b"]), (to_c, vec!["c", "c"])]
        {
            let back = w.call_from(hub, &in_c, target, "back");
            w.drive();
            assert_eq!(path(w.outcome(hub, back)), expected);
        }
    }
}

#[test]
fn it_is_found_across_hubs() {
    let mut w = World::new();
    let root = w.process();
    let (to_sub, sub) = w.hub_below(root, "sub");
    let (to_a, a) = w.worker(root, "a");
    let (to_b, b) = w.worker(root, "b");
    let (to_x, x) = w.worker(sub.process, "x");
    let _ = to_sub;
    // x, a and b in turn; the first call is known below only.
    w.call(sub.process, to_x, "1");
    w.drive();
    let in_x = w.take(&x).unwrap();
    w.call_from(x.process, &in_x, to_a, "2");
    w.drive();
    let in_a = w.take(&a).unwrap();
    w.call_from(a.process, &in_a, to_b, "3");
    w.drive();
    let in_b = w.take(&b).unwrap();
    let back = w.call_from(b.process, &in_b, to_x, "4");
    w.drive();
    assert_eq!(path(w.outcome(b.process, back)).last().unwrap(), "x");
    let back = w.call_from(b.process, &in_b, to_a, "5");
    w.drive();
    assert_eq!(path(w.outcome(b.process, back)), ["a", "b", "a"]);
}

#[test]
fn an_actor_that_has_deferred_its_answer_may_be_called() {
    for local in [false, true] {
        let mut w = World::new();
        let root = w.process();
        let (_, sub) = w.hub_below(root, "sub");
        let (to_b, b) = w.worker(root, "b");
        let (to_a, a) = w.worker(sub.process, "a");
        let to_t = w.local(sub.process, "t", 8);
        // b asks a, which defers; what a leaves behind asks b, which would wait, and a itself, which is free.
        let target = if local { to_t } else { to_a };
        let first = w.call(b.process, target, "x");
        w.drive();
        let deferred = if local { w.take_local(to_t).unwrap() } else { w.take(&a).unwrap() };
        let process = if local { sub.process } else { a.process };
        if local {
            w.finish_local(to_t, &deferred);
        } else {
            w.finish(&a, &deferred);
        }
        w.drive();
        let again = w.call_from(process, &deferred, target, "y");
        w.drive();
        let taken = if local { w.take_local(to_t).unwrap() } else { w.take(&a).unwrap() };
        assert_eq!(body(&taken), "y");
        w.answer(process, taken.call, "fine");
        if local {
            w.finish_local(to_t, &taken);
        } else {
            w.finish(&a, &taken);
        }
        w.drive();
        assert_eq!(text(w.outcome(process, again)), "fine");
        // Through the other actor, whose own call does not wait for a handler any more.
        let through = w.call_from(process, &deferred, to_b, "z");
        w.drive();
        let in_b = w.take(&b).unwrap();
        let back = w.call_from(b.process, &in_b, target, "back");
        w.drive();
        assert!(w.is_open(b.process, back));
        let taken = if local { w.take_local(to_t).unwrap() } else { w.take(&a).unwrap() };
        w.answer(process, taken.call, "fine");
        w.drive();
        assert_eq!(text(w.outcome(b.process, back)), "fine");
        w.answer(b.process, in_b.call, "fine");
        w.drive();
        text(w.outcome(process, through));
        w.answer(process, deferred.call, "fine");
        w.drive();
        text(w.outcome(b.process, first));
    }
}

#[test]
fn an_actor_that_was_told_by_a_cast_may_ask_back() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    w.call(hub, to_a, "x");
    w.drive();
    let in_a = w.take(&a).unwrap();
    w.cast_from(a.process, &in_a, to_b, "news");
    w.drive();
    let in_b = w.take(&b).unwrap();
    let back = w.call_from(b.process, &in_b, to_a, "tell me more");
    w.drive();
    assert!(w.is_open(b.process, back), "a does not wait for b");
    w.answer(a.process, in_a.call, "");
    w.finish(&a, &in_a);
    w.serve(&a);
    w.drive();
    assert_eq!(text(w.outcome(b.process, back)), "tell me more");
    w.finish(&b, &in_b);
    w.drive();
    w.assert_at_rest();
}

#[test]
fn an_actor_that_waits_no_more_may_be_called_back() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    w.call(hub, to_a, "x");
    w.drive();
    let in_a = w.take(&a).unwrap();
    let call = w.call_from(a.process, &in_a, to_b, "y");
    w.drive();
    let in_b = w.take(&b).unwrap();
    w.cancel(a.process, call);
    w.drive();
    let back = w.call_from(b.process, &in_b, to_a, "z");
    w.drive();
    assert!(w.is_open(b.process, back));
}

#[test]
fn a_cast_never_waits_for_itself() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    w.call(hub, to_a, "x");
    w.drive();
    let in_a = w.take(&a).unwrap();
    w.cast_from(a.process, &in_a, to_a, "later");
    w.answer(a.process, in_a.call, "");
    w.finish(&a, &in_a);
    assert_eq!(w.serve(&a), ["later"]);
    w.assert_at_rest();
}

#[test]
fn what_a_finished_cast_left_behind_may_call_its_actor() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, b) = w.worker(hub, "b");
    // Short handlers: credit comes back in large batches.
    for _ in 0..200 {
        w.cast(hub, to_a, "x");
        w.drive();
        let taken = w.take(&a).unwrap();
        w.finish_after(&a, &taken, std::time::Duration::ZERO);
    }
    for _ in 0..4 {
        w.cast(hub, to_a, "x");
    }
    w.drive();
    let taken = w.take(&a).unwrap();
    w.finish_after(&a, &taken, std::time::Duration::ZERO);
    w.call_from(a.process, &taken, to_b, "y");
    w.drive();
    let in_b = w.take(&b).unwrap();
    let back = w.call_from(b.process, &in_b, to_a, "z");
    w.drive();
    assert!(w.is_open(b.process, back));
}

#[test]
fn a_long_chain_of_causes_costs_little() {
    let mut w = World::new();
    let hub = w.process();
    let actors: Vec<_> = (0..2000).map(|n| w.local(hub, &n.to_string(), 8)).collect();
    w.call(hub, actors[0], "x");
    let began = std::time::Instant::now();
    for pair in actors.windows(2) {
        let taken = w.take_local(pair[0]).unwrap();
        w.call_from(hub, &taken, pair[1], "x");
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Who calls whom, as far as this process knows.
fn between(w: &World, process: usize) -> Vec<(ActorId, ActorId, String)> {
    let calls = w.processes[process].router.calls_between().into_iter();
    calls.map(|call| (call.from.actor, call.to.actor, call.method.to_string())).collect()
}

#[test]
fn calls_between_actors_are_known_while_their_handlers_run() {
    for local in [false, true] {
        let mut w = World::new();
        let hub = w.process();
        let (to_a, a) = w.worker(hub, "a");
        let (to_b, b) = w.worker(hub, "b");
        let to_t = w.local(hub, "t", 8);
        let target = if local { to_t } else { to_b };
        w.call(hub, to_a, "x");
        w.drive();
        assert_eq!(between(&w, hub), [], "nobody's handler made it");
        let in_a = w.take(&a).unwrap();
        let call = w.call_from(a.process, &in_a, target, "y");
        w.drive();
        let known = between(&w, hub);
        assert_eq!(known.len(), 1, "in the mailbox or with the handler");
        assert_eq!((known[0].0, known[0].1), (to_a.to.actor, target.to.actor));
        // It defers its answer: what its handlers wait for from now on is nothing to the caller.
        let process = if local { hub } else { b.process };
        let in_b = if local { w.take_local(to_t).unwrap() } else { w.take(&b).unwrap() };
        w.drive();
        assert_eq!(between(&w, hub).len(), 1);
        if local {
            w.finish_local(to_t, &in_b);
        } else {
            w.finish(&b, &in_b);
        }
        w.drive();
        assert_eq!(between(&w, hub), [], "deferred");
        w.answer(process, in_b.call, "fine");
        w.drive();
        assert_eq!(text(w.outcome(a.process, call)), "fine");
    }
}

#[test]
fn a_call_that_a_handler_left_behind_holds_its_actor_up_no_more() {
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    let (to_b, _b) = w.worker(hub, "b");
    w.cast(hub, to_a, "x");
    w.drive();
    let in_a = w.take(&a).unwrap();
    let call = w.call_from(a.process, &in_a, to_b, "y");
    w.drive();
    assert_eq!(between(&w, hub).len(), 1);
    w.finish_after(&a, &in_a, std::time::Duration::ZERO);
    w.drive();
    assert_eq!(between(&w, hub), [], "its handler has ended");
    w.cancel(a.process, call);
    w.drive();
    assert_eq!(between(&w, hub), []);
}

#[test]
fn a_call_that_the_worker_itself_refuses_is_counted_among_those_it_was_handed() {
    use crate::router::causes::DEPTH;
    let mut w = World::new();
    let hub = w.process();
    let (to_a, a) = w.worker(hub, "a");
    w.call(hub, to_a, "root");
    w.drive();
    let in_a = w.take(&a).unwrap();
    // So many that the hub sees no further than to the call of a's handler, and not to that handler.
    let (mut from, mut cause) = (a.process, in_a.call);
    for n in 0..DEPTH {
        let (to_next, next) = w.worker(hub, &format!("b{n}"));
        w.submit(from, to_next.to, true, None, Some(cause), "on");
        w.drive();
        let taken = w.take(&next).unwrap();
        (from, cause) = (next.process, taken.call);
    }
    let back = w.submit(from, to_a.to, true, None, Some(cause), "back");
    w.drive();
    assert_eq!(path(w.outcome(from, back)).first().map(String::as_str), Some("hosted"), "by its own process");
    let unwanted = w.call(hub, to_a, "unwanted");
    w.take_back(hub, unwanted, false);
    assert_eq!(failure(w.outcome(hub, unwanted)), CallError::Cancelled);
    let wanted = w.call(hub, to_a, "wanted");
    w.answer(a.process, in_a.call, "");
    w.finish(&a, &in_a);
    assert_eq!(w.serve(&a), ["wanted"]);
    assert_eq!(text(w.outcome(hub, wanted)), "wanted");
}
