// An actor is built in one way.
use procession::prelude::*;

#[derive(Actor)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[init]
    fn new(n: i64) -> Self {
        Self { n }
    }

    #[init]
    fn zero() -> Self {
        Self { n: 0 }
    }

    #[call]
    fn get(&self) -> i64 {
        self.n
    }
}

fn main() {}
