use super::*;

#[test]
fn a_returned_task_goes_first_in_its_old_order_and_counts_no_attempt() {
    let mut bench = Bench::ready(2);
    bench.submit(6);
    assert_eq!(bench.dispatched(), [(0, 0), (1, 1), (0, 2), (1, 3),]);
    bench.worker_lost(0);
    bench.returned(2);
    bench.returned(0);
    assert_eq!(bench.poll(), [start(0, 0)]);
    bench.worker_ready(0);
    let again = |task| Action::Dispatch { worker: WorkerId(0), task: TaskId(task), attempt: 1 };
    assert_eq!(bench.poll(), [again(0), again(2)]);
}

#[test]
fn a_task_that_may_not_be_begun_twice_is_lost() {
    for max_attempts in [0, 1] {
        let mut bench = Bench::ready(1);
        bench.submit_with(1, idempotent(max_attempts));
        bench.dispatched();
        bench.died(0);
        bench.worker_lost(0);
        assert_eq!(bench.poll(), [end(0, Ending::Lost, 1), start(0, 0)]);
    }
}

#[test]
fn an_idempotent_task_is_begun_again_as_its_second_attempt() {
    let mut bench = Bench::ready(2);
    bench.submit_with(1, idempotent(2));
    bench.submit(4);
    bench.dispatched();
    bench.worker_lost(0);
    bench.died(0);
    bench.returned(2);
    bench.poll();
    bench.done(1, MS);
    let again = Action::Dispatch { worker: WorkerId(1), task: TaskId(0), attempt: 2 };
    assert_eq!(bench.poll(), [again]);
    assert_eq!(bench.scheduler.report().retried, 1);
}

#[test]
fn a_task_that_has_killed_two_workers_is_quarantined() {
    let mut bench = Bench::ready(2);
    bench.submit_with(1, idempotent(100));
    assert_eq!(bench.dispatched(), [(0, 0)]);
    bench.died(0);
    assert_eq!(bench.dispatched(), [(1, 0)]);
    bench.died(0);
    assert_eq!(bench.ended(), [(0, Ending::Quarantined, 2)]);
    bench.died(0);
    assert_eq!(bench.ended(), []);
}

#[test]
fn a_worker_whose_task_died_gets_nothing_before_its_loss_is_told() {
    let mut bench = Bench::ready(1);
    bench.submit_with(3, idempotent(2));
    bench.dispatched();
    bench.died(0);
    bench.returned(1);
    assert_eq!(bench.poll(), []);
    assert_eq!(bench.scheduler.ready(), 0);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), [start(0, 0)]);
    bench.worker_ready(0);
    assert_eq!(bench.dispatched(), [(0, 0), (0, 1)]);
}

#[test]
fn reports_after_the_next_incarnation_is_ready_touch_only_their_tasks() {
    let mut bench = Bench::ready(1);
    bench.submit(4);
    bench.dispatched();
    bench.worker_lost(0);
    assert_eq!(bench.scheduler.running(), 2);
    bench.worker_ready(0);
    assert_eq!(
        bench.poll()[1..],
        [
            Action::Dispatch { worker: WorkerId(0), task: TaskId(2), attempt: 1 },
            Action::Dispatch { worker: WorkerId(0), task: TaskId(3), attempt: 1 },
        ]
    );
    bench.died(0);
    bench.done(1, Duration::MAX);
    assert_eq!(bench.ended(), [(0, Ending::Lost, 1)]);
    assert_eq!(bench.scheduler.outstanding(WorkerId(0)), 2);
    assert_eq!(bench.scheduler.window(WorkerId(0)), 2, "times of the dead don't count");
    bench.submit(2);
    bench.done(2, MS);
    assert_eq!(bench.dispatched(), [(0, 4)]);
}

#[test]
fn a_finished_result_of_a_dead_worker_counts() {
    let mut bench = Bench::ready(1);
    bench.submit(1);
    bench.dispatched();
    bench.worker_lost(0);
    bench.done(0, MS);
    assert_eq!(bench.poll(), [start(0, 0)]);
    assert_eq!(bench.scheduler.report().done, 1);
}

