//! The one actor that owns the database: it takes what workers found, and writes it in batches.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Completion, Failure};

use crate::inspect::{Finding, Job};
use crate::progress::Progress;
use crate::store::{Store, own_files};
use crate::summary::Summary;

/// How often a file is given to another worker when its worker has died.
const TRIES: u32 = 5;

/// A file under way, and how many workers it has cost.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Attempt {
    pub(crate) job: Job,
    pub(crate) deaths: u32,
}

/// Owns the database, the summary and the progress bar. It lives on a thread of the main process.
#[derive(Actor)]
#[actor(restart = "temporary", shutdown = "30s")]
pub(crate) struct Recorder {
    store: Option<Store>,
    summary: Summary,
    progress: Option<Progress>,
    /// Files whose workers died, to be given out again.
    again: VecDeque<Attempt>,
    started: Instant,
    /// What the database said when it refused; nothing is written after that.
    broken: Option<Failure>,
}

#[handlers]
impl Recorder {
    #[init]
    pub(crate) fn new(database: OsString, dir: OsString) -> Result<Self, Failure> {
        let store = Store::open(Path::new(&database))?;
        let progress = Progress::start();
        let walk = || crate::walk::Walk::new(Path::new(&dir), &own_files(Path::new(&database)));
        progress.count_ahead(walk)?;
        progress.say(&format!("catalog: {} into {}", Path::new(&dir).display(), Path::new(&database).display()));
        Ok(Self {
            store: Some(store),
            summary: Summary::default(),
            progress: Some(progress),
            again: VecDeque::new(),
            started: Instant::now(),
            broken: None,
        })
    }

    /// Takes what came of one file: success and failure the same way.
    #[cast]
    pub(crate) fn done(&mut self, attempt: Attempt, completion: Completion<Finding>) {
        match completion.outcome {
            Ok(finding) => self.record(finding),
            // Nobody else is to blame, and reading a file again does no harm.
            Err(TaskError::Died { .. } | TaskError::Quarantined { .. }) if attempt.deaths + 1 < TRIES => {
                self.again.push_back(Attempt { deaths: attempt.deaths + 1, ..attempt });
            }
            // The run is being ended: the file keeps the row it had.
            Err(TaskError::Cancelled { .. } | TaskError::Killed { .. } | TaskError::Closed { .. }) => {}
            Err(error) => self.record(Finding::Row(attempt.job.failed(error.to_string()))),
        }
    }

    /// Files that are to be tried once more.
    #[call]
    pub(crate) fn again(&mut self) -> Vec<Attempt> {
        self.again.drain(..).collect()
    }

    /// Rows are in the file soon, also where files take long.
    #[tick(every = "500ms")]
    fn flush(&mut self) {
        self.write(Store::flush);
    }

    /// The whole tree was walked, save below these folders: rows of vanished files go, and the summary is complete.
    #[call(timeout = "10m")]
    pub(crate) fn finish(&mut self, walked: Summary, unreadable: Vec<String>, died: u64) -> Result<String, Failure> {
        for folder in &unreadable {
            self.write(|store| store.keep_below(folder));
        }
        self.write(Store::remove_vanished);
        self.summary.absorb(walked);
        self.summary.workers_died(died);
        self.close()
    }

    /// An end before the end of the work: what is known is written, nothing is removed.
    #[stop]
    fn interrupted(&mut self) {
        if self.store.is_some() {
            self.summary.interrupted();
            match self.close() {
                Ok(summary) => print!("{summary}"),
                Err(error) => eprintln!("catalog: {error}"),
            }
        }
    }
}

impl Recorder {
    fn record(&mut self, finding: Finding) {
        self.summary.finding(&finding);
        if let Finding::Row(row) = finding {
            if let Some(progress) = &mut self.progress {
                progress.file(&row);
            }
            self.write(|store| store.push(row));
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Store) -> Result<(), crate::store::StoreError>) {
        if let (Some(store), None) = (&mut self.store, &self.broken)
            && let Err(error) = write(store)
        {
            self.broken = Some(error.into());
        }
    }

    fn close(&mut self) -> Result<String, Failure> {
        self.write(Store::flush);
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
        if let Some(error) = &self.broken {
            self.store = None;
            return Err(error.clone());
        }
        let Some(store) = self.store.take() else { return Err(Failure::new("the database is closed")) };
        let elapsed: Duration = self.started.elapsed();
        self.summary.finish(elapsed, store.changes(), store.duplicates()?);
        store.close()?;
        Ok(self.summary.to_string())
    }
}
