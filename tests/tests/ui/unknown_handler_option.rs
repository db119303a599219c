// The options of a role are checked at the place where they stand.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[call(deadline = "10m", cancel = "never")]
    fn get(&self) -> i64 {
        self.n
    }

    #[cast(timeout = "1s")]
    fn add(&mut self, by: i64) {
        self.n += by;
    }

    #[tick]
    fn beat(&mut self) {
        self.n += 1;
    }

    #[tick(every = "1 second")]
    fn slow_beat(&mut self) {
        self.n += 1;
    }
}

fn main() {}
