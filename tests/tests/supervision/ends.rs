//! A supervisor's own end, and what else must survive or end with whom.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Event, ExitCause, ExitReport, JoinError, NotDelivered, Unknown};

use crate::lenient;
use crate::life::probe::{AtStop, How, Init, Plan, Probe, ProbeApi};
use crate::life::system::{self, Process, is_any_alive, living};
use crate::life::{Place, alone, alone_blocking, alone_on, eventually, on, shorts, soon, touch, until};

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
        let (sup, probe, workers) = on_a_runtime_that_ends(builder);
        on(tokio::runtime::Builder::new_multi_thread().worker_threads(2), async {
            eventually("they die", || !is_any_alive(&workers)).await;
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

/// A supervisor, an idle child of it, and the processes of that and of one that computes. A third was about to start.
fn on_a_runtime_that_ends(builder: &mut tokio::runtime::Builder) -> (Supervisor, Address<Probe>, [Process; 2]) {
    let place = Place::new();
    let began = place.file("began");
    let runtime = builder.enable_all().build().expect("a runtime");
    let (sup, probe, workers) = runtime.block_on(async {
        let sup = lenient().start().await.expect("it starts");
        let probe = sup.spawn::<Probe>("p", Plan::default()).await.expect("it starts");
        let busy = sup.spawn::<Probe>("busy", Plan::default()).await.expect("it starts");
        let workers = [probe.pid().await.expect("it lives"), busy.pid().await.expect("it lives")].map(living);
        tokio::spawn(busy.compute(began.clone()));
        eventually("it computes", || began.exists()).await;
        let slow = place.file("never");
        let starting = sup.clone();
        tokio::spawn(async move { starting.spawn::<Probe>("slow", Plan::init(Init::WaitFor(slow))).await });
        while sup.children().await.len() < 3 {
            tokio::task::yield_now().await;
        }
        (sup, probe, workers)
    });
    drop(runtime);
    (sup, probe, workers)
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
fn a_call_that_was_running_when_the_runtime_ended_may_have_been_executed() {
    alone_blocking(|| {
        let place = Place::new();
        let began = place.file("began");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let busy = runtime.block_on(async {
            let sup = lenient().start().await.expect("it starts");
            let busy = sup.spawn::<Probe>("busy", Plan::default()).await.expect("it starts");
            // Held for as long as the runtime lives.
            tokio::spawn(async move {
                let _sup = sup;
                std::future::pending::<()>().await;
            });
            busy
        });
        on(&mut tokio::runtime::Builder::new_current_thread(), async {
            let call = tokio::spawn(busy.compute(began.clone()));
            eventually("it computes", || began.exists()).await;
            let ended = tokio::task::spawn_blocking(|| drop(runtime));
            let error = soon("the call ends", call).await?.expect_err("nobody answers");
            assert!(matches!(&error, CallError::Died { executed: Executed::Maybe, .. }), "{error:?}");
            ended.await?;
            eventually("nobody is left", || system::family().is_empty()).await;
            Ok(())
        });
    });
}

#[test]
fn a_supervisor_lives_on_a_runtime_of_one_thread() {
    alone_on(&mut tokio::runtime::Builder::new_current_thread(), || async {
        let sup = lenient().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        let before = living(probe.pid().await?);
        let mut events = sup.events();
        before.kill();
        until(&mut events, "it is back", |event| matches!(event, Event::Started { .. })).await;
        assert_ne!(probe.pid().await?, before.pid);
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
        let nested: Vec<_> = probe.nest(3).await?.into_iter().map(living).collect();
        system::kill(probe.pid().await?);
        eventually("they die with it", || !is_any_alive(&nested)).await;
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
        let nested: Vec<_> = probe.nest(3).await?.into_iter().map(living).collect();
        sup.stop("p").await.expect("it is there");
        eventually("they end with it", || !is_any_alive(&nested)).await;
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
        let nested: Vec<_> = probe.nest(2).await?.into_iter().map(living).collect();
        sup.stop("p").await.expect("it is there");
        assert!(!is_any_alive(&nested));
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
            async move { sup.join(&probe, crate::life::PATIENCE).await }
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
            async move { sup.join(&probe, crate::life::PATIENCE).await }
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
