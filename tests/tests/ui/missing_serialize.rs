// An argument crosses a process boundary, so it needs serde's two traits.
use procession::prelude::*;

struct Job;

#[derive(Actor, Default)]
struct Worker;

#[handlers]
impl Worker {
    #[cast]
    fn start(&mut self, job: Job) {
        drop(job);
    }
}

fn main() {}
