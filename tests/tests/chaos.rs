//! Chaos, in the size of a test: the example of that name, which any size can be given, keeps the ledger.

mod built;
mod system;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use system::SLOWER;

/// How long it may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(400);

/// Plays it: nothing may be broken, and nobody be left.
fn play(what: &str, sizes: &[(&str, u64)]) {
    let mut command = Command::new(built::example("chaos"));
    command.arg(what).stdin(Stdio::null()).stdout(Stdio::piped());
    for (name, size) in sizes {
        command.arg(name).arg(size.to_string());
    }
    let mut program = command.spawn().expect("the example runs");
    let mut output = program.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        output.read_to_string(&mut said).map(|_| said)
    });
    let begun = Instant::now();
    let status = loop {
        match program.try_wait().expect("a child") {
            Some(status) => break Some(status),
            None if begun.elapsed() > PATIENCE => {
                let _ = program.kill();
                let _ = program.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let said = reader.join().expect("a reader").expect("UTF-8");
    println!("{said}");
    assert!(status.is_some_and(|status| status.success()), "{what} ended with {status:?}:\n{said}");
    assert!(said.contains("verdict: all holds") && said.contains("nothing is left: true"), "{said}");
}

#[test]
fn a_pool_under_chaos_reports_each_task_once_and_each_death_costs_one_at_most() {
    play("pool", &[("--tasks", 100_000 / SLOWER), ("--workers", 32 / SLOWER.min(4)), ("--kills", 2_000 / SLOWER)]);
}

#[test]
fn calls_under_chaos_end_once_and_in_time_and_say_truly_whether_they_ran() {
    play("calls", &[("--calls", 200_000 / SLOWER), ("--workers", 16 / SLOWER.min(4)), ("--kills", 1_000 / SLOWER)]);
}

#[test]
fn many_workers_are_ready_soon_and_cost_little_and_their_deaths_are_known_at_once() {
    play("crowd", &[("--workers", 200 / SLOWER.min(8))]);
}
