//! What only Linux needs so that nobody outlives a killed program: a guardian process, also where somebody else adopts orphans.
//! On Windows both are the job's doing, which tests/tests/orphans.rs shows.

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

    use crate::life::Place;
    use crate::life::families::{self, FAMILY, all_die, family, said, trials};
    use crate::life::programs::{self, Program, command, eventually, told};
    use crate::life::system;

    pub(crate) fn main() -> ExitCode {
        programs::main(
            crate::tests![
                nobody_outlives_a_killed_program_under_a_reaper_of_the_same_session,
                nobody_outlives_a_program_whose_guardian_was_killed_first,
            ],
            &[("parent", || parent().report()), ("reaper", reaper)],
        )
    }

    #[procession::main]
    async fn parent() -> procession::Result {
        families::parent().await
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

    fn nobody_outlives_a_killed_program_under_a_reaper_of_the_same_session() {
        let mut times = Vec::new();
        for _ in 0..trials() {
            let place = Place::new();
            let mut reaper = Program::start("reaper", &place);
            let (one, other) = (reaper.line(), reaper.line());
            let pid = [one, other].iter().find_map(|line| line.parse().ok()).expect("it tells the program's pid");
            let reapers = system::living(reaper.pid());
            let family = family(FAMILY, Some(reaper.pid()));
            let since = Instant::now();
            system::kill(pid);
            times.push(all_die(&family, since));
            assert!(reapers.is_alive());
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
}
