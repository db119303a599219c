//! Kills workers at random while a ledger watches: `cargo run --release --example chaos -- [WHAT] [OPTIONS]`.
//!
//! WHAT is `pool` (the default), `calls`, `crowd` or `soak`; `chaos --help` tells what each does and which sizes it takes:
//! `chaos pool --tasks 1000000 --workers 200 --kills 10000 --seed 7`. It prints what it measures and the verdict, and ends
//! with a failure where anything was broken. The same seed kills at the same places, as far as the system lets it.

mod arguments;
mod calls;
mod crowd;
mod dice;
mod figures;
mod ledger;
mod pool;
mod prey;
mod soak;
mod stage;
#[path = "../../tests/tests/system/mod.rs"]
mod system;
mod verdict;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, What};
use crate::stage::Stage;
use crate::verdict::Verdict;

#[procession::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut verdict = Verdict::default();
    let played = play(&arguments, &mut verdict).await;
    if let Err(failure) = played {
        verdict.broken(format!("it could not go on: {failure}"));
    }
    if verdict.tell(arguments.strict) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn play(arguments: &Arguments, verdict: &mut Verdict) -> procession::Result {
    let stage = Stage::set(arguments).await?;
    println!("chaos with seed {}, by process {}", arguments.seed, std::process::id());
    match arguments.what {
        What::Pool => pool::play(arguments, &stage, verdict).await?,
        What::Calls => calls::play(arguments, &stage, verdict).await?,
        What::Crowd => crowd::play(arguments, &stage, verdict).await?,
        What::Soak => soak::play(arguments, &stage, verdict).await?,
    }
    stage.clear(verdict).await
}
