// A method has one role, and only a method has one.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[call]
    const STEP: i64 = 1;

    #[call]
    #[cast]
    fn step(&mut self) -> i64 {
        self.n += Self::STEP;
        self.n
    }

    #[stop]
    fn bye(&mut self) {}

    #[stop]
    fn goodbye(&mut self) {}
}

fn main() {}
