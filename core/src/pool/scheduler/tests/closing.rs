use super::*;

#[test]
fn finish_takes_no_more_and_runs_all() {
    let mut bench = Bench::ready(1);
    bench.submit(3);
    bench.scheduler.finish(bench.now);
    assert_eq!(bench.scheduler.submit(bench.now, Terms::default()), Err(Closed { by: Closing::Finish }));
    bench.dispatched();
    bench.done(0, MS);
    bench.done(1, MS);
    assert_eq!(bench.dispatched(), [(0, 2)]);
    bench.done(2, MS);
    let report = Report { submitted: 3, done: 3, ..Report::default() };
    assert_eq!(bench.poll(), [Action::StopWorkers, Action::Closed(report)]);
    bench.scheduler.finish(bench.now);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), []);
}

#[test]
fn finish_of_an_empty_pool_closes_at_once() {
    let mut bench = Bench::ready(2);
    bench.scheduler.finish(bench.now);
    assert_eq!(bench.poll(), [Action::StopWorkers, Action::Closed(Report::default())]);
}

#[test]
fn finish_still_replaces_workers() {
    let mut bench = Bench::ready(1);
    bench.submit(1);
    bench.dispatched();
    bench.scheduler.finish(bench.now);
    bench.worker_lost(0);
    bench.returned(0);
    assert_eq!(bench.poll(), [start(0, 0)]);
    bench.worker_ready(0);
    assert_eq!(bench.dispatched(), [(0, 0)]);
}

#[test]
fn drain_cancels_the_queued_and_waits_for_the_running() {
    let mut bench = Bench::ready(1);
    bench.submit_with(4, idempotent(2));
    bench.submit_with(1, bound(0));
    bench.dispatched();
    bench.scheduler.drain(bench.now);
    let mut actions: Vec<_> = [2, 3, 4].map(|task| end(task, Ending::Cancelled, 0)).into();
    // What the worker holds and has not begun is asked back.
    actions.push(recall(0, 1));
    assert_eq!(bench.poll(), actions);
    bench.worker_lost(0);
    bench.died(0);
    bench.returned(1);
    let report = Report { submitted: 5, cancelled: 4, lost: 1, workers_lost: 1, ..Report::default() };
    assert_eq!(
        bench.poll(),
        [end(0, Ending::Lost, 1), end(1, Ending::Cancelled, 0), Action::StopWorkers, Action::Closed(report),]
    );
}

#[test]
fn kill_ends_everything_at_once_and_later_results_are_dropped() {
    let mut bench = Bench::new(2);
    bench.worker_ready(0);
    bench.submit(3);
    bench.poll();
    bench.scheduler.kill(bench.now);
    let report = Report { submitted: 3, cancelled: 1, killed: 2, ..Report::default() };
    assert_eq!(
        bench.poll(),
        [
            end(2, Ending::Cancelled, 0),
            end(0, Ending::Killed, 1),
            end(1, Ending::Killed, 1),
            kill(0),
            kill(1),
            Action::Closed(report),
        ]
    );
    assert!(!bench.scheduler.handle_done(bench.now, TaskId(0), MS));
    bench.died(1);
    bench.worker_lost(0);
    bench.worker_ready(1);
    assert_eq!(bench.poll(), []);
    assert_eq!((bench.scheduler.queued(), bench.scheduler.running(), bench.scheduler.ready()), (0, 0, 0));
}

#[test]
fn later_calls_only_make_it_stricter() {
    let mut bench = Bench::ready(1);
    bench.submit(3);
    bench.dispatched();
    bench.scheduler.drain(bench.now);
    bench.scheduler.finish(bench.now);
    assert_eq!(bench.poll(), [end(2, Ending::Cancelled, 0), recall(0, 1)]);
    bench.scheduler.kill(bench.now);
    bench.scheduler.drain(bench.now);
    bench.scheduler.handle_no_workers(bench.now);
    let actions = bench.poll();
    assert_eq!(actions[..3], [end(0, Ending::Killed, 1), end(1, Ending::Killed, 1), kill(0)]);
    assert!(matches!(actions[3..], [Action::Closed(_)]));
}

#[test]
fn kill_after_the_end_kills_the_workers_that_were_asked_to_stop() {
    let mut bench = Bench::ready(2);
    bench.scheduler.finish(bench.now);
    bench.poll();
    bench.worker_lost(0);
    bench.scheduler.kill(bench.now);
    assert_eq!(bench.poll(), [kill(1)]);
}

#[test]
fn the_refusal_says_why() {
    let mut bench = Bench::new(1);
    bench.scheduler.handle_no_workers(bench.now);
    let refusal = bench.scheduler.submit(bench.now, Terms::default()).unwrap_err();
    assert_eq!(refusal.to_string(), "the pool takes no more tasks: it could not keep one worker");
}
