// A message is handled by an actor that lives on.
use procession::prelude::*;

#[derive(Actor, Default)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[call]
    fn version() -> u32 {
        1
    }

    #[call]
    fn finish(self) -> i64 {
        self.n
    }
}

fn main() {}
