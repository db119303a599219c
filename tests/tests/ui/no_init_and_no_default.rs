// Without an init an actor is built by `Default`.
use procession::prelude::*;

#[derive(Actor)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[call]
    fn get(&self) -> i64 {
        self.n
    }
}

fn main() {}
