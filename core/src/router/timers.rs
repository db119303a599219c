//! The deadlines of calls that came in over one link.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::record::CallKey;

/// So many that are of no use any more are kept at least.
const KEPT: usize = 64;

/// Times, and whose they are. Most come in the order in which they are due, and go in that order long before they are: those
/// cost no search.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// In order. Of the first of them it is known that it is of use.
    line: VecDeque<(Instant, CallKey)>,
    /// How many of the line are of no use.
    gone: usize,
    /// Those that a later one was before.
    rest: BTreeSet<(Instant, CallKey)>,
}

impl Timers {
    /// Puts one in; `is_of_use` says that of others.
    pub(super) fn insert(&mut self, at: Instant, call: CallKey, is_of_use: impl Fn(Instant, CallKey) -> bool) {
        while let Some((last, other)) = self.line.pop_back_if(|(last, _)| *last > at) {
            match is_of_use(last, other) {
                true => drop(self.rest.insert((last, other))),
                false => self.gone -= 1,
            }
        }
        self.line.push_back((at, call));
    }

    /// The next that is due.
    pub(super) fn first(&self) -> Option<(Instant, CallKey)> {
        self.line.front().into_iter().chain(self.rest.first()).min().copied()
    }

    /// Those that are of use.
    #[cfg(test)]
    pub(super) fn left(&self, is_of_use: impl Fn(Instant, CallKey) -> bool) -> BTreeSet<(Instant, CallKey)> {
        self.line.iter().chain(&self.rest).filter(|(at, call)| is_of_use(*at, *call)).copied().collect()
    }

    /// Takes one out, which is of no use any more by now; `is_of_use` says that of others.
    pub(super) fn remove(&mut self, at: Instant, call: CallKey, is_of_use: impl Fn(Instant, CallKey) -> bool) {
        if !self.rest.is_empty() && self.rest.remove(&(at, call)) {
            return;
        }
        self.gone += 1;
        while self.line.pop_front_if(|&mut (at, call)| !is_of_use(at, call)).is_some() {
            self.gone -= 1;
        }
        if self.gone > KEPT && self.gone > self.line.len() / 2 {
            self.line.retain(|&(at, call)| is_of_use(at, call));
            self.gone = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_the_earliest_of_those_that_are_left_and_few_others_are_kept(
            steps in proptest::collection::vec((0..4_u8, 0..50_u64, any::<prop::sample::Index>()), 1..600),
        ) {
            let began = Instant::now();
            let mut timers = Timers::default();
            let mut left: HashMap<CallKey, Instant> = HashMap::new();
            for (time, (what, ahead, which)) in steps.into_iter().enumerate() {
                let call = time as CallKey;
                if what < 2 {
                    // Mostly in order, and a few far ahead.
                    let ahead = if ahead > 45 { 100 * ahead } else { ahead % 2 };
                    let at = began + Duration::from_millis(time as u64 + ahead);
                    timers.insert(at, call, |at, call| left.get(&call) == Some(&at));
                    left.insert(call, at);
                } else if !left.is_empty() {
                    let mut calls: Vec<_> = left.keys().copied().collect();
                    calls.sort_unstable();
                    let call = if what == 2 { calls[0] } else { *which.get(&calls) };
                    let at = left.remove(&call).unwrap();
                    timers.remove(at, call, |at, call| left.get(&call) == Some(&at));
                }
                prop_assert_eq!(timers.first(), left.iter().map(|(call, at)| (*at, *call)).min());
                prop_assert!(timers.line.len() + timers.rest.len() <= 2 * left.len() + 2 * KEPT);
            }
        }
    }
}
