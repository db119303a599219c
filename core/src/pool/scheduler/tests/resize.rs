use super::*;

#[test]
fn grows_by_starting_and_shrinks_from_the_highest_number() {
    let mut bench = Bench::ready(2);
    bench.scheduler.resize(bench.now, 4);
    assert_eq!(bench.poll(), [start(2, 0), start(3, 0)]);
    bench.worker_ready(2);
    bench.scheduler.resize(bench.now, 0);
    assert_eq!(bench.poll(), [stop(3), stop(2), stop(1)], "one stays");
    bench.worker_ready(3);
    bench.submit(2);
    assert_eq!(bench.dispatched(), [(0, 0), (0, 1)]);
}

#[test]
fn a_worker_that_leaves_finishes_what_it_holds_and_is_not_replaced() {
    let mut bench = Bench::ready(2);
    bench.submit(4);
    bench.dispatched();
    bench.scheduler.resize(bench.now, 1);
    assert_eq!(bench.poll(), []);
    bench.done(1, MS);
    assert_eq!(bench.scheduler.outstanding(WorkerId(1)), 0);
    assert_eq!(bench.poll(), [stop(1)]);
    bench.worker_lost(1);
    assert_eq!(bench.poll(), []);
    assert_eq!(bench.scheduler.report().workers_lost, 0);
}

#[test]
fn a_worker_about_to_leave_stays_when_it_is_wanted_again() {
    let mut bench = Bench::ready(2);
    bench.submit(2);
    bench.dispatched();
    bench.scheduler.resize(bench.now, 1);
    bench.scheduler.resize(bench.now, 2);
    assert_eq!(bench.poll(), []);
    bench.done(1, MS);
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(1, 2)]);
}

#[test]
fn a_number_is_given_again_only_after_the_exit() {
    let mut bench = Bench::ready(2);
    bench.scheduler.resize(bench.now, 1);
    bench.scheduler.resize(bench.now, 2);
    assert_eq!(bench.poll(), [stop(1), start(2, 0)]);
    bench.worker_lost(1);
    bench.scheduler.resize(bench.now, 3);
    assert_eq!(bench.poll(), [start(1, 0)]);
}

#[test]
fn a_worker_that_dies_while_it_leaves_is_gone() {
    let mut bench = Bench::ready(2);
    bench.submit(2);
    bench.dispatched();
    bench.scheduler.resize(bench.now, 1);
    bench.worker_lost(1);
    bench.returned(1);
    bench.done(0, MS);
    assert_eq!(bench.dispatched(), [(0, 1)]);
    assert_eq!(bench.scheduler.report().workers_lost, 1);
}
