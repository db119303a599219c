// Nobody waits for a cast.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[cast]
    fn add(&mut self, by: i64) -> i64 {
        self.n += by;
        self.n
    }

    #[tick(every = "1s")]
    fn beat(&mut self) -> bool {
        self.n > 0
    }
}

fn main() {}
