//! The examples say what they claim to show.

mod built;

use std::process::{Command, Stdio};

/// Runs an example to its end, which must be a success, and returns what it said on standard output.
fn run(name: &str) -> String {
    run_with(name, &[])
}

/// The same with arguments.
fn run_with(name: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(built::example(name)).args(arguments).stdin(Stdio::null()).output().expect("the example runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} ended with {}:\n{said}\n{complaints}", output.status);
    said
}

#[track_caller]
fn line<'a>(said: &'a str, with: &str) -> &'a str {
    said.lines().find(|line| line.contains(with)).unwrap_or_else(|| panic!("no line has {with:?}:\n{said}"))
}

#[test]
fn a_pool_outlives_the_death_of_a_worker_and_reports_each_task() {
    let said = run("pool");
    assert!(line(&said, "cores").contains(" workers, all started by process "), "{said}");
    line(&said, "1229 primes below 10000");
    let failed = line(&said, "one task failed: ");
    assert!(failed.contains("pool::crashes") && failed.contains("process "), "{failed}");
    line(&said, "these are my last words");
    assert!(said.contains("one went on: true") && said.contains("one went on: false"), "{said}");
    line(&said, "10103 tasks: 10102 done, 0 failed, 1 lost, 1 workers lost");
}

#[test]
fn results_are_in_order_or_as_they_come_and_none_is_hidden() {
    let said = run("results");
    let (ordered, rest) = said.split_once("as they come").expect("two parts");
    let starts = ["  0: slow", "  1: quick", "  2: failed: ", "  3: failed: ", "  4: quick"];
    // The last words of a dead worker are lines of their own.
    let told = ordered.lines().filter(|line| line.as_bytes().get(2).is_some_and(u8::is_ascii_digit));
    assert!(told.clone().count() == 5 && told.zip(starts).all(|(told, start)| told.starts_with(start)), "{said}");
    assert!(line(ordered, "  2:").contains("this one panics") && line(ordered, "  3:").contains("code 3"), "{said}");
    let streamed: Vec<_> = rest.lines().filter(|line| line.starts_with("  task ")).collect();
    // The slow one is not waited for; whether it is the last depends on how soon a lost worker is replaced.
    let slow = streamed.iter().position(|line| line.contains("input 0") && line.ends_with("slow"));
    assert!(streamed.len() == 5 && slow.is_some_and(|at| at > 0), "{said}");
    line(rest, r#"[Ok(2), Err("7 is no multiple of 3"), Err("8 is no multiple of 3")]"#);
    line(rest, "Ok([1, 2, 3])");
    line(rest, "stopped at task 7: 22 is no multiple of 3");
}

#[test]
fn completions_reach_the_owner_of_the_database_though_another_consumer_fails() {
    let said = run("completion");
    line(&said, "500 completions: 499 values and 1 failure are in the book");
    line(&said, "the bell broke 1 time and rings again");
    line(&said, "500 tasks: 499 done, 1 failed, 0 lost");
}

#[test]
fn a_queue_is_joined_before_it_is_read_and_has_an_end() {
    let said = run("queue");
    let joined: Vec<_> = said.lines().filter(|line| line.starts_with("joined before anything was read: ")).collect();
    assert!(joined.len() == 3 && joined.iter().all(|line| line.ends_with("ended by itself")), "{said}");
    line(&said, "the stream has ended: 30 MB, [10000000, 10000000, 10000000] from each");
    line(&said, "and stays so: None");
}

#[test]
fn a_queue_in_a_pool_loses_no_job_to_a_worker_that_dies() {
    let said = run("pool_queue");
    line(&said, "4500 words in 1000 lines");
    line(&said, "job 13 is a dead letter after 2 attempts: handed out as often as it may");
    line(&said, "29 jobs are done");
    line(&said, "2 workers were lost");
    line(&said, "6 tasks: 4 done, 0 failed, 2 lost, 2 workers lost");
}

#[test]
fn shared_state_loses_nothing_and_tells_who_was_slower() {
    let said = run("shared_state");
    assert_eq!(said.lines().filter(|line| line.starts_with("worker ") && line.contains(" is process ")).count(), 5);
    line(&said, "450 hits, Some(450) counts, 750 nested appends");
    line(&said, "the watcher was told 450 times, of version 450 last");
    line(&said, "a stale transaction: the value is another one now");
}

#[test]
fn fifty_processes_print_whole_lines_under_a_lock_and_its_holders_crash_is_told() {
    let said = run("lock");
    let (without, with) = said.split_once("with the lock:").expect("two parts");
    let whole = |number: u32| format!("  {number}: so says one of fifty");
    let count = |part: &str| (1..=50).filter(|number| part.lines().any(|line| line == whole(*number))).count();
    assert_eq!(count(with), 50, "{with}");
    assert!(count(without) < 50, "nothing keeps these lines apart:\n{without}");
    line(with, "granted within a second, with token ");
    assert!(line(with, "poisoned: ").contains("clumsy held it and ended: process "), "{with}");
}

#[test]
fn a_deadlock_is_told_and_both_get_done() {
    let said = run("deadlock");
    line(&said, " got both");
    let told = line(&said, " was told soon: deadlock: ");
    for holds in ["fork, which left holds", "knife, which right holds"] {
        assert!(told.contains(holds), "{told}");
    }
}

#[test]
fn a_bank_whose_tellers_crash_neither_loses_nor_makes_money() {
    let said = run("bank");
    assert!(line(&said, "transfers").starts_with("380 transfers, 20 crashed on the way, "), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("account ")).count(), 8, "{said}");
    line(&said, "the sum is 800");
}

#[test]
fn numbers_in_a_blob_are_summed_and_changed_by_all_workers() {
    let said = run_with("blob", &["32"]);
    line(&said, "right: true");
    line(&said, "the same: true");
    line(&said, "2 blobs take up 64 MiB, once for all processes");
}

#[test]
fn a_picture_that_workers_draw_is_right_though_one_of_them_dies() {
    let said = run("mandelbrot");
    line(&said, "13 rows of 480 were drawn again here, all the same: true");
    line(&said, "slice 7 was drawn by another worker");
    let written = line(&said, "720 x 480 pixels are in ").rsplit(" are in ").next().expect("a path");
    let picture = std::fs::read(written).expect("the picture");
    std::fs::remove_file(written).expect("it is not needed any more");
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "{} bytes", picture.len());
}
