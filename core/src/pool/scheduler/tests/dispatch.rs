use super::*;

#[test]
fn nothing_goes_to_a_worker_that_is_not_ready() {
    let mut bench = Bench::new(2);
    assert_eq!(bench.poll(), [start(0, 0), start(1, 0)]);
    bench.submit(3);
    assert_eq!(bench.poll(), []);
    bench.worker_ready(1);
    assert_eq!(bench.dispatched(), [(1, 0), (1, 1)]);
    assert_eq!((bench.scheduler.queued(), bench.scheduler.running()), (1, 2));
}

#[test]
fn tasks_are_numbered_densely_and_start_in_the_order_of_submission() {
    let mut bench = Bench::ready(1);
    bench.submit(5);
    assert_eq!(bench.dispatched(), [(0, 0), (0, 1)]);
    for task in 0..3 {
        bench.done(task, MS);
        assert_eq!(bench.dispatched(), [(0, task + 2)]);
    }
}

#[test]
fn idle_workers_come_first_and_ties_go_round() {
    let mut bench = Bench::ready(3);
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(0, 0)]);
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(1, 1)]);
    bench.done(0, MS);
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(2, 2)], "2 has waited longer than 0");
    bench.submit(4);
    assert_eq!(bench.dispatched(), [(0, 3), (1, 4)], "one idle, then one each while three are queued");
}

#[test]
fn a_done_is_true_once() {
    let mut bench = Bench::ready(1);
    bench.submit(1);
    bench.dispatched();
    bench.done(0, MS);
    assert!(!bench.scheduler.handle_done(bench.now, TaskId(0), MS));
    assert!(!bench.scheduler.handle_done(bench.now, TaskId(9), MS));
    assert_eq!(bench.scheduler.report().done, 1);
}

#[test]
fn a_report_about_a_queued_task_is_ignored() {
    let mut bench = Bench::new(1);
    bench.poll();
    bench.submit(1);
    assert!(!bench.scheduler.handle_done(bench.now, TaskId(0), MS));
    bench.died(0);
    bench.returned(0);
    assert_eq!(bench.poll(), []);
    assert_eq!(bench.scheduler.queued(), 1);
}

#[test]
fn a_thousand_workers_get_one_each() {
    let mut bench = Bench::ready(1000);
    bench.submit(1999);
    let each: Vec<_> = (0..1000).map(|n| (n, n)).collect();
    assert_eq!(bench.dispatched(), each);
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(0, 1000)]);
}

#[test]
fn a_burst_gives_its_memory_back() {
    let mut bench = Bench::ready(1);
    bench.submit(20_000);
    for task in 0..20_000 {
        bench.poll();
        bench.done(task, US);
    }
    assert!(bench.scheduler.tasks.capacity() <= 2 * KEEP);
}
