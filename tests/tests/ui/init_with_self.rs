// An init builds the actor.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[init]
    fn reset(&mut self, n: i64) {
        self.n = n;
    }
}

fn main() {}
