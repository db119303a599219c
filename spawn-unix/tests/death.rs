//! How the end of a child is told.

#[cfg(target_os = "linux")]
mod harness;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Read, Write};
    use std::os::unix::process::CommandExt;
    use std::process::{self, Command, ExitCode, Stdio};

    use std::sync::{Arc, Mutex, mpsc};

    use std::time::{Duration, Instant};

    use procession_spawn_unix::{Endpoint, Exit, ExitKind, Output, Watch, die_with_tree, spawn};

    use crate::harness::{
        self, Impostor, Seen, all_die, block_on, code, enter, eventually, eventually_stopped, guarded, is_alive, kill,
        launch, linger, program, read_line, say, signal, sleep_for_ever, start, stop_self, tests,
    };

    pub(crate) fn main() -> ExitCode {
        harness::main(
            tests![
                each_cause_of_death_is_told_as_it_was,
                a_silent_escaped_grandchild_does_not_delay_the_exit,
                a_flooding_escaped_grandchild_does_not_delay_the_exit,
                grandchildren_of_the_group_die_with_the_leader,
                a_worker_can_take_its_whole_group_with_it,
                kill_takes_the_whole_group_also_when_it_is_stopped,
                terminate_asks_the_whole_group,
                kill_after_the_reap_hits_nobody,
                a_leader_that_changed_its_group_is_killed_all_the_same,
                a_child_that_closes_its_output_is_still_watched,
                a_status_survives_a_program_that_ignores_sigchld,
                a_child_that_somebody_else_reaped_ends_as_unknown,
                the_deaths_of_many_at_once_are_all_told,
                a_death_that_a_debugger_holds_back_is_told_later_and_costs_nothing,
            ],
            &[
                ("die", die),
                ("print", print),
                ("family", family),
                ("sleep", |_| sleep_for_ever()),
                ("stopped", |_| {
                    stop_self();
                    sleep_for_ever()
                }),
                ("escaped", escaped),
                ("linger", |args| linger(&enter(args))),
                ("regroup", regroup),
                ("tracer", tracer),
                ("flood", |args| {
                    enter(args);
                    flood()
                }),
                ("close", close_output),
            ],
        )
    }

    fn die(args: &[String]) {
        let _stream = enter(args);
        match &args[1][..] {
            "segv" => {
                // SAFETY: none; this is a crash by intent.
                unsafe { (8 as *mut u8).write_volatile(1) }
            }
            "abort" => process::abort(),
            "kill" => kill(process::id(), libc::SIGKILL),
            code => process::exit(code.parse().unwrap()),
        }
        sleep_for_ever()
    }

    fn each_cause_of_death_is_told_as_it_was() {
        guarded();
        for number in [0, 3, 255] {
            let exit = start("die", &[&number.to_string()]).ended().2;
            assert_eq!(exit, code(number));
            assert_eq!(exit.success(), number == 0);
        }
        for (how, name, number) in [
            ("kill", "SIGKILL", libc::SIGKILL),
            ("segv", "SIGSEGV", libc::SIGSEGV),
            ("abort", "SIGABRT", libc::SIGABRT),
        ] {
            let exit = start("die", &[how]).ended().2;
            assert_eq!(signal(exit), Some(number));
            assert_eq!(exit.name(), Some(name));
        }
    }

    const MUCH: usize = 3_000_000;
    const LAST: usize = 60_000;

    fn print(args: &[String]) {
        let stream = enter(args);
        std::io::stdout().write_all(&vec![b'o'; MUCH]).unwrap();
        std::io::stderr().write_all(&vec![b'e'; LAST]).unwrap();
        std::io::stdout().write_all(&vec![b'O'; LAST]).unwrap();
        std::io::stdout().flush().unwrap();
        drop(stream);
        kill(process::id(), libc::SIGKILL);
    }

    /// A worker with children: tells their pids, then does what it is told.
    fn family(args: &[String]) {
        let mut stream = enter(args);
        let mut children = Vec::new();
        for role in &args[2..] {
            let mut command = Command::new("/proc/self/exe");
            command.args(["role", role]);
            if role == "escaped" {
                command.arg(&args[1]);
            }
            let mut child = command.stdout(Stdio::inherit()).spawn().unwrap();
            match &role[..] {
                "stopped" => eventually_stopped(child.id()),
                // Its session is its own once it leads one.
                "escaped" => eventually("it escapes", || {
                    // SAFETY: asks.
                    unsafe { libc::getsid(child.id() as i32) == child.id() as i32 }
                }),
                _ => {}
            }
            say(&stream, child.id());
            children.push(child.try_wait());
        }
        match &args[1][..] {
            "tree" => {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                die_with_tree()
            }
            "stop" => {
                stop_self();
                linger(&stream);
            }
            _ => linger(&stream),
        }
    }

    /// Holds what it inherited, out of reach.
    fn escaped(args: &[String]) {
        // SAFETY: starts a session.
        unsafe { libc::setsid() };
        if args[0] == "flood" { flood() } else { sleep_for_ever() }
    }

    fn flood() {
        let mut stdout = std::io::stdout();
        while stdout.write_all(&[b'x'; 4096]).is_ok() {}
    }

    fn a_silent_escaped_grandchild_does_not_delay_the_exit() {
        guarded();
        let worker = start("family", &["linger", "escaped"]);
        let grandchild = worker.number();
        worker.stream.shutdown().unwrap();
        assert_eq!(worker.ended().2, code(0));
        assert!(is_alive(grandchild));
        kill(grandchild, libc::SIGKILL);
    }

    fn a_flooding_escaped_grandchild_does_not_delay_the_exit() {
        guarded();
        let worker = start("family", &["flood", "escaped"]);
        let grandchild = worker.number();
        // It floods already.
        assert!(matches!(worker.seen.recv_timeout(harness::PATIENCE), Ok(Seen::Output(..))));
        worker.stream.shutdown().unwrap();
        assert_eq!(worker.ended().2, code(0));
        // Nobody reads it any more: it ends by that.
        all_die(&[grandchild]);
    }

    fn grandchildren_of_the_group_die_with_the_leader() {
        guarded();
        let worker = start("family", &["linger", "sleep", "stopped", "sleep"]);
        let grandchildren = [worker.number(), worker.number(), worker.number()];
        worker.stream.shutdown().unwrap();
        assert_eq!(worker.ended().2, code(0));
        all_die(&grandchildren);
    }

    fn a_worker_can_take_its_whole_group_with_it() {
        guarded();
        let worker = start("family", &["tree", "sleep", "stopped"]);
        let grandchildren = [worker.number(), worker.number()];
        (&worker.stream).write_all(b"!").unwrap();
        assert_eq!(signal(worker.ended().2), Some(libc::SIGKILL));
        all_die(&grandchildren);
    }

    fn kill_takes_the_whole_group_also_when_it_is_stopped() {
        guarded();
        let worker = start("family", &["stop", "sleep", "stopped"]);
        let grandchildren = [worker.number(), worker.number()];
        eventually_stopped(worker.child.pid());
        worker.child.kill();
        assert_eq!(signal(worker.ended().2), Some(libc::SIGKILL));
        all_die(&grandchildren);
    }

    fn terminate_asks_the_whole_group() {
        guarded();
        let worker = start("family", &["linger", "sleep"]);
        let grandchild = worker.number();
        worker.child.terminate();
        assert_eq!(worker.ended().2.name(), Some("SIGTERM"));
        all_die(&[grandchild]);
    }

    fn kill_after_the_reap_hits_nobody() {
        guarded();
        let worker = start("die", &["0"]);
        worker.ended();
        worker.child.kill();
        let Some(impostor) = Impostor::new(worker.child.pid()) else {
            eprintln!("(no pid can be chosen here)");
            return;
        };
        worker.child.kill();
        worker.child.terminate();
        assert!(impostor.is_unharmed());
    }

    /// Goes over to the group of a child of its own.
    #[expect(clippy::zombie_processes, reason = "the test ends it by its pid")]
    fn regroup(args: &[String]) {
        let stream = enter(args);
        let sleeper = Command::new("/proc/self/exe").args(["role", "sleep"]).process_group(0).spawn().unwrap();
        // SAFETY: changes the group of this process.
        assert_eq!(unsafe { libc::setpgid(0, sleeper.id() as i32) }, 0);
        say(&stream, sleeper.id());
        sleep_for_ever()
    }

    fn a_leader_that_changed_its_group_is_killed_all_the_same() {
        guarded();
        let worker = start("regroup", &[]);
        let escaped = worker.number();
        worker.child.kill();
        assert_eq!(signal(worker.ended().2), Some(libc::SIGKILL));
        kill(escaped, libc::SIGKILL);
        let worker = start("regroup", &[]);
        let escaped = worker.number();
        worker.child.terminate();
        assert_eq!(signal(worker.ended().2), Some(libc::SIGTERM));
        kill(escaped, libc::SIGKILL);
    }

    fn close_output(args: &[String]) {
        let stream = enter(args);
        // SAFETY: nothing is written any more.
        unsafe {
            libc::close(1);
            libc::close(2);
        }
        say(&stream, "closed");
        linger(&stream);
    }

    fn a_child_that_closes_its_output_is_still_watched() {
        guarded();
        let worker = start("close", &[]);
        assert_eq!(worker.line(), "closed");
        worker.child.kill();
        assert_eq!(signal(worker.ended().2), Some(libc::SIGKILL));
    }

    fn a_status_survives_a_program_that_ignores_sigchld() {
        guarded();
        for _ in 0..3 {
            // SAFETY: ignoring needs no handler.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            assert_eq!(start("die", &["3"]).ended().2, code(3));
        }
    }

    fn a_child_that_somebody_else_reaped_ends_as_unknown() {
        /// Waits for another child on the very thread that would, so that nothing can come first.
        struct Thief {
            victim: u32,
            waits: Mutex<mpsc::Sender<()>>,
        }
        impl Watch for Thief {
            fn output(&self, _: Output, _: &[u8]) {
                let _ = self.waits.lock().unwrap().send(());
                // SAFETY: waits for a child.
                unsafe { libc::waitpid(self.victim as i32, std::ptr::null_mut(), 0) };
            }
            fn exited(&self, _: Exit) {
                let _ = self.waits.lock().unwrap().send(());
            }
        }
        guarded();
        let victim = start("linger", &[]);
        let (sender, waits) = mpsc::channel();
        let thief = Arc::new(Thief { victim: victim.child.pid(), waits: Mutex::new(sender) });
        let (_ours, theirs) = Endpoint::pair().unwrap();
        let printing = block_on(spawn(launch("print", &[], theirs), thief)).unwrap();
        waits.recv_timeout(harness::PATIENCE).unwrap();
        victim.child.kill();
        assert_eq!(victim.ended().2.kind, ExitKind::Unknown);
        victim.child.kill();
        printing.kill();
        // The sender is dropped with the watch, after the end.
        while waits.recv_timeout(harness::PATIENCE).is_ok() {}
    }

    fn the_deaths_of_many_at_once_are_all_told() {
        guarded();
        let workers: Vec<_> = (0..200).map(|_| start("linger", &[])).collect();
        let asked = Instant::now();
        for worker in &workers {
            worker.child.kill();
        }
        for worker in &workers {
            assert_eq!(signal(worker.ended().2), Some(libc::SIGKILL));
        }
        println!("200 deaths told in {:?}", asked.elapsed());
    }

    /// A debugger that does not look at what it debugs.
    fn tracer(args: &[String]) {
        let pid: i32 = args[0].parse().unwrap();
        // SAFETY: attaches to a process.
        let attached = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) };
        println!("{attached}");
        sleep_for_ever()
    }

    fn a_death_that_a_debugger_holds_back_is_told_later_and_costs_nothing() {
        guarded();
        let worker = start("linger", &[]);
        let pid = worker.child.pid();
        let program = program("tracer", &[&pid.to_string()]);
        let mut tracer = Command::new(program.path).args(program.args).stdout(Stdio::piped()).spawn().unwrap();
        let attached = read_line(tracer.stdout.take().unwrap());
        worker.child.kill();
        if attached == "0" {
            eventually("it is a zombie", || !is_alive(pid));
            let before = cpu_time();
            assert!(worker.seen.recv_timeout(Duration::from_millis(300)).is_err());
            let used = cpu_time() - before;
            assert!(used < Duration::from_millis(100), "{used:?}");
            // Others are looked after meanwhile.
            assert_eq!(start("die", &["3"]).ended().2, code(3));
        } else {
            eprintln!("(no debugger is allowed here)");
        }
        tracer.kill().unwrap();
        tracer.wait().unwrap();
        assert_eq!(signal(worker.ended().2), Some(libc::SIGKILL));
    }

    fn cpu_time() -> Duration {
        // SAFETY: an all-zero `timespec` is a valid value to be overwritten.
        let time = unsafe {
            let mut time: libc::timespec = std::mem::zeroed();
            libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time);
            time
        };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}
