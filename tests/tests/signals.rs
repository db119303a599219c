//! How a program ends by a signal, by a second one, and with which exit code. Only Linux has them; to the console events of
//! Windows belong the same words of the product, but nobody can send one under Wine, which has no consoles, so that a test of
//! them would be one that was never seen to pass.

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
    use std::path::PathBuf;
    use std::process::{ExitCode, Stdio, Termination};
    use std::time::{Duration, Instant};

    use procession::prelude::*;
    use procession::{Failure, TaskError};
    use rustix::process::Signal;

    use crate::life::families::{said, trials};
    use crate::life::probe::{Init, Plan, Probe, ProbeApi};
    use crate::life::programs::{self, Program, eventually, told};
    use crate::life::system::{self, exit_code, marked};
    use crate::life::{Place, quiet, touch};

    pub(crate) fn main() -> ExitCode {
        programs::main(
            crate::tests![
                sigterm_lets_a_running_call_finish_then_exits_with_143,
                sigint_lets_a_running_call_finish_then_exits_with_130,
                sighup_lets_a_running_call_finish_then_exits_with_129,
                a_program_of_one_thread_drains_too,
                sigterm_lets_running_tasks_finish_and_cancels_the_queued_ones_once,
                sigint_for_the_whole_group_reaches_no_worker,
                the_second_signal_kills_at_once,
                the_second_signal_may_be_another_one,
                the_second_signal_ends_a_main_that_computes,
                the_second_signal_ends_a_program_whose_standard_error_nobody_reads,
                a_main_that_does_not_heed_the_drain_is_ended_after_it,
                a_supervisor_is_stopped_in_its_start,
                no_supervisor_is_started_once_the_program_is_to_end,
                a_signal_during_the_orderly_end_does_not_turn_a_failure_into_success,
                the_second_signal_during_the_orderly_end_kills,
            ],
            &[
                ("drain", || drain().report()),
                ("drain on one thread", || drain_on_one_thread().report()),
                ("drain of a pool", || drain_of_a_pool().report()),
                ("stubborn", || stubborn().report()),
                ("complains", || complains().report()),
                ("computes", || computes().report()),
                ("starts slowly", || starts_slowly().report()),
                ("starts late", || starts_late().report()),
                ("heedless", || heedless().report()),
                ("fails slowly", || fails_slowly().report()),
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

    const WORKERS: usize = 4;
    const TASKS: u32 = 40;

    /// Says that it has begun, and waits until it is told to end.
    #[procession::task]
    fn waits(number: u32, place: PathBuf) -> u32 {
        touch(&place.join(format!("began {number}")));
        while !place.join("go on").exists() {
            std::thread::yield_now();
        }
        number
    }

    /// Has more tasks than workers, and says how each has ended.
    #[procession::main]
    async fn drain_of_a_pool() -> procession::Result {
        let sup = quiet().start().await?;
        let pool = sup.task_pool("pool", WORKERS).await?;
        let ends = (0..TASKS).map(|number| {
            let task = pool.submit(waits, (number, told("")));
            tokio::spawn(async move {
                match task.await {
                    Ok(value) if value == number => println!("done {number}"),
                    Err(TaskError::Cancelled { .. }) => println!("cancelled {number}"),
                    other => println!("{number}: {other:?}"),
                }
            })
        });
        for end in ends.collect::<Vec<_>>() {
            end.await?;
        }
        Ok(())
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
        assert_eq!(exit_code(status), want, "{err:?}");
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

    fn sigterm_lets_running_tasks_finish_and_cancels_the_queued_ones_once() {
        let mut times = Vec::new();
        for _ in 0..trials() {
            let place = Place::new();
            let mut program = Program::start("drain of a pool", &place);
            let began = || (0..TASKS).filter(|number| place.file(&format!("began {number}")).exists());
            eventually("each worker has begun one", || began().count() == WORKERS);
            system::send(program.pid(), Signal::TERM);
            program.complains("finishing what runs");
            // The queued ones end while the others run.
            let mut told: Vec<_> = (WORKERS..TASKS as usize).map(|_| program.line()).collect();
            touch(&place.file("go on"));
            let since = Instant::now();
            let (status, out, err) = program.ended();
            times.push(since.elapsed());
            assert_eq!(exit_code(status), 143, "{err:?}");
            told.extend(out);
            told.sort();
            let mut wanted: Vec<_> = (0..TASKS)
                .map(|number| {
                    format!("{} {number}", if began().any(|began| began == number) { "done" } else { "cancelled" })
                })
                .collect();
            wanted.sort();
            assert_eq!((told, began().count()), (wanted, WORKERS), "{err:?}");
            eventually("nobody is left", || marked().is_empty());
        }
        said("from the end of what runs to that of the program", times);
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
        assert_eq!((out[0].as_str(), exit_code(status)), (r#"Ok("worked")"#, 130));
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
        assert_eq!(exit_code(status), want, "{err:?}");
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
        assert_eq!(exit_code(status), 130, "{err:?}");
        eventually("nobody is left", || marked().is_empty());
    }

    fn the_second_signal_ends_a_program_whose_standard_error_nobody_reads() {
        let place = Place::new();
        let mut command = programs::command("complains", &place.file(""));
        system::lead_a_group(&mut command);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut program = command.spawn().expect("this program runs");
        eventually("its worker has complained", || place.file("began").exists());
        system::send(program.id(), Signal::TERM);
        eventually("it is drained", || system::children(program.id()).iter().all(|child| child.name != "p"));
        let since = Instant::now();
        system::send(program.id(), Signal::TERM);
        let status = program.wait().expect("it is ours");
        assert_eq!(exit_code(status), 143);
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
        assert_eq!(exit_code(status), 143, "{err:?}");
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
        assert_eq!((exit_code(status), out), (143, vec!["Err(ProgramEnding)".to_owned()]), "{err:?}");
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
        assert_eq!(exit_code(status), 143);
    }

    fn a_signal_during_the_orderly_end_does_not_turn_a_failure_into_success() {
        let place = Place::new();
        let mut program = Program::start("fails slowly", &place);
        assert_eq!(program.line(), "ready");
        system::send(program.pid(), Signal::TERM);
        program.complains("finishing what runs");
        touch(&place.file("go on"));
        let (status, _, err) = program.ended();
        assert_eq!(exit_code(status), 1, "{err:?}");
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
        assert_eq!(exit_code(status), 143, "{err:?}");
        eventually("nobody is left", || marked().is_empty());
    }
}
