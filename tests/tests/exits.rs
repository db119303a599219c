//! How an incarnation ends: each cause exactly, with its process and its last words, the same for all who ask.

mod processes;

use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{DownReason, Event, ExitCause, Panic};
use serde::{Deserialize, Serialize};

use processes::system::{self, Death};
use processes::{Probe, ProbeApi, begin, end, event, probe, start, within};

procession::test_workers!();

/// What a handler does in place of answering.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Fate {
    Exit(i32),
    Panic,
    Abort,
    Fault,
    Killed,
    Overflow,
}

#[derive(Actor, Default)]
#[actor(restart = "temporary", shutdown = "200ms")]
struct Mortal {
    probe: Option<Address<Probe>>,
    deaf: bool,
}

#[handlers]
impl Mortal {
    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    fn meet(&self, fate: Fate) {
        eprintln!("meeting {fate:?}");
        match fate {
            Fate::Exit(code) => std::process::exit(code),
            Fate::Panic => panic!("met {}", 7),
            Fate::Abort => std::process::abort(),
            Fate::Fault => system::fault(),
            Fate::Killed => system::kill(std::process::id()),
            Fate::Overflow => println!("{}", fall(1)),
        }
    }

    #[call]
    fn finish(&self, ctx: &Context<Self>) -> String {
        eprintln!("finishing");
        ctx.stop();
        "done".to_owned()
    }

    /// From now on the actor's stop takes longer than it may.
    #[call]
    fn turn_deaf(&mut self) {
        self.deaf = true;
    }

    #[cast]
    fn tell(&mut self, probe: Address<Probe>) {
        self.probe = Some(probe);
    }

    #[stop]
    async fn last(&mut self, reason: StopReason) {
        if let Some(probe) = &self.probe {
            let _ = probe.note(format!("{reason:?}")).await;
        }
        if self.deaf {
            std::thread::sleep(Duration::from_secs(600));
        }
    }
}

/// Deeper than any stack, in small steps: what the system needs to tell of it must fit into what is left.
fn fall(depth: u64) -> u64 {
    if std::hint::black_box(depth) == 0 { 0 } else { fall(depth + 1) + std::hint::black_box(depth) }
}

/// Lets an actor meet its fate and checks that its caller, its monitor, its supervisor's reports and events agree.
async fn meets(fate: Fate) -> (CallError, Exit) {
    let sup = start().await;
    let mut events = sup.events();
    let mortal = within(sup.spawn::<Mortal>("mortal", ())).await.expect("a start");
    let pid = within(mortal.pid()).await.expect("a pid");
    let monitor = mortal.ctl().monitor();
    let error = within(mortal.meet(fate)).await.expect_err("no answer");
    let down = within(monitor).await;
    let DownReason::Exit(exit) = down.reason else { panic!("{down:?}") };
    println!("{error}");
    assert_eq!(exit.pid, pid);
    assert_eq!((down.name.as_str(), down.incarnation), ("mortal", 1));
    if let CallError::Died { exit: told, executed } = &error {
        assert_eq!((&**told, *executed), (&exit, Executed::Maybe));
    }
    let exited = event(&mut events, |event| matches!(event, Event::Exited { .. })).await;
    assert_eq!(exited, Event::Exited { child: "mortal".to_owned(), exit: exit.clone() });
    within(event(&mut events, |event| matches!(event, Event::Ended { .. }))).await;
    assert_eq!(
        sup.exit_reports().into_iter().map(|report| report.exit).collect::<Vec<_>>(),
        std::slice::from_ref(&exit)
    );
    end(sup).await;
    (error, exit)
}

#[tokio::test]
async fn exit_without_a_word_is_told_by_its_code_and_zero_is_no_success() {
    for code in [0, 3] {
        let (error, exit) = meets(Fate::Exit(code)).await;
        assert_eq!(exit.cause, ExitCause::Code(code));
        assert_eq!(exit.stderr, format!("meeting Exit({code})"));
        assert!(!exit.is_orderly());
        assert!(error.to_string().contains(&format!("exited with code {code}")), "{error}");
    }
}

