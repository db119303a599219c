// Arguments and replies cross a process boundary, so they need serde's two traits.
use procession::prelude::*;

struct Job;

struct Report;

#[derive(Actor, Default)]
struct Worker;

#[handlers]
impl Worker {
    #[cast]
    fn start(&mut self, job: Job) {
        drop(job);
    }

    #[call]
    fn report(&self, of: u64) -> Option<Report> {
        (of > 0).then_some(Report)
    }
}

fn main() {}
