//! Timers that mostly lose their meaning before they are due: setting one appends it to a list, and that is all.
//!
//! A hierarchical wheel, as operating systems have them: each level has 64 slots, and a slot of a level is as long as all
//! of the level below. A timer lies in the slot in which it is due, of the lowest level that reaches so far, and falls to
//! lower levels as time goes on. Nobody takes one back: whoever sets them knows by its key that one is not wanted any more,
//! skips it when it is due, and [sweeps](Wheel::sweep) when there are many of those. Pure: time is an argument.

use std::time::{Duration, Instant};

/// Slots of a level.
const SLOTS: usize = 64;
const BITS: u32 = SLOTS.trailing_zeros();
/// Levels: together they reach 139 years, and nothing is due later.
const LEVELS: usize = 7;
const REACH: u64 = 1 << (BITS * LEVELS as u32);
/// So many timers that are not wanted any more are not worth a look.
const SLACK: usize = 1024;
/// What a slot keeps when it is empty.
const KEPT: usize = 256;

/// Timers, each with a key that says what for. One is due at the first whole millisecond that is not before its time.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    began: Instant,
    /// Milliseconds since then that have been gone through.
    passed: u64,
    slots: Box<[[Vec<Timer<K>>; SLOTS]; LEVELS]>,
    /// Which slots have timers.
    taken: [u64; LEVELS],
    len: usize,
}

#[derive(Debug)]
struct Timer<K> {
    /// The millisecond in which it is due.
    due: u64,
    key: K,
}

impl<K> Wheel<K> {
    pub(crate) fn new(now: Instant) -> Self {
        let slots = Box::new([(); LEVELS].map(|()| [(); SLOTS].map(|()| Vec::new())));
        Self { began: now, passed: 0, slots, taken: [0; LEVELS], len: 0 }
    }

    /// Sets a timer.
    #[inline]
    pub(crate) fn set(&mut self, at: Instant, key: K) {
        let since = at.saturating_duration_since(self.began);
        let millis = u64::from(since.subsec_nanos().div_ceil(1_000_000));
        let due = since.as_secs().saturating_mul(1000).saturating_add(millis);
        self.join(Timer { due, key });
        self.len += 1;
    }

    /// Lets go of the timers that are not wanted any more, where there may be more of these than of others: at most so many
    /// are wanted.
    #[inline]
    pub(crate) fn sweep(&mut self, wanted: usize, is_wanted: impl Fn(&K) -> bool) {
        if self.len > 2 * wanted + SLACK {
            self.sweep_now(is_wanted);
        }
    }

    #[cold]
    fn sweep_now(&mut self, is_wanted: impl Fn(&K) -> bool) {
        self.len = 0;
        for (slots, taken) in self.slots.iter_mut().zip(&mut self.taken) {
            for (number, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| !slot.is_empty()) {
                slot.retain(|timer| is_wanted(&timer.key));
                self.len += slot.len();
                if slot.is_empty() {
                    slot.shrink_to(KEPT);
                    *taken &= !(1 << number);
                }
            }
        }
    }

