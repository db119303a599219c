//! Nobody outlives a program that is killed: not its workers, whatever they do, nor what these have started.

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
    use std::process::{ExitCode, Termination};
    use std::time::{Duration, Instant};

    use procession::prelude::*;

    use crate::life::probe::{Init, Plan, Probe, ProbeApi};
    use crate::life::programs::{self, Program, command, eventually, marked, told};
    use crate::life::{Place, quiet, system};

    pub(crate) fn main() -> ExitCode {
        programs::main(
            crate::tests![
                nobody_outlives_a_killed_program,
                nobody_outlives_a_killed_program_under_a_reaper_of_the_same_session,
                nobody_outlives_a_program_whose_guardian_was_killed_first,
                nobody_outlives_a_stopped_and_killed_program,
                nobody_outlives_a_program_that_was_killed_in_the_middle_of_its_work,
                nobody_outlives_the_root_of_a_deep_tree,
            ],
            &[
                ("parent", || parent().report()),
                ("deep", || deep().report()),
                ("restless", || restless().report()),
                ("reaper", reaper),
            ],
        )
    }

    /// Workers in all states, each with a child of its own that runs and one that is stopped.
    #[procession::main]
    async fn parent() -> procession::Result {
        let sup = quiet().start().await?;
        // Said at once: the orderly end of a family like this one takes its time.
        raise_all(&sup).await.inspect_err(|error| eprintln!("not raised: {error}"))?;
        println!("ready");
        std::future::pending().await
    }

    async fn raise_all(sup: &Supervisor) -> procession::Result {
        for name in ["idle one", "idle two"] {
            raise(sup, name).await?;
        }
        for name in ["busy one", "busy two"] {
            let busy = raise(sup, name).await?;
            let began = told(name);
            tokio::spawn(busy.compute(began.clone()));
            crate::life::eventually("it computes", || began.exists()).await;
        }
        for name in ["stopped one", "stopped two"] {
            let pid = raise(sup, name).await?.pid().await?;
            system::pause(pid);
            crate::life::eventually("it is stopped", || system::is_stopped(pid)).await;
        }
        // One that waits in its init, one that computes there.
        let grandchild = told("grandchild");
        for init in [Init::HangWithGrandchild(grandchild.clone()), Init::Spin] {
            let (sup, log) = (sup.clone(), told("starting"));
            let name = format!("starting {init:?}");
            tokio::spawn(async move {
                let ended = sup.spawn::<Probe>(name, Plan::init(init).log(log)).await;
                eprintln!("its start ended: {ended:?}");
            });
        }
        crate::life::eventually("they start", || {
            grandchild.exists() && crate::life::lines(&told("starting")).len() == 2
        })
        .await;
        Ok(())
    }

    /// The program, its guardian, eight workers, two grandchildren of six of them and one of a seventh.
    const FAMILY: usize = 1 + 1 + 8 + 2 * 6 + 1;

    async fn raise(sup: &Supervisor, name: &str) -> procession::Result<Address<Probe>> {
        let probe = sup.spawn::<Probe>(name, Plan::default()).await?;
        probe.grandchild(false).await?;
        let stopped = probe.grandchild(true).await?;
        crate::life::eventually("it is stopped", || system::is_stopped(stopped)).await;
        Ok(probe)
    }

    /// Workers with workers of their own.
    #[procession::main]
    async fn deep() -> procession::Result {
        let sup = quiet().start().await?;
        for name in ["one", "two"] {
            let probe = raise(&sup, name).await?;
            probe.nest(3).await?;
        }
        println!("ready");
        std::future::pending().await
    }

    /// Starts and stops workers for as long as it lives.
    #[procession::main]
    async fn restless() -> procession::Result {
        let sup = quiet().start().await?;
        println!("ready");
        let mut number = 0;
        loop {
            number += 1;
            let name = format!("w{number}");
            let probe = sup.spawn::<Probe>(&name, Plan::default()).await?;
            probe.grandchild(false).await?;
            sup.stop(&name).await?;
        }
    }

    /// A shell as the first process of a container: adopts whoever is left alone and shares the session with them.
    #[expect(clippy::zombie_processes, reason = "it waits for any")]
    fn reaper() -> ExitCode {
        system::adopt_orphans();
        let program = command("parent", &told("")).spawn().expect("this program runs");
        println!("{}", program.id());
        loop {
            let _ = rustix::process::wait(rustix::process::WaitOptions::empty());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn trials() -> u32 {
        std::env::var("PROCESSION_TRIALS").ok().and_then(|trials| trials.parse().ok()).unwrap_or(20)
    }

    /// Everybody but that one, as soon as there are so many: who has just been started is not to be told from others yet.
    fn family(members: usize, but: Option<u32>) -> Vec<u32> {
        let mut family = Vec::new();
        eventually("the family is whole", || {
            family = marked();
            family.retain(|pid| Some(*pid) != but);
            family.len() == members
        });
        family
    }

    /// Waits for the death of all and says how long it took from `since` on.
    fn all_die(family: &[u32], since: Instant) -> Duration {
        let mut alive: Vec<u32> = family.to_vec();
        while !alive.is_empty() {
            alive.retain(|pid| system::is_alive(*pid));
            let seen = || alive.iter().filter_map(|pid| system::look(*pid)).collect::<Vec<_>>();
            assert!(since.elapsed() < Duration::from_secs(10), "they live on: {:?}", seen());
        }
        since.elapsed()
    }

    fn said(what: &str, mut times: Vec<Duration>) {
        times.sort();
        let most = times.last().copied().unwrap_or_default();
        println!("{what}: {} trials, p50 {:?}, at most {most:?}", times.len(), times[times.len() / 2]);
        assert!(most < Duration::from_secs(5));
    }

    fn nobody_outlives_a_killed_program() {
        let mut times = Vec::new();
        for _ in 0..trials() {
            let place = Place::new();
            let mut program = Program::start("parent", &place);
            assert_eq!(program.line(), "ready");
            let family = family(FAMILY, None);
            let since = Instant::now();
            program.kill();
            times.push(all_die(&family, since));
        }
        said("after kill -9 of the program", times);
    }

    fn nobody_outlives_a_killed_program_under_a_reaper_of_the_same_session() {
        let mut times = Vec::new();
        for _ in 0..trials() {
            let place = Place::new();
            let mut reaper = Program::start("reaper", &place);
            let (one, other) = (reaper.line(), reaper.line());
            let pid = [one, other].iter().find_map(|line| line.parse().ok()).expect("it tells the program's pid");
            let family = family(FAMILY, Some(reaper.pid()));
            let since = Instant::now();
            system::kill(pid);
            times.push(all_die(&family, since));
            assert!(system::is_alive(reaper.pid()));
            reaper.kill();
        }
        said("after kill -9 under a reaper of the same session", times);
    }

    fn nobody_outlives_a_program_whose_guardian_was_killed_first() {
        let mut times = Vec::new();
        for _ in 0..trials().min(20) {
            let place = Place::new();
            let mut program = Program::start("parent", &place);
            assert_eq!(program.line(), "ready");
            let guardian = system::guardian(program.pid()).expect("there is one").pid;
            system::kill(guardian);
            let replaced = || system::guardian(program.pid()).is_some_and(|new| new.pid != guardian);
            eventually("there is a new one", replaced);
            let family = family(FAMILY, None);
            let since = Instant::now();
            program.kill();
            times.push(all_die(&family, since));
        }
        said("after kill -9 of the guardian, then of the program", times);
    }

    fn nobody_outlives_a_stopped_and_killed_program() {
        let place = Place::new();
        let mut program = Program::start("parent", &place);
        assert_eq!(program.line(), "ready");
        let family = family(FAMILY, None);
        system::pause(program.pid());
        eventually("it is stopped", || system::is_stopped(program.pid()));
        let since = Instant::now();
        program.kill();
        all_die(&family, since);
    }

    fn nobody_outlives_a_program_that_was_killed_in_the_middle_of_its_work() {
        for trial in 0..trials() {
            let place = Place::new();
            let mut program = Program::start("restless", &place);
            assert_eq!(program.line(), "ready");
            // Each time at another point of a start or a stop, which are some milliseconds each.
            std::thread::sleep(Duration::from_micros(u64::from(trial) * 1700 % 40_000));
            program.kill();
            eventually("nobody is left", || marked().is_empty());
        }
    }

    fn nobody_outlives_the_root_of_a_deep_tree() {
        let mut times = Vec::new();
        for _ in 0..5 {
            let place = Place::new();
            let mut program = Program::start("deep", &place);
            assert_eq!(program.line(), "ready");
            // Itself, its workers, their grandchildren and workers, and a guardian for each that has workers.
            let family = family(1 + 2 + 2 * (2 + 3) + 3, None);
            let since = Instant::now();
            program.kill();
            times.push(all_die(&family, since));
        }
        said("a deep tree after kill -9 of its root", times);
    }
}
