//! What is left of a process tree whose root has ended: nothing.

use std::fmt;
use std::io::Write;
use std::process::{self, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{
    PATIENCE, Role, Test, Worker, command, enter, linger, living, plain, read_line, say, sleep_for_ever, start, tests,
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

/// Starts a worker of each named kind, tells the pids of all and what they are, then ends as it is told or waits.
fn parent(args: &[String]) {
    let kinds: Vec<&str> = args[1..].iter().map(String::as_str).collect();
    let workers = raise(&kinds, |member| println!("{member}"));
    println!("{ALL}");
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

/// What is told after the last member.
const ALL: &str = "that is all";

fn raise(kinds: &[&str], tell: impl Fn(String)) -> Vec<Worker> {
    let mut workers = Vec::new();
    for kind in kinds {
        let worker = start(kind, &[]);
        tell(format!("{} {kind}", worker.child.pid()));
        match *kind {
            "idle" | "busy" => tell(format!("{} child of {kind}", worker.number())),
            "middle" => {
                let mut member = worker.line();
                while member != ALL {
                    tell(format!("{member} below {kind}"));
                    member = worker.line();
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
    let workers = raise(EVERY_KIND, |member| say(&stream, member));
    say(&stream, ALL);
    linger(&stream);
    drop(workers);
}

/// A process that was seen alive, its pid, and what it is.
struct Member {
    process: Process,
    told: String,
}

impl Member {
    /// The living process that a parent tells of.
    fn told(told: String) -> Self {
        let pid = told.split(' ').next().and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no pid: {told:?}"));
        Self { process: living(pid), told }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

struct Family {
    parent: process::Child,
    _output: ChildStdout,
    members: Vec<Member>,
}

impl Family {
    fn new(end: &str, kinds: &[&str]) -> Self {
        let mut command = command("parent", &[&[end], kinds].concat());
        let mut parent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = parent.stdout.take().unwrap();
        let mut members = Vec::new();
        loop {
            match read_line(&mut output).trim_end() {
                ALL => break,
                "" => panic!("the parent ended, {:?}, when it had told of {members:?}", parent.wait()),
                told => members.push(Member::told(told.into())),
            }
        }
        let family = Self { parent, _output: output, members };
        assert_eq!(family.alive().len(), family.members.len(), "of {:?} live {:?}", family.members, family.alive());
        family
    }

    fn alive(&self) -> Vec<&Member> {
        self.members.iter().filter(|member| member.process.is_alive()).collect()
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
        loop {
            let alive = self.alive();
            if alive.is_empty() {
                return since.elapsed();
            }
            assert!(since.elapsed() < PATIENCE, "after {:?} these are alive: {alive:?}", since.elapsed());
            thread::sleep(Duration::from_millis(1));
        }
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
    family.members[0].process.kill();
    family.nobody_is_left();
    assert!(living(family.parent.id()).is_alive());
    family.kill();
}
