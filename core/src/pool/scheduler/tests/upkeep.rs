use super::*;
use crate::pool::rules::{Recycle, Rest, Wear};

fn recycle(recycle: Recycle) -> Rules {
    Rules { recycle, ..Rules::default() }
}

fn ready(workers: usize, rules: Rules) -> Bench {
    let total = workers + rules.spares;
    let mut bench = Bench::with_rules(workers, rules);
    bench.poll();
    (0..total as u64).for_each(|worker| bench.worker_ready(worker));
    bench
}

fn recycled(worker: u64, wear: Wear) -> Action {
    Action::Recycle { worker: WorkerId(worker), wear }
}

#[test]
fn one_worker_that_runs_two_tasks_each_time_makes_five_of_ten() {
    let mut bench = ready(1, recycle(Recycle { tasks: Some(2), ..Recycle::default() }));
    bench.submit(10);
    for first in [0, 2, 4, 6, 8] {
        assert_eq!(bench.dispatched(), [(0, first), (0, first + 1)]);
        bench.done(first, US);
        assert_eq!(bench.poll(), [], "its lot is given out");
        bench.done(first + 1, US);
        assert_eq!(bench.poll(), [recycled(0, Wear::Tasks(2)), stop(0)]);
        bench.worker_lost(0);
        assert_eq!(bench.poll(), [start(0, 0)]);
        bench.worker_ready(0);
    }
    let report = bench.scheduler.report();
    assert_eq!((report.recycled, report.workers_lost, report.done), (5, 0, 10));
}

#[test]
fn an_old_worker_is_replaced_after_what_it_holds_and_gets_nothing_more() {
    let age = 1000 * MS;
    let mut bench = ready(1, recycle(Recycle { age: Some(age), ..Recycle::default() }));
    bench.submit(3);
    bench.dispatched();
    bench.done(0, MS);
    bench.dispatched();
    bench.pass(age);
    bench.scheduler.handle_timeout(bench.now);
    assert_eq!(bench.poll(), [recycled(0, Wear::Age(age))]);
    bench.submit(1);
    bench.done(1, MS);
    assert_eq!(bench.poll(), []);
    bench.done(2, MS);
    assert_eq!(bench.poll(), [stop(0)]);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), [start(0, 0)]);
    bench.worker_ready(0);
    assert_eq!(bench.dispatched(), [(0, 3)]);
}

#[test]
fn a_worker_that_has_run_nothing_is_as_good_as_new_until_it_has() {
    let age = 1000 * MS;
    let mut bench = ready(1, recycle(Recycle { age: Some(age), memory: Some(100), ..Recycle::default() }));
    bench.pass(age);
    bench.scheduler.handle_timeout(bench.now);
    bench.scheduler.handle_memory(bench.now, WorkerId(0), 1000);
    assert_eq!(bench.poll(), []);
    bench.submit(1);
    bench.dispatched();
    bench.done(0, US);
    assert_eq!(bench.poll(), [recycled(0, Wear::Memory(1000)), stop(0)]);
}

#[test]
fn a_large_worker_is_replaced_and_a_small_one_stays() {
    let mut bench = ready(2, recycle(Recycle { memory: Some(100), ..Recycle::default() }));
    bench.submit(2);
    bench.dispatched();
    bench.done(0, US);
    bench.done(1, US);
    bench.scheduler.handle_memory(bench.now, WorkerId(0), 99);
    bench.scheduler.handle_memory(bench.now, WorkerId(1), 100);
    assert_eq!(bench.poll(), [recycled(1, Wear::Memory(100)), stop(1)]);
}

#[test]
fn a_worker_that_dies_while_it_is_recycled_is_a_loss_and_replaced_once() {
    let age = 1000 * MS;
    let mut bench = ready(1, recycle(Recycle { age: Some(age), ..Recycle::default() }));
    bench.submit(2);
    bench.dispatched();
    bench.done(0, MS);
    bench.pass(age);
    bench.scheduler.handle_timeout(bench.now);
    bench.poll();
    bench.died(1);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), [end(1, Ending::Lost, 1), start(0, 0)]);
    assert_eq!((bench.scheduler.report().workers_lost, bench.scheduler.report().recycled), (1, 0));
}

#[test]
fn workers_without_work_end_but_for_those_that_stay_and_come_back_for_tasks() {
    let rest = Rest { after: 100 * MS, keep: 1 };
    let mut bench = ready(3, Rules { rest: Some(rest), ..Rules::default() });
    bench.submit(3);
    bench.dispatched();
    (0..3).for_each(|task| bench.done(task, MS));
    bench.pass(99 * MS);
    bench.scheduler.handle_timeout(bench.now);
    assert_eq!(bench.poll(), []);
    bench.pass(MS);
    bench.scheduler.handle_timeout(bench.now);
    assert_eq!(bench.poll(), [stop(0), stop(1)]);
    (0..2).for_each(|worker| bench.worker_lost(worker));
    assert_eq!(bench.poll(), []);
    assert_eq!(bench.scheduler.poll_timeout(), None, "an idle pool has nothing to look at");
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(2, 3)]);
    bench.submit(4);
    let actions = bench.poll();
    let starts: Vec<_> = actions.iter().filter(|action| matches!(action, Action::StartWorker { .. })).collect();
    assert_eq!(starts, [&start(0, 0), &start(1, 0)], "{actions:?}");
    assert_eq!(bench.scheduler.report().workers_lost, 0);
}

