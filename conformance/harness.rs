//! Runs tests whose processes are this same program in another role.
//!
//! Each test runs in a process of its own, since the process thread, the guardian and the handles belong to a process as a
//! whole. What is left of it at its end is killed and fails it.

// A test program may use a part of this.
#![allow(dead_code)]

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::future::Future;
use std::io::{self, Read, Write};
use std::process::{self, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::leaf::{
    BlockingStream, Child, Endpoint, Exit, ExitKind, Launch, Limits, Output, Program, Watch, enter_worker,
    run_guardian, set_guardian, spawn, this_program,
};
use super::system::{Process, Started};

/// A test and the claim it makes.
pub(crate) type Test = (&'static str, fn());
/// What this program is when it is started by a test, told its arguments.
pub(crate) type Role = (&'static str, fn(&[String]));

/// How long anything may take that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const TEST_TIMEOUT: Duration = Duration::from_secs(180);

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
}
pub(crate) use tests;

/// What many tests need.
pub(crate) const ROLES: &[Role] = &[
    ("linger", |args| linger(&enter(args))),
    ("hello", |args| {
        enter(args);
        println!("hello");
    }),
    ("sleep", |_| sleep_for_ever()),
];

pub(crate) fn main(tests: &[Test], roles: &[Role]) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["role", "guardian", ..] => run_guardian(),
        ["role", role, ..] => {
            let (_, act) = roles.iter().find(|(name, _)| *name == role).expect(role);
            act(&args[2..]);
            ExitCode::SUCCESS
        }
        ["test", name] => {
            let (_, test) = tests.iter().find(|(known, _)| *known == name).expect(name);
            test();
            ExitCode::SUCCESS
        }
        _ if words.contains(&"--list") => {
            // What cargo and nextest ask for.
            if !words.contains(&"--ignored") {
                for (name, _) in tests {
                    println!("{name}: test");
                }
            }
            ExitCode::SUCCESS
        }
        _ => run(tests, &words),
    }
}

