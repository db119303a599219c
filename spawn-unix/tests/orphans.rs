//! What is left of a process tree whose root was killed: nothing.

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
    use std::fs;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    use std::process::{self, Child, ChildStdout, Command, ExitCode, Stdio};
    use std::time::{Duration, Instant};

    use procession_spawn_unix::{Endpoint, set_guardian, spawn};

    use crate::harness::{
        self, Impostor, Worker, all_die, block_on, enter, eventually, eventually_stopped, guarded, is_alive, kill,
        launch, linger, pids, plain, program, read_line, recorder, say, sleep_for_ever, start, stat, stop_self, tests,
    };

    pub(crate) fn main() -> ExitCode {
        harness::main(
            tests![
                nobody_outlives_a_killed_parent,
                nobody_outlives_a_killed_parent_under_a_reaper_of_the_same_session,
                nobody_outlives_a_stopped_and_killed_parent,
                nobody_outlives_a_parent_that_crashes_or_exits_or_execs,
                many_workers_do_not_outlive_a_killed_parent,
                nobody_outlives_the_root_of_a_deep_tree,
                nobody_outlives_the_middle_of_a_deep_tree,
                a_killed_guardian_is_replaced_and_protects_all_the_same,
                a_guardian_that_is_killed_again_and_again_is_replaced_each_time,
                a_guardian_that_does_not_read_is_replaced,
                a_guardian_reads_before_its_pipe_is_full,
                a_guardian_that_cannot_live_is_not_tried_in_a_loop,
                a_dead_worker_is_off_the_list,
                a_fork_that_holds_every_descriptor_does_not_keep_the_guardian_waiting,
                a_guardian_is_not_started_by_hand,
            ],
            &[
                ("parent", parent),
                ("idle", |args| {
                    let stream = enter(args);
                    raise_family(&stream);
                    linger(&stream);
                }),
                ("busy", |args| {
                    let stream = enter(args);
                    raise_family(&stream);
                    loop {
                        std::hint::spin_loop();
                    }
                }),
                ("stopped", |args| {
                    let stream = enter(args);
                    raise_family(&stream);
                    stop_self();
                    sleep_for_ever()
                }),
                ("deaf", |args| {
                    // SAFETY: ignoring needs no handler.
                    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
                    raise_family(&enter(args));
                    sleep_for_ever()
                }),
                ("starting", starting),
                ("middle", middle),
                ("simple", |args| linger(&enter(args))),
                ("sleep", |_| sleep_for_ever()),
                ("grandchild-stopped", |_| {
                    stop_self();
                    sleep_for_ever()
                }),
                ("dies-at-once", |args| {
                    let mut file = fs::File::options().append(true).open(&args[0]).unwrap();
                    file.write_all(b".").unwrap();
                }),
            ],
        )
    }

    /// Worker: has children of its own, running and stopped, and tells their pids.
    #[expect(clippy::zombie_processes, reason = "they must be there when this process dies")]
    fn raise_family(stream: &procession_spawn_unix::BlockingStream) {
        let running = plain("sleep", &[]);
        let stopped = plain("grandchild-stopped", &[]);
        eventually_stopped(stopped.id());
        say(stream, running.id());
        say(stream, stopped.id());
    }

    /// Has not come so far as to say that it is a worker, and never will.
    #[expect(clippy::zombie_processes, reason = "it must be there when this process dies")]
    fn starting(_: &[String]) {
        plain("sleep", &[]);
        sleep_for_ever()
    }

    const EVERY_KIND: &[&str] = &["idle", "busy", "stopped", "starting", "deaf"];

    /// Starts a worker of each named kind, tells the pids of all, then ends as it is told or waits.
    fn parent(args: &[String]) {
        guarded();
        let end = &args[0];
        let kinds: Vec<&str> = args[1..].iter().map(String::as_str).collect();
        let workers = raise(&kinds, |pid| println!("{pid}"));
        println!("0");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        match &end[..] {
            "abort" => process::abort(),
            "exit" => process::exit(0),
            "return" => {}
            "exec" => {
                let error = Command::new("/proc/self/exe").args(["role", "sleep"]).exec();
                panic!("{error}");
            }
            "fork" => {
                // SAFETY: the child only waits.
                let forked = unsafe { libc::fork() };
                if forked == 0 {
                    loop {
                        // SAFETY: waits.
                        unsafe { libc::pause() };
                    }
                }
                println!("{forked}");
                sleep_for_ever()
            }
            "work" => loop {
                let worker = start("simple", &[]);
                worker.child.kill();
                worker.ended();
                println!("{}", worker.child.pid());
            },
            _ => sleep_for_ever(),
        }
        drop(workers);
    }

    fn raise(kinds: &[&str], tell: impl Fn(u32)) -> Vec<Worker> {
        let mut workers = Vec::new();
        for kind in kinds {
            let worker = start(kind, &[]);
            tell(worker.child.pid());
            if matches!(*kind, "idle" | "busy" | "stopped" | "deaf" | "middle") {
                loop {
                    let pid = worker.number();
                    tell(pid);
                    if *kind != "middle" {
                        tell(worker.number());
                        break;
                    }
                    if pid == 0 {
                        break;
                    }
                }
            }
            if *kind == "stopped" {
                eventually_stopped(worker.child.pid());
            }
            if *kind == "starting" {
                let children = || {
                    let child = |pid: &u32| stat(*pid).is_some_and(|(_, parent)| parent == worker.child.pid());
                    pids().into_iter().filter(child).collect::<Vec<_>>()
                };
                eventually("it has a child", || !children().is_empty());
                children().into_iter().for_each(&tell);
            }
            workers.push(worker);
        }
        workers
    }

    /// A worker that is a parent itself.
    fn middle(args: &[String]) {
        let stream = enter(args);
        guarded();
        let workers = raise(EVERY_KIND, |pid| say(&stream, pid));
        say(&stream, 0);
        linger(&stream);
        drop(workers);
    }

    struct Family {
        parent: Child,
        output: ChildStdout,
        /// Everybody below the parent but its guardian.
        members: Vec<u32>,
    }

    impl Family {
        fn new(end: &str, kinds: &[&str]) -> Self {
            let program = program("parent", &[&[end], kinds].concat());
            let mut parent = Command::new(program.path)
                .args(program.args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut output = parent.stdout.take().unwrap();
            let mut members = Vec::new();
            let mut zeros = kinds.iter().filter(|kind| **kind == "middle").count() + 1;
            while zeros > 0 {
                match read_line(&mut output).parse().unwrap() {
                    0 => zeros -= 1,
                    pid => members.push(pid),
                }
            }
            let family = Self { parent, output, members };
            for member in &family.members {
                assert!(is_alive(*member));
            }
            family
        }

        fn guardian(&self) -> u32 {
            let mut found = None;
            eventually("it has a guardian", || {
                found = guardian_of(self.parent.id());
                found.is_some()
            });
            found.unwrap()
        }

        fn told(&mut self) -> u32 {
            read_line(&mut self.output).parse().unwrap()
        }

        /// Waits for a child that was started after this process.
        fn told_since(&mut self, pid: u32) {
            let numbers: u32 = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
            // They are given in a row, and again from the first.
            while (self.told() + numbers - pid) % numbers > numbers / 2 {}
        }

        fn go_on(&mut self) {
            writeln!(self.parent.stdin.as_mut().unwrap()).unwrap();
        }

        fn kill(&mut self) {
            self.parent.kill().unwrap();
            self.parent.wait().unwrap();
        }

        fn nobody_is_left(mut self) -> Duration {
            let since = Instant::now();
            self.members.extend(guardian_of(self.parent.id()));
            all_die(&self.members);
            since.elapsed()
        }
    }

    fn guardian_of(parent: u32) -> Option<u32> {
        pids().into_iter().find(|pid| {
            stat(*pid).is_some_and(|(state, of)| of == parent && state != 'Z')
                && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "guardian\n")
        })
    }

    fn nobody_outlives_a_killed_parent() {
        for _ in 0..20 {
            let mut family = Family::new("", EVERY_KIND);
            assert_eq!(family.members.len(), 14);
            family.kill();
            let took = family.nobody_is_left();
            println!("all gone after {took:?}");
        }
    }

    fn become_reaper() {
        // SAFETY: sets an attribute of this process.
        let done = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
        assert_eq!(done, 0);
    }

    fn nobody_outlives_a_killed_parent_under_a_reaper_of_the_same_session() {
        become_reaper();
        for _ in 0..20 {
            let mut family = Family::new("", EVERY_KIND);
            family.kill();
            family.nobody_is_left();
            // SAFETY: reaps whom this process has inherited.
            while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
        }
    }

    fn nobody_outlives_a_stopped_and_killed_parent() {
        let mut family = Family::new("", EVERY_KIND);
        kill(family.parent.id(), libc::SIGSTOP);
        eventually_stopped(family.parent.id());
        family.kill();
        family.nobody_is_left();
    }

    fn nobody_outlives_a_parent_that_crashes_or_exits_or_execs() {
        for end in ["abort", "exit", "return", "exec"] {
            let mut family = Family::new(end, EVERY_KIND);
            family.go_on();
            if end == "exec" {
                // The same process goes on as another program.
                all_die(&family.members);
                family.kill();
            } else {
                family.parent.wait().unwrap();
            }
            family.nobody_is_left();
        }
    }

    fn many_workers_do_not_outlive_a_killed_parent() {
        let mut family = Family::new("", &["simple"; 200]);
        assert_eq!(family.members.len(), 200);
        family.kill();
        println!("200 workers gone after {:?}", family.nobody_is_left());
    }

    fn nobody_outlives_the_root_of_a_deep_tree() {
        let mut family = Family::new("", &["middle", "middle", "idle"]);
        assert_eq!(family.members.len(), 2 * 15 + 3);
        family.kill();
        family.nobody_is_left();
    }

    fn nobody_outlives_the_middle_of_a_deep_tree() {
        let mut family = Family::new("", &["middle"]);
        kill(family.members[0], libc::SIGKILL);
        all_die(&family.members);
        assert!(is_alive(family.parent.id()));
        family.kill();
        family.nobody_is_left();
    }

    fn a_killed_guardian_is_replaced_and_protects_all_the_same() {
        let mut family = Family::new("", EVERY_KIND);
        let first = family.guardian();
        kill(first, libc::SIGKILL);
        eventually("it is replaced", || guardian_of(family.parent.id()).is_some_and(|next| next != first));
        // Nobody but the guardian was harmed.
        for member in &family.members {
            assert!(is_alive(*member));
        }
        family.kill();
        family.nobody_is_left();
    }

    fn a_guardian_that_is_killed_again_and_again_is_replaced_each_time() {
        let mut family = Family::new("work", EVERY_KIND);
        family.go_on();
        for _ in 0..10 {
            let guardian = family.guardian();
            kill(guardian, libc::SIGKILL);
            let mut next = None;
            eventually("it is replaced", || {
                next = guardian_of(family.parent.id()).filter(|next| *next != guardian);
                next.is_some()
            });
            // Work goes on, for which the next one was given its list.
            family.told_since(next.unwrap());
        }
        family.kill();
        // And right after a replacement was killed the kernel's own signal remains, for the workers themselves.
        family.nobody_is_left();
    }

    fn a_guardian_that_does_not_read_is_replaced() {
        let mut family = Family::new("work", EVERY_KIND);
        let first = family.guardian();
        kill(first, libc::SIGSTOP);
        eventually_stopped(first);
        // The least room that a pipe can have, or this takes long.
        let pipe = fs::File::open(format!("/proc/{first}/fd/0")).unwrap();
        // SAFETY: sets an attribute of a pipe.
        let size = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
        assert_eq!(size, 4096);
        family.go_on();
        let mut starts = 0;
        while guardian_of(family.parent.id()) == Some(first) {
            family.told();
            starts += 1;
            assert!(starts < 5000, "a guardian that does not read is kept");
        }
        println!("replaced after {starts} starts");
        let second = family.guardian();
        family.told();
        for member in &family.members {
            assert!(is_alive(*member));
        }
        assert_eq!(family.guardian(), second);
        family.kill();
        family.nobody_is_left();
    }

    fn a_guardian_reads_before_its_pipe_is_full() {
        let mut family = Family::new("work", EVERY_KIND);
        let first = family.guardian();
        let pipe = fs::File::open(format!("/proc/{first}/fd/0")).unwrap();
        let unread = || {
            let mut bytes: libc::c_int = 0;
            // SAFETY: writes a number to where there is one.
            assert_eq!(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) }, 0);
            bytes
        };
        family.go_on();
        let (mut starts, mut most) = (0, 0);
        while unread() >= most {
            most = unread();
            family.told();
            starts += 1;
            assert!(starts < 5000, "it has not read {most} bytes");
        }
        println!("{most} bytes were read at once after {starts} starts");
        assert_eq!(family.guardian(), first);
        // What it has read since, and what it has not.
        family.kill();
        family.nobody_is_left();
    }

    fn a_guardian_that_cannot_live_is_not_tried_in_a_loop() {
        let path = std::env::temp_dir().join(format!("leaf-guardians-{}", process::id()));
        fs::write(&path, b"").unwrap();
        let tries = || fs::read(&path).unwrap().len();
        set_guardian(program("dies-at-once", &[path.to_str().unwrap()]));
        let until = Instant::now() + Duration::from_secs(1);
        let (mut started, mut refused) = (Vec::new(), None);
        while Instant::now() < until {
            let (ours, theirs) = Endpoint::pair().unwrap();
            let (watch, seen) = recorder();
            match block_on(spawn(launch("simple", &[], theirs), watch)) {
                Ok(child) => started.push((child, ours, seen)),
                Err(error) => refused = Some(error.to_string()),
            }
        }
        let tried = tries();
        fs::remove_file(&path).unwrap();
        println!("{tried} guardians tried, {} children started, {refused:?}", started.len());
        assert!((2..20).contains(&tried), "{tried}");
        assert!(refused.unwrap().contains("guardian"));
        for (child, _, seen) in &started {
            child.kill();
            harness::ended(seen);
        }
    }

    /// If a group stayed on the list, whoever gets its id next would be killed with the parent.
    fn a_dead_worker_is_off_the_list() {
        let mut family = Family::new("work", &["idle"]);
        family.go_on();
        for _ in 0..20 {
            family.told();
        }
        let dead = family.told();
        let impostor = Impostor::new(dead);
        family.kill();
        family.nobody_is_left();
        match impostor {
            Some(impostor) => assert!(impostor.is_unharmed()),
            None => eprintln!("(no pid can be chosen here)"),
        }
    }

    fn a_fork_that_holds_every_descriptor_does_not_keep_the_guardian_waiting() {
        let mut family = Family::new("fork", EVERY_KIND);
        family.go_on();
        let forked = family.told();
        family.kill();
        assert!(is_alive(forked));
        family.nobody_is_left();
        kill(forked, libc::SIGKILL);
    }

    fn a_guardian_is_not_started_by_hand() {
        let program = program("guardian", &[]);
        let mut command = Command::new(program.path);
        let ended = command.args(program.args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(ended.status.code(), Some(2));
        assert!(String::from_utf8(ended.stderr).unwrap().contains("by hand"));
    }
}
