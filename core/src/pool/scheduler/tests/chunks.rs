use super::*;
use crate::pool::rules::Recycle;

/// The sizes of what is sent, by worker.
fn sizes(bench: &mut Bench) -> Vec<(u64, usize)> {
    let size = |action| match action {
        Action::Dispatch { worker, .. } => (worker.0, 1),
        Action::Chunk { worker, tasks } => (worker.0, tasks.len()),
        other => panic!("{other:?}"),
    };
    bench.poll().into_iter().map(size).collect()
}

fn chunked(workers: usize, chunk: Chunk) -> Bench {
    let mut bench = Bench::with_rules(workers, Rules { chunk, ..Rules::default() });
    bench.poll();
    (0..workers as u64).for_each(|worker| bench.worker_ready(worker));
    bench
}

/// Runs short tasks until the window is the largest.
fn warm(workers: usize) -> Bench {
    let mut bench = chunked(workers, Chunk::Auto);
    loop {
        bench.submit(10_000);
        let mut held = Vec::new();
        while let Some(action) = bench.scheduler.poll_action() {
            match action {
                Action::Dispatch { task, .. } => held.push(task.0),
                Action::Chunk { tasks, .. } => held.extend(tasks.iter().map(|task| task.0)),
                other => panic!("{other:?}"),
            }
        }
        if held.is_empty() {
            break;
        }
        held.into_iter().for_each(|task| bench.done(task, US));
        if bench.scheduler.queued() > 200_000 {
            break;
        }
    }
    bench
}

#[test]
fn the_first_tasks_go_singly_and_long_ones_always() {
    let mut bench = chunked(2, Chunk::Auto);
    bench.submit(100);
    assert_eq!(sizes(&mut bench), [(0, 1), (1, 1), (0, 1), (1, 1)]);
    (0..4).for_each(|task| bench.done(task, 50 * MS));
    assert_eq!(sizes(&mut bench), [(0, 1), (1, 1), (0, 1), (1, 1)]);
}

#[test]
fn fixed_chunks_are_filled_one_that_runs_and_one_that_waits() {
    let mut bench = chunked(2, Chunk::Fixed(10));
    bench.submit(35);
    assert_eq!(sizes(&mut bench), [(0, 10), (1, 10), (0, 10), (1, 5)]);
    (0..10).for_each(|task| bench.done(task, 300 * MS));
    bench.submit(3);
    assert_eq!(sizes(&mut bench), [(0, 3)]);
}

#[test]
fn a_chunk_is_in_the_order_of_the_queue_urgent_ones_first() {
    let mut bench = chunked(1, Chunk::Fixed(4));
    bench.submit(3);
    bench.submit_with(2, Terms { priority: 9, ..Terms::default() });
    let tasks = [3, 4, 0, 1].map(TaskId).into_iter().collect();
    assert_eq!(bench.poll()[0], Action::Chunk { worker: WorkerId(0), tasks });
}

#[test]
fn a_task_that_has_killed_a_worker_travels_alone() {
    let mut bench = chunked(1, Chunk::Fixed(4));
    bench.submit_with(3, idempotent(2));
    bench.poll();
    bench.died(0);
    bench.returned(1);
    bench.returned(2);
    bench.worker_lost(0);
    bench.poll();
    bench.worker_ready(0);
    assert_eq!(sizes(&mut bench), [(0, 1), (0, 2)]);
}

#[test]
fn a_worker_gets_no_more_than_its_lot() {
    let recycle = Recycle { tasks: Some(3), ..Recycle::default() };
    let mut bench = Bench::with_rules(1, Rules { chunk: Chunk::Fixed(10), recycle, ..Rules::default() });
    bench.poll();
    bench.worker_ready(0);
    bench.submit(20);
    assert_eq!(sizes(&mut bench), [(0, 3)]);
}

#[test]
fn what_is_taken_back_is_not_a_death_and_goes_to_another() {
    let mut bench = chunked(2, Chunk::Fixed(4));
    bench.submit(4);
    assert_eq!(sizes(&mut bench), [(0, 4)]);
    bench.scheduler.handle_taken_back(bench.now, &[1, 2, 3].map(TaskId).into_iter().collect());
    bench.scheduler.handle_stuck(bench.now, WorkerId(0));
    assert_eq!(sizes(&mut bench), [(1, 3)]);
    bench.submit(1);
    assert_eq!(sizes(&mut bench), [(1, 1)], "nothing is put behind the one that takes long");
    bench.done(0, 20 * MS);
    bench.submit(4);
    assert_eq!(sizes(&mut bench), [(0, 4)]);
}

#[test]
fn one_that_is_cancelled_in_a_chunk_ends_and_the_others_wait_again() {
    let mut bench = chunked(1, Chunk::Fixed(4));
    bench.submit(4);
    bench.poll();
    bench.cancel(2);
    assert_eq!(bench.poll(), [Action::CancelRunning { worker: WorkerId(0), task: TaskId(2) }]);
    bench.scheduler.handle_taken_back(bench.now, &[1, 2, 3].map(TaskId).into_iter().collect());
    let tasks = [1, 3].map(TaskId).into_iter().collect();
    assert_eq!(bench.poll(), [end(2, Ending::Cancelled, 0), Action::Chunk { worker: WorkerId(0), tasks }]);
}

#[test]
fn long_queues_of_short_tasks_go_in_large_chunks_that_get_smaller_at_the_end() {
    let mut bench = warm(2);
    let mut all = Vec::new();
    loop {
        let mut held = Vec::new();
        for action in bench.poll() {
            match action {
                Action::Dispatch { task, .. } => held.push(vec![task]),
                Action::Chunk { tasks, .. } => held.push(tasks.iter().collect()),
                other => panic!("{other:?}"),
            }
        }
        if held.is_empty() {
            break;
        }
        all.extend(held.iter().map(Vec::len));
        held.into_iter().flatten().for_each(|task| bench.done(task.0, US));
    }
    let tasks: usize = all.iter().sum();
    assert_eq!(all.iter().max(), Some(&1000));
    assert!(all.len() < tasks / 300, "{} tasks in {} chunks", tasks, all.len());
    assert!(all.last() <= Some(&20), "{:?}", all.last());
}
