//! Supervisors keep their promises with real processes: who is restarted, how often, in which order, and who hears of it.

mod life;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{
    Backoff, ChildState, Escalated, Event, ExitCause, ExitReport, JoinError, Lagged, NotDelivered, StartError, Unknown,
};

use life::probe::{AtStop, How, Init, Plan, Probe, ProbeApi};
use life::{Place, alone, alone_blocking, alone_on, eventually, on, quiet, short, shorts, soon, system, touch, until};

procession::test_workers!();

/// So many restarts that none of these tests reaches them.
const MANY: (u32, Duration) = (1000, Duration::from_secs(30));

fn lenient() -> procession::SupervisorBuilder {
    quiet().intensity(MANY.0, MANY.1).backoff(Backoff::none())
}

fn killed_by(signal: &str) -> impl Fn(&ExitCause) -> bool {
    move |cause| matches!(cause, ExitCause::Signal { name, .. } if name == signal)
}

// Who is restarted.

/// How a child ends in the tests below.
enum End {
    Told(How),
    KillNine,
}

/// What must follow.
enum Then {
    Restarted,
    Gone,
}

fn ends(restart: Restart, end: End, cause: impl Fn(&ExitCause) -> bool, then: Then) {
    alone(|| async move {
        let sup = lenient().start().await?;
        let probe = sup.start_child(ChildSpec::<Probe>::new("p", Plan::default()).restart(restart)).await?;
        let pid = probe.pid().await?;
        let mut events = sup.events();
        match end {
            End::Told(how) => probe.end(how).await?,
            End::KillNine => system::kill(pid),
        }
        let seen =
            until(&mut events, "it is settled", |event| matches!(event, Event::Started { .. } | Event::Ended { .. }))
                .await;
        assert!(
            matches!(&seen[0], Event::Exited { child, exit } if child == "p" && exit.pid == pid && cause(&exit.cause)),
            "{seen:?}"
        );
        match then {
            Then::Restarted => {
                assert_eq!(shorts(&seen)[1..], ["restarting p 1", "started p 2"]);
                assert_ne!(probe.pid().await?, pid);
            }
            Then::Gone => {
                assert_eq!(shorts(&seen)[1..], ["ended p"]);
                assert_eq!(probe.pid().await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
                assert!(sup.children().await.is_empty());
            }
        }
        sup.shutdown().await?;
        Ok(())
    });
}

macro_rules! ends {
    ($($name:ident: $restart:ident, $end:expr, $cause:expr => $then:ident;)*) => {
        $(#[test] fn $name() { ends(Restart::$restart, $end, $cause, Then::$then) })*
    };
}

fn normal(cause: &ExitCause) -> bool {
    *cause == ExitCause::Normal
}

fn panicked(cause: &ExitCause) -> bool {
    matches!(cause, ExitCause::Panicked(message) if message.contains("told to panic"))
}

fn code(code: i32) -> impl Fn(&ExitCause) -> bool {
    move |cause| *cause == ExitCause::Code(code)
}

ends! {
    permanent_is_restarted_after_a_normal_end: Permanent, End::Told(How::Normal), normal => Restarted;
    permanent_is_restarted_after_a_panic: Permanent, End::Told(How::Panic), panicked => Restarted;
    permanent_is_restarted_after_an_exit_code: Permanent, End::Told(How::Code(3)), code(3) => Restarted;
    permanent_is_restarted_after_exit_zero_without_a_word: Permanent, End::Told(How::Code(0)), code(0) => Restarted;
    permanent_is_restarted_after_an_abort: Permanent, End::Told(How::Abort), killed_by("SIGABRT") => Restarted;
    permanent_is_restarted_after_kill_nine: Permanent, End::KillNine, killed_by("SIGKILL") => Restarted;
    transient_stays_down_after_a_normal_end: Transient, End::Told(How::Normal), normal => Gone;
    transient_is_restarted_after_a_panic: Transient, End::Told(How::Panic), panicked => Restarted;
    transient_is_restarted_after_an_exit_code: Transient, End::Told(How::Code(3)), code(3) => Restarted;
    transient_is_restarted_after_exit_zero_without_a_word: Transient, End::Told(How::Code(0)), code(0) => Restarted;
    transient_is_restarted_after_kill_nine: Transient, End::KillNine, killed_by("SIGKILL") => Restarted;
    temporary_stays_down_after_a_normal_end: Temporary, End::Told(How::Normal), normal => Gone;
    temporary_stays_down_after_a_panic: Temporary, End::Told(How::Panic), panicked => Gone;
    temporary_stays_down_after_an_exit_code: Temporary, End::Told(How::Code(3)), code(3) => Gone;
    temporary_stays_down_after_kill_nine: Temporary, End::KillNine, killed_by("SIGKILL") => Gone;
}

#[test]
fn whoever_is_stopped_or_killed_through_the_supervisor_stays_down_whatever_its_type() {
    alone(|| async {
        let sup = lenient().start().await?;
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            for kill in [false, true] {
                let spec = ChildSpec::<Probe>::new("p", Plan::default()).restart(restart);
                let probe = sup.start_child(spec).await?;
                let pid = probe.pid().await?;
                let mut events = sup.events();
                let exit = if kill { sup.kill("p").await } else { sup.stop("p").await }.expect("it is there");
                assert_eq!((exit.pid, exit.cause), (pid, ExitCause::Shutdown));
                assert!(!system::is_alive(pid));
                let seen = until(&mut events, "its end", |event| matches!(event, Event::Ended { .. })).await;
                assert_eq!(shorts(&seen), ["exited p: stopped as asked", "ended p"]);
                assert_eq!(probe.pid().await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
                assert!(sup.children().await.is_empty());
            }
        }
        assert_eq!(sup.stop("p").await, Err(Unknown));
        assert_eq!(sup.kill("p").await, Err(Unknown));
        assert_eq!(sup.restart("p").await, Err(Unknown));
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_name_is_free_again_after_its_child_has_ended() {
    alone(|| async {
        let sup = lenient().start().await?;
        sup.spawn::<Probe>("p", Plan::named("one")).await?;
        let taken = sup.spawn::<Probe>("p", Plan::named("two")).await;
        assert!(matches!(taken, Err(StartError::NameTaken(name)) if name == "p"));
        sup.stop("p").await.expect("it is there");
        let again = sup.spawn::<Probe>("p", Plan::named("two")).await?;
        assert_eq!(again.note().await?, "two");
        sup.shutdown().await?;
        Ok(())
    });
}

// How often.

#[test]
fn a_child_that_always_fails_is_started_once_more_than_is_allowed_then_the_supervisor_gives_up() {
    alone(|| async {
        let place = Place::new();
        let log = place.file("log");
        let sup = quiet().intensity(3, Duration::from_secs(60)).backoff(Backoff::none()).start().await?;
        let mut events = sup.events();
        let mut others = Vec::new();
        for name in ["a", "b"] {
            others.push(sup.spawn::<Probe>(name, Plan::default().log(log.clone())).await?);
        }
        let bad = sup.spawn::<Probe>("bad", Plan::default().log(place.file("bad"))).await?;
        // Each incarnation is killed as soon as it is ready.
        let killer = async {
            loop {
                match events.next().await.expect("this listener keeps up") {
                    Event::Started { child, pid, .. } if child == "bad" => system::kill(pid),
                    Event::Escalated { child, restarts, within } => return (child, restarts, within),
                    _ => {}
                }
            }
        };
        let escalated = soon("it gives up", killer).await;
        assert_eq!(escalated, ("bad".to_owned(), 3, Duration::from_secs(60)));
        let want = Escalated { child: "bad".to_owned(), restarts: 3, within: Duration::from_secs(60) };
        assert_eq!(soon("wait ends", sup.wait()).await, Err(want.clone()));
        assert_eq!(sup.shutdown().await, Err(want));
        assert_eq!(place.lines("bad").iter().filter(|line| *line == "start bad").count(), 4);
        assert_eq!(place.lines("log")[4..], ["stop b", "stop a"], "in order, in reverse");
        for probe in others.iter().chain([&bad]) {
            assert_eq!(probe.pid().await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
        }
        let after = until(&mut events, "the end of the first child", |event| short(event) == "ended a").await;
        let escalations = after.iter().filter(|event| matches!(event, Event::Escalated { .. })).count();
        assert_eq!(escalations, 0, "one was enough");
        assert!(matches!(sup.spawn::<Probe>("late", Plan::default()).await, Err(StartError::SupervisorEnded)));
        Ok(())
    });
}

#[test]
fn the_end_that_was_one_too_many_is_told_before_the_escalation() {
    alone(|| async {
        let sup = quiet().intensity(0, Duration::from_secs(60)).start().await?;
        let mut events = sup.events();
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        system::kill(probe.pid().await?);
        let mut seen = until(&mut events, "escalation", |event| matches!(event, Event::Escalated { .. })).await;
        assert_eq!(seen.iter().filter(|event| matches!(event, Event::Exited { .. })).count(), 1, "{seen:?}");
        seen.retain(|event| matches!(event, Event::Exited { .. } | Event::Escalated { .. }));
        assert_eq!(shorts(&seen), ["exited p: was killed by SIGKILL (9)", "escalated p 0"]);
        assert!(sup.wait().await.is_err());
        Ok(())
    });
}

#[test]
fn a_child_that_waits_at_the_orderly_end_is_stopped_at_an_escalation() {
    alone(|| async {
        let sup = quiet().intensity(0, Duration::from_secs(60)).start().await?;
        let waiting = ChildSpec::<Probe>::new("waits", Plan::default()).at_end(AtEnd::Wait);
        sup.start_child(waiting).await?;
        let bad = sup.spawn::<Probe>("bad", Plan::default()).await?;
        bad.end(How::Panic).await?;
        assert!(soon("it gives up and waits for nobody", sup.wait()).await.is_err());
        Ok(())
    });
}

#[test]
fn failed_starts_count_against_the_intensity() {
    alone(|| async {
        let place = Place::new();
        let (log, flag) = (place.file("log"), place.file("crash"));
        let sup = quiet().intensity(2, Duration::from_secs(60)).backoff(Backoff::none()).start().await?;
        let plan = Plan::init(Init::CrashIf(flag.clone())).log(log);
        let probe = sup.spawn::<Probe>("p", plan).await?;
        let mut events = sup.events();
        touch(&flag);
        system::kill(probe.pid().await?);
        let seen = until(&mut events, "escalation", |event| matches!(event, Event::Escalated { .. })).await;
        let failed = seen.iter().filter(|event| matches!(event, Event::StartFailed { .. })).count();
        assert_eq!(failed, 2);
        assert!(sup.wait().await.is_err());
        assert_eq!(place.lines("log").iter().filter(|line| *line == "start p").count(), 3);
        Ok(())
    });
}

#[test]
fn waits_between_restarts_grow_and_the_first_is_none() {
    alone(|| async {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(60)).jitter(0.0);
        let sup = quiet().intensity(6, Duration::from_secs(60)).backoff(backoff).start().await?;
        let mut events = sup.events();
        sup.spawn::<Probe>("p", Plan::default()).await?;
        let mut delays = Vec::new();
        let follow = async {
            loop {
                match events.next().await.expect("this listener keeps up") {
                    Event::Started { pid, .. } => system::kill(pid),
                    Event::Restarting { attempt, delay, .. } => delays.push((attempt, delay.as_millis())),
                    Event::Escalated { .. } => return,
                    _ => {}
                }
            }
        };
        soon("escalation", follow).await;
        assert_eq!(delays, [(1, 0), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60)]);
        assert!(sup.wait().await.is_err());
        Ok(())
    });
}

#[test]
fn a_child_that_keeps_failing_to_restart_never_stops_the_supervisor_from_answering() {
    alone(|| async {
        let place = Place::new();
        let flag = place.file("crash");
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        let sup = quiet().intensity(1_000_000, Duration::from_secs(1)).backoff(backoff).start().await?;
        let bad = sup.spawn::<Probe>("bad", Plan::init(Init::CrashIf(flag.clone()))).await?;
        let good = sup.spawn::<Probe>("good", Plan::default()).await?;
        let mut events = sup.events();
        touch(&flag);
        system::kill(bad.pid().await?);
        let mut failures = 0;
        until(&mut events, "many failures", |event| {
            failures += u32::from(matches!(event, Event::StartFailed { .. }));
            failures == 10
        })
        .await;
        for _ in 0..20 {
            let children = soon("children() answers", sup.children()).await;
            let names: Vec<_> = children.iter().map(|child| child.name.as_str()).collect();
            assert_eq!(names, ["bad", "good"]);
            assert_ne!(children[0].state, ChildState::Running);
            assert!(children[0].restarts >= 10 && children[0].pid.is_none());
            assert_eq!(children[1].state, ChildState::Running);
        }
        good.pid().await?;
        let other = soon("others start", sup.spawn::<Probe>("other", Plan::default())).await?;
        other.pid().await?;
        soon("stop() answers", sup.stop("other")).await.expect("it is there");
        soon("stop() ends the loop itself", sup.stop("bad")).await.expect("it is there");
        assert_eq!(sup.children().await.len(), 1);
        soon("shutdown() ends", sup.shutdown()).await?;
        Ok(())
    });
}

#[test]
fn shutdown_ends_a_supervisor_whose_child_keeps_failing_to_restart() {
    alone(|| async {
        let place = Place::new();
        let flag = place.file("crash");
        let sup = lenient().intensity(1_000_000, Duration::from_secs(1)).start().await?;
        let bad = sup.spawn::<Probe>("bad", Plan::init(Init::CrashIf(flag.clone()))).await?;
        let mut events = sup.events();
        touch(&flag);
        system::kill(bad.pid().await?);
        until(&mut events, "a failure", |event| matches!(event, Event::StartFailed { .. })).await;
        soon("shutdown() ends", sup.shutdown()).await?;
        Ok(())
    });
}

#[test]
fn a_crash_loop_leaves_the_processor_to_others() {
    alone(|| async {
        let place = Place::new();
        let flag = place.file("crash");
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(50)).jitter(0.0);
        let sup = quiet().intensity(20, Duration::from_secs(60)).backoff(backoff).start().await?;
        let bad = sup.spawn::<Probe>("bad", Plan::init(Init::CrashIf(flag.clone()))).await?;
        touch(&flag);
        let (began, spent) = (Instant::now(), system::processor_time());
        system::kill(bad.pid().await?);
        assert!(soon("it gives up", sup.wait()).await.is_err());
        let (lasted, spent) = (began.elapsed(), system::processor_time() - spent);
        let share = spent.as_secs_f64() / lasted.as_secs_f64();
        println!("a crash loop of 20 restarts: {spent:?} of a processor in {lasted:?}, {:.1} %", share * 100.0);
        assert!(share < 0.5, "{share}");
        Ok(())
    });
}

// In which order.

#[test]
fn children_start_one_after_another_and_stop_in_reverse() {
    alone(|| async {
        let place = Place::new();
        let log = place.file("log");
        let go_on = place.file("go on");
        let spec = |name: &str, init| ChildSpec::<Probe>::new(name, Plan::init(init).log(log.clone()));
        let builder = quiet()
            .child(spec("a", Init::Ready))
            .child(spec("b", Init::WaitFor(go_on.clone())))
            .child(spec("c", Init::Ready));
        let starting = tokio::spawn(builder.start());
        eventually("the second one starts", || place.lines("log").len() == 3).await;
        assert_eq!(place.lines("log"), ["start a", "ready a", "start b"], "the third waits for the second");
        touch(&go_on);
        let sup = starting.await??;
        assert_eq!(place.lines("log")[3..], ["ready b", "start c", "ready c"]);
        let names: Vec<_> = sup.children().await.into_iter().map(|child| child.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        sup.shutdown().await?;
        assert_eq!(place.lines("log")[6..], ["stop c", "stop b", "stop a"]);
        Ok(())
    });
}

#[test]
fn a_start_that_fails_stops_those_before_it_in_reverse_and_is_the_builders_error() {
    for init in [Init::Fail, Init::Panic, Init::Exit(7)] {
        alone(|| async {
            let place = Place::new();
            let log = place.file("log");
            let spec = |name: &str, init| ChildSpec::<Probe>::new(name, Plan::init(init).log(log.clone()));
            let started = quiet()
                .child(spec("a", Init::Ready))
                .child(spec("b", Init::Ready))
                .child(spec("bad", init.clone()))
                .child(spec("never", Init::Ready))
                .start()
                .await;
            let error = started.expect_err("it fails");
            match (&init, &error) {
                (Init::Fail, StartError::Init { child, .. })
                | (Init::Panic, StartError::Panicked { child, .. })
                | (Init::Exit(_), StartError::Exited { child, .. }) => assert_eq!(child, "bad"),
                _ => panic!("{error:?}"),
            }
            let want = ["start a", "ready a", "start b", "ready b", "start bad", "stop b", "stop a"];
            assert_eq!(place.lines("log"), want);
            assert_eq!(system::family(), [], "when the builder answers nobody is left");
            Ok(())
        });
    }
}

#[test]
fn a_builder_that_is_dropped_in_its_start_leaves_nobody() {
    alone(|| async {
        let place = Place::new();
        let log = place.file("log");
        let builder =
            quiet()
                .child(ChildSpec::<Probe>::new("a", Plan::default().log(log.clone())))
                .child(ChildSpec::<Probe>::new("b", Plan::init(Init::WaitFor(place.file("never"))).log(log.clone())));
        let starting = tokio::spawn(builder.start());
        eventually("the second one starts", || place.lines("log").len() == 3).await;
        starting.abort();
        eventually("nobody is left", || system::family().is_empty()).await;
        Ok(())
    });
}

// What is told.

#[test]
fn children_tells_states_and_counts() {
    alone(|| async {
        let place = Place::new();
        let sup = lenient().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let pid = probe.pid().await?;
        let info = |children: Vec<procession::ChildInfo>| children.into_iter().next().expect("one child");
        let running = info(sup.children().await);
        assert_eq!((running.name.as_str(), running.pid, running.incarnation), ("p", Some(pid), 1));
        assert_eq!((running.state, running.restarts, running.last_exit), (ChildState::Running, 0, None));
        assert_eq!(running.restart, Restart::Permanent);
        assert!(running.actor.ends_with("Probe"), "{}", running.actor);
        assert_eq!((running.queued, running.in_hand), (0, 0));

        // One that runs, one that is ready in the worker, the others in the mailbox.
        let (began, go_on) = (place.file("began"), place.file("go on"));
        let work = tokio::spawn(probe.work(began.clone(), go_on.clone()));
        eventually("it works", || began.exists()).await;
        let counts: Vec<_> = (0..5).map(|_| tokio::spawn(probe.count())).collect();
        let mut busy = info(sup.children().await);
        while busy.queued + busy.in_hand < 6 {
            tokio::task::yield_now().await;
            busy = info(sup.children().await);
        }
        assert_eq!(busy.queued + busy.in_hand, 6);
        assert!(busy.in_hand >= 1, "{busy:?}");
        touch(&go_on);
        assert_eq!(work.await??, "worked");
        for count in counts {
            count.await??;
        }

        let mut events = sup.events();
        system::kill(pid);
        until(&mut events, "it is back", |event| matches!(event, Event::Started { .. })).await;
        let again = info(sup.children().await);
        assert_eq!((again.incarnation, again.restarts, again.state), (2, 1, ChildState::Running));
        assert!(again.last_exit.is_some_and(|exit| exit.pid == pid && killed_by("SIGKILL")(&exit.cause)));

        let slow = place.file("slow");
        let spec = ChildSpec::<Probe>::new("slow", Plan::init(Init::WaitFor(slow.clone())));
        let starting = tokio::spawn({
            let sup = sup.clone();
            async move { sup.start_child(spec).await }
        });
        while sup.children().await.len() < 2 {
            tokio::task::yield_now().await;
        }
        let two = sup.children().await;
        assert_eq!((two[1].state, two[1].pid), (ChildState::Starting, None));
        touch(&slow);
        starting.await??;
        sup.shutdown().await?;
        assert!(sup.children().await.is_empty());
        Ok(())
    });
}

#[test]
fn a_child_that_is_being_stopped_and_one_that_waits_for_its_restart_say_so() {
    alone(|| async {
        let place = Place::new();
        let backoff = Backoff::new(Duration::from_secs(3600), Duration::from_secs(3600)).jitter(0.0);
        let sup = quiet().intensity(9, Duration::from_secs(60)).backoff(backoff).start().await?;
        let one = sup.spawn::<Probe>("one", Plan::default()).await?;
        let two = sup.spawn::<Probe>("two", Plan::default()).await?;
        let mut events = sup.events();
        // The first restart is at once, the second in an hour.
        for _ in 0..2 {
            system::kill(two.pid().await?);
            until(&mut events, "it ended", |event| matches!(event, Event::Restarting { .. })).await;
        }
        let (began, go_on) = (place.file("began"), place.file("go on"));
        let work = tokio::spawn(one.work(began.clone(), go_on.clone()));
        eventually("it works", || began.exists()).await;
        let stopping = tokio::spawn({
            let sup = sup.clone();
            async move { sup.stop("one").await }
        });
        let state = async || sup.children().await.iter().map(|child| child.state).collect::<Vec<_>>();
        while state().await[0] == ChildState::Running {
            tokio::task::yield_now().await;
        }
        assert_eq!(state().await, [ChildState::Stopping, ChildState::Restarting]);
        touch(&go_on);
        assert_eq!(work.await??, "worked");
        assert_eq!(stopping.await?.expect("it is there").cause, ExitCause::Shutdown);

        soon("a restart on request does not wait", sup.restart("two")).await.expect("it is there");
        assert_eq!(state().await, [ChildState::Running]);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn restart_on_request_is_a_new_process_that_does_not_count_as_a_failure() {
    alone(|| async {
        let sup = quiet().intensity(0, Duration::from_secs(60)).start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        for incarnation in 2..5 {
            let pid = probe.pid().await?;
            let mut events = sup.events();
            sup.restart("p").await.expect("it is there");
            assert!(!system::is_alive(pid));
            assert_ne!(probe.pid().await?, pid);
            let seen = until(&mut events, "it is back", |event| matches!(event, Event::Started { .. })).await;
            assert_eq!(shorts(&seen), ["exited p: stopped as asked".to_owned(), format!("started p {incarnation}")]);
        }
        let child = sup.children().await.remove(0);
        assert_eq!((child.incarnation, child.restarts), (4, 0));
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_restart_builds_from_the_init_arguments_and_never_from_the_state() {
    alone(|| async {
        let sup = lenient().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::named("as it was told")).await?;
        for _ in 0..3 {
            assert_eq!(probe.count().await?, 1);
            assert_eq!(probe.count().await?, 2);
            let mut events = sup.events();
            system::kill(probe.pid().await?);
            until(&mut events, "it is back", |event| matches!(event, Event::Started { .. })).await;
            assert_eq!(probe.note().await?, "as it was told");
        }
        assert_eq!(probe.count().await?, 1);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn the_events_of_a_life_are_complete_and_in_order() {
    alone(|| async {
        let sup = lenient().start().await?;
        let mut events = sup.events();
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        probe.end(How::Panic).await?;
        let mut seen = until(&mut events, "it is back", |event| short(event) == "started p 2").await;
        assert!(sup.spawn::<Probe>("bad", Plan::init(Init::Fail)).await.is_err());
        probe.fail().await?;
        probe.pid().await?;
        sup.shutdown().await?;
        seen.extend(until(&mut events, "the end", |event| short(event) == "ended p").await);
        let failed = |event: &Event| matches!(event, Event::CastFailed { method, error, .. } if method == "fail" && error == "told to fail");
        assert_eq!(seen.iter().filter(|event| failed(event)).count(), 1, "{seen:#?}");
        let rest: Vec<_> = seen.iter().filter(|event| !failed(event)).map(short).collect();
        let want = [
            "started p 1",
            "exited p: panicked: Probe::end panicked: told to panic",
            "restarting p 1",
            "started p 2",
            "start failed bad",
            "ended bad",
            "exited p: stopped as asked",
            "ended p",
        ];
        assert_eq!(rest, want);
        Ok(())
    });
}

#[test]
fn a_listener_that_is_too_slow_hears_how_much_it_missed_and_goes_on() {
    alone(|| async {
        let sup = lenient().start().await?;
        let mut slow = sup.events();
        let mut quick = sup.events();
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let counting = tokio::spawn(async move {
            let mut failures = 0;
            while failures < 6000 {
                failures += u32::from(matches!(quick.next().await, Ok(Event::CastFailed { .. })));
            }
            failures
        });
        for _ in 0..6000 {
            probe.fail().await?;
        }
        assert_eq!(soon("a quick listener hears all", counting).await?, 6000);
        let Err(Lagged { missed }) = slow.next().await else { panic!("it was too slow") };
        assert!((1000..6000).contains(&missed), "{missed}");
        assert!(matches!(slow.next().await, Ok(Event::CastFailed { .. })));
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn exit_reports_tell_name_process_end_and_duration() {
    alone(|| async {
        let sup = lenient().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let first = probe.pid().await?;
        probe.end(How::Code(9)).await?;
        let second = probe.pid().await;
        // The call may have been queued behind the cast, and died with it.
        let second = match second {
            Ok(pid) => pid,
            Err(_) => probe.pid().await?,
        };
        sup.shutdown().await?;
        let reports: Vec<ExitReport> = sup.exit_reports();
        let told: Vec<_> = reports.iter().map(|report| (report.child.as_str(), report.exit.pid)).collect();
        assert_eq!(told, [("p", first), ("p", second)]);
        assert_eq!(reports[0].exit.cause, ExitCause::Code(9));
        assert_eq!(reports[1].exit.cause, ExitCause::Shutdown);
        assert!(reports.iter().all(|report| report.lived > Duration::ZERO));
        Ok(())
    });
}

// The supervisor's own end.

#[test]
fn dropping_the_last_handle_kills_without_blocking() {
    alone(|| async {
        let place = Place::new();
        let sup = lenient().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default().log(place.file("log"))).await?;
        let busy = sup.spawn::<Probe>("busy", Plan::default()).await?;
        let began = place.file("began");
        let computing = tokio::spawn(busy.compute(began.clone()));
        eventually("it computes", || began.exists()).await;
        let clone = sup.clone();
        drop(sup);
        probe.pid().await?;
        let before = Instant::now();
        drop(clone);
        assert!(before.elapsed() < Duration::from_millis(500), "{:?}", before.elapsed());
        eventually("nobody is left", || system::family().is_empty()).await;
        assert!(soon("the call ends", computing).await?.is_err());
        assert_eq!(probe.pid().await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
        assert_eq!(place.lines("log"), ["start p", "ready p"], "killed, not asked");
        Ok(())
    });
}

fn the_runtime_ends(builder: &mut tokio::runtime::Builder) {
    alone_blocking(|| {
        let (sup, probe, pids) = on_a_runtime_that_ends(builder);
        on(tokio::runtime::Builder::new_multi_thread().worker_threads(2), async {
            eventually("they die", || pids.iter().all(|pid| !system::is_alive(*pid))).await;
            eventually("nobody is left", || system::family().is_empty()).await;
            // Whoever holds on to what was there hangs on nothing.
            assert_eq!(soon("a call ends", probe.pid()).await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
            soon("children() answers", sup.children()).await;
            assert_eq!(soon("stop() answers", sup.stop("p")).await, Err(Unknown));
            assert!(soon("spawn() answers", sup.spawn::<Probe>("q", Plan::default())).await.is_err());
            soon("shutdown() ends", sup.shutdown()).await?;
            Ok(())
        });
    });
}

/// A supervisor, an idle child of it and the pids of that and of one that computes. A third was about to start.
fn on_a_runtime_that_ends(builder: &mut tokio::runtime::Builder) -> (Supervisor, Address<Probe>, [u32; 2]) {
    let place = Place::new();
    let began = place.file("began");
    let runtime = builder.enable_all().build().expect("a runtime");
    let (sup, probe, pids) = runtime.block_on(async {
        let sup = lenient().start().await.expect("it starts");
        let probe = sup.spawn::<Probe>("p", Plan::default()).await.expect("it starts");
        let busy = sup.spawn::<Probe>("busy", Plan::default()).await.expect("it starts");
        let pids = [probe.pid().await.expect("it lives"), busy.pid().await.expect("it lives")];
        tokio::spawn(busy.compute(began.clone()));
        eventually("it computes", || began.exists()).await;
        let slow = place.file("never");
        let starting = sup.clone();
        tokio::spawn(async move { starting.spawn::<Probe>("slow", Plan::init(Init::WaitFor(slow))).await });
        while sup.children().await.len() < 3 {
            tokio::task::yield_now().await;
        }
        (sup, probe, pids)
    });
    drop(runtime);
    (sup, probe, pids)
}

#[test]
fn the_end_of_a_runtime_kills_the_workers_of_its_supervisors() {
    the_runtime_ends(tokio::runtime::Builder::new_multi_thread().worker_threads(2));
}

#[test]
fn the_end_of_a_runtime_of_one_thread_kills_the_workers_of_its_supervisors() {
    the_runtime_ends(&mut tokio::runtime::Builder::new_current_thread());
}

#[test]
fn a_supervisor_lives_on_a_runtime_of_one_thread() {
    alone_on(&mut tokio::runtime::Builder::new_current_thread(), || async {
        let sup = lenient().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let pid = probe.pid().await?;
        let mut events = sup.events();
        system::kill(pid);
        until(&mut events, "it is back", |event| matches!(event, Event::Started { .. })).await;
        assert_ne!(probe.pid().await?, pid);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_worker_survives_the_thread_and_the_task_that_asked_for_it() {
    alone(|| async {
        let sup = lenient().start().await?;
        let (handle, asked) = (tokio::runtime::Handle::current(), sup.clone());
        let thread = std::thread::spawn(move || handle.block_on(asked.spawn::<Probe>("by a thread", Plan::default())));
        let of_thread = tokio::task::spawn_blocking(|| thread.join()).await?.expect("it does not panic")?;
        let asked = sup.clone();
        let of_task = tokio::spawn(async move { asked.spawn::<Probe>("by a task", Plan::default()).await }).await??;
        // A thread with a runtime of its own, both gone when it answers.
        let asked = sup.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(asked.spawn::<Probe>("by a runtime", Plan::default()))
        });
        let of_runtime = tokio::task::spawn_blocking(|| thread.join()).await?.expect("it does not panic")?;
        let mut pids = Vec::new();
        for probe in [of_thread, of_task, of_runtime] {
            pids.push(probe.pid().await?);
        }
        for _ in 0..20 {
            let spawned = std::thread::spawn(|| {});
            spawned.join().expect("it does not panic");
        }
        let children = sup.children().await;
        assert_eq!(children.iter().map(|child| child.pid.unwrap_or(0)).collect::<Vec<_>>(), pids);
        assert!(children.iter().all(|child| child.incarnation == 1));
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn two_supervisors_of_one_process_know_nothing_of_each_other() {
    alone(|| async {
        let (one, two) = (lenient().start().await?, lenient().start().await?);
        let mut events = two.events();
        let first = one.spawn::<Probe>("p", Plan::named("one")).await?;
        let second = two.spawn::<Probe>("p", Plan::named("two")).await?;
        assert_eq!((first.note().await?, second.note().await?), ("one".to_owned(), "two".to_owned()));
        system::kill(first.pid().await?);
        first.pid().await.ok();
        one.shutdown().await?;
        assert_eq!(first.note().await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
        assert_eq!(second.note().await?, "two");
        two.shutdown().await?;
        let seen = until(&mut events, "the end", |event| matches!(event, Event::Ended { .. })).await;
        assert_eq!(shorts(&seen), ["started p 1", "exited p: stopped as asked", "ended p"]);
        Ok(())
    });
}

#[test]
fn a_supervisor_in_a_worker_dies_with_it_at_kill_nine() {
    alone(|| async {
        let sup = lenient().start().await?;
        let spec = ChildSpec::<Probe>::new("p", Plan::default()).restart(Restart::Temporary);
        let probe = sup.start_child(spec).await?;
        let nested = probe.nest(3).await?;
        assert!(nested.iter().all(|pid| system::is_alive(*pid)));
        system::kill(probe.pid().await?);
        eventually("they die with it", || !nested.iter().any(|pid| system::is_alive(*pid))).await;
        eventually("nobody is left", || system::family().is_empty()).await;
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_supervisor_in_a_worker_ends_with_it_at_an_orderly_stop() {
    alone(|| async {
        let place = Place::new();
        let sup = lenient().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default().log(place.file("log"))).await?;
        let nested = probe.nest(3).await?;
        sup.stop("p").await.expect("it is there");
        eventually("they end with it", || !nested.iter().any(|pid| system::is_alive(*pid))).await;
        let want = ["stop p", "stop nested 2", "stop nested 1", "stop nested 0"];
        assert_eq!(place.lines("log")[8..], want, "in order");
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_supervisor_in_a_worker_can_be_ended_by_the_stop_hook() {
    alone(|| async {
        let place = Place::new();
        let sup = lenient().start().await?;
        let plan = Plan { stop: AtStop::EndNested, ..Plan::default() }.log(place.file("log"));
        let probe = sup.spawn::<Probe>("p", plan).await?;
        let nested = probe.nest(2).await?;
        sup.stop("p").await.expect("it is there");
        assert!(!nested.iter().any(|pid| system::is_alive(*pid)));
        assert_eq!(place.lines("log")[6..], ["stop p", "stop nested 1", "stop nested 0"]);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn at_the_end_one_is_stopped_and_the_other_is_waited_for() {
    alone(|| async {
        let place = Place::new();
        let log = place.file("log");
        let sup = lenient().start().await?;
        let spec = |name: &str| ChildSpec::<Probe>::new(name, Plan::default().log(log.clone()));
        sup.start_child(spec("stopped")).await?;
        let waited = sup.start_child(spec("waited").at_end(AtEnd::Wait).restart(Restart::Transient)).await?;
        let (began, go_on) = (place.file("began"), place.file("go on"));
        let work = tokio::spawn(waited.work(began.clone(), go_on.clone()));
        eventually("it works", || began.exists()).await;
        let ending = tokio::spawn({
            let sup = sup.clone();
            async move { sup.shutdown().await }
        });
        // It stays alive and open for messages for as long as it likes.
        let queued = tokio::spawn(waited.count());
        touch(&go_on);
        assert_eq!(work.await??, "worked");
        assert_eq!(queued.await??, 1);
        assert!(!ending.is_finished());
        waited.end(How::Normal).await?;
        soon("the end", ending).await??;
        let stops: Vec<_> = place.lines("log").split_off(4);
        assert_eq!(stops, ["stop waited", "stop stopped"]);
        let causes: Vec<_> = sup.exit_reports().into_iter().map(|report| report.exit.cause).collect();
        assert_eq!(causes, [ExitCause::Normal, ExitCause::Shutdown]);
        Ok(())
    });
}

#[test]
fn the_exit_hook_runs_once_after_the_last_child_was_reaped() {
    alone(|| async {
        let calls = Arc::new(AtomicUsize::new(0));
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = {
            let (calls, told) = (calls.clone(), told.clone());
            move |reports: &[ExitReport]| {
                calls.fetch_add(1, Ordering::SeqCst);
                let names: Vec<_> = reports.iter().map(|report| report.child.clone()).collect();
                *told.lock().expect("no panic") = vec![(names, system::family().len())];
            }
        };
        let sup = lenient().on_exit(hook).start().await?;
        for name in ["a", "b"] {
            sup.spawn::<Probe>(name, Plan::default()).await?;
        }
        sup.shutdown().await?;
        // Whoever has awaited the end may rely on the hook.
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        sup.shutdown().await?;
        drop(sup);
        let told = told.lock().expect("no panic").clone();
        assert_eq!(told, [(vec!["b".to_owned(), "a".to_owned()], 0)]);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        Ok(())
    });
}

#[test]
fn an_exit_hook_that_panics_does_not_keep_the_supervisor_from_ending() {
    alone(|| async {
        let sup = lenient().on_exit(|_| panic!("told to panic")).start().await?;
        sup.spawn::<Probe>("p", Plan::default()).await?;
        soon("the end", sup.shutdown()).await?;
        Ok(())
    });
}

#[test]
fn join_says_that_it_still_runs_or_how_it_ended() {
    alone(|| async {
        let sup = lenient().start().await?;
        let spec = ChildSpec::<Probe>::new("p", Plan::default()).restart(Restart::Temporary);
        let probe = sup.start_child(spec).await?;
        let pid = probe.pid().await?;
        let short = Duration::from_millis(20);
        assert_eq!(sup.join(&probe, short).await, Err(JoinError::StillRunning { waited: short }));
        let joining = tokio::spawn({
            let sup = sup.clone();
            async move { sup.join(&probe, life::PATIENCE).await }
        });
        probe.end(How::Code(5)).await?;
        let exit = joining.await??;
        assert_eq!((exit.pid, &exit.cause), (pid, &ExitCause::Code(5)));
        // It is known afterwards too.
        assert_eq!(sup.join(&probe, short).await, Ok(exit));
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn join_goes_on_over_a_restart() {
    alone(|| async {
        let sup = lenient().start().await?;
        let spec = ChildSpec::<Probe>::new("p", Plan::default()).restart(Restart::Transient);
        let probe = sup.start_child(spec).await?;
        let mut joining = tokio::spawn({
            let sup = sup.clone();
            async move { sup.join(&probe, life::PATIENCE).await }
        });
        let mut events = sup.events();
        system::kill(probe.pid().await?);
        until(&mut events, "it is back", |event| matches!(event, Event::Started { .. })).await;
        let joined = tokio::time::timeout(Duration::from_millis(20), &mut joining).await;
        assert!(joined.is_err(), "it has not ended for good");
        probe.end(How::Normal).await?;
        assert_eq!(soon("it ends for good", joining).await??.cause, ExitCause::Normal);
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn from_death_to_event_and_to_the_replacement() {
    alone(|| async {
        let sup = lenient().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let (mut told, mut back) = (Vec::new(), Vec::new());
        for _ in 0..50 {
            let pid = probe.pid().await?;
            let mut events = sup.events();
            let before = Instant::now();
            system::kill(pid);
            until(&mut events, "its end", |event| matches!(event, Event::Exited { .. })).await;
            told.push(before.elapsed());
            until(&mut events, "it is back", |event| matches!(event, Event::Started { .. })).await;
            back.push(before.elapsed());
        }
        for (what, times) in [("event", &mut told), ("replacement ready", &mut back)] {
            times.sort();
            println!("death to {what}: p50 {:?}, p99 {:?}", times[24], times[49]);
            assert!(times[24] < Duration::from_secs(1), "{what}: {times:?}");
        }
        sup.shutdown().await?;
        Ok(())
    });
}
