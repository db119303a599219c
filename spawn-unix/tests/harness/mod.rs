//! Runs tests whose processes are this same program in another role.
//!
//! Each test runs in a process of its own, since the process thread, the guardian and the descriptors belong to a process
//! as a whole. Whatever it starts inherits a mark in its environment, by which the runner finds, kills and reports what is
//! left of it on every path.
#![cfg(target_os = "linux")]
// Each of the test programs uses a part of this.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::panic;
use std::process::{self, Command, ExitCode};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use procession_spawn_unix::{
    BlockingStream, Child, Endpoint, Exit, ExitKind, Launch, Output, Program, Watch, enter_worker, run_guardian,
    set_guardian, spawn,
};

/// A test and the claim it makes.
pub type Test = (&'static str, fn());
/// What this program is when it is started by a test, told its arguments.
pub type Role = (&'static str, fn(&[String]));

/// How long anything may take that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
const TEST_TIMEOUT: Duration = Duration::from_secs(120);
const MARK: &str = "LEAF_TEST_MARK";

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
}
pub(crate) use tests;

pub fn main(tests: &[Test], roles: &[Role]) -> ExitCode {
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
    println!("{count} run, {} failed {failed:?}", failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}

fn run_one(name: &str) -> Result<(), String> {
    let mark = format!("{}-{name}", process::id());
    let mut test = Command::new("/proc/self/exe")
        .args(["test", name])
        .env(MARK, &mark)
        .process_group(0)
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + TEST_TIMEOUT;
    let status = loop {
        match test.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break Ok(status),
            None if Instant::now() > deadline => {
                let _ = test.kill();
                let _ = test.wait();
                break Err("it did not end");
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut left = marked(&mark);
    while !left.is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
        left = marked(&mark);
    }
    for pid in &left {
        kill(*pid, libc::SIGKILL);
    }
    match status? {
        status if !status.success() => Err(status.to_string()),
        _ if !left.is_empty() => Err(format!("processes are left: {left:?}")),
        _ => Ok(()),
    }
}

/// The living processes that carry a mark.
fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}");
    pids()
        .into_iter()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()))
        })
        .filter(|pid| is_alive(*pid))
        .collect()
}

