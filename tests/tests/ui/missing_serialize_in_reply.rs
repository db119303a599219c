// A reply crosses a process boundary, so it needs serde's two traits.
use procession::prelude::*;

struct Report;

#[derive(Actor, Default)]
struct Worker;

#[handlers]
impl Worker {
    #[call]
    fn report(&self) -> Report {
        Report
    }
}

fn main() {}
