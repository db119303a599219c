//! On which cores the processes of a run are.
//!
//! A process takes its place before it does anything else, by a variable that it has from the launcher: so every family of
//! children is placed the same way, and needs no right to place others.

use std::process::Command;

use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Whose value is `runner:child[,child..]`, by the numbers of cores.
pub(crate) const PLACES: &str = "PROCESSION_BENCH_CORES";

/// Where processes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pin {
    /// All on one core.
    Same,
    /// Whoever starts processes on one core, those that it starts on the others.
    Split,
}

impl Pin {
    /// Has the process of this command, and all that come of it, hold to this.
    ///
    /// # Errors
    /// Where there is only one core to split.
    pub(crate) fn apply(self, command: &mut Command) -> Result<(), String> {
        let cores = cores();
        let (Some((first, others)), true) = (cores.split_first(), self == Self::Same || cores.len() > 1) else {
            return Err("--pin split takes two cores, and there is one".to_owned());
        };
        let children = match self {
            Self::Same => vec![*first],
            Self::Split => others.to_vec(),
        };
        let children: Vec<String> = children.iter().map(ToString::to_string).collect();
        command.env(PLACES, format!("{first}:{}", children.join(",")));
        Ok(())
    }
}

/// What the run says of its placement.
pub(crate) fn describe(pin: Option<Pin>) -> String {
    match pin {
        None => format!("on {} cores, placed by the kernel", cores().len()),
        Some(Pin::Same) => format!("all on core {}", cores().first().copied().unwrap_or_default()),
        Some(Pin::Split) => {
            let cores = cores();
            format!("the starting process on core {}, all others on {:?}", cores[0], &cores[1..])
        }
    }
}

/// Takes this process's place.
pub(crate) fn settle(is_runner: bool) {
    let Ok(places) = std::env::var(PLACES) else { return };
    let Some((runner, children)) = places.split_once(':') else { return };
    let mut set = CpuSet::new();
    for core in if is_runner { runner } else { children }.split(',') {
        if let Ok(core) = core.parse() {
            set.set(core);
        }
    }
    if let Err(error) = sched_setaffinity(None, &set) {
        eprintln!("procession-bench: not pinned to {places}: {error}");
    }
}

/// The cores that this process may use.
fn cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return vec![0] };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}
