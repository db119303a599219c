//! What a supervisor tells of its children, and does to one on request.

use std::time::Duration;

use procession::prelude::*;
use procession::{Backoff, ChildState, Event, ExitCause, ExitReport, Lagged};

use crate::lenient;
use crate::life::probe::{How, Init, Plan, Probe, ProbeApi};
use crate::life::system::{self, living};
use crate::life::{Place, alone, eventually, quiet, short, shorts, soon, touch, until};

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
        assert!(again.last_exit.is_some_and(|exit| exit.pid == pid && exit.cause == system::killed()));

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
            let before = living(probe.pid().await?);
            let mut events = sup.events();
            sup.restart("p").await.expect("it is there");
            assert!(!before.is_alive());
            assert_ne!(probe.pid().await?, before.pid);
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
