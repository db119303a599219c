//! Pools of any actor: the methods of one, run by whichever worker has the least to do.

mod processes;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use procession::prelude::*;
use procession::{Event, Failure, NotDelivered, Panic, StartError, WorkerState};

use processes::{Probe, ProbeApi, begin, end, event, probe, start, system, within};

procession::test_workers!();

#[derive(Actor)]
#[actor(shutdown = "1s")]
struct Counter {
    n: i64,
    probe: Address<Probe>,
}

#[handlers]
impl Counter {
    #[init]
    fn new(n: i64, probe: Address<Probe>) -> Result<Self, Failure> {
        if n < 0 { Err(Failure::new(format!("{n} is negative"))) } else { Ok(Self { n, probe }) }
    }

    #[cast]
    fn add(&mut self, by: i64) {
        self.n += by;
    }

    #[call]
    fn get(&self) -> i64 {
        self.n
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    fn divide(&self, by: i64) -> Result<i64, String> {
        self.n.checked_div(by).ok_or_else(|| "division by zero".to_owned())
    }

    #[call(timeout = "1h")]
    async fn pass(&self, gate: String) -> Result<u32, CallError> {
        self.probe.pass(gate).no_timeout().await?;
        Ok(std::process::id())
    }

    #[call]
    async fn waits_for_the_end_of_its_caller(&self, ctx: &Context<Self>) -> String {
        self.probe.note("waiting".to_owned()).await.expect("a probe");
        ctx.cancelled().await;
        self.probe.note("cancelled".to_owned()).no_timeout().await.expect("a probe");
        String::new()
    }

    #[call]
    fn panics(&self) {
        panic!("at {}", self.n)
    }

    #[call]
    fn dies(&self) {
        std::process::exit(9)
    }

    #[cast]
    fn dies_silently(&self) {
        std::process::exit(9)
    }
}

struct Place {
    sup: Supervisor,
    probe: Address<Probe>,
    fleet: Pool<Counter>,
}

impl Place {
    async fn of(workers: usize) -> Self {
        let sup = start().await;
        let mut events = sup.events();
        let probe = probe(&sup).await;
        let fleet = within(sup.pool::<Counter>("fleet", workers, (5, probe))).await.expect("a fleet");
        let mut ready = HashSet::new();
        while ready.len() < workers {
            let event = event(&mut events, |event| matches!(event, Event::Started { .. })).await;
            if let Event::Started { child, .. } = event {
                ready.extend(child.starts_with("fleet#").then_some(child));
            }
        }
        Self { sup, probe, fleet }
    }

