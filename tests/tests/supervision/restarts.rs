//! Who is restarted, after which end.

use procession::prelude::*;
use procession::{Event, ExitCause, NotDelivered, StartError, Unknown};

use crate::lenient;
use crate::life::probe::{How, Plan, Probe, ProbeApi};
use crate::life::system::{self, Death, living};
use crate::life::{alone, shorts, until};

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
        let worker = living(probe.pid().await?);
        let pid = worker.pid;
        let mut events = sup.events();
        match end {
            End::Told(how) => probe.end(how).await?,
            End::KillNine => worker.kill(),
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

fn died_by(death: Death) -> impl Fn(&ExitCause) -> bool {
    move |cause| system::is_death_by(death, cause)
}

ends! {
    permanent_is_restarted_after_a_normal_end: Permanent, End::Told(How::Normal), normal => Restarted;
    permanent_is_restarted_after_a_panic: Permanent, End::Told(How::Panic), panicked => Restarted;
    permanent_is_restarted_after_an_exit_code: Permanent, End::Told(How::Code(3)), code(3) => Restarted;
    permanent_is_restarted_after_exit_zero_without_a_word: Permanent, End::Told(How::Code(0)), code(0) => Restarted;
    permanent_is_restarted_after_an_abort: Permanent, End::Told(How::Abort), died_by(Death::Abort) => Restarted;
    permanent_is_restarted_after_kill_nine: Permanent, End::KillNine, died_by(Death::Kill) => Restarted;
    transient_stays_down_after_a_normal_end: Transient, End::Told(How::Normal), normal => Gone;
    transient_is_restarted_after_a_panic: Transient, End::Told(How::Panic), panicked => Restarted;
    transient_is_restarted_after_an_exit_code: Transient, End::Told(How::Code(3)), code(3) => Restarted;
    transient_is_restarted_after_exit_zero_without_a_word: Transient, End::Told(How::Code(0)), code(0) => Restarted;
    transient_is_restarted_after_kill_nine: Transient, End::KillNine, died_by(Death::Kill) => Restarted;
    temporary_stays_down_after_a_normal_end: Temporary, End::Told(How::Normal), normal => Gone;
    temporary_stays_down_after_a_panic: Temporary, End::Told(How::Panic), panicked => Gone;
    temporary_stays_down_after_an_exit_code: Temporary, End::Told(How::Code(3)), code(3) => Gone;
    temporary_stays_down_after_kill_nine: Temporary, End::KillNine, died_by(Death::Kill) => Gone;
}

#[test]
fn whoever_is_stopped_or_killed_through_the_supervisor_stays_down_whatever_its_type() {
    alone(|| async {
        let sup = lenient().start().await?;
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            for kill in [false, true] {
                let spec = ChildSpec::<Probe>::new("p", Plan::default()).restart(restart);
                let probe = sup.start_child(spec).await?;
                let worker = living(probe.pid().await?);
                let pid = worker.pid;
                let mut events = sup.events();
                let exit = if kill { sup.kill("p").await } else { sup.stop("p").await }.expect("it is there");
                assert_eq!((exit.pid, exit.cause), (pid, ExitCause::Shutdown));
                assert!(!worker.is_alive());
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
