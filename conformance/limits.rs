//! What a child may use of the machine, and what is said where it is not held to that.

use std::io::{self, Read, Write};
use std::process::Stdio;

use super::harness::{Role, Test, Worker, code, command, enter, linger, say, start_limited, tests};
use super::leaf::{BlockingStream, Limit, Limits, Priority, check_limits};
use super::system;

pub(super) const TESTS: &[Test] = tests![
    limits_are_read_back_in_the_child_and_in_what_it_starts,
    a_limit_that_is_not_enforced_is_told_with_its_reason,
    what_is_beyond_the_memory_limit_is_not_to_be_had,
    a_process_beyond_the_limit_is_not_made,
    without_limits_a_child_has_those_of_its_parent,
    limits_that_make_no_sense_are_refused_before_anything_starts,
    what_a_child_has_in_memory_is_told_while_it_lives,
];

pub(super) const ROLES: &[Role] = &[
    ("limited", |args| {
        let stream = enter_and_wait(args);
        say(&stream, seen());
        // The same once more, as a process sees it that this one has started.
        let told = command("limited-child", &[]).stdin(Stdio::null()).output().unwrap();
        say(&stream, String::from_utf8(told.stdout).unwrap().trim());
        linger(&stream);
    }),
    ("limited-child", |_| println!("{}", seen())),
    ("greedy", |args| {
        let stream = enter_and_wait(args);
        let bytes = args[1].parse().unwrap();
        let had = Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
        say(&stream, if had { "had" } else { "not had" });
        // Where nobody asks beforehand, it is the end.
        let hoard: Vec<u8> = Vec::with_capacity(bytes);
        say(&stream, hoard.capacity());
    }),
    ("hoarder", |args| {
        let mut stream = enter_and_wait(args);
        let hoard = vec![1_u8; args[1].parse().unwrap()];
        say(&stream, hoard.iter().filter(|&&byte| byte == 1).count());
        let _ = stream.read(&mut [0]);
    }),
    ("parental", |args| {
        let stream = enter_and_wait(args);
        let child = command("sleep", &[]).stdin(Stdio::null()).spawn();
        say(&stream, if child.is_ok() { "made" } else { "not made" });
        if let Ok(mut child) = child {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }),
];

/// Worker: waits for a word of its parent, before which it may not be held to anything yet.
fn enter_and_wait(args: &[String]) -> BlockingStream {
    let mut stream = enter(args);
    stream.read_exact(&mut [0]).unwrap();
    stream
}

const MEMORY: u64 = 256 << 20;

fn all() -> Limits {
    Limits {
        memory: Some(MEMORY),
        processes: Some(8),
        cpus: Some(vec![first_cpu()]),
        priority: Some(Priority::BelowNormal),
    }
}

/// One that this process may run on.
fn first_cpu() -> usize {
    system::cpus()[0]
}

/// What a process is held to, as it sees it itself.
fn seen() -> String {
    told(system::memory_limit(), &system::cpus(), system::priority())
}

fn told(memory: Option<u64>, cpus: &[usize], priority: Option<Priority>) -> String {
    format!("{memory:?} {cpus:?} {priority:?}")
}

fn start_with(role: &str, args: &[&str], limits: Limits) -> Worker {
    let (child, ours, seen) = start_limited(role, args, limits).unwrap();
    let mut stream = ours.into_blocking().unwrap();
    stream.write_all(b"!").unwrap();
    Worker { child, stream, seen }
}

fn is_enforced(limit: Limit) -> bool {
    let enforced = !system::unenforced().contains(&limit);
    if !enforced {
        println!("(this system does not enforce {limit:?})");
    }
    enforced
}

fn limits_are_read_back_in_the_child_and_in_what_it_starts() {
    let limits = all();
    let (memory, cpus, priority) = (system::memory_limit(), system::cpus(), system::priority());
    let wanted = told(
        if is_enforced(Limit::Memory) { limits.memory } else { memory },
        if is_enforced(Limit::Cpus) { limits.cpus.as_deref().unwrap() } else { &cpus },
        if is_enforced(Limit::Priority) { limits.priority } else { priority },
    );
    let worker = start_with("limited", &[], limits);
    assert_eq!(worker.line(), wanted);
    assert_eq!(worker.line(), wanted, "as seen by its own child");
    worker.stream.shutdown().unwrap();
    assert_eq!(worker.ended().2, code(0));
    // This process is held to nothing of it.
    assert_eq!(told(memory, &cpus, priority), seen());
}

fn a_limit_that_is_not_enforced_is_told_with_its_reason() {
    let worker = start_with("linger", &[], all());
    let told = worker.child.unenforced();
    let limits: Vec<Limit> = told.iter().map(|one| one.limit).collect();
    for limit in [Limit::Memory, Limit::Processes, Limit::Cpus, Limit::Priority] {
        assert_eq!(limits.contains(&limit), !is_enforced(limit), "{told:?}");
    }
    for one in told {
        assert!(one.why.len() > 20, "{one:?}");
        println!("({:?}: {})", one.limit, one.why);
    }
    worker.stream.shutdown().unwrap();
    assert_eq!(worker.ended().2, code(0));
}

fn what_is_beyond_the_memory_limit_is_not_to_be_had() {
    let limits = || Limits { memory: Some(MEMORY), ..Limits::default() };
    let (within, beyond) = (MEMORY / 2, MEMORY * 2);
    let worker = start_with("greedy", &[&within.to_string()], limits());
    assert_eq!((worker.line().as_str(), worker.number()), ("had", within as u32));
    let worker = start_with("greedy", &[&beyond.to_string()], limits());
    if is_enforced(Limit::Memory) {
        assert_eq!(worker.line(), "not had");
        let (_, stderr, exit) = worker.ended();
        assert_eq!(exit.name(), Some(system::ABORT), "{exit:?}");
        assert!(String::from_utf8_lossy(&stderr).contains("memory allocation"), "{stderr:?}");
    } else {
        assert_eq!(worker.line(), "had");
    }
}

fn a_process_beyond_the_limit_is_not_made() {
    let limits = |processes| Limits { processes: Some(processes), ..Limits::default() };
    assert_eq!(start_with("parental", &[], limits(2)).line(), "made");
    let alone = start_with("parental", &[], limits(1)).line();
    assert_eq!(alone, if is_enforced(Limit::Processes) { "not made" } else { "made" });
}

fn without_limits_a_child_has_those_of_its_parent() {
    let worker = start_with("limited", &[], Limits::default());
    assert_eq!(worker.child.unenforced(), []);
    assert_eq!((worker.line(), worker.line()), (seen(), seen()));
}

fn limits_that_make_no_sense_are_refused_before_anything_starts() {
    let limits = Limits::default;
    let refused = [
        (Limits { memory: Some(0), ..limits() }, "memory limit of 0 bytes"),
        (Limits { memory: Some(1 << 20), ..limits() }, "16777216"),
        (Limits { processes: Some(0), ..limits() }, "0 processes"),
        (Limits { cpus: Some(vec![]), ..limits() }, "no CPUs"),
        (Limits { cpus: Some(vec![first_cpu(), 1_000_000]), ..limits() }, "no CPU 1000000"),
    ];
    for (limits, word) in refused {
        assert_eq!(check_limits(&limits).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let error = start_limited("linger", &[], limits).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.contains("linger") && text.contains(word), "{text}");
    }
    check_limits(&all()).unwrap();
}

fn what_a_child_has_in_memory_is_told_while_it_lives() {
    const HOARD: u64 = 64 << 20;
    let (child, ours, seen) = start_limited("hoarder", &[&HOARD.to_string()], Limits::default()).unwrap();
    let before = child.resident().unwrap();
    let mut stream = ours.into_blocking().unwrap();
    stream.write_all(b"!").unwrap();
    let worker = Worker { child, stream, seen };
    assert_eq!(u64::from(worker.number()), HOARD);
    let after = worker.child.resident().unwrap();
    assert!(after >= HOARD && after >= before + HOARD / 2, "{before} before, {after} after");
    worker.child.kill();
    worker.ended();
    assert_eq!(worker.child.resident().unwrap_or(0), 0);
}
