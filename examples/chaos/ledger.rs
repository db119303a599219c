//! Who was to be done, how often each was run, and how each ended.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use procession::{Executed, Failure};
use tempfile::TempDir;

use crate::verdict::Verdict;

/// What its end says of how often something was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Once,
    Never,
    AtMostOnce,
}

impl From<Executed> for Ran {
    fn from(executed: Executed) -> Self {
        match executed {
            Executed::No => Self::Never,
            Executed::Maybe => Self::AtMostOnce,
        }
    }
}

/// A book of numbered things that worker processes do. Whoever does one says so first, in a file that outlives its process.
#[derive(Debug)]
pub(crate) struct Ledger {
    folder: TempDir,
    ends: Vec<Option<Ran>>,
    doubled: Vec<u64>,
}

/// What the books say in the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) once: u64,
    pub(crate) never: u64,
    pub(crate) at_most_once: u64,
}

impl Ledger {
    pub(crate) fn new(count: u64) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("procession-chaos-")?;
        Ok(Self { folder, ends: vec![None; usize::try_from(count)?], doubled: Vec::new() })
    }

    /// What workers are to be given.
    pub(crate) fn folder(&self) -> String {
        self.folder.path().to_string_lossy().into_owned()
    }

    /// It has ended, and this is what its end says.
    pub(crate) fn ended(&mut self, number: u64, ran: Ran) {
        match self.ends.get_mut(number as usize) {
            Some(end @ None) => *end = Some(ran),
            _ => self.doubled.push(number),
        }
    }

    /// Compares what was said with what was done.
    pub(crate) fn judge(&self, what: &str, verdict: &mut Verdict) -> Result<Sum, Failure> {
        let mut runs = vec![0_u32; self.ends.len()];
        for file in fs::read_dir(self.folder.path())? {
            let bytes = fs::read(file?.path())?;
            verdict.check(bytes.len().is_multiple_of(8), || "a line of the ledger is not whole".to_owned());
            for number in bytes.chunks_exact(8).filter_map(|number| Some(u64::from_le_bytes(number.try_into().ok()?))) {
                match runs.get_mut(number as usize) {
                    Some(runs) => *runs += 1,
                    None => verdict.broken(format!("{what} {number} was run and never asked for")),
                }
            }
        }
        for number in &self.doubled {
            verdict.broken(format!("{what} {number} has ended twice"));
        }
        let mut sum = Sum::default();
        for (number, (end, runs)) in self.ends.iter().zip(runs).enumerate() {
            let as_said = match end {
                Some(Ran::Once) => runs == 1,
                Some(Ran::Never) => runs == 0,
                Some(Ran::AtMostOnce) => runs <= 1,
                None => false,
            };
            verdict.check(as_said, || format!("{what} {number} ended as {end:?} and was run {runs} times"));
            match end {
                Some(Ran::Once) => sum.once += 1,
                Some(Ran::Never) => sum.never += 1,
                Some(Ran::AtMostOnce) => sum.at_most_once += 1,
                None => {}
            }
        }
        Ok(sum)
    }
}

/// Says in a worker that it is about to do this.
pub(crate) fn begin(folder: &str, number: u64) {
    thread_local! {
        static OWN: RefCell<Option<File>> = const { RefCell::new(None) };
    }
    OWN.with_borrow_mut(|own| {
        let file = own.get_or_insert_with(|| {
            let path = Path::new(folder).join(std::process::id().to_string());
            OpenOptions::new().append(true).create(true).open(path).expect("a ledger")
        });
        file.write_all(&number.to_le_bytes()).expect("a line of the ledger");
    });
}
