//! Tests whose subject is a whole program: this one, started again in a role.
//!
//! A test program with `harness = false` gives its tests and its programs to [`main`]. Whatever is started inherits a mark in
//! its environment, by which what is left of it is found on every path.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::{PATIENCE, Place, system};

/// A test and the claim that is its name.
pub type Test = (&'static str, fn());
/// What this program is in a role.
pub type Role = (&'static str, fn() -> ExitCode);

const ROLE: &str = "PROCESSION_TEST_ROLE";
const MARK: &str = "PROCESSION_TEST_MARK";
/// Where a program finds the files that its test tells it of.
const PLACE: &str = "PROCESSION_TEST_PLACE";

#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
}

/// Runs the tests, or becomes the program that a test has asked for. A worker of such a program has its role too, and
/// finds its way in by the program's `#[procession::main]`.
pub fn main(tests: &[Test], roles: &[Role]) -> ExitCode {
    if let Ok(asked) = std::env::var(ROLE) {
        // A test that is killed takes its programs with it. Not so their workers and guardians, which have arguments: how
        // these end is what is tested.
        if std::env::args_os().len() == 1 {
            set_parent_process_death_signal(Some(Signal::KILL)).expect("any process may");
        }
        let (_, role) = roles.iter().find(|(name, _)| *name == asked).expect("a test knows its roles");
        return role();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let said = |word: &str| words.iter().any(|said| said == word);
    if said("--list") {
        for (name, _) in tests.iter().filter(|_| !said("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen = |name: &str| {
        let fits = |filter: &&&String| if said("--exact") { **filter == name } else { name.contains(filter.as_str()) };
        filters.is_empty() || filters.iter().any(|filter| fits(&filter))
    };
    let mut failed: Vec<&str> = Vec::new();
    for (name, test) in tests.iter().filter(|(name, _)| chosen(name)) {
        let began = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        let left = settled();
        let seen: Vec<_> = left.iter().filter_map(|pid| system::look(*pid)).collect();
        for pid in &left {
            system::kill(*pid);
        }
        let passed = passed && left.is_empty();
        println!("test {name} ... {} ({:?})", if passed { "ok" } else { "FAILED" }, began.elapsed());
        if !left.is_empty() {
            println!("processes were left: {seen:?}");
        }
        failed.extend((!passed).then_some(*name));
    }
    println!("\ntest result: {} failed {failed:?}", failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}

fn mark() -> String {
    format!("{MARK}={}", std::process::id())
}

/// Everybody that was started by a test of this process and lives.
pub fn marked() -> Vec<u32> {
    let mark = mark();
    let all = system::all().into_iter().map(|seen| seen.pid);
    all.filter(|pid| system::environment(*pid).contains(&mark)).collect()
}

fn settled() -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let left = marked();
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A program in its role, and what it says.
pub struct Program {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    /// What was said so far and not asked for.
    pub said: Vec<String>,
}

/// A command for this program in a role, in a group of its own.
pub fn command(role: &str, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    let mark = std::env::var(MARK).unwrap_or_else(|_| std::process::id().to_string());
    command.env(ROLE, role).env(MARK, mark).env(PLACE, place).stdin(Stdio::null());
    command
}

impl Program {
    pub fn start(role: &str, place: &Place) -> Self {
        let mut command = command(role, &place.file(""));
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("this program runs");
        let out = follow(child.stdout.take().expect("it is piped"));
        let err = follow(child.stderr.take().expect("it is piped"));
        Self { child, out, err, said: Vec::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line on standard output.
    pub fn line(&mut self) -> String {
        match self.out.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(_) => panic!("it says nothing; on stderr: {:?}", self.err.try_iter().collect::<Vec<_>>()),
        }
    }

    /// Waits for a line on standard error with this in it.
    pub fn complains(&mut self, what: &str) {
        loop {
            match self.err.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(what) => return self.said.push(line),
                Ok(line) => self.said.push(line),
                Err(_) => panic!("it does not say {what:?}, but {:?}", self.said),
            }
        }
    }

    /// Waits for the end: the status, and the lines that were said and not read, of output and error.
    pub fn ended(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("it is ours") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end; it said {:?}", self.said),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let err = std::mem::take(&mut self.said);
        (status, self.out.iter().collect(), err.into_iter().chain(self.err.iter()).collect())
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(from: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A shell's word for how a program ended: its exit code, or 128 and the number of its signal.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// In a program: a file that its test has named.
pub fn told(name: &str) -> std::path::PathBuf {
    Path::new(&std::env::var_os(PLACE).expect("a test tells its program")).join(name)
}

/// Polls, in a test without a runtime.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
