//! In which order children start and stop.

use procession::StartError;
use procession::prelude::*;

use crate::life::probe::{Init, Plan, Probe};
use crate::life::{Place, alone, eventually, quiet, system, touch};

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
            let left = system::family();
            assert!(left.is_empty(), "when the builder answers nobody is left: {left:?}");
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
