//! Calls that are taken back from a worker whose thread hears nothing, since a handler has it.

mod processes;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{CallError, Executed, ExitCause};
use tokio::sync::Semaphore;

use processes::{Probe, ProbeApi, end, probe, start, within};

procession::test_workers!();

/// Computes, and keeps the numbers that it is told.
#[derive(Actor)]
#[actor(restart = "temporary")]
struct Busy {
    probe: Address<Probe>,
    told: Vec<u32>,
}

#[handlers]
impl Busy {
    #[init]
    fn new(probe: Address<Probe>) -> Self {
        Self { probe, told: Vec::new() }
    }

    /// Computes until its caller has gone.
    #[call(timeout = "1h")]
    async fn compute(&self, ctx: &Context<Self>) {
        self.say().await;
        while !ctx.is_cancelled() {
            std::hint::spin_loop();
        }
    }

    /// Computes until the actor is to stop.
    #[cast]
    async fn compute_on(&self, ctx: &Context<Self>) {
        self.say().await;
        while !ctx.is_stopping() {
            std::hint::spin_loop();
        }
    }

    /// Keeps a number, and takes its time.
    #[call]
    fn tell(&mut self, number: u32, micros: u64) {
        self.told.push(number);
        let until = Instant::now() + Duration::from_micros(micros);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    #[call(timeout = "1h")]
    fn told(&self) -> Vec<u32> {
        self.told.clone()
    }
}

impl Busy {
    /// Says that it computes, which nothing does any more once it does.
    async fn say(&self) {
        self.probe.note("computing".to_owned()).await.expect("the probe is there");
        self.probe.noted("computing".to_owned(), 1).await.expect("the probe is there");
    }
}

#[tokio::test]
async fn a_handler_that_computes_sees_that_its_actor_is_to_stop_and_ends_in_order() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let busy = within(sup.spawn::<Busy>("busy", probe)).await.expect("an actor");
    within(busy.compute_on()).await.expect("it is taken");
    within(probe.noted("computing".to_owned(), 1)).await.expect("it computes");
    let exit = within(sup.stop(&busy)).await.expect("it was there");
    assert_eq!(exit.cause, ExitCause::Shutdown, "it was asked, and not killed");
    end(sup).await;
}

#[tokio::test]
async fn a_call_behind_a_handler_that_computes_never_runs_once_its_deadline_has_passed() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let busy = within(sup.spawn::<Busy>("busy", probe)).await.expect("an actor");
    let computing = tokio::spawn(async move { busy.compute().await });
    within(probe.noted("computing".to_owned(), 1)).await.expect("it computes");
    let error = within(busy.tell(1, 0).timeout(Duration::from_millis(50))).await.expect_err("nobody answers");
    assert!(matches!(error, CallError::TimedOut { executed: Executed::No, .. }), "{error}");
    // Gives up, and the handler sees it.
    computing.abort();
    assert_eq!(within(busy.tell(2, 0)).await, Ok(()));
    assert_eq!(within(busy.told()).await, Ok(vec![2]));
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thousands_of_calls_that_end_about_their_deadlines_each_ends_as_it_says() {
    const CALLS: u32 = 4000;
    let sup = start().await;
    let probe = probe(&sup).await;
    let busy = within(sup.spawn::<Busy>("busy", probe)).await.expect("an actor");
    // As many at a time as it takes about so long for as they have time.
    let room = Arc::new(Semaphore::new(40));
    let calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let room = room.clone();
            tokio::spawn(async move {
                let _permit = room.acquire().await.expect("it stays open");
                let patience = Duration::from_millis(1 + u64::from(number % 3));
                busy.tell(number, u64::from(number % 100)).timeout(patience).await
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(within(call).await.expect("no panic"));
    }
    let told = within(busy.told()).await.expect("it lives");
    let set: HashSet<_> = told.iter().copied().collect();
    assert_eq!(told.len(), set.len(), "a call was handled twice");
    let (mut done, mut never, mut maybe) = (0, 0, 0);
    for (number, outcome) in (0..).zip(outcomes) {
        match outcome {
            Ok(()) => {
                done += 1;
                assert!(set.contains(&number), "{number} was answered and not handled");
            }
            Err(CallError::TimedOut { executed: Executed::No, .. }) => {
                never += 1;
                assert!(!set.contains(&number), "{number} was handled, though it was said that it never would be");
            }
            Err(CallError::TimedOut { executed: Executed::Maybe, .. }) => maybe += 1,
            Err(error) => panic!("{number}: {error}"),
        }
    }
    println!("{done} were answered in time, {never} never handled, {maybe} handled about their deadlines");
    assert!(never > 0, "no call was taken back");
    end(sup).await;
}
