use super::*;

#[test]
fn short_tasks_fill_the_largest_window_and_refill_it_at_half() {
    let mut bench = Bench::ready(1);
    let first = bench.warm_up();
    bench.submit(1000);
    assert_eq!(bench.dispatched().len(), 256);
    for task in first..first + 127 {
        bench.done(task, US);
        assert_eq!(bench.dispatched(), []);
    }
    bench.done(first + 127, US);
    assert_eq!(bench.dispatched().len(), 128);
}

#[test]
fn very_long_tasks_wait_in_the_pool() {
    let mut bench = Bench::ready(1);
    bench.submit(10);
    bench.dispatched();
    bench.done(0, 1000 * MS);
    assert_eq!(bench.dispatched(), []);
    bench.done(1, 1000 * MS);
    assert_eq!(bench.dispatched(), [(0, 2)]);
}

#[test]
fn the_last_long_tasks_go_to_whoever_is_idle_first() {
    let mut bench = Bench::ready(2);
    bench.submit(5);
    assert_eq!(bench.dispatched(), [(0, 0), (1, 1), (0, 2), (1, 3)][..4].to_vec());
    bench.pass(10 * MS);
    bench.done(0, 10 * MS);
    assert_eq!(bench.dispatched(), [], "one is queued and two are ready");
    bench.pass(10 * MS);
    bench.done(2, 10 * MS);
    assert_eq!(bench.dispatched(), [(0, 4)]);
}

#[test]
fn nothing_is_put_behind_a_stalled_worker() {
    let mut bench = Bench::ready(2);
    bench.submit(2);
    bench.dispatched();
    bench.pass(4 * MS);
    bench.done(1, 4 * MS);
    bench.pass(2 * MS);
    bench.submit(5);
    assert_eq!(bench.dispatched(), [(1, 2), (1, 3)]);
    bench.done(0, 6 * MS);
    assert_eq!(bench.dispatched(), [(0, 4), (0, 5)]);
}

#[test]
fn a_bound_task_is_put_behind_a_stalled_worker_since_it_can_go_nowhere_else() {
    let mut bench = Bench::ready(2);
    bench.submit_with(1, bound(0));
    bench.dispatched();
    bench.pass(60 * MS);
    bench.submit_with(1, bound(0));
    assert_eq!(bench.dispatched(), [(0, 1)]);
}

#[test]
fn an_idle_pool_and_a_busy_one_have_no_timer() {
    let mut bench = Bench::ready(2);
    assert_eq!(bench.scheduler.poll_timeout(), None);
    bench.submit(2);
    bench.dispatched();
    assert_eq!(bench.scheduler.poll_timeout(), None, "nothing waits in a worker");
    bench.submit(3);
    bench.dispatched();
    assert_eq!(bench.scheduler.poll_timeout(), None, "nobody is idle");
}

#[test]
fn what_is_stuck_behind_a_long_task_is_asked_back_for_an_idle_worker() {
    let mut bench = Bench::ready(2);
    let first = bench.warm_up();
    // The first is long, nobody knows it, and 31 short ones wait behind it.
    bench.submit(64);
    bench.submit_with(1, bound(0));
    let held = bench.dispatched();
    let of = |worker| held.iter().filter(move |pair| pair.0 == worker).map(|pair| pair.1).collect::<Vec<_>>();
    let (long, short) = if of(0)[0] == first { (0, 1) } else { (1, 0) };
    let stuck: Vec<_> = of(long)[1..].iter().copied().filter(|&task| task != first + 64).collect();
    assert_eq!(stuck.len(), 31);
    for task in of(short) {
        if task != first + 64 {
            bench.done(task, US);
        }
    }
    assert_eq!(bench.poll(), []);
    if short == 0 {
        bench.done(first + 64, US);
        assert_eq!(bench.poll(), []);
    }
    let due = bench.scheduler.poll_timeout().expect("a worker is idle and tasks wait in the other");
    assert!(due <= bench.now + 5 * MS);
    bench.now = due;
    bench.scheduler.handle_timeout(due);
    assert_eq!(bench.poll(), stuck.iter().map(|&task| recall(long, task)).collect::<Vec<_>>());
    assert_eq!(bench.scheduler.poll_timeout(), None, "once asked is enough");
    for &task in stuck.iter().rev() {
        bench.returned(task);
    }
    assert_eq!(bench.dispatched(), stuck.iter().map(|&task| (short, task)).collect::<Vec<_>>());
    assert_eq!(bench.scheduler.ready(), 2, "a worker that gives back what it was asked for lives");
}

