//! The life of one worker process: what it is given, how it is stopped, and that everybody below it goes with it.
#![cfg(target_os = "linux")]

mod life;

use std::path::Path;
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Event, ExitCause, NotDelivered, StartError};

use life::probe::{AtStop, How, Init, Plan, Probe, ProbeApi};
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
    Stopped,
}

fn is_killed_at_the_deadline(doing: Doing) {
    alone(|| async move {
        let place = Place::new();
        let sup = quiet().start().await?;
        let probe = sup.start_child(ChildSpec::<Probe>::new("p", Plan::default()).shutdown(GRACE)).await?;
        let pid = probe.pid().await?;
        let grandchildren = [probe.grandchild(false).await?, probe.grandchild(true).await?];
        let began = place.file("began");
        let call = match doing {
            Doing::Computing => Some(tokio::spawn(probe.compute(began.clone()))),
            Doing::Awaiting => Some(tokio::spawn(probe.hang(began.clone()))),
            Doing::Stopped => {
                system::pause(pid);
                eventually("it is stopped", || system::is_stopped(pid)).await;
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
        eventually("the grandchildren are dead", || !grandchildren.iter().any(|pid| system::is_alive(*pid))).await;
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
fn a_stopped_worker_is_killed_at_the_deadline() {
    is_killed_at_the_deadline(Doing::Stopped);
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
        sup.spawn::<Probe>("p", Plan { stop: AtStop::Panic, ..Plan::default() }).await?;
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
        let grandchild = place.lines("grandchild")[0].parse().expect("a pid");
        soon("the stop ends", sup.stop("p")).await.expect("it is there");
        let error = starting.await?.expect_err("it was stopped");
        assert!(matches!(&error, StartError::Stopped(name) if name == "p"), "{error:?}");
        eventually("the grandchild is dead", || !system::is_alive(grandchild)).await;
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
    Terminated,
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
        let pid = probe.pid().await?;
        let grandchildren = [probe.grandchild(false).await?, probe.grandchild(true).await?];
        for grandchild in grandchildren {
            assert_eq!(system::look(grandchild).map(|seen| seen.group), Some(pid), "in the worker's group");
        }
        let mut held = Some(sup.clone());
        match end {
            End::Told(how) => probe.end(how).await?,
            End::KillNine => system::kill(pid),
            End::Terminated => system::send(pid, rustix::process::Signal::TERM),
            End::Stop => drop(sup.stop("p").await),
            End::Kill => drop(sup.kill("p").await),
            End::Restart => drop(sup.restart("p").await),
            End::Shutdown => sup.shutdown().await?,
            End::Dropped => held = None,
        }
        drop(sup);
        eventually("they are dead", || !grandchildren.iter().any(|pid| system::is_alive(*pid))).await;
        eventually("so is the worker", || !system::is_alive(pid)).await;
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
    grandchildren_die_at_a_signal_from_outside: End::Terminated;
    grandchildren_die_at_a_stop: End::Stop;
    grandchildren_die_at_a_kill: End::Kill;
    grandchildren_die_at_a_restart: End::Restart;
    grandchildren_die_at_the_shutdown: End::Shutdown;
    grandchildren_die_when_the_supervisor_is_dropped: End::Dropped;
}

// What a worker is given.

fn kind(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.split(['[', ':']).next().map_or_else(String::new, |head| match head {
        "anon_inode" => text.trim_start_matches("anon_inode:").trim_matches(['[', ']']).to_owned(),
        head => head.to_owned(),
    })
}

#[test]
fn a_worker_has_the_descriptors_it_needs_and_inherits_no_other() {
    alone(|| async {
        // What careless code opens: without close-on-exec.
        let (_reader, _writer) = rustix::pipe::pipe()?;
        let file = tempfile::tempfile()?;
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let descriptors = system::descriptors(probe.pid().await?);
        let standard: Vec<_> = descriptors.iter().take(3).map(|(number, path)| (*number, kind(path))).collect();
        let want = [(0, "/dev/null"), (1, "pipe"), (2, "pipe")];
        assert_eq!(standard, want.map(|(number, kind)| (number, kind.to_owned())));
        let mut others: Vec<_> = descriptors.iter().skip(3).map(|(_, path)| kind(path)).collect();
        others.sort();
        // Data and control; what tokio has for its reactor (an epoll, its double for registrations, an event) and for the
        // signals of the process (a socket pair, one end twice).
        let want = ["eventfd", "eventpoll", "eventpoll", "socket", "socket", "socket", "socket", "socket"];
        assert_eq!(others, want, "{descriptors:?}");
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn the_parent_is_as_it_was_after_fifty_starts_and_stops() {
    alone_on(&mut tokio::runtime::Builder::new_current_thread(), || async {
        let me = std::process::id();
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
        // Threads of ours and of this test: a thread without a name has that of the one that has started it. Those of
        // other tests come and go.
        let own = std::fs::read_to_string("/proc/thread-self/comm")?.trim_end().to_owned();
        let ours = |name: &String| *name == own || name.starts_with("process") || name.starts_with("tokio");
        let present =
            || (system::descriptors(me).len(), system::threads(me).into_iter().filter(ours).collect::<Vec<_>>());
        let before = present();
        for number in 0..50 {
            life(number).await?;
        }
        // Descriptors of the last one are closed by its tasks.
        let deadline = Instant::now() + Duration::from_secs(5);
        while present() != before && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(present(), before);
        Ok(())
    });
}

#[test]
fn a_worker_leads_a_group_of_its_own_and_bears_the_actors_name() {
    alone(|| async {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("counter-of-sheep", Plan::default()).await?;
        let pid = probe.pid().await?;
        let seen = system::look(pid).expect("it lives");
        assert_eq!((seen.group, seen.parent), (pid, std::process::id()));
        assert_eq!(seen.name, "counter-of-shee", "as much of it as the system shows");
        let guardian = system::guardian(std::process::id()).expect("there is one");
        eventually("it is out of the way of signals to a group", || {
            system::look(guardian.pid).is_some_and(|seen| seen.group == seen.pid && seen.name == "guardian")
        })
        .await;
        sup.shutdown().await?;
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
