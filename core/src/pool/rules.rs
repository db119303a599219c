use std::time::Duration;

use super::window::Chunk;
use crate::supervisor::backoff::SplitMix64;

/// What a pool keeps to, beside the number of its workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rules {
    /// Workers beyond that number: ready, and without tasks that any may run until one of the others is lost.
    pub(crate) spares: usize,
    pub(crate) rest: Option<Rest>,
    pub(crate) recycle: Recycle,
    /// How many tasks travel together.
    pub(crate) chunk: Chunk,
    /// Where the jitter comes from.
    pub(crate) seed: u64,
}

/// When workers without work end, until there is some again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// How long a worker has had nothing to do.
    pub(crate) after: Duration,
    /// How many stay all the same.
    pub(crate) keep: usize,
}

/// When a worker is replaced though nothing is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Recycle {
    /// After this many tasks.
    pub(crate) tasks: Option<u64>,
    /// At this age.
    pub(crate) age: Option<Duration>,
    /// From this many bytes of resident memory on.
    pub(crate) memory: Option<u64>,
    /// The part of each, from 0 to 1, by which it may be less: so that workers that began together don't leave together.
    pub(crate) jitter: f64,
}

/// How much one incarnation of a worker is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lot {
    pub(crate) tasks: Option<u64>,
    pub(crate) age: Option<Duration>,
    pub(crate) memory: Option<u64>,
}

/// What an incarnation has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wear {
    Tasks(u64),
    Age(Duration),
    Memory(u64),
}

impl Recycle {
    pub(crate) fn draw(&self, rng: &mut SplitMix64) -> Lot {
        Lot {
            tasks: self.tasks.map(|tasks| self.less(tasks, rng).max(1)),
            age: self.age.map(|age| age.mul_f64(1.0 - self.jitter * rng.unit())),
            memory: self.memory.map(|bytes| self.less(bytes, rng)),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a part of it"
    )]
    fn less(&self, whole: u64, rng: &mut SplitMix64) -> u64 {
        whole - (whole as f64 * self.jitter * rng.unit()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_shortens_and_leaves_small_numbers_alone() {
        let mut rng = SplitMix64::new(3);
        let age = Duration::from_secs(100);
        let recycle = Recycle { tasks: Some(2), age: Some(age), memory: Some(1000), jitter: 0.1 };
        let lots: Vec<_> = (0..1000).map(|_| recycle.draw(&mut rng)).collect();
        assert!(lots.iter().all(|lot| lot.tasks == Some(2)));
        assert!(lots.iter().all(|lot| (901..=1000).contains(&lot.memory.unwrap())));
        assert!(lots.iter().all(|lot| (age * 9 / 10..=age).contains(&lot.age.unwrap())));
        assert!(lots.iter().any(|lot| lot.memory < Some(920)) && lots.iter().any(|lot| lot.memory > Some(980)));
        assert_eq!(Recycle { jitter: 1.0, ..recycle }.draw(&mut rng).tasks.map(|tasks| tasks >= 1), Some(true));
        assert_eq!(Recycle::default().draw(&mut rng), Lot::default());
    }
}