#[test]
fn a_bound_task_wakes_its_worker() {
    let rest = Rest { after: 100 * MS, keep: 0 };
    let mut bench = ready(2, Rules { rest: Some(rest), ..Rules::default() });
    bench.pass(100 * MS);
    bench.scheduler.handle_timeout(bench.now);
    assert_eq!(bench.poll(), [stop(0), stop(1)]);
    bench.worker_lost(1);
    bench.submit_with(1, bound(1));
    bench.submit_with(1, bound(0));
    assert_eq!(bench.poll(), [start(1, 0)]);
    bench.worker_lost(0);
    assert_eq!(bench.poll(), [start(0, 0)], "one that was on its way out comes back");
    bench.worker_ready(1);
    assert_eq!(bench.dispatched(), [(1, 0)]);
}

#[test]
fn a_pool_at_rest_closes_without_waking_anybody() {
    let rest = Rest { after: 100 * MS, keep: 0 };
    let mut bench = ready(1, Rules { rest: Some(rest), ..Rules::default() });
    bench.pass(100 * MS);
    bench.scheduler.handle_timeout(bench.now);
    bench.poll();
    bench.worker_lost(0);
    bench.scheduler.finish(bench.now);
    assert!(matches!(bench.poll()[..], [Action::StopWorkers, Action::Closed(_)]));
}

#[test]
fn a_spare_takes_the_place_of_a_worker_that_dies_and_gives_it_back_to_nobody() {
    let mut bench = ready(2, Rules { spares: 1, ..Rules::default() });
    bench.submit(6);
    assert_eq!(bench.dispatched(), [(0, 0), (1, 1), (0, 2), (1, 3)]);
    bench.worker_lost(0);
    let instead = Action::Dispatch { worker: WorkerId(2), task: TaskId(4), attempt: 1 };
    assert_eq!(bench.poll(), [start(0, 0), instead]);
    bench.worker_ready(0);
    bench.submit(4);
    assert_eq!(bench.dispatched(), [(2, 5)], "it is the spare now");
    bench.submit_with(1, bound(0));
    assert_eq!(bench.dispatched(), [(0, 10)], "and serves what is its own");
}

#[test]
fn a_paused_pool_begins_nothing_and_takes_back_what_waits_in_workers() {
    let mut bench = Bench::ready(1);
    bench.submit(3);
    bench.dispatched();
    bench.scheduler.pause(bench.now);
    assert_eq!(bench.poll(), [recall(0, 1)]);
    bench.returned(1);
    bench.done(0, US);
    assert_eq!(bench.poll(), []);
    bench.scheduler.resume(bench.now);
    assert_eq!(bench.dispatched(), [(0, 1), (0, 2)]);
}

#[test]
fn a_paused_pool_that_is_to_finish_goes_on() {
    let mut bench = Bench::ready(1);
    bench.scheduler.pause(bench.now);
    bench.submit(1);
    assert_eq!(bench.poll(), []);
    bench.scheduler.finish(bench.now);
    assert_eq!(bench.dispatched(), [(0, 0)]);
}

#[test]
fn the_more_urgent_goes_first_bound_or_not() {
    let mut bench = Bench::ready(1);
    bench.submit_with(2, Terms { priority: 1, ..Terms::default() });
    bench.submit_with(1, Terms { priority: 5, ..Terms::default() });
    bench.submit_with(1, Terms { priority: 9, ..bound(0) });
    assert_eq!(bench.dispatched(), [(0, 3), (0, 2)]);
    bench.submit_with(1, Terms { priority: 7, ..Terms::default() });
    bench.done(3, MS);
    assert_eq!(bench.dispatched(), [(0, 4)]);
    bench.done(2, MS);
    assert_eq!(bench.dispatched(), [(0, 0)]);
}

#[test]
fn keys_survive_a_resize_and_few_of_them_move() {
    let keyed = |key| Terms { key: Some(key), ..Terms::default() };
    let homes = |workers: usize| -> Vec<u64> {
        let mut bench = Bench::ready(workers);
        (0..200)
            .map(|key| {
                bench.submit_with(1, keyed(key));
                let [(worker, task)] = bench.dispatched()[..] else { panic!("it has one worker") };
                bench.done(task, MS);
                worker
            })
            .collect()
    };
    let (three, four) = (homes(3), homes(4));
    let moved = three.iter().zip(&four).filter(|(before, after)| before != after).count();
    assert!((20..=90).contains(&moved), "{moved} of 200");
    assert!(three.iter().zip(&four).all(|(before, after)| before == after || *after == 3));
    // What waits for a worker that leaves goes to the one that has its key then.
    let mut bench = Bench::new(4);
    bench.poll();
    (0..200).for_each(|key| bench.submit_with(1, keyed(key)));
    bench.scheduler.resize(bench.now, 3);
    assert_eq!(bench.poll(), [stop(3)]);
    for (key, &home) in three.iter().enumerate() {
        let place = bench.scheduler.tasks.worker(TaskId(key as u64));
        assert_eq!(place, Some(WorkerId(home)), "key {key}");
    }
}
