//! How often, how soon, and what follows when it was too often.

use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Backoff, ChildState, Escalated, Event, NotDelivered, StartError};

use crate::lenient;
use crate::life::probe::{How, Init, Plan, Probe, ProbeApi};
use crate::life::{Place, alone, quiet, short, shorts, soon, system, touch, until};

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
        assert_eq!(shorts(&seen), [format!("exited p: {}", system::killed()), "escalated p 0".to_owned()]);
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
