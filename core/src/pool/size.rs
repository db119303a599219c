use std::thread::available_parallelism;

use crate::error::start::StartError;

/// How many workers a pool has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolSize {
    /// One less than the cores that this process may use, and at least one: a core is left for this process.
    #[default]
    LeaveOne,
    /// As many as the cores that this process may use.
    All,
    /// This many, at least one.
    Exactly(usize),
}

/// More workers than any machine serves: a number that was computed wrongly.
pub(super) const MOST: usize = 10_000;

impl PoolSize {
    /// The number of workers.
    pub(super) fn workers(self, pool: &str) -> Result<usize, StartError> {
        // Where the system cannot say, one core is sure.
        let cores = available_parallelism().map_or(1, usize::from);
        match self {
            Self::LeaveOne => Ok((cores - 1).max(1)),
            Self::All => Ok(cores),
            Self::Exactly(0) => Err(StartError::BadSpec(format!(
                "the pool {pool} would have no worker: PoolSize::LeaveOne is one less than the cores and never 0"
            ))),
            Self::Exactly(workers) if workers > MOST => Err(StartError::BadSpec(format!(
                "the pool {pool} would have {workers} workers: at most {MOST} are meant"
            ))),
            Self::Exactly(workers) => Ok(workers),
        }
    }
}

impl From<usize> for PoolSize {
    fn from(workers: usize) -> Self {
        Self::Exactly(workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_but_none_is_at_least_one_worker() {
        for size in [PoolSize::LeaveOne, PoolSize::All, PoolSize::from(1), PoolSize::from(64)] {
            assert!(size.workers("p").unwrap() >= 1, "{size:?}");
        }
        assert!(matches!(PoolSize::from(0).workers("p"), Err(StartError::BadSpec(_))));
        assert!(matches!(PoolSize::from(usize::MAX).workers("p"), Err(StartError::BadSpec(_))));
    }
}
