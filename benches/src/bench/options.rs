//! The command line.

use clap::{Parser, ValueEnum};

use super::placement::Pin;
use super::workloads::Name;

/// Runs procession beside the bare limits of the system and beside its peers, interleaved, and prints medians.
#[derive(Debug, Parser)]
#[command(name = "procession-bench")]
pub(crate) struct Options {
    /// The workloads to run: all of them unless some are named.
    #[arg(value_enum)]
    pub(crate) workloads: Vec<Name>,
    /// How many times each contestant runs, in turn with the others.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// One line of JSON for each figure, in place of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// All processes on one core, or the children on other cores than whoever starts them.
    #[arg(long, value_enum)]
    pub(crate) pin: Option<Pin>,
    /// Only contestants whose names begin with this: what is profiled runs alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// A twentieth of each workload or less, in one round: whether it works, not how fast.
    #[arg(long)]
    pub(crate) quick: bool,
}

/// Rounds unless said otherwise.
const ROUNDS: u32 = 5;

impl Options {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { ROUNDS })
    }

    /// The workloads in their order, each once.
    pub(crate) fn chosen(&self) -> Vec<Name> {
        let all = Name::value_variants().iter().copied();
        all.filter(|name| self.workloads.is_empty() || self.workloads.contains(name)).collect()
    }
}
