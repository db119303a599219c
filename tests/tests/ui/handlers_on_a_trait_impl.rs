// The protocol of an actor is its own impl block.
use procession::prelude::*;

struct Counter;

trait Count {
    fn get(&self) -> i64;
}

#[handlers]
impl Count for Counter {
    #[call]
    fn get(&self) -> i64 {
        1
    }
}

#[handlers]
struct Other;

fn main() {}