#[tokio::test]
async fn a_panic_is_told_to_the_caller_and_is_the_cause_of_the_end() {
    let (error, exit) = meets(Fate::Panic).await;
    let panic = Panic { message: "met 7".to_owned(), at: "Mortal::meet".to_owned() };
    assert_eq!(error, CallError::Panicked(panic));
    assert_eq!(exit.cause, ExitCause::Panicked("Mortal::meet panicked: met 7".to_owned()));
    // With a backtrace the first of its lines may be gone.
    assert!(std::env::var_os("RUST_BACKTRACE").is_some() || exit.stderr.contains("met 7"), "{}", exit.stderr);
}

#[tokio::test]
async fn an_abort_is_told_by_its_signal() {
    let (error, exit) = meets(Fate::Abort).await;
    assert!(system::is_death_by(Death::Abort, &exit.cause), "{exit}");
    assert_eq!(exit.stderr, "meeting Abort");
    assert!(matches!(error, CallError::Died { .. }));
}

#[tokio::test]
async fn a_memory_fault_is_told_by_its_signal() {
    let (_, exit) = meets(Fate::Fault).await;
    assert!(system::is_death_by(Death::Fault, &exit.cause), "{exit}");
    assert_eq!(exit.stderr, "meeting Fault");
}

#[tokio::test]
async fn a_kill_is_told_by_its_signal() {
    let (_, exit) = meets(Fate::Killed).await;
    assert!(system::is_death_by(Death::Kill, &exit.cause), "{exit}");
    assert_eq!(exit.stderr, "meeting Killed");
}

#[tokio::test]
async fn a_stack_overflow_ends_the_worker_alone_and_says_so() {
    if !system::overflows_end_the_process() {
        return println!("(this system leaves no room for the end of such a process)");
    }
    let (_, exit) = meets(Fate::Overflow).await;
    assert!(system::is_death_by(Death::Abort, &exit.cause), "{exit}");
    assert!(exit.stderr.contains("overflowed its stack"), "{}", exit.stderr);
}

#[tokio::test]
async fn an_actor_that_ends_by_itself_answers_first_and_ends_normally() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let mortal = within(sup.spawn::<Mortal>("mortal", ())).await.expect("a start");
    within(mortal.tell(probe)).await.expect("a cast");
    let monitor = mortal.ctl().monitor();
    assert_eq!(within(mortal.finish()).await.as_deref(), Ok("done"));
    let DownReason::Exit(exit) = within(monitor).await.reason else { panic!("no exit") };
    assert_eq!(exit.cause, ExitCause::Normal);
    assert_eq!(exit.stderr, "finishing");
    assert!(exit.is_orderly());
    assert_eq!(within(probe.notes()).await, Ok(vec!["Normal".to_owned()]));
    end(sup).await;
}

#[tokio::test]
async fn an_actor_that_its_supervisor_stops_runs_its_hook_and_ends_as_asked() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let mortal = within(sup.spawn::<Mortal>("mortal", ())).await.expect("a start");
    within(mortal.tell(probe)).await.expect("a cast");
    let pid = within(mortal.pid()).await.expect("a pid");
    let exit = within(sup.stop("mortal")).await.expect("it was there");
    assert_eq!((exit.cause, exit.pid), (ExitCause::Shutdown, pid));
    assert_eq!(within(probe.notes()).await, Ok(vec!["Shutdown".to_owned()]));
    end(sup).await;
}

