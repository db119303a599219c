//! Runs of the program.

use std::process::{Command, Stdio};

use serde_json::Value;

/// A line of JSON.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) workload: String,
    pub(crate) peer: String,
    pub(crate) metric: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// What a run says on standard output; it must be a success.
pub(crate) fn text(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procession-bench"));
    let output = command.args(arguments).stdin(Stdio::null()).output().expect("the program runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} ended with {}:\n{said}\n{complaints}", output.status);
    said
}

/// The figures of a run with `--json`: nothing else is said, and each line has the five keys and no more.
pub(crate) fn figures(arguments: &[&str]) -> Vec<Figure> {
    text(arguments).lines().map(figure).collect()
}

fn figure(line: &str) -> Figure {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line} is no JSON: {error}"));
    let keys: Vec<&String> = value.as_object().expect("an object").keys().collect();
    assert_eq!(keys.len(), 5, "{line}");
    let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("{line} has no {key}")).to_owned();
    Figure {
        workload: text("workload"),
        peer: text("peer"),
        metric: text("metric"),
        value: value["value"].as_f64().unwrap_or_else(|| panic!("{line} has no value")),
        unit: text("unit"),
    }
}