    async fn end(self) -> PoolReport {
        let pids: Vec<_> = self.fleet.ctl().workers().await.into_iter().filter_map(|worker| worker.pid).collect();
        let report = within(self.fleet.ctl().finish()).await;
        assert_eq!(system::left_of(pids), [], "these processes are left");
        end(self.sup).await;
        report
    }
}

#[tokio::test]
async fn the_methods_of_the_actor_are_those_of_the_pool() {
    let place = Place::of(2).await;
    assert_eq!(within(place.fleet.get()).await, Ok(5));
    assert_eq!(within(place.fleet.divide(0)).await, Err(CallError::Handler("division by zero".to_owned())));
    within(place.fleet.add(1)).await.expect("it is taken");
    let report = place.end().await;
    assert_eq!((report.submitted, report.workers_lost), (3, 0));
}

#[tokio::test]
async fn each_message_goes_to_the_worker_with_the_fewest_outstanding() {
    let place = Place::of(3).await;
    let calls: Vec<_> = (0..3).map(|_| begin(place.fleet.pass("gate".to_owned()))).collect();
    within(place.probe.noted("at gate".to_owned(), 3)).await.expect("each is at one");
    within(place.probe.open("gate".to_owned())).await.expect("a probe");
    let mut pids = HashSet::new();
    for call in calls {
        pids.insert(within(call).await.expect("an answer"));
    }
    assert_eq!(pids.len(), 3);
    let mut turns = HashMap::new();
    for _ in 0..30 {
        *turns.entry(within(place.fleet.pid()).await.expect("an answer")).or_insert(0) += 1;
    }
    assert!(turns.values().all(|&times| times == 10), "ties go round: {turns:?}");
    place.end().await;
}

#[tokio::test]
async fn a_key_means_one_worker_over_all_its_incarnations() {
    let place = Place::of(3).await;
    let keys: Vec<String> = (0..40).map(|n| format!("key {n}")).collect();
    let control = place.fleet.ctl();
    let mut by_key = HashMap::new();
    for key in &keys {
        let pid = within(control.key(key).pid()).await.expect("an answer");
        assert_eq!(within(control.key(key).pid()).await, Ok(pid));
        by_key.insert(key, pid);
    }
    let pids: HashSet<_> = by_key.values().copied().collect();
    assert_eq!(pids.len(), 3, "the keys are spread");
    for n in 0..100 {
        within(control.key(&keys[0]).add(n)).await.expect("it is taken");
    }
    assert_eq!(within(control.key(&keys[0]).get()).await, Ok(5 + 4950), "in order, before the call");
    let died = within(control.key(&keys[0]).dies()).await;
    assert!(matches!(died, Err(CallError::Died { executed: Executed::Maybe, .. })), "{died:?}");
    assert_eq!(within(control.key(&keys[0]).get()).await, Ok(5), "the next incarnation, built anew");
    for key in &keys[1..] {
        let now = within(control.key(key).pid()).await.expect("an answer");
        assert_eq!(now != by_key[key], by_key[key] == by_key[&keys[0]], "only one worker was replaced");
    }
    place.end().await;
}

#[tokio::test]
async fn a_broadcast_reaches_every_worker_once() {
    let place = Place::of(3).await;
    within(place.fleet.ctl().broadcast().add(2)).await.expect("it is taken");
    let answers = within(place.fleet.ctl().broadcast().get()).await;
    let wanted: Vec<_> = (1..=3).map(|n| (format!("fleet#{n}"), Ok(7))).collect();
    assert_eq!(answers, wanted);
    place.end().await;
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_worker_which_is_replaced() {
    let place = Place::of(1).await;
    let before = system::living(within(place.fleet.pid()).await.expect("an answer"));
    let panicked = Panic { message: "at 5".to_owned(), at: "Counter::panics".to_owned() };
    assert_eq!(within(place.fleet.panics()).await, Err(CallError::Panicked(panicked)));
    assert_ne!(within(place.fleet.pid()).await, Ok(before.pid));
    assert_eq!(place.end().await.workers_lost, 1);
}

#[tokio::test]
async fn calls_that_wait_survive_the_death_of_a_worker() {
    let place = Place::of(1).await;
    let mut events = place.sup.events();
    let dying = begin(place.fleet.dies());
    let waiting: Vec<_> = (0..50).map(|_| begin(place.fleet.get())).collect();
    let Err(CallError::Died { exit, executed: Executed::Maybe }) = within(dying).await else { panic!("it lived") };
    assert_eq!(exit.cause, procession::ExitCause::Code(9));
    for call in waiting {
        assert_eq!(within(call).await, Ok(5));
    }
    within(place.fleet.dies_silently()).await.expect("it is taken");
    event(&mut events, |event| matches!(event, Event::DeadLetters { actor, count: 1 } if actor == "fleet")).await;
    assert_eq!(within(place.fleet.get()).await, Ok(5));
    place.end().await;
}

#[tokio::test]
async fn a_call_ends_by_its_deadline_and_the_pool_goes_on() {
    let place = Place::of(1).await;
    let running = begin(place.fleet.pass("gate".to_owned()));
    within(place.probe.noted("at gate".to_owned(), 1)).await.expect("it runs");
    let queued: Vec<_> = (0..9).map(|_| begin(place.fleet.get().timeout(Duration::from_millis(60)))).collect();
    for (n, call) in queued.into_iter().enumerate() {
        let ended = within(call).await;
        let Err(CallError::TimedOut { executed, .. }) = ended else { panic!("{ended:?}") };
        // The worker may have been given one ahead.
        assert!(executed == Executed::No || n < 2);
    }
    within(place.probe.open("gate".to_owned())).await.expect("a probe");
    within(running).await.expect("an answer");
    assert_eq!(within(place.fleet.get()).await, Ok(5));
    place.end().await;
}

#[tokio::test]
async fn a_handler_is_told_when_its_call_is_dropped_or_late() {
    let place = Place::of(1).await;
    let dropped = begin(place.fleet.waits_for_the_end_of_its_caller());
    within(place.probe.noted("waiting".to_owned(), 1)).await.expect("it runs");
    drop(dropped);
    within(place.probe.noted("cancelled".to_owned(), 1)).await.expect("it was told");
    let late = within(place.fleet.waits_for_the_end_of_its_caller().timeout(Duration::from_millis(60))).await;
    assert!(matches!(late, Err(CallError::TimedOut { executed: Executed::Maybe, .. })), "{late:?}");
    within(place.probe.noted("cancelled".to_owned(), 2)).await.expect("it was told");
    assert_eq!(within(place.fleet.get()).await, Ok(5));
    place.end().await;
}

#[tokio::test]
async fn an_init_that_fails_is_why_there_is_no_pool() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let error = within(sup.pool::<Counter>("fleet", 2, (-1, probe))).await.expect_err("none starts");
    let StartError::Init { child, error } = &error else { panic!("{error}") };
    assert!(child.starts_with("fleet#") && error == "-1 is negative", "{error}");
    end(sup).await;
}

#[tokio::test]
async fn a_pool_that_has_ended_says_so() {
    let place = Place::of(2).await;
    let fleet = place.fleet.clone();
    assert!(fleet.ctl().workers().await.iter().all(|worker| worker.state == WorkerState::Ready));
    place.end().await;
    assert_eq!(within(fleet.get()).await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
    assert_eq!(within(fleet.add(1)).await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
    assert_eq!(fleet.ctl().workers().await, []);
}
