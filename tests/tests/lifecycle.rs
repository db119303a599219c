//! The life of one worker process: what it is given, how it is stopped, and that everybody below it goes with it.

mod life;

use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Event, ExitCause, NotDelivered, StartError};

use life::probe::{AtStop, How, Init, Plan, Probe, ProbeApi};
use life::system::{Holdings, is_any_alive, living};
use life::{Place, alone, alone_on, eventually, quiet, short, shorts, soon, system, until};

procession::test_workers!();

/// Short enough to be waited for, long enough not to be over before a worker has heard of it.
const GRACE: Duration = Duration::from_millis(150);

/// An actor with no time at all.
#[derive(Actor)]
#[actor(shutdown = "kill")]
struct Abrupt;

#[handlers]
impl Abrupt {
    #[init]
    fn new() -> Self {
        Self
    }

    #[stop]
    fn ending(&mut self) {
        eprintln!("never said");
        std::process::exit(77);
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }
}

// The stop ladder.

/// What the worker does when it is asked to stop.
#[derive(Clone, Copy)]
enum Doing {
    Computing,
    Awaiting,
    Frozen,
}

fn is_killed_at_the_deadline(doing: Doing) {
    alone(|| async move {
        let place = Place::new();
        let sup = quiet().start().await?;
        let probe = sup.start_child(ChildSpec::<Probe>::new("p", Plan::default()).shutdown(GRACE)).await?;
        let pid = probe.pid().await?;
        let grandchildren = [probe.grandchild(false).await?, probe.grandchild(true).await?].map(living);
        let began = place.file("began");
        let call = match doing {
            Doing::Computing => Some(tokio::spawn(probe.compute(began.clone()))),
            Doing::Awaiting => Some(tokio::spawn(probe.hang(began.clone()))),
            Doing::Frozen => {
                system::freeze(pid);
                None
            }
        };
        if call.is_some() {
            eventually("the handler runs", || began.exists()).await;
        }
        let queued = tokio::spawn(probe.count());
        while sup.children().await.iter().map(|child| child.queued + child.in_hand).sum::<usize>() == 0 {
            tokio::task::yield_now().await;
        }
        let mut events = sup.events();
        let before = Instant::now();
        let exit = soon("the ladder ends", sup.stop("p")).await.expect("it is there");
        assert!(before.elapsed() >= GRACE, "it has all of its grace");
        assert_eq!((exit.pid, &exit.cause), (pid, &ExitCause::Killed));
        let seen = until(&mut events, "the end", |event| matches!(event, Event::Ended { .. })).await;
        assert_eq!(shorts(&seen), ["killed p", "exited p: did not stop in time and was killed", "ended p"]);
        if let Some(call) = call {
            let error = call.await?.expect_err("it never answers");
            assert_eq!(error, CallError::Died { exit: Box::new(exit), executed: Executed::Maybe });
        }
        let error = queued.await?.expect_err("nobody takes it");
        assert!(!error.may_have_executed(), "{error:?}");
        eventually("the grandchildren are dead", || !is_any_alive(&grandchildren)).await;
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_handler_that_computes_is_killed_at_the_deadline() {
    is_killed_at_the_deadline(Doing::Computing);
}

#[test]
fn a_handler_that_waits_for_ever_is_killed_at_the_deadline() {
    is_killed_at_the_deadline(Doing::Awaiting);
}

#[test]
fn a_frozen_worker_is_killed_at_the_deadline() {
    is_killed_at_the_deadline(Doing::Frozen);
}

#[test]
fn a_stop_lets_the_running_handler_finish_and_overtakes_the_queue() {
    alone(|| async {
        let place = Place::new();
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default().log(place.file("log"))).await?;
        let began = place.file("began");
        let work = tokio::spawn(probe.work_until_stopped(began.clone()));
        eventually("the handler runs", || began.exists()).await;
        let queued: Vec<_> = (0..10).map(|_| tokio::spawn(probe.count())).collect();
        while sup.children().await.iter().map(|child| child.queued + child.in_hand).sum::<usize>() < 11 {
            tokio::task::yield_now().await;
        }
        assert_eq!(sup.stop("p").await.expect("it is there").cause, ExitCause::Shutdown);
        assert_eq!(work.await??, "worked");
        for call in queued {
            let error = call.await?.expect_err("the stop came before it");
            assert!(!error.may_have_executed(), "{error:?}");
        }
        assert_eq!(place.lines("log"), ["start p", "ready p", "stop p"]);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn shutdown_kill_asks_nobody() {
    alone(|| async {
        let place = Place::new();
        let sup = quiet().start().await?;
        let abrupt = sup.spawn::<Abrupt>("abrupt", ()).await?;
        let plan = Plan::default().log(place.file("log"));
        sup.start_child(ChildSpec::<Probe>::new("p", plan).shutdown(Duration::ZERO)).await?;
        let pid = abrupt.pid().await?;
        let exit = sup.stop("abrupt").await.expect("it is there");
        assert_eq!((exit.pid, exit.cause), (pid, ExitCause::Shutdown));
        sup.stop("p").await.expect("it is there");
        assert_eq!(place.lines("log"), ["start p", "ready p"]);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn kill_does_not_wait_for_the_grace_even_where_a_stop_was_asked_before() {
    alone(|| async {
        let place = Place::new();
        let sup = quiet().start().await?;
        let hour = Duration::from_secs(3600);
        let probe = sup.start_child(ChildSpec::<Probe>::new("p", Plan::default()).shutdown(hour)).await?;
        let began = place.file("began");
        let call = tokio::spawn(probe.compute(began.clone()));
        eventually("the handler runs", || began.exists()).await;
        let stopping = tokio::spawn({
            let sup = sup.clone();
            async move { sup.stop("p").await }
        });
        while sup.children().await.iter().any(|child| child.state == procession::ChildState::Running) {
            tokio::task::yield_now().await;
        }
        let killed = soon("kill() ends it", sup.kill("p")).await.expect("it is there");
        assert_eq!(soon("so does stop()", stopping).await?.expect("it is there"), killed);
        assert!(call.await?.is_err());
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_process_that_hangs_after_its_last_word_is_killed_and_keeps_its_cause() {
    alone(|| async {
        let sup = quiet().start().await?;
        let plan = Plan { stop: AtStop::HoldOutput, ..Plan::default() };
        let spec = ChildSpec::<Probe>::new("p", plan).restart(Restart::Temporary);
        let probe = sup.start_child(spec).await?;
        let mut events = sup.events();
        probe.end(How::Normal).await?;
        let exit = soon("it is killed", sup.join(&probe, life::PATIENCE)).await?;
        assert_eq!(exit.cause, ExitCause::Normal);
        let seen = until(&mut events, "the end", |event| matches!(event, Event::Ended { .. })).await;
        assert_eq!(shorts(&seen), ["killed p", "exited p: ended by itself", "ended p"]);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn kill_does_not_wait_for_a_process_that_hangs_after_its_last_word() {
    alone(|| async {
        let place = Place::new();
        let sup = quiet().start().await?;
        let plan = Plan { stop: AtStop::HoldOutput, ..Plan::default() }.log(place.file("log"));
        let spec = ChildSpec::<Probe>::new("p", plan).shutdown(Duration::from_secs(3600));
        let probe = sup.start_child(spec).await?;
        let pid = probe.pid().await?;
        let stopping = tokio::spawn({
            let sup = sup.clone();
            async move { sup.stop("p").await }
        });
        eventually("it has stopped", || place.lines("log").len() == 3).await;
        let exit = soon("kill() ends it", sup.kill("p")).await.expect("it is there");
        assert_eq!(exit.pid, pid);
        assert_eq!(soon("so does stop()", stopping).await?.expect("it is there"), exit);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_stop_hook_that_panics_is_the_cause_of_the_end() {
    alone(|| async {
        let sup = quiet().start().await?;
        let plan = Plan { stop: AtStop::Panic, ..Plan::default() };
        // The trace that may be printed with the panic is part of the stop.
        sup.start_child(ChildSpec::<Probe>::new("p", plan).shutdown(life::PATIENCE)).await?;
        let exit = sup.stop("p").await.expect("it is there");
        assert!(matches!(&exit.cause, ExitCause::Panicked(why) if why.contains("told to panic at the stop")), "{exit}");
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_worker_that_is_stopped_in_its_start_dies_at_once_with_all_it_has_started() {
    alone(|| async {
        let place = Place::new();
        let sup = quiet().start().await?;
        let told = place.file("grandchild");
        let starting = tokio::spawn({
            let (sup, plan) = (sup.clone(), Plan::init(Init::HangWithGrandchild(told)));
            async move { sup.spawn::<Probe>("p", plan).await }
        });
        eventually("it starts", || place.lines("grandchild").len() == 1).await;
        let grandchild = living(place.lines("grandchild")[0].parse().expect("a pid"));
        soon("the stop ends", sup.stop("p")).await.expect("it is there");
        let error = starting.await?.expect_err("it was stopped");
        assert!(matches!(&error, StartError::Stopped(name) if name == "p"), "{error:?}");
        eventually("the grandchild is dead", || !grandchild.is_alive()).await;
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_start_that_takes_too_long_leaves_nobody() {
    alone(|| async {
        let place = Place::new();
        let sup = quiet().start().await?;
        for init in [Init::Spin, Init::HangWithGrandchild(place.file("grandchild"))] {
            let spec = ChildSpec::<Probe>::new("p", Plan::init(init)).init_timeout(Duration::from_millis(500));
            let error = sup.start_child(spec).await.expect_err("it is too slow");
            assert!(matches!(&error, StartError::TimedOut { child, .. } if child == "p"), "{error:?}");
            eventually("nobody is left", || system::family().is_empty()).await;
        }
        assert_eq!(place.lines("grandchild").len(), 1);
        sup.shutdown().await?;
        Ok(())
    });
}

// Everybody below.

/// How a worker with grandchildren ends.
enum End {
    Told(How),
    KillNine,
    Stop,
    Kill,
    Restart,
    Shutdown,
    Dropped,
}

fn takes_its_own_children_with_it(end: End) {
    alone(|| async move {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let worker = living(probe.pid().await?);
        let grandchildren = [probe.grandchild(false).await?, probe.grandchild(true).await?].map(living);
        let mut held = Some(sup.clone());
        match end {
            End::Told(how) => probe.end(how).await?,
            End::KillNine => worker.kill(),
            End::Stop => drop(sup.stop("p").await),
            End::Kill => drop(sup.kill("p").await),
            End::Restart => drop(sup.restart("p").await),
            End::Shutdown => sup.shutdown().await?,
            End::Dropped => held = None,
        }
        drop(sup);
        eventually("they are dead", || !is_any_alive(&grandchildren)).await;
        eventually("so is the worker", || !worker.is_alive()).await;
        if let Some(sup) = held {
            sup.shutdown().await?;
        }
        Ok(())
    });
}

macro_rules! take {
    ($($name:ident: $end:expr;)*) => { $(#[test] fn $name() { takes_its_own_children_with_it($end) })* };
}

take! {
    grandchildren_die_at_a_normal_end: End::Told(How::Normal);
    grandchildren_die_at_a_panic: End::Told(How::Panic);
    grandchildren_die_at_an_exit: End::Told(How::Code(0));
    grandchildren_die_at_kill_nine: End::KillNine;
    grandchildren_die_at_a_stop: End::Stop;
    grandchildren_die_at_a_kill: End::Kill;
    grandchildren_die_at_a_restart: End::Restart;
    grandchildren_die_at_the_shutdown: End::Shutdown;
    grandchildren_die_when_the_supervisor_is_dropped: End::Dropped;
}

// What a worker is given.

#[test]
fn the_parent_is_as_it_was_after_fifty_starts_and_stops() {
    alone_on(&mut tokio::runtime::Builder::new_current_thread(), || async {
        let life = async |number: u32| -> procession::Result {
            let sup = quiet().start().await?;
            let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
            let pid = probe.pid().await?;
            match number % 3 {
                0 => sup.shutdown().await?,
                1 => drop(sup.kill("p").await),
                _ => {
                    system::kill(pid);
                    sup.stop("p").await.ok();
                }
            }
            drop(sup);
            Ok(())
        };
        // What is there from the first one on stays: the thread of the processes, the guardian.
        life(0).await?;
        eventually("nobody is left of the first", || system::family().is_empty()).await;
        let before = Holdings::now();
        for number in 0..50 {
            life(number).await?;
        }
        // What the last one has open is closed by its tasks.
        let deadline = Instant::now() + Duration::from_secs(5);
        while !Holdings::now().are_as(&before) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let after = Holdings::now();
        assert!(after.are_as(&before), "{before:?}, then {after:?}");
        Ok(())
    });
}

#[test]
fn arguments_and_environment_of_a_worker_tell_nothing() {
    alone(|| async {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::named("a secret")).await?;
        let pid = probe.pid().await?;
        let me = std::env::current_exe()?.to_string_lossy().into_owned();
        let marker = format!("procession-worker:{}", std::process::id());
        let arguments = system::arguments(pid);
        let want = [&me, "procession_workers", "--exact", "--nocapture", "--test-threads=1", &marker];
        assert_eq!(arguments, want);
        let mut own: Vec<_> = system::environment(std::process::id());
        let mut of_worker = system::environment(pid);
        own.sort();
        of_worker.sort();
        assert_eq!(of_worker, own);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_hundred_workers_live_at_once_and_end_in_order() {
    const HUNDRED: usize = 100;
    alone(|| async {
        let sup = quiet().start().await?;
        let before = Instant::now();
        let mut starts = Vec::new();
        for number in 0..HUNDRED {
            let sup = sup.clone();
            // All start at once, so that each may have to wait for all the others.
            let spec = ChildSpec::<Probe>::new(format!("w{number}"), Plan::default()).init_timeout(life::PATIENCE);
            starts.push(tokio::spawn(async move { sup.start_child(spec).await }));
        }
        let mut workers = Vec::new();
        for start in starts {
            let probe = start.await??;
            workers.push((probe, living(probe.pid().await?)));
        }
        println!("a hundred workers were ready after {:?}", before.elapsed());
        let mut pids: Vec<u32> = workers.iter().map(|(_, process)| process.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), HUNDRED);
        let calls: Vec<_> = workers.iter().map(|(probe, _)| tokio::spawn(probe.count())).collect();
        for call in calls {
            assert_eq!(call.await??, 1);
        }
        assert!(workers.iter().all(|(_, process)| process.is_alive()));
        sup.shutdown().await?;
        assert!(!workers.iter().any(|(_, process)| process.is_alive()));
        let causes: Vec<_> = sup.exit_reports().into_iter().map(|report| report.exit.cause).collect();
        assert_eq!(causes, vec![ExitCause::Shutdown; HUNDRED]);
        Ok(())
    });
}

#[test]
fn a_call_after_the_stop_says_so_at_once() {
    alone(|| async {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let mut events = sup.events();
        sup.stop("p").await.expect("it is there");
        until(&mut events, "the end", |event| short(event) == "ended p").await;
        assert_eq!(probe.count().await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
        assert_eq!(probe.fail().await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
        sup.shutdown().await?;
        Ok(())
    });
}
