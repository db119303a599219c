use super::*;

/// Prints the tasks a second through submit, dispatch and done; what they are is for a release build to say.
#[test]
fn throughput_is_printed() {
    let tasks = if cfg!(debug_assertions) { 50_000 } else { 3_000_000 };
    for (workers, queued) in [(2, 1000), (2, tasks), (1000, 5000), (1000, tasks)] {
        let mut bench = Bench::ready(workers);
        let started = Instant::now();
        let (mut submitted, mut done) = (0, 0);
        let mut held = VecDeque::new();
        while done < tasks {
            while submitted < tasks && submitted - done < queued {
                bench.submit(1);
                submitted += 1;
            }
            while let Some(action) = bench.scheduler.poll_action() {
                if let Action::Dispatch { task, .. } = action {
                    held.push_back(task);
                }
            }
            for task in held.drain(..held.len().div_ceil(2)) {
                assert!(bench.scheduler.handle_done(bench.now, task, US));
                done += 1;
            }
        }
        let rate = tasks as f64 / started.elapsed().as_secs_f64();
        println!("{workers} workers, {queued} outstanding: {rate:.0} tasks a second");
    }
}
