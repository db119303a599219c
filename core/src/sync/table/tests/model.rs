//! Random lives: many by a generator with a seed, and fewer that shrink.

use proptest::prelude::*;

use super::random::{Event, Life, Seen};
use super::*;

/// xorshift64*
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> Event {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bytes = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes();
        [bytes[0], bytes[1], bytes[2], bytes[3]]
    }
}

fn live(plain: bool, events: impl IntoIterator<Item = Event>) -> Seen {
    let mut life = Life::new(Instant::now(), plain);
    for event in events {
        life.handle(event);
    }
    life.finish()
}

const LIVES: u64 = 100_000;

fn live_all(seeds: impl Iterator<Item = u64>) -> Seen {
    let mut total = Seen::default();
    for number in seeds {
        let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut dice = std::panic::AssertUnwindSafe(Dice(seed));
        let seen = std::panic::catch_unwind(move || live(number % 2 == 0, (0..16).map(|_| dice.throw())));
        total += seen.unwrap_or_else(|_| panic!("in the life of number {number}"));
    }
    total
}

#[test]
fn in_a_hundred_thousand_lives_no_double_grant_nothing_stuck_and_no_false_deadlock() {
    let total = std::thread::scope(|scope| {
        let halves = [1..LIVES / 2, LIVES / 2..LIVES + 1].map(|numbers| scope.spawn(|| live_all(numbers)));
        halves.into_iter().fold(Seen::default(), |mut total, half| {
            total += half.join().unwrap();
            total
        })
    });
    println!("{LIVES} lives: {total:?}");
    assert!(total.deadlocks > LIVES / 20 && total.broken > LIVES / 20 && total.poisoned > LIVES / 20, "{total:?}");
}

proptest! {
    #[test]
    fn the_table_does_what_the_reference_does(
        plain in any::<bool>(),
        events in proptest::collection::vec(any::<Event>(), 0..150),
    ) {
        live(plain, events);
    }
}
