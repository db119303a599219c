use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How many restarts a supervisor allows within a sliding period before it gives up.
///
/// The restarts of all its children count together. With `Intensity::new(3, 30 s)` three restarts within any 30 seconds
/// are made; the fourth is not: the supervisor stops its children and ends, which its own supervisor sees as a failure.
/// So a child that always crashes is started exactly `max + 1` times.
///
/// A restart that somebody asked for does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    max: u32,
    within: Duration,
}

impl Intensity {
    /// At most `max` restarts `within` a period. With `max` 0 nothing is ever restarted: the first failure ends the supervisor.
    #[must_use]
    pub const fn new(max: u32, within: Duration) -> Self {
        Self { max, within }
    }

    /// The number of restarts that are still made.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// The period they are counted in.
    #[must_use]
    pub const fn within(&self) -> Duration {
        self.within
    }
}

impl Default for Intensity {
    /// Three restarts in 30 seconds.
    fn default() -> Self {
        Self::new(3, Duration::from_secs(30))
    }
}

/// The restarts of the period that ends now.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    intensity: Intensity,
    /// Oldest first, never more than `max`.
    restarts: VecDeque<Instant>,
}

impl Window {
    pub(crate) fn new(intensity: Intensity) -> Self {
        Self { intensity, restarts: VecDeque::new() }
    }

    /// Counts one more restart; false, and nothing is counted, if the period has no room for it.
    ///
    /// As in OTP a restart exactly `within` ago still counts.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        let within = self.intensity.within;
        while self.restarts.front().is_some_and(|&then| now.saturating_duration_since(then) > within) {
            self.restarts.pop_front();
        }
        let room = self.restarts.len() < self.intensity.max as usize;
        if room {
            self.restarts.push_back(now);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(max: u32, seconds: u64) -> (Window, Instant) {
        (Window::new(Intensity::new(max, Duration::from_secs(seconds))), Instant::now())
    }

    #[test]
    fn default_is_three_in_thirty_seconds() {
        assert_eq!(Intensity::default(), Intensity::new(3, Duration::from_secs(30)));
        assert_eq!((Intensity::default().max(), Intensity::default().within().as_secs()), (3, 30));
    }

    #[test]
    fn max_restarts_are_admitted_and_one_more_is_not() {
        let (mut window, now) = window(3, 30);
        assert_eq!([0; 5].map(|_| window.admit(now)), [true, true, true, false, false]);
    }

    #[test]
    fn zero_admits_nothing() {
        let (mut window, now) = window(0, 30);
        assert!(!window.admit(now));
    }

    #[test]
    fn restart_exactly_one_period_ago_still_counts() {
        let (mut window, now) = window(1, 30);
        assert!(window.admit(now));
        assert!(!window.admit(now + Duration::from_secs(30)));
        assert!(window.admit(now + Duration::from_secs(30) + Duration::from_nanos(1)));
    }

    #[test]
    fn window_slides_and_does_not_jump() {
        let (mut window, now) = window(2, 10);
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(window.admit(at(0)));
        assert!(window.admit(at(9)));
        assert!(window.admit(at(11)), "the one at 0 has left");
        assert!(!window.admit(at(12)), "those at 9 and 11 are in");
        assert!(window.admit(at(20)), "the one at 9 has left; the refused one at 12 was never in");
    }

    #[test]
    fn period_of_zero_counts_one_instant() {
        let (mut window, now) = window(1, 0);
        assert!(window.admit(now));
        assert!(!window.admit(now));
        assert!(window.admit(now + Duration::from_nanos(1)));
    }

    #[test]
    fn time_that_goes_back_and_periods_without_end_are_harmless() {
        let mut window = Window::new(Intensity::new(2, Duration::MAX));
        let now = Instant::now();
        assert!(window.admit(now + Duration::from_secs(5)));
        assert!(window.admit(now));
        assert!(!window.admit(now + Duration::from_secs(1_000_000)));
    }

    #[test]
    fn memory_is_bounded_by_max() {
        let (mut window, now) = window(5, 30);
        for step in 0..10_000 {
            window.admit(now + Duration::from_millis(step));
            assert!(window.restarts.len() <= 5);
        }
    }
}
