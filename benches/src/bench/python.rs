//! The peer Python: multiprocessing and ProcessPoolExecutor, by a script that this program carries.

use std::io::{Error, ErrorKind, Result};
use std::process::{Command, Stdio};

use super::metric::Metric;
use super::runner::{Contestant, Readings};

/// What is said where there is none.
pub(crate) const MISSING: &str = "there is no python3: its rows are missing";

const SCRIPT: &str = include_str!("python.py");

/// Whether there is a Python to compare with.
pub(crate) fn is_there() -> bool {
    let version = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Each of these ways of the script as a contestant; none where there is no Python, which is said.
///
/// The words are what the script measures and with what, then the numbers it takes.
pub(crate) fn contestants(
    ways: &[(&'static str, &'static str)],
    numbers: &[usize],
    notes: &mut Vec<String>,
) -> Vec<Contestant> {
    if !is_there() {
        notes.push(MISSING.to_owned());
        return Vec::new();
    }
    let contestant = |(peer, way): &(&'static str, &'static str)| {
        let (way, numbers) = (*way, numbers.to_vec());
        Contestant::peer(peer, move || Ok(run(way, &numbers)?))
    };
    ways.iter().map(contestant).collect()
}

/// Runs the script: it writes a line for each metric, its name and its value.
pub(crate) fn run(way: &str, numbers: &[usize]) -> Result<Readings> {
    let folder = tempfile::tempdir()?;
    // A file, since a child that Python starts anew imports it.
    let script = folder.path().join("procession_bench.py");
    std::fs::write(&script, SCRIPT)?;
    let mut command = Command::new("python3");
    command.arg(&script).args(way.split(' ')).args(numbers.iter().map(ToString::to_string)).stdin(Stdio::null());
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        return Err(Error::other(format!("{}: {last}", output.status)));
    }
    let reading = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((Metric::named(name)?, value.parse().ok()?))
    };
    text.lines().map(|line| reading(line).ok_or_else(|| ErrorKind::InvalidData.into())).collect()
}
