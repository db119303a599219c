//! How a program ends: by its own word, by a signal, by a second one, and with which exit code.

#[cfg(target_os = "linux")]
mod life;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::unix::process::CommandExt;
    use std::process::{ExitCode, Stdio, Termination};
    use std::time::{Duration, Instant};

    use procession::Failure;
    use procession::prelude::*;
    use rustix::process::Signal;

    use crate::life::probe::{Init, Plan, Probe, ProbeApi};
    use crate::life::programs::{self, Program, code, eventually, marked, told};
    use crate::life::{Place, alone_on, quiet, system, touch};

    pub(crate) fn main() -> ExitCode {
        programs::main(
            crate::tests![
                sigterm_lets_a_running_call_finish_then_exits_with_143,
                sigint_lets_a_running_call_finish_then_exits_with_130,
                sighup_lets_a_running_call_finish_then_exits_with_129,
                a_program_of_one_thread_drains_too,
                sigint_for_the_whole_group_reaches_no_worker,
                the_second_signal_kills_at_once,
                the_second_signal_may_be_another_one,
                the_second_signal_ends_a_main_that_computes,
                the_second_signal_ends_a_program_whose_standard_error_nobody_reads,
                a_main_that_does_not_heed_the_drain_is_ended_after_it,
                a_supervisor_is_stopped_in_its_start,
                no_supervisor_is_started_once_the_program_is_to_end,
                main_that_returns_ok_exits_with_0,
                main_that_returns_an_error_exits_with_1_and_says_it_in_words,
                a_main_that_panics_exits_with_101_and_leaves_nobody,
                a_main_that_exits_by_itself_keeps_its_code_and_leaves_nobody,
                children_left_at_the_return_of_main_are_stopped_in_reverse,
                children_of_a_supervisor_that_nobody_drops_are_stopped_too,
                a_child_to_be_waited_for_is_waited_for_at_the_return_of_main,
                the_last_lines_of_workers_are_printed_before_the_program_ends,
                a_signal_during_the_orderly_end_does_not_turn_a_failure_into_success,
                the_second_signal_during_the_orderly_end_kills,
                a_supervisor_that_main_drops_before_its_end_is_killed,
                a_worker_of_a_program_has_one_argument,
                a_test_without_the_entry_is_told_so,
            ],
            &[
                ("drain", || drain().report()),
                ("drain on one thread", || drain_on_one_thread().report()),
                ("stubborn", || stubborn().report()),
                ("complains", || complains().report()),
                ("computes", || computes().report()),
                ("starts slowly", || starts_slowly().report()),
                ("starts late", || starts_late().report()),
                ("heedless", || heedless().report()),
                ("succeeds", || succeeds().report()),
                ("fails", || fails().report()),
                ("panics", || panics().report()),
                ("exits", || exits().report()),
                ("leaves children", || leaves_children().report()),
                ("forgets children", || forgets_children().report()),
                ("leaves one to wait for", || leaves_one_to_wait_for().report()),
                ("last words", || last_words().report()),
                ("fails slowly", || fails_slowly().report()),
                ("drops early", || drops_early().report()),
            ],
        )
    }

    // Programs.

    /// Waits for one call, whose handler ends when it is told.
    async fn one_call() -> procession::Result {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default().log(told("log"))).await?;
        probe.grandchild(false).await?;
        let answer = probe.work(told("began"), told("go on")).await;
        println!("{answer:?}");
        // Whoever calls a moment later is served or hears that nothing of it was done.
        println!("{:?}", probe.count().await.map_err(|error| error.may_have_executed()));
        Ok(())
    }

    #[procession::main]
    async fn drain() -> procession::Result {
        one_call().await
    }

    #[procession::main(flavor = "current_thread")]
    async fn drain_on_one_thread() -> procession::Result {
        one_call().await
    }

    /// Has a handler that computes and an hour's grace.
    #[procession::main]
    async fn stubborn() -> procession::Result {
        let sup = quiet().start().await?;
        let spec = ChildSpec::<Probe>::new("p", Plan::default()).shutdown(Duration::from_secs(3600));
        let probe = sup.start_child(spec).await?;
        probe.grandchild(true).await?;
        probe.compute(told("began")).await?;
        Ok(())
    }

    /// Has no thread left that could hear anything.
    #[procession::main(flavor = "current_thread")]
    async fn computes() -> procession::Result {
        let sup = quiet().start().await?;
        sup.spawn::<Probe>("p", Plan::default()).await?;
        println!("ready");
        crate::life::probe::spin()
    }

    /// Has a worker that complains more than any pipe holds.
    #[procession::main]
    async fn complains() -> procession::Result {
        let sup = Supervisor::builder().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        probe.write("wrong\n".repeat(100_000), true).await?;
        touch(&told("began"));
        std::future::pending().await
    }

    #[procession::main]
    async fn starts_slowly() -> procession::Result {
        let plan = |init| Plan::init(init).log(told("log"));
        let builder = quiet()
            .child(ChildSpec::<Probe>::new("a", plan(Init::Ready)))
            .child(ChildSpec::<Probe>::new("b", plan(Init::WaitFor(told("never")))));
        builder.start().await?;
        Ok(())
    }

    #[procession::main]
    async fn starts_late() -> procession::Result {
        let sup = quiet().start().await?;
        println!("ready");
        sup.wait().await?;
        println!("{:?}", quiet().start().await.map(drop));
        Ok(())
    }

    /// Does not end by itself.
    #[procession::main]
    async fn heedless() -> procession::Result {
        let sup = quiet().start().await?;
        sup.spawn::<Probe>("p", Plan::default().log(told("log"))).await?;
        println!("ready");
        std::future::pending().await
    }

    #[procession::main]
    async fn succeeds() -> procession::Result {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        println!("{}", probe.count().await?);
        sup.shutdown().await?;
        Ok(())
    }

    #[procession::main]
    async fn fails() -> procession::Result {
        let sup = quiet().start().await?;
        sup.spawn::<Probe>("p", Plan::default()).await?;
        Err(Failure::new("the barn is empty").context("counting sheep"))
    }

    #[procession::main]
    async fn panics() -> procession::Result {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        probe.grandchild(false).await?;
        panic!("told to panic");
    }

    #[procession::main]
    async fn exits() -> procession::Result {
        let sup = quiet().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        probe.grandchild(false).await?;
        std::process::exit(5);
    }

    async fn three() -> procession::Result<Supervisor> {
        let sup = quiet().start().await?;
        for name in ["a", "b", "c"] {
            sup.spawn::<Probe>(name, Plan::default().log(told("log"))).await?;
        }
        Ok(sup)
    }

    #[procession::main]
    async fn leaves_children() -> procession::Result {
        let _sup = three().await?;
        Ok(())
    }

    #[procession::main]
    async fn forgets_children() -> procession::Result {
        std::mem::forget(three().await?);
        Ok(())
    }

    #[procession::main]
    async fn leaves_one_to_wait_for() -> procession::Result {
        let sup = quiet().start().await?;
        let plan = Plan::default().log(told("log"));
        let spec = ChildSpec::<Probe>::new("p", plan).at_end(AtEnd::Wait).restart(Restart::Transient);
        let probe = sup.start_child(spec).await?;
        // One message is under way still, the next one is its end.
        let working = probe.work(told("began"), told("go on"));
        tokio::spawn(async move {
            println!("{:?}", working.await);
            probe.end(crate::life::probe::How::Normal).await
        });
        crate::life::eventually("it works", || told("began").exists()).await;
        Ok(())
    }

    #[procession::main]
    async fn last_words() -> procession::Result {
        let sup = Supervisor::builder().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        probe.print(5000, "sheep".to_owned()).await?;
        Ok(())
    }

    /// Has failed, and a child that takes its time to stop.
    #[procession::main]
    async fn fails_slowly() -> procession::Result {
        let sup = quiet().start().await?;
        let spec = ChildSpec::<Probe>::new("p", Plan::default()).shutdown(Duration::from_secs(3600));
        let probe = sup.start_child(spec).await?;
        tokio::spawn(probe.work(told("began"), told("go on")));
        crate::life::eventually("it works", || told("began").exists()).await;
        println!("ready");
        Err(Failure::new("the barn is empty"))
    }

    #[procession::main]
    async fn drops_early() -> procession::Result {
        drop(three().await?);
        // A moment later it is too late for an order.
        tokio::task::yield_now().await;
        Ok(())
    }

    // Tests.

    fn drains(role: &str, signal: Signal, want: i32) {
        let place = Place::new();
        let mut program = Program::start(role, &place);
        eventually("the handler runs", || place.file("began").exists());
        system::send(program.pid(), signal);
        program.complains("finishing what runs");
        assert!(marked().len() > 3, "nobody was killed");
        touch(&place.file("go on"));
        let (status, out, err) = program.ended();
        assert_eq!(out[0], r#"Ok("worked")"#, "{err:?}");
        assert!(matches!(out[1].as_str(), "Ok(1)" | "Err(false)"), "{out:?}");
        assert_eq!(code(status), want, "{err:?}");
        assert_eq!(place.lines("log"), ["start p", "ready p", "stop p"]);
        eventually("nobody is left", || marked().is_empty());
    }

    fn sigterm_lets_a_running_call_finish_then_exits_with_143() {
        drains("drain", Signal::TERM, 143);
    }

    fn sigint_lets_a_running_call_finish_then_exits_with_130() {
        drains("drain", Signal::INT, 130);
    }

    fn sighup_lets_a_running_call_finish_then_exits_with_129() {
        drains("drain", Signal::HUP, 129);
    }

    fn a_program_of_one_thread_drains_too() {
        drains("drain on one thread", Signal::TERM, 143);
    }

    /// As a terminal does it at Ctrl-C.
    fn sigint_for_the_whole_group_reaches_no_worker() {
        let place = Place::new();
        let mut program = Program::start("drain", &place);
        eventually("the handler runs", || place.file("began").exists());
        let workers = system::children(program.pid());
        assert!(workers.iter().all(|worker| worker.group != program.pid()), "{workers:?}");
        system::send_group(program.pid(), Signal::INT);
        program.complains("finishing what runs");
        touch(&place.file("go on"));
        let (status, out, _) = program.ended();
        assert_eq!((out[0].as_str(), code(status)), (r#"Ok("worked")"#, 130));
        eventually("nobody is left", || marked().is_empty());
    }

    fn two_signals(first: Signal, second: Signal, want: i32) {
        let place = Place::new();
        let mut program = Program::start("stubborn", &place);
        eventually("the handler computes", || place.file("began").exists());
        system::send(program.pid(), first);
        program.complains("finishing what runs");
        let since = Instant::now();
        system::send(program.pid(), second);
        program.complains("killed");
        let (status, _, err) = program.ended();
        assert_eq!(code(status), want, "{err:?}");
        eventually("nobody is left", || marked().is_empty());
        println!("the second signal took {:?}", since.elapsed());
    }

    fn the_second_signal_kills_at_once() {
        two_signals(Signal::TERM, Signal::TERM, 143);
        two_signals(Signal::INT, Signal::INT, 130);
    }

    fn the_second_signal_may_be_another_one() {
        two_signals(Signal::TERM, Signal::INT, 130);
    }

    fn the_second_signal_ends_a_main_that_computes() {
        let place = Place::new();
        let mut program = Program::start("computes", &place);
        assert_eq!(program.line(), "ready");
        system::send(program.pid(), Signal::INT);
        program.complains("finishing what runs");
        system::send(program.pid(), Signal::INT);
        let (status, _, err) = program.ended();
        assert_eq!(code(status), 130, "{err:?}");
        eventually("nobody is left", || marked().is_empty());
    }

    fn the_second_signal_ends_a_program_whose_standard_error_nobody_reads() {
        let place = Place::new();
        let mut command = programs::command("complains", &place.file(""));
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut program = command.spawn().expect("this program runs");
        eventually("its worker has complained", || place.file("began").exists());
        system::send(program.id(), Signal::TERM);
        eventually("it is drained", || system::children(program.id()).iter().all(|child| child.name != "p"));
        let since = Instant::now();
        system::send(program.id(), Signal::TERM);
        let status = program.wait().expect("it is ours");
        assert_eq!(code(status), 143);
        assert!(since.elapsed() < Duration::from_secs(4), "not by the end of its time: {:?}", since.elapsed());
        eventually("nobody is left", || marked().is_empty());
    }

    fn a_supervisor_is_stopped_in_its_start() {
        let place = Place::new();
        let program = Program::start("starts slowly", &place);
        eventually("the second one starts", || place.lines("log").len() == 3);
        let since = Instant::now();
        system::send(program.pid(), Signal::TERM);
        let (status, _, err) = program.ended();
        assert_eq!(code(status), 143, "{err:?}");
        assert!(since.elapsed() < Duration::from_secs(4), "without a wait for main: {:?}", since.elapsed());
        assert_eq!(place.lines("log")[3..], ["stop a"]);
        eventually("nobody is left", || marked().is_empty());
    }

    fn no_supervisor_is_started_once_the_program_is_to_end() {
        let place = Place::new();
        let mut program = Program::start("starts late", &place);
        assert_eq!(program.line(), "ready");
        system::send(program.pid(), Signal::TERM);
        let (status, out, err) = program.ended();
        assert_eq!((code(status), out), (143, vec!["Err(ProgramEnding)".to_owned()]), "{err:?}");
    }

    fn a_main_that_does_not_heed_the_drain_is_ended_after_it() {
        let place = Place::new();
        let mut program = Program::start("heedless", &place);
        assert_eq!(program.line(), "ready");
        system::send(program.pid(), Signal::TERM);
        eventually("its children are stopped in order", || {
            place.lines("log").last().is_some_and(|line| line == "stop p")
        });
        let (status, _, _) = program.ended();
        assert_eq!(code(status), 143);
    }

    fn main_that_returns_ok_exits_with_0() {
        let (status, out, err) = Program::start("succeeds", &Place::new()).ended();
        assert_eq!((code(status), out), (0, vec!["1".to_owned()]), "{err:?}");
        assert!(err.is_empty(), "{err:?}");
    }

    fn main_that_returns_an_error_exits_with_1_and_says_it_in_words() {
        let (status, _, err) = Program::start("fails", &Place::new()).ended();
        assert_eq!((code(status), err), (1, vec!["Error: counting sheep: the barn is empty".to_owned()]));
        eventually("nobody is left", || marked().is_empty());
    }

    fn a_main_that_panics_exits_with_101_and_leaves_nobody() {
        let (status, _, err) = Program::start("panics", &Place::new()).ended();
        // The test program's own main would have it as its code too.
        assert_eq!(code(status), 101, "{err:?}");
        assert!(err.iter().any(|line| line == "told to panic"), "{err:?}");
        eventually("nobody is left", || marked().is_empty());
    }

    fn a_main_that_exits_by_itself_keeps_its_code_and_leaves_nobody() {
        let (status, _, err) = Program::start("exits", &Place::new()).ended();
        assert_eq!(code(status), 5, "{err:?}");
        eventually("nobody is left", || marked().is_empty());
    }

    fn stops_all_three(role: &str) {
        let place = Place::new();
        let (status, _, err) = Program::start(role, &place).ended();
        assert_eq!(code(status), 0, "{err:?}");
        assert_eq!(place.lines("log").split_off(6), ["stop c", "stop b", "stop a"]);
    }

    fn children_left_at_the_return_of_main_are_stopped_in_reverse() {
        stops_all_three("leaves children");
    }

    fn children_of_a_supervisor_that_nobody_drops_are_stopped_too() {
        stops_all_three("forgets children");
    }

    fn a_child_to_be_waited_for_is_waited_for_at_the_return_of_main() {
        let place = Place::new();
        let program = Program::start("leaves one to wait for", &place);
        eventually("it works", || place.file("began").exists());
        touch(&place.file("go on"));
        let (status, out, err) = program.ended();
        assert_eq!((code(status), out), (0, vec![r#"Ok("worked")"#.to_owned()]), "{err:?}");
        assert_eq!(place.lines("log"), ["start p", "ready p", "stop p"]);
    }

    fn the_last_lines_of_workers_are_printed_before_the_program_ends() {
        let (status, out, err) = Program::start("last words", &Place::new()).ended();
        assert_eq!(code(status), 0, "{err:?}");
        assert_eq!((out.len(), out.last().map(String::as_str)), (5000, Some("[p] 4999 sheep")));
    }

    fn a_signal_during_the_orderly_end_does_not_turn_a_failure_into_success() {
        let place = Place::new();
        let mut program = Program::start("fails slowly", &place);
        assert_eq!(program.line(), "ready");
        system::send(program.pid(), Signal::TERM);
        program.complains("finishing what runs");
        touch(&place.file("go on"));
        let (status, _, err) = program.ended();
        assert_eq!(code(status), 1, "{err:?}");
        assert_eq!(err.last().map(String::as_str), Some("Error: the barn is empty"));
    }

    fn the_second_signal_during_the_orderly_end_kills() {
        let place = Place::new();
        let mut program = Program::start("fails slowly", &place);
        assert_eq!(program.line(), "ready");
        system::send(program.pid(), Signal::TERM);
        program.complains("finishing what runs");
        system::send(program.pid(), Signal::TERM);
        let (status, _, err) = program.ended();
        assert_eq!(code(status), 143, "{err:?}");
        eventually("nobody is left", || marked().is_empty());
    }

    fn a_supervisor_that_main_drops_before_its_end_is_killed() {
        let place = Place::new();
        let (status, _, err) = Program::start("drops early", &place).ended();
        assert_eq!(code(status), 0, "{err:?}");
        assert_eq!(place.lines("log").len(), 6, "nobody was asked");
        eventually("nobody is left", || marked().is_empty());
    }

    fn a_worker_of_a_program_has_one_argument() {
        let place = Place::new();
        let mut program = Program::start("heedless", &place);
        assert_eq!(program.line(), "ready");
        let workers = system::children(program.pid()).into_iter().filter(|child| child.name == "p");
        let arguments: Vec<_> = workers.map(|worker| system::arguments(worker.pid)).collect();
        let me = std::env::current_exe().expect("a path").to_string_lossy().into_owned();
        assert_eq!(arguments, [[me, format!("procession-worker:{}", program.pid())]]);
        program.kill();
        eventually("nobody is left", || marked().is_empty());
    }

    /// This program has its entry only in its roles.
    fn a_test_without_the_entry_is_told_so() {
        alone_on(&mut tokio::runtime::Builder::new_current_thread(), || async {
            let error = quiet().start().await.expect_err("there is no way in").to_string();
            assert!(error.contains("#[procession::main]") && error.contains("test_workers!"), "{error}");
            Ok(())
        });
    }
}
