//! Catalogues a directory tree into SQLite, by workers that may die: `cargo run --release --example catalog -- [DIR]`.
//!
//! More arguments: `[--db FILE] [--workers N] [--chaos]`. Without DIR it is the current folder, without FILE `catalog.db`.
//! The last line says `catalog: N files, M failures`; a file that cannot be read is a row with its error. A second run
//! brings the table up to date. The modules know nothing of actors: here one thread does all of the work.

mod arguments;
mod door;
mod inspect;
mod kind;
mod name;
mod progress;
mod store;
mod summary;
mod text;
mod walk;

use std::error::Error;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::arguments::Arguments;
use crate::inspect::{Finding, Job, inspect};
use crate::progress::Progress;
use crate::store::Store;
use crate::summary::Summary;
use crate::walk::{Found, Walk};

fn main() -> ExitCode {
    let done = catalogue(&Arguments::parse()).and_then(|summary| Ok(write!(stdout().lock(), "{summary}")?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("catalog: {error}");
            ExitCode::FAILURE
        }
    }
}

fn catalogue(arguments: &Arguments) -> Result<Summary, Box<dyn Error>> {
    let started = Instant::now();
    let mut store = Store::open(&arguments.database)?;
    let progress = Progress::start();
    let walk = || Walk::new(&arguments.dir, &store.own_files());
    let tree = walk().map_err(|error| format!("{} cannot be read: {error}", arguments.dir.display()))?;
    progress.count_ahead(walk)?;
    progress.say(&format!("catalog: {} into {}", arguments.dir.display(), arguments.database.display()));
    if arguments.chaos || arguments.workers.is_some() {
        progress.say("catalog: one thread does the work as yet; --workers and --chaos change nothing");
    }
    let mut summary = read(tree, &mut store, progress)?;
    store.remove_vanished()?;
    summary.finish(started.elapsed(), store.changes(), store.duplicates()?);
    store.close()?;
    Ok(summary)
}

/// Reads every file of the tree, one after the other.
fn read(tree: Walk, store: &mut Store, mut progress: Progress) -> Result<Summary, Box<dyn Error>> {
    let mut summary = Summary::default();
    let root = tree.root().to_owned();
    for found in tree {
        summary.found(&found);
        match found {
            Found::File(path) => {
                let finding = inspect(&Job::new(&root, path));
                summary.finding(&finding);
                if let Finding::Row(row) = finding {
                    progress.file(&row);
                    store.push(row)?;
                }
            }
            Found::Unreadable { path, .. } => store.keep_below(&path.text())?,
            Found::Special(_) | Found::LeftOut(_) => {}
        }
    }
    progress.finish();
    Ok(summary)
}
