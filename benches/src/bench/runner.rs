//! The process that runs one workload: every contestant once a round, in turn.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use super::figure::{Role, Told};
use super::metric::Metric;
use super::workloads::{Name, Scale};

/// What came of a contestant's turn.
pub(crate) type Readings = Vec<(Metric, f64)>;

/// Who runs a workload, and how.
pub(crate) struct Contestant {
    peer: &'static str,
    role: Role,
    turn: Box<dyn FnMut() -> ::procession::Result<Readings> + Send>,
}

impl Contestant {
    pub(crate) fn new(
        role: Role,
        peer: &'static str,
        turn: impl FnMut() -> ::procession::Result<Readings> + Send + 'static,
    ) -> Self {
        Self { peer, role, turn: Box::new(turn) }
    }

    /// The system's own parts and nothing else.
    pub(crate) fn limit(
        peer: &'static str,
        turn: impl FnMut() -> ::procession::Result<Readings> + Send + 'static,
    ) -> Self {
        Self::new(Role::Limit, peer, turn)
    }

    /// Another framework.
    pub(crate) fn peer(
        peer: &'static str,
        turn: impl FnMut() -> ::procession::Result<Readings> + Send + 'static,
    ) -> Self {
        Self::new(Role::Peer, peer, turn)
    }
}

/// Tells the launcher something, or whoever has started this by hand.
pub(crate) fn tell(told: &Told) {
    let Ok(line) = serde_json::to_string(told) else { return };
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        // Nobody wants the figures any more.
        std::process::exit(1);
    }
}

/// The way in: for the workers and guardians that procession starts here, and for the runner itself.
///
/// Each contestant has a runtime of its own, so the runner is none of this one's tasks.
#[::procession::main(flavor = "current_thread")]
pub(crate) async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let (name, rounds, scale, only) = match arguments.as_slice() {
        [name, rounds, scale, only] => (Name::named(name), rounds.parse().ok(), Scale::named(scale), only.clone()),
        _ => (None, None, None, String::new()),
    };
    let (Some(name), Some(rounds), Some(scale)) = (name, rounds, scale) else {
        eprintln!("procession-bench: {arguments:?} is not how a runner is started");
        return ExitCode::from(64);
    };
    match tokio::task::spawn_blocking(move || run(name, rounds, scale, &only)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(name: Name, rounds: u32, scale: Scale, only: &str) {
    let workload = name.workload(scale);
    for note in workload.notes {
        tell(&Told::Note(note));
    }
    let mut contestants = workload.contestants;
    contestants.retain(|contestant| contestant.peer.starts_with(only));
    for _ in 0..rounds {
        contestants.retain_mut(|contestant| {
            tell(&Told::Turn { peer: contestant.peer.to_owned() });
            let why = match catch_unwind(AssertUnwindSafe(&mut contestant.turn)) {
                Ok(Ok(readings)) => {
                    for (metric, value) in readings {
                        let (peer, role) = (contestant.peer.to_owned(), contestant.role);
                        tell(&Told::Reading { peer, role, metric, value });
                    }
                    return true;
                }
                Ok(Err(error)) => error.to_string(),
                // Its message has been written by the panic hook.
                Err(_) => "it panicked".to_owned(),
            };
            tell(&Told::Failed { peer: contestant.peer.to_owned(), why });
            false
        });
    }
}