#[test]
fn a_lost_worker_is_replaced_once_and_its_window_starts_again() {
    let mut bench = Bench::ready(1);
    bench.warm_up();
    bench.worker_lost(0);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), [start(0, 0)]);
    bench.worker_ready(0);
    assert_eq!(bench.scheduler.window(WorkerId(0)), 2);
    assert_eq!(bench.scheduler.report().workers_lost, 1);
}

#[test]
fn one_death_touches_no_task_of_another_worker() {
    let mut bench = Bench::ready(3);
    bench.submit(3);
    assert_eq!(bench.dispatched(), [(0, 0), (1, 1), (2, 2)]);
    bench.worker_lost(1);
    bench.died(1);
    assert_eq!(bench.poll(), [start(1, 0), end(1, Ending::Lost, 1)]);
    assert_eq!((bench.scheduler.running(), bench.scheduler.ready()), (2, 2));
    bench.done(0, MS);
    bench.done(2, MS);
    assert_eq!(bench.poll(), []);
}

#[test]
fn failed_starts_are_counted_until_one_succeeds() {
    let mut bench = Bench::new(1);
    bench.poll();
    for failures in 1..4 {
        bench.scheduler.handle_start_failed(bench.now, WorkerId(0));
        assert_eq!(bench.poll(), [start(0, failures)]);
    }
    bench.worker_ready(0);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), [start(0, 0)]);
    let report = bench.scheduler.report();
    assert_eq!((report.start_failures, report.workers_lost), (3, 1));
}

#[test]
fn a_pool_that_gives_up_ends_all_its_tasks_with_the_cause_and_closes() {
    let mut bench = Bench::ready(1);
    bench.submit_with(3, idempotent(2));
    bench.submit_with(1, bound(0));
    bench.dispatched();
    bench.worker_lost(0);
    bench.died(0);
    bench.scheduler.handle_start_failed(bench.now, WorkerId(0));
    bench.poll();
    bench.scheduler.handle_no_workers(bench.now);
    assert_eq!(bench.ended(), [(0, Ending::NoWorkers, 1), (2, Ending::NoWorkers, 0), (3, Ending::NoWorkers, 0),]);
    assert_eq!(bench.scheduler.submit(bench.now, Terms::default()), Err(Closed { by: Closing::NoWorkers }));
    bench.returned(1);
    let report =
        Report { submitted: 4, no_workers: 4, retried: 1, workers_lost: 1, start_failures: 1, ..Report::default() };
    assert_eq!(bench.poll(), [end(1, Ending::NoWorkers, 0), Action::StopWorkers, Action::Closed(report)]);
}

#[test]
fn removing_the_last_worker_gives_up() {
    let mut bench = Bench::new(1);
    bench.submit(1);
    bench.scheduler.remove_worker(bench.now, WorkerId(0));
    let actions = bench.poll();
    assert_eq!(actions[..3], [start(0, 0), stop(0), end(0, Ending::NoWorkers, 0)]);
    assert!(matches!(actions[3..], [Action::StopWorkers, Action::Closed(_)]));
}

#[test]
fn a_thousand_deaths_leave_as_much_behind_as_a_hundred() {
    let mut bench = Bench::ready(2);
    let mut kept = Vec::new();
    for round in 1..=1000 {
        bench.submit(2);
        let dispatched = bench.dispatched();
        let (victim, lost) = dispatched[0];
        let (_, done) = dispatched[1];
        bench.done(done, MS);
        bench.died(lost);
        bench.worker_lost(victim);
        bench.pass(10 * MS);
        bench.poll();
        bench.worker_ready(victim);
        assert_eq!(bench.dispatched(), []);
        if matches!(round, 100 | 1000) {
            kept.push(format!("{:?}", bench.scheduler).matches(", ").count());
        }
    }
    assert_eq!(kept[0], kept[1]);
}
