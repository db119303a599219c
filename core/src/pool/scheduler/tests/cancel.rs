use super::*;

#[test]
fn a_queued_task_ends_and_is_never_run() {
    let mut bench = Bench::ready(1);
    bench.submit(3);
    bench.submit_with(1, bound(0));
    bench.dispatched();
    bench.cancel(2);
    bench.cancel(3);
    assert_eq!(bench.ended(), [(2, Ending::Cancelled, 0), (3, Ending::Cancelled, 0)]);
    bench.done(0, MS);
    bench.done(1, MS);
    assert_eq!(bench.poll(), []);
}

#[test]
fn a_running_task_ends_by_its_report() {
    let mut bench = Bench::ready(1);
    bench.submit(1);
    bench.dispatched();
    bench.cancel(0);
    bench.cancel(0);
    assert_eq!(bench.poll(), [Action::CancelRunning { worker: WorkerId(0), task: TaskId(0) }]);
    bench.done(0, MS);
    assert_eq!(bench.poll(), []);
}

#[test]
fn a_cancelled_task_that_comes_back_unstarted_ends_and_its_worker_goes_on() {
    let mut bench = Bench::ready(1);
    bench.submit(3);
    bench.dispatched();
    bench.cancel(1);
    bench.poll();
    bench.returned(1);
    assert_eq!(
        bench.poll(),
        [end(1, Ending::Cancelled, 0), Action::Dispatch { worker: WorkerId(0), task: TaskId(2), attempt: 1 },]
    );
}

#[test]
fn a_cancelled_task_is_not_begun_again() {
    let mut bench = Bench::ready(1);
    bench.submit_with(1, idempotent(2));
    bench.dispatched();
    bench.cancel(0);
    bench.poll();
    bench.died(0);
    assert_eq!(bench.ended(), [(0, Ending::Lost, 1)]);
}

#[test]
fn a_task_of_a_lost_worker_asks_nobody() {
    let mut bench = Bench::ready(1);
    bench.submit(1);
    bench.dispatched();
    bench.worker_lost(0);
    bench.poll();
    bench.cancel(0);
    assert_eq!(bench.poll(), []);
    bench.returned(0);
    assert_eq!(bench.ended(), [(0, Ending::Cancelled, 0)]);
}

#[test]
fn an_ended_or_unknown_task_is_left_alone() {
    let mut bench = Bench::ready(1);
    bench.submit(1);
    bench.dispatched();
    bench.done(0, MS);
    bench.cancel(0);
    bench.cancel(5);
    assert_eq!(bench.poll(), []);
}
