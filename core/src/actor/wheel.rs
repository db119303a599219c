//! Timers that are mostly taken back before they are due: set and taken back in a few steps, however many there are.
//!
//! A hierarchical wheel, as operating systems have them: each level has 64 slots, and a slot of a level is as long as all
//! of the level below. A timer lies in the slot in which it is due, of the lowest level that reaches so far, and falls to
//! lower levels as time goes on. Pure: time is an argument.

use std::time::{Duration, Instant};

/// Slots of a level.
const SLOTS: usize = 64;
const BITS: u32 = SLOTS.trailing_zeros();
/// Levels: together they reach 139 years, and nothing is due later.
const LEVELS: usize = 7;
const REACH: u64 = 1 << (BITS * LEVELS as u32);
/// No timer.
const NONE: u32 = u32::MAX;

/// A timer that is set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Timer(u32);

/// Timers, each with a key that says what for. One is due at the first whole millisecond that is not before its time.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    began: Instant,
    /// Milliseconds since then that have been gone through.
    passed: u64,
    /// The first timer of each slot.
    first: [[u32; SLOTS]; LEVELS],
    /// Which slots have timers.
    taken: [u64; LEVELS],
    places: Vec<Place<K>>,
    /// The first place without a timer; they form a list by `next`.
    free: u32,
}

#[derive(Debug)]
struct Place<K> {
    at: Instant,
    key: Option<K>,
    level: u8,
    slot: u8,
    before: u32,
    next: u32,
}

impl<K> Wheel<K> {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            passed: 0,
            first: [[NONE; SLOTS]; LEVELS],
            taken: [0; LEVELS],
            places: Vec::new(),
            free: NONE,
        }
    }

    /// Sets a timer.
    pub(crate) fn set(&mut self, at: Instant, key: K) -> Timer {
        let place = Place { at, key: Some(key), level: 0, slot: 0, before: NONE, next: NONE };
        let index = match self.free {
            NONE => {
                self.places.push(place);
                (self.places.len() - 1) as u32
            }
            free => {
                self.free = self.places[free as usize].next;
                self.places[free as usize] = place;
                free
            }
        };
        self.join(index);
        Timer(index)
    }

    /// Takes back a timer that was not due yet.
    pub(crate) fn take_back(&mut self, timer: Timer) {
        self.part(timer.0);
        self.release(timer.0);
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
            if level == 0 {
                let index = self.first[level][slot];
                self.part(index);
                return self.release(index);
            }
            // All of it falls to lower levels.
            let mut index = std::mem::replace(&mut self.first[level][slot], NONE);
            self.taken[level] &= !(1 << slot);
            while index != NONE {
                let next = self.places[index as usize].next;
                self.join(index);
                index = next;
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
    fn join(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        let nanos = place.at.saturating_duration_since(self.began).as_nanos();
        let due = u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let due = due.clamp(self.passed, REACH - 1);
        let level = (63 - ((due ^ self.passed) | 1).leading_zeros()) / BITS;
        let slot = (due >> (BITS * level)) as usize % SLOTS;
        let level = level as usize;
        (place.level, place.slot) = (level as u8, slot as u8);
        (place.before, place.next) = (NONE, self.first[level][slot]);
        let next = place.next;
        if next != NONE {
            self.places[next as usize].before = index;
        }
        self.first[level][slot] = index;
        self.taken[level] |= 1 << slot;
    }

    /// Takes a timer out of its slot.
    fn part(&mut self, index: u32) {
        let Place { level, slot, before, next, .. } = self.places[index as usize];
        if next != NONE {
            self.places[next as usize].before = before;
        }
        if before != NONE {
            self.places[before as usize].next = next;
            return;
        }
        self.first[usize::from(level)][usize::from(slot)] = next;
        if next == NONE {
            self.taken[usize::from(level)] &= !(1 << slot);
        }
    }

    fn release(&mut self, index: u32) -> Option<K> {
        let place = &mut self.places[index as usize];
        place.next = self.free;
        self.free = index;
        place.key.take()
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
        TakeBack(usize),
        Pass(u64),
        PassToNext,
    }

    fn step() -> impl Strategy<Value = Step> {
        let micros = prop_oneof![0..3_000_u64, 0..200_000_u64, 0..20_000_000_u64, 0..400_000_000_000_u64];
        prop_oneof![
            3 => micros.clone().prop_map(Step::Set),
            2 => any::<usize>().prop_map(Step::TakeBack),
            1 => micros.prop_map(Step::Pass),
            2 => Just(Step::PassToNext),
        ]
    }

    proptest! {
        #[test]
        fn each_timer_is_due_once_in_its_millisecond_unless_it_was_taken_back(
            steps in proptest::collection::vec(step(), 1..200),
        ) {
            let began = Instant::now();
            let (mut wheel, mut now) = (Wheel::new(began), began);
            let mut naive: BTreeMap<usize, (Instant, Timer)> = BTreeMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Set(micros) => {
                        let at = now + Duration::from_micros(micros);
                        naive.insert(number, (at, wheel.set(at, number)));
                    }
                    Step::TakeBack(which) if !naive.is_empty() => {
                        let number = *naive.keys().nth(which % naive.len()).unwrap();
                        wheel.take_back(naive.remove(&number).unwrap().1);
                    }
                    Step::TakeBack(_) => {}
                    Step::Pass(micros) => now += Duration::from_micros(micros),
                    Step::PassToNext => now = wheel.poll_timeout().unwrap_or(now).max(now),
                }
                while let Some(due) = wheel.pop_due(now) {
                    let (at, _) = naive.remove(&due).expect("a timer is due once");
                    prop_assert!(at <= now);
                }
                let first = naive.values().map(|(at, _)| *at).min();
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
    fn a_timer_beyond_the_reach_is_not_due_today() {
        let began = Instant::now();
        let mut wheel = Wheel::new(began);
        wheel.set(began + Duration::from_millis(3 * REACH + 7), ());
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        assert_eq!(wheel.pop_due(began + century), None);
    }
}
