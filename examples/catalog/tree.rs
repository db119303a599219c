//! The tree as jobs for the workers: what is found is counted, what is under way is remembered.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::inspect::Job;
use crate::recorder::Attempt;
use crate::store::own_files;
use crate::summary::Summary;
use crate::walk::{Found, Walk};

/// Attempts to be made, in order.
pub(crate) type Round = Box<dyn Iterator<Item = Attempt> + Send>;

/// A tree that is being catalogued. Clones are the same tree.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    dir: PathBuf,
    leave_out: Vec<PathBuf>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    summary: Summary,
    unreadable: Vec<String>,
    /// By the place in its round: what a failure is told of.
    under_way: HashMap<u64, Attempt>,
}

impl Tree {
    /// The tree below `dir`, without the files of the database.
    pub(crate) fn walk(dir: &Path, database: &OsString) -> Result<Self, procession::Failure> {
        let leave_out = own_files(Path::new(database));
        let unreadable =
            |error: io::Error| procession::Failure::new(format!("{} cannot be read: {error}", dir.display()));
        Walk::new(dir, &leave_out).map_err(unreadable)?;
        Ok(Self { dir: dir.to_owned(), leave_out, state: Arc::default() })
    }

    /// Every file of the tree, found as the iterator is pulled.
    pub(crate) fn attempts(&self) -> Round {
        let Ok(walk) = Walk::new(&self.dir, &self.leave_out) else { return Box::new(std::iter::empty()) };
        let root = walk.root().to_owned();
        let tree = self.clone();
        Box::new(walk.filter_map(move |found| {
            let mut state = tree.lock();
            state.summary.found(&found);
            match found {
                Found::File(path) => Some(Attempt { job: Job::new(&root, path), deaths: 0 }),
                Found::Unreadable { path, .. } => {
                    state.unreadable.push(path.text());
                    None
                }
                Found::Special(_) | Found::LeftOut(_) => None,
            }
        }))
    }

    /// The jobs of a round, each remembered until it is [taken](Self::take).
    pub(crate) fn send(self, round: Round) -> impl Iterator<Item = Job> + Send {
        round.zip(0..).map(move |(attempt, index)| {
            let job = attempt.job.clone();
            self.lock().under_way.insert(index, attempt);
            job
        })
    }

    /// What was sent at this place of the round.
    pub(crate) fn take(&self, index: u64) -> Attempt {
        self.lock().under_way.remove(&index).expect("each job completes once")
    }

    /// What the walk has counted, and the folders that it could not look into.
    pub(crate) fn walked(&self) -> (Summary, Vec<String>) {
        let state = self.lock();
        (state.summary.clone(), state.unreadable.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
