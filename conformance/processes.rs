//! How a child starts, and what it starts with.

use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::pin;
use std::process::{self, Stdio};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::harness::{
    PATIENCE, Role, Test, block_on, code, command, ended, enter, guarded, launch, linger, plain, recorder, say, start,
    tests,
};
use super::leaf::{Endpoint, enter_worker, spawn};

pub(super) const TESTS: &[Test] = tests![
    a_program_that_is_not_there_is_an_error_that_names_it,
    a_worker_is_not_started_by_hand,
    arguments_arrive_as_they_were_given,
    the_environment_is_inherited,
    the_standard_input_of_a_worker_is_empty,
    a_grandchild_does_not_hold_the_stream,
    a_start_that_nobody_waits_for_leaves_no_child,
    output_can_be_inherited,
    a_hundred_workers_live_at_once,
];

pub(super) const ROLES: &[Role] = &[
    ("by-hand", by_hand),
    ("arguments", |args| {
        let stream = enter(args);
        say(&stream, args.len() - 1);
        for arg in &args[1..] {
            say(&stream, format_args!("{arg:?}"));
        }
    }),
    ("path", |args| {
        let stream = enter(args);
        say(&stream, std::env::var_os("PATH").unwrap().to_string_lossy());
    }),
    ("stdin", |args| {
        let stream = enter(args);
        let mut read = Vec::new();
        say(&stream, io::stdin().read_to_end(&mut read).unwrap());
    }),
    ("hands-on", |args| {
        let mut stream = enter(args);
        let mut grandchild = plain("sleep", &[]);
        say(&stream, "it lives");
        stream.read_exact(&mut [0]).unwrap();
        stream.shutdown().unwrap();
        grandchild.wait().unwrap();
    }),
    ("counted", |args| {
        let stream = enter(args);
        say(&stream, process::id());
        linger(&stream);
    }),
    ("inheriting", |_| {
        guarded();
        let (_ours, theirs) = Endpoint::pair().unwrap();
        let (watch, seen) = recorder();
        let mut launch = launch("hello", &[], theirs);
        launch.capture = false;
        block_on(spawn(launch, watch)).unwrap();
        let (stdout, stderr, exit) = ended(&seen);
        assert!(stdout.is_empty() && stderr.is_empty() && exit.success());
    }),
];

fn start_missing() -> io::Result<()> {
    let (_ours, theirs) = Endpoint::pair().unwrap();
    let mut launch = launch("nobody", &[], theirs);
    launch.program.path = "/nowhere/to/be/found".into();
    block_on(spawn(launch, recorder().0)).map(drop)
}

fn a_program_that_is_not_there_is_an_error_that_names_it() {
    guarded();
    let error = start_missing().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let text = error.to_string();
    assert!(text.contains("nobody") && text.contains("/nowhere/to/be/found"), "{text}");
    // The thread is none the worse for it.
    assert_eq!(start("hello", &[]).ended().2, code(0));
}

fn by_hand(args: &[String]) {
    let error = enter_worker(args[0].parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    println!("{error}");
}

fn a_worker_is_not_started_by_hand() {
    for stdin in [Stdio::null(), Stdio::piped()] {
        let ended = command("by-hand", &[&process::id().to_string()]).stdin(stdin).output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        assert!(said.contains("by hand"), "{said}");
    }
}

fn arguments_arrive_as_they_were_given() {
    let args = [
        "",
        " ",
        "two words",
        "tab\tbed",
        "\"",
        "\\",
        "\\\\",
        "\\\"",
        "ends in \\",
        "ends in \\\\",
        "C:\\a folder\\",
        "say \"hi\" \\\" there",
        "%PATH% $HOME `id` 'x' ^ & | < > ; *",
        "äöü 漢字 🙂",
        "--flag=a b",
    ];
    let worker = start("arguments", &args);
    assert_eq!(worker.line(), args.len().to_string());
    for arg in args {
        assert_eq!(worker.line(), format!("{arg:?}"));
    }
    assert_eq!(worker.ended().2, code(0));
}

fn the_environment_is_inherited() {
    let path = std::env::var_os("PATH").unwrap();
    assert!(!path.is_empty());
    let worker = start("path", &[]);
    assert_eq!(worker.line(), path.to_string_lossy());
}

fn the_standard_input_of_a_worker_is_empty() {
    let worker = start("stdin", &[]);
    assert_eq!(worker.number(), 0);
    assert_eq!(worker.ended().2, code(0));
}

fn a_grandchild_does_not_hold_the_stream() {
    let mut worker = start("hands-on", &[]);
    assert_eq!(worker.line(), "it lives");
    worker.stream.write_all(b"!").unwrap();
    assert_eq!(worker.stream.read(&mut [0; 8]).unwrap(), 0);
    worker.child.kill();
    worker.ended();
}

fn a_start_that_nobody_waits_for_leaves_no_child() {
    guarded();
    start("hello", &[]).ended();
    for _ in 0..20 {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let (watch, seen) = recorder();
        {
            let mut starting = pin!(spawn(launch("linger", &[], theirs), watch));
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(started) = starting.as_mut().poll(&mut context) {
                started.unwrap().kill();
            }
            // Now and then it has started by the time it is dropped.
            thread::yield_now();
        }
        // Told of its end, or dropped without one because it never started: in both cases this ends, with our end of its
        // stream still open.
        while seen.recv_timeout(PATIENCE).is_ok() {}
        drop(ours);
    }
}

fn output_can_be_inherited() {
    let ended = command("inheriting", &[]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(ended.stdout, b"hello\n", "{ended:?}");
    assert!(ended.status.success());
}

fn a_hundred_workers_live_at_once() {
    let workers: Vec<_> = (0..100).map(|_| start("counted", &[])).collect();
    for worker in &workers {
        assert_eq!(worker.number(), worker.child.pid());
    }
    for worker in &workers {
        worker.stream.shutdown().unwrap();
    }
    for worker in &workers {
        assert_eq!(worker.ended().2, code(0));
    }
}
