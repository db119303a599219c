//! Catalogues a directory tree into SQLite, by workers that may die: `cargo run --release --example catalog -- [DIR]`.
//!
//! More arguments: `[--db FILE] [--workers N] [--chaos]`. Without DIR it is the current folder, without FILE `catalog.db`.
//! Worker processes read the files; one actor of the main process owns the database. The last line says `catalog: N files,
//! M failures`; a file that cannot be read is a row with its error. A second run brings the table up to date.

mod arguments;
mod chaos;
mod door;
mod inspect;
mod kind;
mod name;
mod progress;
mod recorder;
mod store;
mod summary;
mod text;
mod tree;
mod walk;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use procession::Failure;
use procession::prelude::*;

use crate::arguments::Arguments;
use crate::chaos::Chaos;
use crate::inspect::{Finding, Job, inspect};
use crate::recorder::{Recorder, RecorderApi};
use crate::tree::Tree;

/// What a worker does.
#[procession::task]
fn examine(job: Job) -> Finding {
    inspect(&job)
}

#[procession::main]
async fn main() -> ExitCode {
    match catalogue(Arguments::parse()).await {
        Ok(summary) => {
            print!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("catalog: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn catalogue(arguments: Arguments) -> Result<String, Failure> {
    let sup = Supervisor::builder().start().await?;
    let (database, dir) = (arguments.database.into_os_string(), arguments.dir.as_os_str().to_owned());
    let recorder = sup.spawn_local::<Recorder>("recorder", (database.clone(), dir)).await?;
    let tree = Tree::walk(&arguments.dir, &database)?;
    let size = arguments.workers.map_or(PoolSize::LeaveOne, |workers| PoolSize::Exactly(usize::from(workers)));
    let pool = sup.task_pool("reader", size).await?;
    let chaos = Arc::new(Chaos::default());
    let reign = arguments.chaos.then(|| tokio::spawn(chaos.clone().reign(pool.clone())));
    let mut round = tree.attempts();
    loop {
        let (tree, chaos) = (tree.clone(), chaos.clone());
        let jobs = tree.clone().send(round);
        // Bounded: the tree is walked as the workers and the recorder keep up.
        let all = pool.outcomes(examine, jobs).completed_to(&recorder, move |recorder, completion| {
            chaos.count();
            recorder.done(tree.take(completion.index), completion)
        });
        all.await.map_err(|_| Failure::new("interrupted"))?;
        let again = recorder.again().await?;
        if again.is_empty() {
            break;
        }
        round = Box::new(again.into_iter());
    }
    if let Some(reign) = reign {
        reign.abort();
    }
    let report = pool.finish().await;
    let (walked, unreadable) = tree.walked();
    let summary = recorder.finish(walked, unreadable, report.workers_lost).await?;
    sup.shutdown().await?;
    Ok(summary)
}