fn run(tests: &[Test], words: &[&str]) -> ExitCode {
    let exact = words.contains(&"--exact");
    let filters: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, _) in tests {
        let chosen = |filter: &&str| {
            if exact { filter == name } else { name.contains(filter) }
        };
        if !filters.is_empty() && !filters.iter().any(chosen) {
            continue;
        }
        count += 1;
        let start = Instant::now();
        match run_one(name) {
            Ok(()) => println!("test {name} ... ok ({:?})", start.elapsed()),
            Err(why) => {
                println!("test {name} ... FAILED: {why}");
                failed.push(*name);
            }
        }
    }
    if !failed.is_empty() {
        println!("\nfailures: {failed:?}");
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {} passed; {} failed", count - failed.len(), failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}

fn run_one(name: &str) -> Result<(), String> {
    let mut command = Command::new(this_program().map_err(|error| error.to_string())?);
    command.args(["test", name]);
    let mut test =
        Started::by(&mut command, &format!("{}-{name}", process::id())).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + TEST_TIMEOUT;
    let status = loop {
        match test.process.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break Ok(status),
            None if Instant::now() > deadline => {
                let _ = test.process.kill();
                let _ = test.process.wait();
                break Err("it did not end");
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut left = test.left();
    while left > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
        left = test.left();
    }
    test.kill_all();
    match status? {
        status if !status.success() => Err(status.to_string()),
        _ if left > 0 => Err(format!("{left} processes are left")),
        _ => Ok(()),
    }
}

/// Polls a state of other processes.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A process that must be there.
pub(crate) fn living(pid: u32) -> Process {
    let process = Process::open(pid).unwrap_or_else(|| panic!("no process {pid}"));
    assert!(process.is_alive(), "process {pid} has ended");
    process
}

pub(crate) fn all_die(processes: &[Process]) {
    let deadline = Instant::now() + PATIENCE;
    while processes.iter().any(Process::is_alive) {
        assert!(Instant::now() < deadline, "{} are alive", processes.iter().filter(|one| one.is_alive()).count());
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn program(role: &str, args: &[&str]) -> Program {
    let mut words: Vec<OsString> = vec!["role".into(), role.into()];
    words.extend(args.iter().map(OsString::from));
    Program { path: this_program().unwrap(), args: words }
}

pub(crate) fn guarded() {
    set_guardian(program("guardian", &[]));
}

/// What a child did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Output(Output, Vec<u8>),
    Exited(Exit),
}

struct Recorder(Mutex<Sender<Seen>>);

impl Watch for Recorder {
    fn output(&self, from: Output, bytes: &[u8]) {
        let _ = self.0.lock().unwrap().send(Seen::Output(from, bytes.to_vec()));
    }

    fn exited(&self, exit: Exit) {
        let _ = self.0.lock().unwrap().send(Seen::Exited(exit));
    }
}

/// A child of a test, and our end of its stream.
pub(crate) struct Worker {
    pub(crate) child: Child,
    pub(crate) stream: BlockingStream,
    pub(crate) seen: Receiver<Seen>,
}

pub(crate) fn recorder() -> (Arc<dyn Watch>, Receiver<Seen>) {
    let (sender, seen) = mpsc::channel();
    (Arc::new(Recorder(Mutex::new(sender))), seen)
}

pub(crate) fn launch(role: &str, args: &[&str], stdin: Endpoint) -> Launch {
    let parent = process::id().to_string();
    let args: Vec<&str> = [&parent[..]].iter().chain(args).copied().collect();
    Launch { program: program(role, &args), name: role.into(), stdin, capture: true, limits: Limits::default() }
}

/// Starts this program in a role whose first argument is our pid.
pub(crate) fn start_raw(role: &str, args: &[&str]) -> (Child, Endpoint, Receiver<Seen>) {
    start_limited(role, args, Limits::default()).unwrap()
}

/// The same, held to limits.
pub(crate) fn start_limited(
    role: &str,
    args: &[&str],
    limits: Limits,
) -> io::Result<(Child, Endpoint, Receiver<Seen>)> {
    guarded();
    let (ours, theirs) = Endpoint::pair().unwrap();
    let (watch, seen) = recorder();
    let child = block_on(spawn(Launch { limits, ..launch(role, args, theirs) }, watch))?;
    Ok((child, ours, seen))
}

pub(crate) fn start(role: &str, args: &[&str]) -> Worker {
    let (child, ours, seen) = start_raw(role, args);
    Worker { child, stream: ours.into_blocking().unwrap(), seen }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Worker {
    /// Waits for the end; what was written before, by stream.
    pub(crate) fn ended(&self) -> (Vec<u8>, Vec<u8>, Exit) {
        ended(&self.seen)
    }

    /// Reads one line of what the worker has to tell.
    pub(crate) fn line(&self) -> String {
        read_line(&self.stream)
    }

    pub(crate) fn number(&self) -> u32 {
        let line = self.line();
        line.parse().unwrap_or_else(|_| panic!("not a number: {line:?}"))
    }

    /// The living process that the worker tells of.
    pub(crate) fn process(&self) -> Process {
        living(self.number())
    }
}

pub(crate) fn ended(seen: &Receiver<Seen>) -> (Vec<u8>, Vec<u8>, Exit) {
    collect(seen, || seen.recv_timeout(PATIENCE).expect("the child ends"))
}

/// The same of an end that must have been told already.
pub(crate) fn told(seen: &Receiver<Seen>) -> (Vec<u8>, Vec<u8>, Exit) {
    collect(seen, || seen.try_recv().expect("the end was told"))
}

fn collect(seen: &Receiver<Seen>, next: impl Fn() -> Seen) -> (Vec<u8>, Vec<u8>, Exit) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match next() {
            Seen::Output(Output::Stdout, bytes) => stdout.extend(bytes),
            Seen::Output(Output::Stderr, bytes) => stderr.extend(bytes),
            Seen::Exited(exit) => {
                // Nothing comes after.
                assert!(seen.try_recv().is_err());
                return (stdout, stderr, exit);
            }
        }
    }
}

pub(crate) fn read_line(mut from: impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while from.read(&mut byte).expect("the other side lives") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

pub(crate) const fn code(code: i32) -> Exit {
    Exit::new(ExitKind::Code(code), None)
}

/// Worker: its first act.
pub(crate) fn enter(args: &[String]) -> BlockingStream {
    let parent = args[0].parse().unwrap();
    enter_worker(parent).unwrap().into_blocking().unwrap()
}

/// Worker: tells its parent a line.
pub(crate) fn say(mut stream: &BlockingStream, what: impl Display) {
    let line = format!("{what}\n");
    stream.write_all(line.as_bytes()).unwrap();
}

/// Worker: waits until its parent hangs up or dies.
pub(crate) fn linger(mut stream: &BlockingStream) {
    let mut buf = [0; 64];
    while stream.read(&mut buf).is_ok_and(|n| n > 0) {}
}

pub(crate) fn sleep_for_ever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// A command for this program in a role, with no leaf involved.
pub(crate) fn command(role: &str, args: &[&str]) -> Command {
    let program = program(role, args);
    let mut command = Command::new(program.path);
    command.args(program.args);
    command
}

/// Starts this program in a role as an ordinary child, with no leaf involved.
pub(crate) fn plain(role: &str, args: &[&str]) -> process::Child {
    command(role, args).stdin(Stdio::null()).spawn().unwrap()
}
