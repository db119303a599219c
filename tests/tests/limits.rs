//! What a worker may use of the machine: it is held to that over all its incarnations, or its supervisor says that it is not.

mod processes;

use procession::prelude::*;
use procession::{Event, Events, Limit, Limits, Priority, StartError};

use processes::system::{self, Death};
use processes::{end, event, start, within};

procession::test_workers!();

const MEMORY: u64 = 256 << 20;

/// Takes what it is told to take.
#[derive(Actor, Default)]
struct Greedy {
    hoard: Vec<u8>,
}

#[handlers]
impl Greedy {
    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    fn take(&mut self, bytes: u64) -> u64 {
        self.hoard = Vec::with_capacity(bytes as usize);
        self.hoard.capacity() as u64
    }

    #[call]
    fn cpus(&self) -> Vec<usize> {
        system::cpus()
    }
}

fn greedy(limits: Limits) -> ChildSpec<Greedy> {
    ChildSpec::new("greedy", ()).limits(limits)
}

/// Whether this system holds a process to such a limit.
fn is_enforced(limit: Limit) -> bool {
    let enforced = !system::unenforced_limits().contains(&limit);
    if !enforced {
        println!("(this system does not enforce {limit:?})");
    }
    enforced
}

/// The limits that are said not to hold, up to the next start that is ready, and which incarnation that is.
async fn told(events: &mut Events) -> (Vec<Limit>, u32) {
    let mut limits = Vec::new();
    loop {
        match event(events, |_| true).await {
            Event::LimitNotEnforced { child, limit, why } => {
                assert!(child == "greedy" && !why.is_empty());
                limits.push(limit);
            }
            Event::Started { incarnation, .. } => return (limits, incarnation),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_worker_beyond_its_memory_limit_dies_its_caller_is_told_and_the_next_one_is_held_to_it_too() {
    let sup = start().await;
    let mut events = sup.events();
    let greedy = within(sup.start_child(greedy(Limits::new().memory(MEMORY)))).await.expect("a start");
    let enforced = is_enforced(Limit::Memory);
    for incarnation in 1..=3 {
        assert_eq!(told(&mut events).await, (if enforced { vec![] } else { vec![Limit::Memory] }, incarnation));
        let pid = within(greedy.pid()).await.expect("a pid");
        assert_eq!(within(greedy.take(MEMORY / 2)).await, Ok(MEMORY / 2));
        if !enforced {
            assert_eq!(within(greedy.take(MEMORY * 2)).await, Ok(MEMORY * 2));
            break;
        }
        let error = within(greedy.take(MEMORY * 2)).await.expect_err("it is more than it may have");
        let CallError::Died { exit, executed: Executed::Maybe } = error else { panic!("{error:?}") };
        assert_eq!(exit.pid, pid);
        assert!(system::is_death_by(Death::Abort, &exit.cause), "{exit}");
        // A backtrace comes last, and may be longer than what is kept.
        let said = exit.stderr.contains("memory allocation of 536870912 bytes failed");
        assert!(said || std::env::var_os("RUST_BACKTRACE").is_some(), "{exit}");
    }
    end(sup).await;
}

#[tokio::test]
async fn a_worker_runs_on_the_cpus_of_its_limit_and_its_neighbour_on_all() {
    let sup = start().await;
    let all = system::cpus();
    let one = *all.last().expect("a CPU to run on");
    let limits = Limits::new().cpus([one]);
    let limited = within(sup.start_child(greedy(limits))).await.expect("a start");
    let free = within(sup.spawn::<Greedy>("free", ())).await.expect("a start");
    let expected = if is_enforced(Limit::Cpus) { vec![one] } else { all.clone() };
    assert_eq!(within(limited.cpus()).await, Ok(expected));
    assert_eq!(within(free.cpus()).await, Ok(all));
    end(sup).await;
}

#[tokio::test]
async fn a_limit_that_is_not_enforced_is_an_event_at_every_start() {
    let sup = start().await;
    let mut events = sup.events();
    let one = system::cpus()[0];
    let limits = Limits::new().memory(MEMORY).processes(4).cpus([one]).priority(Priority::BelowNormal);
    within(sup.start_child(greedy(limits))).await.expect("a start");
    for incarnation in 1..=3 {
        assert_eq!(told(&mut events).await, (system::unenforced_limits(), incarnation));
        within(sup.restart("greedy")).await.expect("it is there");
    }
    end(sup).await;
}

#[tokio::test]
async fn the_least_limit_of_memory_lets_a_worker_start() {
    let sup = start().await;
    let greedy = within(sup.start_child(greedy(Limits::new().memory(16 << 20)))).await.expect("a start");
    assert_eq!(within(greedy.take(1 << 20)).await, Ok(1 << 20));
    end(sup).await;
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused_with_what_to_do_and_nothing_starts() {
    let sup = start().await;
    let mut events = sup.events();
    let refused = [
        (Limits::new().memory(0), ["memory", "16777216"]),
        (Limits::new().memory(4096), ["4096 bytes", "at least"]),
        (Limits::new().processes(0), ["0 processes", "1 at least"]),
        (Limits::new().cpus([]), ["no CPUs", "name one"]),
        (Limits::new().cpus([0, 4_000_000]), ["no CPU 4000000", "name some"]),
    ];
    for (limits, words) in refused {
        let error = within(sup.start_child(greedy(limits))).await.expect_err("bad limits");
        let StartError::BadSpec(text) = &error else { panic!("{error:?}") };
        assert!(text.contains("greedy") && words.iter().all(|word| text.contains(word)), "{text}");
    }
    let local = ChildSpec::<Greedy>::local("thread", ()).limits(Limits::new().memory(MEMORY));
    let error = within(sup.start_child(local)).await.expect_err("a thread");
    assert!(matches!(&error, StartError::BadSpec(text) if text.contains("thread is local")), "{error:?}");
    // No limits at all are none too many for a thread; and that is all that was started.
    let local = ChildSpec::<Greedy>::local("free", ()).limits(Limits::new());
    within(sup.start_child(local)).await.expect("a start");
    let first = within(events.next()).await.expect("no event is missed");
    assert!(matches!(&first, Event::Started { child, .. } if child == "free"), "{first:?}");
    end(sup).await;
}