    /// When to look for due timers: not later than the first one is due, and not often before that.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let (_, _, start) = self.next_slot()?;
        Some(self.began + Duration::from_millis(start))
    }

    /// The key of a timer that is due, which is set no more.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let today = u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX);
        loop {
            let Some((level, slot, start)) = self.next_slot().filter(|(_, _, start)| *start <= today) else {
                self.passed = self.passed.max(today);
                return None;
            };
            self.passed = self.passed.max(start);
            let timers = &mut self.slots[level][slot];
            if level == 0 {
                let timer = timers.pop();
                if timers.is_empty() {
                    timers.shrink_to(KEPT);
                    self.taken[level] &= !(1 << slot);
                }
                self.len -= usize::from(timer.is_some());
                return timer.map(|timer| timer.key);
            }
            // All of it falls to lower levels.
            let timers = std::mem::take(timers);
            self.taken[level] &= !(1 << slot);
            for timer in timers {
                self.join(timer);
            }
        }
    }

    /// The first slot with timers: its level, its number and when it begins.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        // All of a level is before whatever is in a higher one.
        let level = self.taken.iter().position(|taken| *taken != 0)?;
        let slot = self.taken[level].trailing_zeros() as usize;
        let shift = BITS * level as u32;
        let turn = self.passed >> shift >> BITS << BITS << shift;
        Some((level, slot, turn + ((slot as u64) << shift)))
    }

    /// Puts a timer into its slot.
    #[inline]
    fn join(&mut self, mut timer: Timer<K>) {
        timer.due = timer.due.clamp(self.passed, REACH - 1);
        let level = (63 - ((timer.due ^ self.passed) | 1).leading_zeros()) / BITS;
        let slot = (timer.due >> (BITS * level)) as usize % SLOTS;
        let level = level as usize;
        self.taken[level] |= 1 << slot;
        self.slots[level][slot].push(timer);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u64),
        Sweep(usize),
        Pass(u64),
        PassToNext,
    }

    fn step() -> impl Strategy<Value = Step> {
        let micros = prop_oneof![0..3_000_u64, 0..200_000_u64, 0..20_000_000_u64, 0..400_000_000_000_u64];
        prop_oneof![
            3 => micros.clone().prop_map(Step::Set),
            1 => (0..3_usize).prop_map(Step::Sweep),
            1 => micros.prop_map(Step::Pass),
            2 => Just(Step::PassToNext),
        ]
    }

    proptest! {
        #[test]
        fn each_timer_is_due_once_in_its_millisecond_unless_it_was_swept_away(
            steps in proptest::collection::vec(step(), 1..200),
        ) {
            let began = Instant::now();
            let (mut wheel, mut now) = (Wheel::new(began), began);
            let mut naive: BTreeMap<usize, Instant> = BTreeMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Set(micros) => {
                        let at = now + Duration::from_micros(micros);
                        naive.insert(number, at);
                        wheel.set(at, number);
                    }
                    Step::Sweep(seed) => {
                        naive.retain(|number, _| (number * 31 + seed) % 3 > 0);
                        wheel.sweep_now(|number| naive.contains_key(number));
                        prop_assert_eq!(wheel.len, naive.len());
                    }
                    Step::Pass(micros) => now += Duration::from_micros(micros),
                    Step::PassToNext => now = wheel.poll_timeout().unwrap_or(now).max(now),
                }
                while let Some(due) = wheel.pop_due(now) {
                    let at = naive.remove(&due).expect("a timer is due once");
                    prop_assert!(at <= now);
                }
                let first = naive.values().copied().min();
                prop_assert_eq!(wheel.poll_timeout().is_some(), first.is_some());
                if let Some(first) = first {
                    prop_assert!(first > now || first + Duration::from_millis(1) > now, "overlooked");
                    let timeout = wheel.poll_timeout().unwrap();
                    prop_assert!(timeout < first + Duration::from_millis(1), "not later than it is due");
                }
            }
            // Whoever looks when they are told to finds every timer, and is not told to look often for it.
            let mut looks = 0;
            while let Some(at) = wheel.poll_timeout() {
                looks += 1;
                now = now.max(at);
                while let Some(due) = wheel.pop_due(now) {
                    naive.remove(&due).expect("a timer is due once");
                    looks = 0;
                }
                prop_assert!(looks <= LEVELS, "told to look {looks} times for nothing");
            }
            prop_assert!(naive.is_empty());
        }
    }

    #[test]
    fn no_more_timers_are_kept_than_twice_those_that_are_wanted() {
        let began = Instant::now();
        let mut wheel = Wheel::new(began);
        for number in 0..100_000_u64 {
            wheel.set(began + Duration::from_millis(5000 + number), number);
            wheel.sweep(10, |&wanted| wanted + 10 > number);
            assert!(wheel.len <= 2 * 10 + SLACK);
        }
        let due = std::iter::from_fn(|| wheel.pop_due(began + Duration::from_secs(1000)));
        assert_eq!(due.filter(|number| *number >= 99_990).count(), 10);
    }

    #[test]
    fn a_timer_beyond_the_reach_is_not_due_today() {
        let began = Instant::now();
        let mut wheel = Wheel::new(began);
        wheel.set(began + Duration::from_millis(3 * REACH + 7), ());
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        assert_eq!(wheel.pop_due(began + century), None);
    }
}
