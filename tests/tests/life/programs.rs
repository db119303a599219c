//! Tests whose subject is a whole program: this one, started again in a role.
//!
//! A test program with `harness = false` gives its tests and its programs to [`main`]. Whatever is started is marked, so
//! that what is left of it is found on every path.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::system::{self, Killing, marked};
use super::{PATIENCE, Place, settled};

/// A test and the claim that is its name.
pub type Test = (&'static str, fn());
/// What this program is in a role.
pub type Role = (&'static str, fn() -> ExitCode);

const ROLE: &str = "PROCESSION_TEST_ROLE";
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
        // A test that is killed takes its programs with it. Not so their workers and guardians: how these end is what is
        // tested.
        if std::env::args().nth(1).is_some_and(|argument| argument.starts_with(PROGRAM)) {
            system::end_with_parent();
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
    let (mut ran, mut failed) = (0, Vec::new());
    for (name, test) in tests.iter().filter(|(name, _)| chosen(name)) {
        let began = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        let left = settled(marked);
        if !left.is_empty() {
            println!("processes were left: {left:?}");
        }
        for process in &left {
            process.kill();
        }
        let passed = passed && left.is_empty();
        println!("test {name} ... {} ({:?})", if passed { "ok" } else { "FAILED" }, began.elapsed());
        ran += 1;
        failed.extend((!passed).then_some(*name));
    }
    if !failed.is_empty() {
        println!("\nfailures: {failed:?}");
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {} passed; {} failed", ran - failed.len(), failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// A program in its role, and what it says.
pub struct Program {
    child: Child,
    argument: String,
    out: Receiver<String>,
    err: Receiver<String>,
    /// What was said so far and not asked for.
    pub said: Vec<String>,
}

/// With what the only argument of a program begins.
const PROGRAM: &str = "program-of-test:";

/// A command for this program in a role.
pub fn command(role: &str, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command.arg(format!("{PROGRAM}{}", std::process::id()));
    command.env(ROLE, role).env(PLACE, place).stdin(Stdio::null());
    system::mark(&mut command);
    command
}

impl Program {
    pub fn start(role: &str, place: &Place) -> Self {
        let mut command = command(role, &place.file(""));
        system::lead_a_group(&mut command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("this program runs");
        let out = follow(child.stdout.take().expect("it is piped"));
        let err = follow(child.stderr.take().expect("it is piped"));
        let argument = command.get_args().next().and_then(OsStr::to_str).expect("it has one").to_owned();
        Self { child, argument, out, err, said: Vec::new() }
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

    /// Kills it in one of the system's ways.
    pub fn kill_by(&mut self, (_, killing): Killing) {
        killing(&mut self.child, &self.argument);
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
