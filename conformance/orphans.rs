//! What is left of a process tree whose root has ended: nothing.

use std::io::Write;
use std::process::{self, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use super::harness::{
    Role, Test, Worker, all_die, command, enter, linger, living, plain, read_line, say, sleep_for_ever, start, tests,
};
use super::system::Process;

pub(super) const TESTS: &[Test] = tests![
    nobody_outlives_a_killed_parent,
    nobody_outlives_a_parent_that_crashes_or_exits,
    many_workers_do_not_outlive_a_killed_parent,
    nobody_outlives_the_root_of_a_deep_tree,
    nobody_outlives_the_middle_of_a_deep_tree,
];

pub(super) const ROLES: &[Role] = &[
    ("parent", parent),
    ("idle", |args| {
        let stream = enter(args);
        raise_family(&stream);
        linger(&stream);
    }),
    ("busy", |args| {
        let stream = enter(args);
        raise_family(&stream);
        loop {
            std::hint::spin_loop();
        }
    }),
    ("starting", |_| sleep_for_ever()),
    ("middle", middle),
];

const EVERY_KIND: &[&str] = &["idle", "busy", "starting"];
/// A child of each, and a grandchild of the first two.
const MEMBERS: usize = 5;

/// Worker: has a child of its own, and tells its pid.
fn raise_family(stream: &super::leaf::BlockingStream) {
    say(stream, plain("sleep", &[]).id());
}

/// Starts a worker of each named kind, tells the pids of all, then ends as it is told or waits.
fn parent(args: &[String]) {
    let kinds: Vec<&str> = args[1..].iter().map(String::as_str).collect();
    let workers = raise(&kinds, |pid| println!("{pid}"));
    println!("0");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    match &args[0][..] {
        "abort" => process::abort(),
        "exit" => process::exit(0),
        "return" => {}
        _ => sleep_for_ever(),
    }
    drop(workers);
}

fn raise(kinds: &[&str], tell: impl Fn(u32)) -> Vec<Worker> {
    let mut workers = Vec::new();
    for kind in kinds {
        let worker = start(kind, &[]);
        tell(worker.child.pid());
        match *kind {
            "idle" | "busy" => tell(worker.number()),
            "middle" => {
                let mut pid = worker.number();
                while pid != 0 {
                    tell(pid);
                    pid = worker.number();
                }
            }
            _ => {}
        }
        workers.push(worker);
    }
    workers
}

/// A worker that is a parent itself.
fn middle(args: &[String]) {
    let stream = enter(args);
    let workers = raise(EVERY_KIND, |pid| say(&stream, pid));
    say(&stream, 0);
    linger(&stream);
    drop(workers);
}

struct Family {
    parent: process::Child,
    _output: ChildStdout,
    members: Vec<Process>,
}

impl Family {
    fn new(end: &str, kinds: &[&str]) -> Self {
        let mut command = command("parent", &[&[end], kinds].concat());
        let mut parent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = parent.stdout.take().unwrap();
        let mut members = Vec::new();
        loop {
            match read_line(&mut output).trim_end().parse().unwrap() {
                0 => break,
                pid => members.push(living(pid)),
            }
        }
        assert!(members.iter().all(Process::is_alive));
        Self { parent, _output: output, members }
    }

    fn go_on(&mut self) {
        writeln!(self.parent.stdin.as_mut().unwrap()).unwrap();
    }

    fn kill(&mut self) {
        self.parent.kill().unwrap();
        self.parent.wait().unwrap();
    }

    fn nobody_is_left(&self) -> Duration {
        let since = Instant::now();
        all_die(&self.members);
        since.elapsed()
    }
}

fn nobody_outlives_a_killed_parent() {
    for _ in 0..10 {
        let mut family = Family::new("", EVERY_KIND);
        assert_eq!(family.members.len(), MEMBERS);
        family.kill();
        println!("all gone after {:?}", family.nobody_is_left());
    }
}

fn nobody_outlives_a_parent_that_crashes_or_exits() {
    for end in ["abort", "exit", "return"] {
        let mut family = Family::new(end, EVERY_KIND);
        family.go_on();
        family.parent.wait().unwrap();
        family.nobody_is_left();
    }
}

fn many_workers_do_not_outlive_a_killed_parent() {
    let mut family = Family::new("", &["linger"; 100]);
    assert_eq!(family.members.len(), 100);
    family.kill();
    println!("100 workers gone after {:?}", family.nobody_is_left());
}

fn nobody_outlives_the_root_of_a_deep_tree() {
    let mut family = Family::new("", &["middle", "middle", "idle"]);
    assert_eq!(family.members.len(), 2 * (1 + MEMBERS) + 2);
    family.kill();
    family.nobody_is_left();
}

fn nobody_outlives_the_middle_of_a_deep_tree() {
    let mut family = Family::new("", &["middle"]);
    family.members[0].kill();
    family.nobody_is_left();
    assert!(living(family.parent.id()).is_alive());
    family.kill();
}