pub fn pids() -> Vec<u32> {
    fs::read_dir("/proc")
        .expect("proc is mounted")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// The state letter and the parent of a process.
pub fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

pub fn kill(pid: u32, signal: i32) {
    // SAFETY: sends a signal.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Polls a state of other processes.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn all_die(pids: &[u32]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let alive: Vec<u32> = pids.iter().copied().filter(|pid| is_alive(*pid)).collect();
        if alive.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            for pid in &alive {
                eprintln!("{pid}: {:?}", fs::read_to_string(format!("/proc/{pid}/stat")));
                kill(*pid, libc::SIGKILL);
            }
            panic!("still alive: {alive:?}");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn program(role: &str, args: &[&str]) -> Program {
    let mut words: Vec<OsString> = vec!["role".into(), role.into()];
    words.extend(args.iter().map(OsString::from));
    Program { path: "/proc/self/exe".into(), args: words }
}

pub fn guarded() {
    set_guardian(program("guardian", &[]));
}

/// What a child did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
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
pub struct Worker {
    pub child: Child,
    pub stream: BlockingStream,
    pub seen: Receiver<Seen>,
}

pub fn recorder() -> (Arc<dyn Watch>, Receiver<Seen>) {
    let (sender, seen) = mpsc::channel();
    (Arc::new(Recorder(Mutex::new(sender))), seen)
}

pub fn launch(role: &str, args: &[&str], stdin: Endpoint) -> Launch {
    let parent = process::id().to_string();
    let args: Vec<&str> = [&parent[..]].iter().chain(args).copied().collect();
    Launch { program: program(role, &args), name: role.into(), stdin, capture: true }
}

/// Starts this program in a role whose first argument is our pid.
pub fn start_raw(role: &str, args: &[&str]) -> (Child, Endpoint, Receiver<Seen>) {
    let (ours, theirs) = Endpoint::pair().unwrap();
    let (watch, seen) = recorder();
    let child = block_on(spawn(launch(role, args, theirs), watch)).unwrap();
    (child, ours, seen)
}

pub fn start(role: &str, args: &[&str]) -> Worker {
    let (child, ours, seen) = start_raw(role, args);
    Worker { child, stream: ours.into_blocking().unwrap(), seen }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Worker {
    /// Waits for the end; what was written before, by stream.
    pub fn ended(&self) -> (Vec<u8>, Vec<u8>, Exit) {
        ended(&self.seen)
    }

    /// Reads one line of what the worker has to tell.
    pub fn line(&self) -> String {
        read_line(&self.stream)
    }

    pub fn number(&self) -> u32 {
        let line = self.line();
        line.parse().unwrap_or_else(|_| panic!("not a number: {line:?}"))
    }
}

pub fn ended(seen: &Receiver<Seen>) -> (Vec<u8>, Vec<u8>, Exit) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match seen.recv_timeout(PATIENCE).expect("the child ends") {
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

pub fn read_line(mut from: impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while from.read(&mut byte).expect("the other side lives") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

pub const fn code(code: i32) -> Exit {
    Exit { kind: ExitKind::Code(code) }
}

/// The number of the signal that ended a process.
pub fn signal(exit: Exit) -> Option<i32> {
    match exit.kind {
        ExitKind::Signal { number, .. } => Some(number),
        _ => None,
    }
}

/// Worker: its first act.
pub fn enter(args: &[String]) -> BlockingStream {
    let parent = args[0].parse().unwrap();
    enter_worker(parent).unwrap().into_blocking().unwrap()
}

/// Worker: tells its parent a line.
pub fn say(mut stream: &BlockingStream, what: impl std::fmt::Display) {
    let line = format!("{what}\n");
    stream.write_all(line.as_bytes()).unwrap();
}

/// Worker: waits until its parent hangs up or dies.
pub fn linger(mut stream: &BlockingStream) {
    let mut buf = [0; 64];
    while stream.read(&mut buf).is_ok_and(|n| n > 0) {}
}

pub fn sleep_for_ever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

pub fn stop_self() {
    kill(process::id(), libc::SIGSTOP);
}

pub fn eventually_stopped(pid: u32) {
    eventually("it is stopped", || stat(pid).is_some_and(|(state, _)| state == 'T'));
}

/// Starts this program in a role as an ordinary child in our own group, with no leaf involved.
pub fn plain(role: &str, args: &[&str]) -> process::Child {
    let program = program(role, args);
    Command::new(program.path).args(program.args).spawn().unwrap()
}

pub fn panics(act: impl FnOnce() + panic::UnwindSafe) -> bool {
    panic::catch_unwind(act).is_err()
}

/// A stranger with a pid of our choice that leads a group of its own, where this process may choose.
pub struct Impostor(u32);

impl Impostor {
    pub fn new(pid: u32) -> Option<Self> {
        let wanted = [pid as libc::pid_t];
        // SAFETY: an all-zero `clone_args` asks for nothing; `wanted` outlives the call. What runs in the new process makes
        // system calls only, as it must in the copy of a program with threads.
        unsafe {
            let mut args: libc::clone_args = std::mem::zeroed();
            args.exit_signal = libc::SIGCHLD as u64;
            args.set_tid = wanted.as_ptr() as u64;
            args.set_tid_size = 1;
            match libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) {
                0 => loop {
                    libc::pause();
                },
                pid if pid > 0 => {
                    assert_eq!(libc::setpgid(pid as i32, pid as i32), 0);
                    Some(Self(pid as u32))
                }
                _ => None,
            }
        }
    }

    /// Whether no deadly signal has come, not even one that has yet to be heard.
    pub fn is_unharmed(&self) -> bool {
        kill(self.0, libc::SIGSTOP);
        let state = || stat(self.0).map(|(state, _)| state);
        eventually("it is stopped or dead", || matches!(state(), Some('T' | 'Z') | None));
        state() == Some('T')
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        kill(self.0, libc::SIGKILL);
        // SAFETY: waits for a child.
        unsafe { libc::waitpid(self.0 as i32, std::ptr::null_mut(), 0) };
    }
}
