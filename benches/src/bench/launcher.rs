//! Starts a runner for each workload, one after the other, and shows what they tell.
//!
//! A process for each workload: what one leaves behind, memory and threads, is not measured with the next, and one that
//! hangs ends nothing but itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use clap::Parser;

use super::RUNNER;
use super::figure::{Series, Told};
use super::options::Options;
use super::table;
use super::workloads::Name;

/// How long one turn may take before its runner is taken for stuck.
const TURN: Duration = Duration::from_secs(180);

/// What one workload came to.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: Name,
    /// In the order of the turns.
    pub(crate) series: Vec<Series>,
    pub(crate) notes: Vec<String>,
    /// Whether every turn came to its end.
    complete: bool,
}

pub(crate) fn main() -> ExitCode {
    let options = Options::parse();
    let mut complete = true;
    if !options.json {
        println!("{}", table::head(&options));
    }
    for name in options.chosen() {
        match run(name, &options) {
            Ok(found) => {
                complete &= found.complete;
                show(&found, &options);
            }
            Err(error) => {
                eprintln!("procession-bench: {}: {error}", name.name());
                complete = false;
            }
        }
    }
    if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(found: &Found, options: &Options) {
    if !options.json {
        println!("{}", table::of(found));
        return;
    }
    for series in &found.series {
        match serde_json::to_string(&series.figure()) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("procession-bench: {error}"),
        }
    }
    for note in &found.notes {
        eprintln!("{}: {note}", found.name.name());
    }
}

fn run(name: Name, options: &Options) -> Result<Found, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let scale = if options.quick { "quick" } else { "full" };
    let mut command = Command::new(program);
    command.args([RUNNER, name.name(), &options.rounds().to_string(), scale]);
    command.arg(options.only.as_deref().unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut notes = Vec::new();
    match options.pin {
        Some(pin) if name.is_pinned() => pin.apply(&mut command)?,
        Some(_) => notes.push("not pinned: it measures several processes at once".to_owned()),
        None => {}
    }
    let child = command.spawn().map_err(|error| format!("no runner: {error}"))?;
    let mut runner = Runner { child };
    let told = runner.listen()?;
    let mut found = Found { name, series: Vec::new(), notes, complete: true };
    if collect(&mut found, &told).is_err() {
        return Ok(found);
    }
    let status = runner.child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        found.fail(format!("the runner ended early: {status}"));
    }
    Ok(found)
}

impl Found {
    fn fail(&mut self, why: String) {
        self.complete = false;
        self.notes.push(why);
    }
}

/// Nothing was heard from a runner for too long.
struct Stuck;

fn collect(found: &mut Found, told: &Receiver<Told>) -> Result<(), Stuck> {
    let mut turn = String::new();
    let mut places = BTreeMap::new();
    loop {
        match told.recv_timeout(TURN) {
            Ok(Told::Turn { peer }) => {
                show_progress(&format!("{}: {peer}", found.name.name()));
                turn = peer;
            }
            Ok(Told::Note(note)) => found.notes.push(note),
            Ok(Told::Failed { peer, why }) => found.fail(format!("{peer} did not come to its end: {why}")),
            Ok(Told::Reading { peer, role, metric, value }) => {
                let at = *places.entry((peer.clone(), metric)).or_insert(found.series.len());
                if at == found.series.len() {
                    found.series.push(Series::new(found.name.name(), peer, role, metric));
                }
                found.series[at].add(value);
            }
            Err(RecvTimeoutError::Disconnected) => {
                show_progress("");
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => {
                found.fail(format!("{turn} was stuck for {TURN:?} and ended the run"));
                return Err(Stuck);
            }
        }
    }
}

/// Whose turn it is, for whoever watches.
fn show_progress(line: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{line}");
    }
}

/// A runner's process, which does not outlive this.
struct Runner {
    child: Child,
}

impl Runner {
    fn listen(&mut self) -> Result<Receiver<Told>, String> {
        let out = self.child.stdout.take().ok_or("the runner has no output")?;
        let (tell, told) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(one) => drop(tell.send(one)),
                    Err(_) => eprintln!("{line}"),
                }
            }
        });
        Ok(told)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
