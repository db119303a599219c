use std::time::Duration;

/// The most tasks that a worker may hold.
pub(super) const MAX: usize = 256;

/// What a worker holds while nothing is known: one runs, one waits ready.
const START: usize = 2;

/// How much work a window holds. So an average of 100 us gives 20 tasks, 8 us the most, and 1 ms or more the start.
const WORK: Duration = Duration::from_millis(2);

/// From this average on nothing waits behind a running task: fetching the next one takes less than a thousandth of it.
const VERY_LONG: Duration = Duration::from_millis(100);

/// How many tasks a worker may hold: the one it runs and those that wait behind it.
///
/// A task that waits in a worker saves the worker two wake-ups, which is everything for short tasks, and is stuck if the
/// one before it turns out to be long. So a window holds about [`WORK`] by the average of the run times:
///
/// - it starts at 2 and doubles once per window of reports, so it is small until the times are known;
/// - it shrinks at once: one long task among short ones lifts the average over the limit, and dozens of short ones take
///   it back under it;
/// - it is 1 for very long tasks;
/// - it is refilled when half of it is used up, so that one write carries many tasks.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    /// Nanoseconds, moving: a report counts one eighth.
    average: Option<u64>,
    /// Reports since the size last changed.
    reports: usize,
    /// Whether it was at most half full and has not been full since.
    filling: bool,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { size: START, average: None, reports: 0, filling: true }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether run times are known to be short enough for tasks to wait behind them.
    pub(super) fn is_quick(&self) -> bool {
        self.size > START
    }

    /// Whether a worker that holds `held` tasks gets another.
    pub(super) fn has_room(&mut self, held: usize) -> bool {
        self.filling = held < self.size && (self.filling || held <= self.size / 2);
        self.filling
    }

    /// A task ran this long.
    pub(super) fn handle_ran(&mut self, ran: Duration) {
        let ran = nanos(ran);
        let average = match self.average {
            None => ran,
            Some(average) => average - average / 8 + ran / 8,
        };
        self.average = Some(average);
        self.reports += 1;
        let fits = fits(average);
        if fits < self.size {
            self.size = fits;
            self.reports = 0;
        } else if fits > self.size && self.reports >= self.size {
            self.size = fits.min(2 * self.size);
            self.reports = 0;
        }
    }
}

fn fits(average: u64) -> usize {
    if average >= nanos(VERY_LONG) {
        return 1;
    }
    let tasks = nanos(WORK) / average.max(1);
    usize::try_from(tasks).map_or(MAX, |tasks| tasks.clamp(START, MAX))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    fn after(reports: usize, ran: Duration) -> Window {
        let mut window = Window::new();
        (0..reports).for_each(|_| window.handle_ran(ran));
        window
    }

    #[test]
    fn starts_at_two() {
        assert_eq!(Window::new().size(), 2);
    }

    #[test]
    fn doubles_once_per_window_of_short_reports_up_to_the_most() {
        assert_eq!(after(1, US).size(), 2);
        assert_eq!(after(2, US).size(), 4);
        assert_eq!(after(5, US).size(), 4);
        assert_eq!(after(6, US).size(), 8);
        assert_eq!(after(253, US).size(), 128);
        assert_eq!(after(254, US).size(), MAX);
        assert_eq!(after(100_000, Duration::ZERO).size(), MAX);
    }

    #[test]
    fn holds_about_two_milliseconds_of_work() {
        assert_eq!(after(1000, 100 * US).size(), 20);
        assert_eq!(after(1000, 400 * US).size(), 5);
        assert_eq!(after(1000, 999 * US).size(), 2);
    }

    #[test]
    fn stays_at_two_for_long_tasks_and_is_one_for_very_long_ones() {
        assert_eq!(after(1000, 10_000 * US).size(), 2);
        assert_eq!(after(1, 100_000 * US).size(), 1);
        assert_eq!(after(1000, Duration::MAX).size(), 1);
    }

    #[test]
    fn one_long_task_among_short_ones_shrinks_it_at_once_and_it_grows_again_slowly() {
        let mut window = after(1000, US);
        window.handle_ran(20_000 * US);
        assert_eq!(window.size(), 2);
        (0..5).for_each(|_| window.handle_ran(US));
        assert_eq!(window.size(), 2);
        (0..1000).for_each(|_| window.handle_ran(US));
        assert_eq!(window.size(), MAX);
    }

    #[test]
    fn comes_back_from_one_when_the_tasks_are_short_again() {
        let mut window = after(10, 500_000 * US);
        (0..1000).for_each(|_| window.handle_ran(US));
        assert_eq!(window.size(), MAX);
    }

    #[test]
    fn is_refilled_at_half() {
        let mut window = after(14, US);
        assert_eq!(window.size(), 16);
        assert!((0..16).all(|held| window.has_room(held)));
        assert!((9..=16).rev().all(|held| !window.has_room(held)));
        assert!((8..16).all(|held| window.has_room(held)));
        assert!(!window.has_room(16));
    }

    #[test]
    fn has_room_at_every_size_when_nothing_is_held_and_none_when_it_is_full() {
        for mut window in [after(9, Duration::MAX), Window::new(), after(1000, 400 * US)] {
            assert!(window.has_room(0));
            let size = window.size();
            assert!(!window.has_room(size));
        }
    }
}
