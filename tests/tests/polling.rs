//! `poll_for`: both ends of a connection look for what comes next, and only while it comes.

mod processes;

use std::time::Duration;

use procession::prelude::*;

use processes::{end, quiet, system, within};

procession::test_workers!();

#[derive(Actor, Default)]
#[actor(restart = "temporary")]
struct Counter {
    count: u64,
}

#[handlers]
impl Counter {
    #[init]
    fn new() -> Self {
        Self::default()
    }

    #[call]
    fn add(&mut self, n: u64) -> u64 {
        self.count += n;
        self.count
    }

    #[cast]
    fn note(&mut self, n: u64) {
        self.count += n;
    }

    /// What this process has spent of the processor.
    #[call]
    fn spent(&self) -> Duration {
        system::processor_time()
    }
}

/// Messages in a row are answered as ever, and then neither side spends anything.
async fn answers_and_rests() {
    let sup = within(quiet().poll_for(Duration::from_millis(5)).start()).await.expect("a supervisor");
    let counter = within(sup.spawn::<Counter>("counter", ())).await.expect("a worker");
    for n in 1..=300 {
        // A cast is not kept back while its sender looks for something else.
        within(counter.note(1)).await.expect("sent");
        assert_eq!(within(counter.add(1)).await, Ok(2 * n));
    }
    let (here, there) = (system::processor_time(), within(counter.spent()).await.expect("its time"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let here = system::processor_time() - here;
    let there = within(counter.spent()).await.expect("its time") - there;
    assert!(here < Duration::from_millis(100), "the supervisor's process spent {here:?} of 500 ms");
    assert!(there < Duration::from_millis(100), "the idle worker spent {there:?} of 500 ms");
    end(sup).await;
}

#[test]
fn calls_are_answered_and_the_idle_cost_nothing_on_either_runtime() {
    for mut runtime in [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()] {
        let runtime = runtime.enable_all().build().expect("a runtime");
        runtime.block_on(answers_and_rests());
    }
}
