use std::iter;
use std::time::Duration;

/// How many tasks travel to a worker together, in one frame: a *chunk*.
///
/// The tasks of a chunk are tasks as any others: each ends by itself, in its own way. A worker that dies takes with it
/// the one that it ran, and nothing is said of the others: those that it had finished have their results, those that it
/// had not begun are begun elsewhere. A task that takes long holds up none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chunk {
    /// As many as take up to a millisecond together, by the times that were measured; one where tasks are longer, as long
    /// as nothing is known of their times, and towards the end of what there is to do, so that all workers come to their
    /// ends together.
    #[default]
    Auto,
    /// So many, at least one and at most 4,096, however long they take.
    Fixed(usize),
}

impl From<usize> for Chunk {
    fn from(tasks: usize) -> Self {
        Self::Fixed(tasks)
    }
}

impl Chunk {
    /// Every task by itself.
    pub(crate) const ONE: Self = Self::Fixed(1);

    /// The most tasks that a worker may hold.
    pub(super) fn most(self) -> usize {
        match self {
            Self::Auto => MAX,
            Self::Fixed(1) => MOST_SINGLE,
            Self::Fixed(tasks) => 2 * tasks.clamp(1, MAX / 2),
        }
    }
}

/// The most tasks that a worker may ever hold: a chunk that it runs, and one that waits ready.
pub(super) const MAX: usize = 8192;

/// The most that it may hold where each comes by itself.
pub(super) const MOST_SINGLE: usize = 256;

/// What a worker holds while nothing is known: one runs, one waits ready.
const START: usize = 2;

/// How much work a window holds. So an average of 100 us gives 20 tasks, 8 us 250, and 1 ms or more the start.
const WORK: Duration = Duration::from_millis(2);

/// Work that is not parted any further: to fetch it takes as long.
const GRAIN: Duration = Duration::from_micros(20);

/// From this average on nothing waits behind a running task: fetching the next one takes less than a thousandth of it.
const VERY_LONG: Duration = Duration::from_millis(100);

/// After so many times nothing is left of the average before.
const MANY: u64 = 64;

/// A time counts at most as so many averages, where one long task holds up no others.
const OUTLIER: u64 = 8;

/// How many tasks a worker may hold: the one it runs and those that wait behind it.
///
/// A task that waits in a worker saves the worker two wake-ups, which is everything for short tasks, and is stuck if the
/// one before it turns out to be long. So a window holds about [`WORK`] by the average of the run times:
///
/// - it starts at 2 and doubles once per window of reports, so it is small until the times are known;
/// - it shrinks at once: one long task among short ones lifts the average over the limit, and dozens of short ones take
///   it back under it. Where tasks travel together and can be taken back, one counts less, and several in a row do it;
/// - it is 1 for very long tasks;
/// - it is refilled when half of it is used up, so that one write carries many tasks, and one chunk, where there are
///   chunks, half a window.
#[derive(Debug)]
pub(super) struct Window {
    chunk: Chunk,
    size: usize,
    /// Nanoseconds, moving: a report counts one eighth.
    average: Option<u64>,
    /// Reports since the size last changed.
    reports: usize,
    /// Whether it was at most half full and has not been full since.
    filling: bool,
    /// How many results have lately found room together.
    fits: usize,
}

impl Window {
    pub(super) fn new(chunk: Chunk) -> Self {
        let size = match chunk {
            Chunk::Auto | Chunk::Fixed(1) => START,
            chunk @ Chunk::Fixed(_) => chunk.most(),
        };
        Self { chunk, size, average: None, reports: 0, filling: true, fits: MAX }
    }

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

    /// How many of `queued` tasks that `workers` share travel together to one that holds `held`; at least one.
    pub(super) fn chunk(&self, held: usize, queued: usize, workers: usize) -> usize {
        let room = self.size.saturating_sub(held).min(self.fits);
        match self.chunk {
            Chunk::Fixed(tasks) => room.min(tasks),
            Chunk::Auto => room.min(self.size / 2).min(share(queued, workers).max(self.grain().min(queued))),
        }
        .max(1)
    }

