use super::*;

#[test]
fn go_to_their_worker_only() {
    let mut bench = Bench::ready(3);
    bench.submit_with(4, bound(1));
    assert_eq!(bench.dispatched(), [(1, 0), (1, 1)]);
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(0, 4)]);
    bench.done(0, MS);
    assert_eq!(bench.dispatched(), [(1, 2)]);
}

#[test]
fn share_a_worker_with_the_others_by_age() {
    let mut bench = Bench::ready(1);
    bench.submit_with(3, bound(0));
    bench.submit(3);
    bench.submit_with(2, bound(0));
    let mut order = Vec::new();
    for task in 0..8 {
        order.extend(bench.dispatched());
        bench.done(task, MS);
    }
    assert_eq!(order, (0..8).map(|task| (0, task)).collect::<Vec<_>>());
}

#[test]
fn wait_for_the_next_incarnation_of_their_worker() {
    let mut bench = Bench::ready(2);
    bench.submit_with(3, bound(0));
    assert_eq!(bench.dispatched(), [(0, 0), (0, 1)]);
    bench.worker_lost(0);
    bench.died(0);
    bench.returned(1);
    assert_eq!(bench.poll(), [start(0, 0), end(0, Ending::Lost, 1)]);
    bench.worker_ready(0);
    assert_eq!(bench.dispatched(), [(0, 1), (0, 2)]);
}

#[test]
fn end_when_their_worker_is_removed_queued_returned_or_new() {
    let mut bench = Bench::ready(2);
    bench.submit_with(3, bound(1));
    assert_eq!(bench.dispatched(), [(1, 0), (1, 1)]);
    bench.scheduler.resize(bench.now, 1);
    assert_eq!(bench.ended(), [(2, Ending::NoWorkers, 0)]);
    bench.submit_with(1, bound(1));
    bench.submit_with(1, bound(77));
    assert_eq!(bench.ended(), [(3, Ending::NoWorkers, 0), (4, Ending::NoWorkers, 0)]);
    bench.returned(1);
    bench.died(0);
    let all = bench.poll();
    assert!(all.contains(&end(1, Ending::NoWorkers, 0)) && all.contains(&end(0, Ending::Lost, 1)));
    assert_eq!(bench.scheduler.report().ended(), 5);
}

#[test]
fn end_when_their_worker_is_given_up_while_others_go_on() {
    let mut bench = Bench::new(2);
    bench.worker_ready(0);
    bench.submit_with(1, bound(1));
    bench.submit(1);
    bench.poll();
    bench.scheduler.handle_start_failed(bench.now, WorkerId(1));
    bench.scheduler.remove_worker(bench.now, WorkerId(1));
    assert_eq!(bench.poll(), [start(1, 1), stop(1), end(0, Ending::NoWorkers, 0)]);
    assert_eq!(bench.scheduler.workers().collect::<Vec<_>>(), [WorkerId(0)]);
}