#[tokio::test]
async fn an_actor_that_does_not_stop_in_time_is_killed_and_its_exit_says_so() {
    let sup = start().await;
    let mut events = sup.events();
    let mortal = within(sup.spawn::<Mortal>("mortal", ())).await.expect("a start");
    within(mortal.turn_deaf()).await.expect("an answer");
    let began = Instant::now();
    let exit = within(sup.stop("mortal")).await.expect("it was there");
    println!("killed after {:?}, grace 200 ms", began.elapsed());
    assert_eq!(exit.cause, ExitCause::Killed);
    assert!(began.elapsed() >= Duration::from_millis(200));
    event(&mut events, |event| *event == Event::Killed { child: "mortal".to_owned() }).await;
    end(sup).await;
}

#[tokio::test]
async fn a_frozen_actor_is_killed_when_it_is_to_stop() {
    let sup = start().await;
    let mortal = within(sup.spawn::<Mortal>("mortal", ())).await.expect("a start");
    let pid = within(mortal.pid()).await.expect("a pid");
    system::freeze(pid);
    let exit = within(sup.stop("mortal")).await.expect("it was there");
    assert_eq!((exit.cause, exit.pid), (ExitCause::Killed, pid));
    end(sup).await;
}

#[tokio::test]
async fn a_local_actor_ends_by_the_same_causes_as_far_as_a_thread_can() {
    let sup = start().await;
    let mortal = within(sup.spawn_local::<Mortal>("finishing", ())).await.expect("a start");
    let monitor = mortal.ctl().monitor();
    assert_eq!(within(mortal.finish()).await.as_deref(), Ok("done"));
    let DownReason::Exit(exit) = within(monitor).await.reason else { panic!("no exit") };
    assert_eq!((exit.cause, exit.pid), (ExitCause::Normal, std::process::id()));

    let mortal = within(sup.spawn_local::<Mortal>("panicking", ())).await.expect("a start");
    let monitor = mortal.ctl().monitor();
    assert!(matches!(within(mortal.meet(Fate::Panic)).await, Err(CallError::Panicked(_))));
    let DownReason::Exit(exit) = within(monitor).await.reason else { panic!("no exit") };
    assert_eq!(exit.cause, ExitCause::Panicked("Mortal::meet panicked: met 7".to_owned()));

    within(sup.spawn_local::<Mortal>("stopped", ())).await.expect("a start");
    assert_eq!(within(sup.stop("stopped")).await.expect("it was there").cause, ExitCause::Shutdown);
    end(sup).await;
}

#[tokio::test]
async fn a_stop_overtakes_the_queue_and_ends_what_waits_as_not_delivered() {
    let sup = start().await;
    let probe = probe(&sup).await;
    let waiter = within(sup.spawn::<Waiter>("waiter", probe)).await.expect("a start");
    let running = begin(waiter.wait("gate".to_owned()));
    within(probe.noted("at gate".to_owned(), 1)).await.expect("a running handler");
    let queued: Vec<_> = (0..5).map(|n| begin(waiter.wait(format!("never {n}")))).collect();
    let stopping = tokio::spawn({
        let sup = sup.clone();
        async move { sup.stop("waiter").await }
    });
    within(async {
        while !sup.children().await.iter().any(|child| child.state == procession::ChildState::Stopping) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    within(probe.open("gate".to_owned())).await.expect("an open gate");
    // What runs is finished.
    assert_eq!(within(running).await, Ok(()));
    for queued in queued {
        let error = within(queued).await.expect_err("it never ran");
        assert_eq!(error, CallError::NotDelivered(procession::NotDelivered::Stopped));
    }
    assert_eq!(within(stopping).await.expect("no panic").expect("it was there").cause, ExitCause::Shutdown);
    assert_eq!(within(probe.notes()).await, Ok(vec!["at gate".to_owned()]));
    end(sup).await;
}

#[derive(Actor)]
struct Waiter {
    probe: Address<Probe>,
}

#[handlers]
impl Waiter {
    #[init]
    fn new(probe: Address<Probe>) -> Self {
        Self { probe }
    }

    #[call]
    async fn wait(&self, gate: String) {
        let _ = self.probe.pass(gate).await;
    }
}