    /// Whether one that holds `held` tasks needs more of `queued` ones that `workers` share.
    ///
    /// Towards the end chunks get ever smaller, so that nobody has much left when the others have nothing; so nobody may
    /// have much of them either.
    pub(super) fn is_in_need(&self, held: usize, queued: usize, workers: usize) -> bool {
        self.chunk != Chunk::Auto || held <= share(queued, workers).max(self.grain() / 2)
    }

    /// So few tasks that it does not pay to share them.
    pub(super) fn grain(&self) -> usize {
        self.average.map_or(1, |average| nanos(GRAIN) / average.max(1)).min(MAX as u64) as usize
    }

    /// A task ran this long.
    #[cfg(test)]
    pub(super) fn handle_ran(&mut self, ran: Duration) {
        self.observe(ran);
        self.adjust();
    }

    /// The same, without the conclusion.
    pub(super) fn observe(&mut self, ran: Duration) {
        self.observe_all(iter::once(nanos(ran)));
    }

    /// Tasks ran for so many nanoseconds, one after the other.
    pub(super) fn observe_all(&mut self, ran: impl Iterator<Item = u64>) {
        let mut ran = ran.peekable();
        let Some(&first) = ran.peek() else { return };
        let before = self.average.unwrap_or(first);
        // One that took long among short ones, or whose worker had to wait for a core, holds up no others in a chunk.
        let most = if self.chunk == Chunk::Auto && self.average.is_some() {
            (OUTLIER * before).saturating_add(nanos(WORK) / 100)
        } else {
            u64::MAX
        };
        let (mut count, mut sum) = (0, 0_u64);
        ran.for_each(|ran| (count, sum) = (count + 1, sum.saturating_add(ran.min(most))));
        self.reports += count as usize;
        let mean = sum / count;
        // Of so many only the last ones count.
        let steps = count.min(MANY);
        let average = (0..steps).fold(before, |average, _| average - average / 8 + mean / 8);
        self.average = Some(if count > MANY { mean } else { average });
    }

    /// Draws the conclusion from what was observed.
    pub(super) fn adjust(&mut self) {
        let (Some(average), Chunk::Auto | Chunk::Fixed(1)) = (self.average, self.chunk) else { return };
        let fits = fits(average, self.chunk.most());
        if fits < self.size {
            self.size = fits;
            self.reports = 0;
        } else if fits > self.size && self.reports >= self.size {
            self.size = fits.min(2 * self.size);
            self.reports = 0;
        }
    }

    /// Of a chunk so many results found room; of a whole one if `all` of them did.
    pub(super) fn handle_fitted(&mut self, results: usize, all: bool) {
        self.fits = if all { self.fits.max(2 * results).min(MAX) } else { results.max(1) };
    }
}

/// The part of what is queued that one of several workers takes at once.
fn share(queued: usize, workers: usize) -> usize {
    if workers > 1 { (queued / (2 * workers)).max(1) } else { queued }
}

