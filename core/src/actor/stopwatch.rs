//! How long handlers run, by few looks at the clock.

use std::mem;
use std::time::{Duration, Instant};

/// Handlers this short are timed several at once.
const SHORT: Duration = Duration::from_micros(2);
/// So many.
const SEVERAL: u32 = 8;

/// The time of an actor's loop. While handlers are short it is looked at once for several of them: a look costs as much as a
/// tenth of all that is done for a message.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    at: Instant,
    /// Handlers that have ended since.
    handled: u32,
    /// So many of them take one look.
    most: u32,
}

impl Stopwatch {
    pub(crate) fn new(now: Instant) -> Self {
        Self { at: now, handled: 0, most: 1 }
    }

    /// When it was looked at last.
    #[inline]
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// A handler has ended. How long those since the last look took, each, if it is looked at, as it is in any case if it `must`
    /// be.
    #[inline]
    pub(crate) fn handled(&mut self, must: bool, clock: impl FnOnce() -> Instant) -> Option<Duration> {
        self.handled += 1;
        if must || self.handled >= self.most { self.look(clock()) } else { None }
    }

    /// Nothing is to be handled at once: the time until something is counts for nothing.
    pub(crate) fn rest(&mut self, now: Instant) -> Option<Duration> {
        self.look(now)
    }

    fn look(&mut self, now: Instant) -> Option<Duration> {
        let took = now.saturating_duration_since(mem::replace(&mut self.at, now));
        let handled = mem::take(&mut self.handled);
        let each = (handled > 0).then(|| took / handled)?;
        self.most = if each < SHORT { SEVERAL } else { 1 };
        Some(each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_handlers_are_timed_several_at_once_and_a_long_one_ends_that() {
        let began = Instant::now();
        let mut watch = Stopwatch::new(began);
        let unseen = || unreachable!("it is not looked at");
        let micros = Duration::from_micros;
        assert_eq!(watch.handled(false, || began + micros(1)), Some(micros(1)));
        (1..SEVERAL).for_each(|_| assert_eq!(watch.handled(false, unseen), None));
        assert_eq!(watch.handled(false, || began + micros(9)), Some(micros(1)));
        assert_eq!(watch.handled(false, unseen), None);
        assert_eq!(watch.handled(true, || began + micros(109)), Some(micros(50)));
        assert_eq!(watch.handled(false, || began + micros(110)), Some(micros(1)));
    }

    #[test]
    fn what_is_waited_for_counts_as_the_time_of_no_handler() {
        let began = Instant::now();
        let mut watch = Stopwatch::new(began);
        assert_eq!(watch.rest(began + SHORT * 100), None);
        assert_eq!(watch.handled(false, || began + SHORT * 105), Some(SHORT * 5));
        assert_eq!((watch.rest(began + SHORT * 900), watch.at()), (None, began + SHORT * 900));
    }
}