#[test]
fn a_task_that_was_asked_back_before_tells_of_a_death_when_it_returns_unasked() {
    let mut bench = Bench::ready(3);
    bench.submit(5);
    assert_eq!(bench.dispatched(), [(0, 0), (1, 1), (2, 2)]);
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(0, 3)]);
    bench.done(1, MS);
    bench.done(2, MS);
    assert_eq!(bench.dispatched(), [(1, 4), (2, 5)]);
    bench.done(4, MS);
    bench.poll();
    bench.now = bench.scheduler.poll_timeout().unwrap();
    bench.scheduler.handle_timeout(bench.now);
    assert_eq!(bench.poll(), [recall(0, 3)]);
    bench.returned(3);
    assert_eq!(bench.dispatched(), [(1, 3)]);
    bench.returned(3);
    assert_eq!(bench.scheduler.ready(), 2, "1 has died");
}

#[test]
fn a_worker_that_gave_back_all_it_held_is_offered_again() {
    let mut bench = Bench::ready(2);
    bench.submit(4);
    bench.dispatched();
    bench.done(1, MS);
    assert_eq!(bench.dispatched(), [(1, 3)]);
    bench.done(3, MS);
    bench.poll();
    bench.now = bench.scheduler.poll_timeout().unwrap();
    bench.scheduler.handle_timeout(bench.now);
    assert_eq!(bench.poll(), [recall(0, 2)]);
    bench.returned(2);
    assert_eq!(bench.dispatched(), [(1, 2)]);
    bench.cancel(0);
    bench.poll();
    bench.returned(0);
    assert_eq!(bench.ended(), [(0, Ending::Cancelled, 0)]);
    bench.submit(1);
    assert_eq!(bench.dispatched(), [(0, 4)]);
}

/// Runs tasks to their end on simulated workers that run what they hold in order, and gives back what was recalled;
/// answers the time that the pool took and the longest time that a task waited in a worker while another was idle.
fn simulate(workers: usize, tasks: &[Duration]) -> (Duration, Duration) {
    let mut bench = Bench::ready(workers);
    let begin = bench.now;
    let mut held: Vec<VecDeque<u64>> = vec![VecDeque::new(); workers];
    let mut until: Vec<Option<Instant>> = vec![None; workers];
    let (mut stuck_since, mut longest) = (None, Duration::ZERO);
    bench.submit(tasks.len());
    bench.scheduler.finish(bench.now);
    loop {
        while let Some(action) = bench.scheduler.poll_action() {
            match action {
                Action::Dispatch { worker, task, .. } => held[worker.0 as usize].push_back(task.0),
                Action::Recall { worker, task } => {
                    held[worker.0 as usize].retain(|&held| held != task.0);
                    bench.returned(task.0);
                }
                Action::StopWorkers => {}
                Action::Closed(report) => {
                    assert_eq!(report.done, tasks.len() as u64);
                    return (bench.now - begin, longest);
                }
                other => panic!("{other:?}"),
            }
        }
        for (held, until) in held.iter().zip(&mut until) {
            if until.is_none()
                && let Some(&task) = held.front()
            {
                *until = Some(bench.now + tasks[task as usize]);
            }
        }
        let stuck = held.iter().any(VecDeque::is_empty) && held.iter().any(|held| held.len() > 1);
        match (stuck, stuck_since) {
            (true, None) => stuck_since = Some(bench.now),
            (false, Some(since)) => {
                longest = longest.max(bench.now - since);
                stuck_since = None;
            }
            _ => {}
        }
        let timer = bench.scheduler.poll_timeout();
        bench.now = until.iter().flatten().copied().chain(timer).min().expect("something goes on");
        bench.scheduler.handle_timeout(bench.now);
        for worker in 0..workers {
            if until[worker].is_some_and(|at| at <= bench.now) {
                until[worker] = None;
                let task = held[worker].pop_front().unwrap();
                bench.done(task, tasks[task as usize]);
            }
        }
    }
}

#[test]
fn in_a_mix_of_long_and_short_nothing_waits_long_while_a_worker_is_idle() {
    // One long task after many short ones, so that it meets the largest windows.
    for at in [0, 1, 500, 3000, 9000, 9990] {
        let mut tasks = vec![10 * US; 10_000];
        tasks[at] = 1000 * MS;
        let (took, longest) = simulate(4, &tasks);
        assert!(longest <= 3 * STALL, "{at}: {longest:?}");
        assert!(took < 1050 * MS, "{at}: {took:?}");
    }
}

#[test]
fn equal_long_tasks_balance_without_a_recall() {
    let (took, longest) = simulate(2, &[10 * MS; 200]);
    assert_eq!((took, longest), (1000 * MS, Duration::ZERO));
    let (took, longest) = simulate(3, &[10 * MS; 200]);
    assert_eq!((took, longest), (670 * MS, Duration::ZERO));
}

#[test]
fn every_tenth_task_long_ends_near_the_best_possible_time() {
    let tasks: Vec<_> = (0..2000).map(|n| if n % 10 == 9 { 20 * MS } else { 20 * US }).collect();
    let best = tasks.iter().sum::<Duration>() / 4;
    let (took, longest) = simulate(4, &tasks);
    assert!(took < best + 45 * MS, "{took:?} of {best:?}");
    assert!(longest <= 3 * STALL, "{longest:?}");
}