fn fits(average: u64, most: usize) -> usize {
    if average >= nanos(VERY_LONG) {
        return 1;
    }
    let tasks = nanos(WORK) / average.max(1);
    usize::try_from(tasks).map_or(most, |tasks| tasks.clamp(START, most))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);
    const MS: Duration = Duration::from_millis(1);

    fn after(reports: usize, ran: Duration) -> Window {
        let mut window = Window::new(Chunk::ONE);
        (0..reports).for_each(|_| window.handle_ran(ran));
        window
    }

    #[test]
    fn starts_at_two() {
        assert_eq!(Window::new(Chunk::ONE).size(), 2);
    }

    #[test]
    fn doubles_once_per_window_of_short_reports_up_to_the_most() {
        assert_eq!(after(1, US).size(), 2);
        assert_eq!(after(2, US).size(), 4);
        assert_eq!(after(5, US).size(), 4);
        assert_eq!(after(6, US).size(), 8);
        assert_eq!(after(253, US).size(), 128);
        assert_eq!(after(254, US).size(), MOST_SINGLE);
        assert_eq!(after(100_000, Duration::ZERO).size(), MOST_SINGLE);
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
        assert_eq!(window.size(), MOST_SINGLE);
    }

    #[test]
    fn comes_back_from_one_when_the_tasks_are_short_again() {
        let mut window = after(10, 500_000 * US);
        (0..1000).for_each(|_| window.handle_ran(US));
        assert_eq!(window.size(), MOST_SINGLE);
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
        for mut window in [after(9, Duration::MAX), Window::new(Chunk::ONE), after(1000, 400 * US)] {
            assert!(window.has_room(0));
            let size = window.size();
            assert!(!window.has_room(size));
        }
    }

    fn chunked(chunk: Chunk, reports: usize, ran: Duration) -> Window {
        let mut window = Window::new(chunk);
        (0..reports).for_each(|_| window.handle_ran(ran));
        window
    }

    #[test]
    fn a_chunk_is_one_task_until_the_times_are_known_and_for_long_ones() {
        assert_eq!(Window::new(Chunk::Auto).chunk(0, 1000, 1), 1);
        assert_eq!(chunked(Chunk::Auto, 1000, MS).chunk(0, 1000, 1), 1);
        assert_eq!(chunked(Chunk::Auto, 2, US).chunk(0, 1000, 1), 2);
    }

    #[test]
    fn a_chunk_is_half_a_window_and_about_a_millisecond_of_work() {
        assert_eq!(chunked(Chunk::Auto, 1000, 100 * US).chunk(0, 100_000, 2), 10);
        assert_eq!(chunked(Chunk::Auto, 5000, 2 * US).chunk(500, 100_000, 2), 500);
        assert_eq!(chunked(Chunk::Auto, 10_000, US / 20).chunk(0, 100_000, 2), MAX / 2);
    }

    #[test]
    fn chunks_shrink_towards_the_end() {
        let window = chunked(Chunk::Auto, 10_000, US);
        let mut queued = 10_000;
        let mut sizes = Vec::new();
        while queued > 0 {
            sizes.push(window.chunk(0, queued, 2));
            queued -= sizes.last().unwrap();
        }
        assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.last() <= Some(&20), "{sizes:?}");
        assert!(sizes.len() < 40, "{sizes:?}");
    }

    #[test]
    fn chunks_of_longer_tasks_shrink_to_one() {
        let window = chunked(Chunk::Auto, 10_000, 20 * US);
        assert_eq!((window.chunk(0, 400, 2), window.chunk(0, 40, 2), window.chunk(0, 3, 2)), (50, 10, 1));
    }

    #[test]
    fn a_fixed_chunk_is_what_it_is() {
        let window = chunked(Chunk::Fixed(7), 100, 500 * MS);
        assert_eq!((window.size(), window.chunk(0, 1000, 64), window.chunk(12, 1000, 1)), (14, 7, 2));
        assert_eq!(Window::new(Chunk::Fixed(1 << 40)).size(), MAX);
        assert_eq!(chunked(Chunk::ONE, 5000, US).chunk(0, 1000, 1), 1);
    }

    #[test]
    fn a_chunk_is_no_larger_than_its_results_have_room() {
        let mut window = chunked(Chunk::Auto, 10_000, US);
        window.handle_fitted(3, false);
        assert_eq!(window.chunk(0, 100_000, 2), 3);
        window.handle_fitted(3, true);
        assert_eq!(window.chunk(0, 100_000, 2), 6);
        (0..12).for_each(|_| window.handle_fitted(window.chunk(0, 1 << 20, 2), true));
        assert_eq!(window.chunk(0, 100_000, 2), 1000);
    }

    #[test]
    fn who_has_its_share_of_what_is_left_needs_no_more() {
        let window = chunked(Chunk::Auto, 10_000, US);
        assert!(window.is_in_need(100, 400, 2) && !window.is_in_need(101, 400, 2));
        assert!(window.is_in_need(10, 1, 2) && !window.is_in_need(11, 1, 2), "what is not worth sharing");
        assert!(Window::new(Chunk::ONE).is_in_need(200, 1, 2));
    }
}
