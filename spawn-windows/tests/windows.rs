//! What is so on Windows only.

#[cfg(windows)]
#[path = "../../conformance/harness.rs"]
mod harness;
#[cfg(windows)]
mod system;

#[cfg(windows)]
use procession_spawn_windows as leaf;

#[cfg(windows)]
fn main() -> std::process::ExitCode {
    windows::main()
}

#[cfg(not(windows))]
fn main() {}

#[cfg(windows)]
mod windows {
    use std::fs::{self, File};
    use std::io::{self, Write};
    use std::os::windows::fs::OpenOptionsExt;
    use std::os::windows::io::{AsHandle, AsRawHandle};
    use std::process::{ExitCode, Stdio};
    use std::time::Duration;

    use procession_inspect_windows as inspect;

    use crate::harness::{
        self, PATIENCE, Role, Test, all_die, block_on, code, command, enter, eventually, guarded, launch, linger,
        living, plain, read_line, recorder, say, sleep_for_ever, start, tests,
    };
    use crate::leaf::{Connection, Endpoint, Listener, Memory, enter_worker, spawn};
    use crate::system::Process;

    const TESTS: &[Test] = tests![
        a_pipe_lets_in_its_user_and_nobody_else,
        a_second_client_is_refused,
        a_named_pipe_lets_in_its_user_and_nobody_else,
        a_client_that_does_not_tell_who_it_is_is_refused,
        a_named_pipe_is_not_there_for_other_machines,
        an_inheritable_handle_of_the_parent_is_not_in_the_child,
        no_handle_is_left_after_many_children,
        what_is_not_a_segment_is_refused,
        a_worker_is_not_started_with_another_kind_of_stream,
        what_is_not_memory_or_of_another_size_is_refused,
        the_standard_input_of_c_code_is_empty_too,
        crashes_are_named,
        a_crash_takes_no_longer_than_an_exit,
        a_batch_file_is_not_started,
        a_bare_name_is_looked_up_in_the_path,
        nobody_outlives_a_parent_whose_process_is_killed_by_the_system_below,
        a_worker_whose_process_is_killed_by_the_system_below_is_mourned,
        a_suspended_tree_is_killed_all_the_same,
    ];

    const ROLES: &[Role] = &[
        ("handles", |args| {
            let stream = enter(args);
            say(&stream, inspect::open_handles());
        }),
        ("handles-plain", |_| println!("{}", inspect::open_handles())),
        ("refusing", refusing),
        ("refused", |args| {
            let refused = enter_worker(args[0].parse().unwrap()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{refused}");
        }),
        ("c-stdin", |args| {
            let stream = enter(args);
            say(&stream, inspect::c_read_stdin());
            linger(&stream);
        }),
        ("crash", crash),
        ("parent", parent),
        ("family", |args| {
            let stream = enter(args);
            say(&stream, plain("sleep", &[]).id());
            linger(&stream);
        }),
    ];

    pub(crate) fn main() -> ExitCode {
        harness::main(TESTS, &[ROLES, harness::ROLES].concat())
    }

    /// Lets the other side of a pipe know nothing, in the system's own numbers.
    const SECURITY_ANONYMOUS: u32 = 0;

    /// Where Wine is not Windows, only what it does can be shown.
    fn is_wine() -> bool {
        inspect::is_wine()
    }

    /// What is read back is what the system goes by; Wine lets in anybody all the same.
    fn a_pipe_lets_in_its_user_and_nobody_else() {
        let (ours, theirs) = Endpoint::pair().unwrap();
        let user = inspect::user();
        for end in [&ours, &theirs] {
            let list = inspect::access_list(end.as_handle());
            assert!(list.starts_with("D:P"), "{list}");
            assert_eq!(list.matches('(').count(), 1, "{list}");
            assert!(list.ends_with(&format!(";;;{user})")), "{list} is not for {user} alone");
        }
    }

    /// No name of a pipe is known to anybody; a second end could not be had even so, for there is one instance.
    fn a_second_client_is_refused() {
        let listed = || -> Vec<String> {
            let pipes = fs::read_dir(r"\\.\pipe\").into_iter().flatten().flatten();
            let names = pipes.filter_map(|entry| entry.file_name().into_string().ok());
            names.filter(|name| name.contains("procession-")).collect()
        };
        let (_ours, _theirs) = Endpoint::pair().unwrap();
        let names = listed();
        if names.is_empty() {
            eprintln!("(the system does not list its pipes; Wine: {})", is_wine());
        }
        for name in names {
            File::options().read(true).write(true).open(format!(r"\\.\pipe\{name}")).expect_err("no instance is left");
        }
    }

    fn named(name: &str) -> String {
        format!(r"\\.\pipe\procession.{}.{name}", inspect::user())
    }

    /// As for the pipes of children: what is read back is what the system goes by, and Wine lets in anybody all the same. Each
    /// instance has the list, not only the first.
    fn a_named_pipe_lets_in_its_user_and_nobody_else() {
        block_on(async {
            let listener = Listener::bind("test-access").unwrap();
            let user = inspect::user();
            for _ in 0..3 {
                let (ours, theirs) = tokio::join!(listener.accept(), Connection::connect("test-access"));
                for end in [ours.unwrap(), theirs.unwrap()] {
                    let list = inspect::access_list(end.as_handle());
                    assert!(list.starts_with("D:P"), "{list}");
                    assert_eq!(list.matches('(').count(), 1, "{list}");
                    assert!(list.ends_with(&format!(";;;{user})")), "{list} is not for {user} alone");
                }
            }
        });
    }

    /// Wine does not look at what a client lets be known of it: there it is let in as who it is.
    fn a_client_that_does_not_tell_who_it_is_is_refused() {
        block_on(async {
            let listener = Listener::bind("test-anonymous").unwrap();
            let mut options = File::options();
            options.read(true).write(true).security_qos_flags(SECURITY_ANONYMOUS);
            let client = options.open(named("test-anonymous")).unwrap();
            match listener.accept().await {
                Ok(connection) => assert!(is_wine(), "{connection:?}"),
                Err(refused) => assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}"),
            }
            drop(client);
            // The next is let in.
            let (ours, theirs) = tokio::join!(listener.accept(), Connection::connect("test-anonymous"));
            ours.unwrap();
            theirs.unwrap();
        });
    }

    fn a_named_pipe_is_not_there_for_other_machines() {
        block_on(async {
            let _listener = Listener::bind("test-remote").unwrap();
            File::options().read(true).write(true).open(named("test-remote")).expect("it is there for this one");
            for machine in ["localhost", "127.0.0.1"] {
                let path = named("test-remote").replacen('.', machine, 1);
                File::options().read(true).write(true).open(path).expect_err("it comes over the network");
            }
        });
    }

    const MANY: u32 = 300;

    fn an_inheritable_handle_of_the_parent_is_not_in_the_child() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let files: Vec<_> = (0..MANY).map(|_| file.try_clone().unwrap()).collect();
        for file in &files {
            inspect::make_inheritable(file.as_handle());
        }
        let worker = start("handles", &[]);
        let own = worker.number();
        assert!(own < MANY, "{own} handles");
        // Whereas a child that inherits what it can has them all.
        let other = command("handles-plain", &[]).stdin(Stdio::null()).output().unwrap();
        let other: u32 = String::from_utf8(other.stdout).unwrap().trim().parse().unwrap();
        assert!(other >= MANY, "{other} handles");
        println!("{own} handles and not {other}");
    }

    fn no_handle_is_left_after_many_children() {
        let round = || {
            for worker in (0..20).map(|_| start("hello", &[])).collect::<Vec<_>>() {
                assert_eq!(worker.ended().2, code(0));
            }
        };
        // The first bring the thread, its port, what the system waits with, and the events that are kept.
        round();
        round();
        let before = inspect::open_handles();
        for _ in 0..3 {
            round();
        }
        // Threads of the system that wait come and go by themselves.
        eventually("they are as many as they were", || inspect::open_handles() <= before + 5);
        let workers: Vec<_> = (0..40).map(|_| start("linger", &[])).collect();
        let each = f64::from(inspect::open_handles().saturating_sub(before)) / 40.0;
        println!("{each} handles for each worker");
        // The stream and its event, the process, its job, two outputs.
        assert!(each <= 6.5, "{each} handles for each worker");
        drop(workers);
    }

    fn refusing(args: &[String]) {
        let endpoint = enter_worker(args[0].parse().unwrap()).unwrap();
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let (one, other) = Endpoint::pair().unwrap();
        let number = |handle: &dyn AsHandleNumber| handle.number();
        // Our own handles, where the parent's should be: neither a file nor a stream is memory.
        let mut answers = Vec::new();
        for journal in [0, 0xdead_0000, number(&file), number(&one)] {
            let (mut sender, receiver) = {
                let (sender, receiver) = Endpoint::pair().unwrap();
                (sender.into_blocking().unwrap(), receiver)
            };
            let mut message = 2_u32.to_le_bytes().to_vec();
            message.extend(journal.to_le_bytes());
            message.extend(8_u32.to_le_bytes());
            message.extend(b"hi");
            sender.write_all(&message).unwrap();
            answers.push(receiver.receive_greeting(PATIENCE).unwrap_err().kind() == io::ErrorKind::InvalidData);
        }
        // And they are still ours.
        assert!(file.metadata().is_ok());
        drop((one, other));
        say(&endpoint.into_blocking().unwrap(), format_args!("{answers:?}"));
    }

    trait AsHandleNumber {
        fn number(&self) -> u64;
    }

    impl<T: AsHandle> AsHandleNumber for T {
        fn number(&self) -> u64 {
            self.as_handle().as_raw_handle().addr() as u64
        }
    }

    fn what_is_not_a_segment_is_refused() {
        let worker = start("refusing", &[]);
        assert_eq!(worker.line(), "[true, true, true, true]");
        assert_eq!(worker.ended().2, code(0));
    }

    /// The parent's end of a pipe is not a child's.
    fn a_worker_is_not_started_with_another_kind_of_stream() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let (ours, _theirs) = Endpoint::pair().unwrap();
        let ours = ours.as_handle().try_clone_to_owned().unwrap();
        for (what, stdin) in [("a file", file.into()), ("the parent's end", Stdio::from(ours))] {
            let ended = command("refused", &[&std::process::id().to_string()]).stdin(stdin).output().unwrap();
            assert!(ended.status.success(), "{what}: {ended:?}");
        }
    }

    fn what_is_not_memory_or_of_another_size_is_refused() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let section = inspect::file_section(&file, 8192);
        let memory = Memory::create(8192).unwrap().seal().unwrap();
        let (one, _other) = Endpoint::pair().unwrap();
        for (what, len, handle) in [
            ("a file", 8192, file.number()),
            ("a part of a file", 8192, section.number()),
            ("a stream", 8192, one.number()),
            ("nothing", 8192, 0),
            ("no handle", 8192, 0xdead_0000),
            ("this process", 8192, u64::MAX),
            ("no bytes", 0, memory.number()),
            ("a page less", 4096, memory.number()),
            ("a byte more", 8193, memory.number()),
            ("very much", 1 << 60, memory.number()),
            ("all there is", u64::MAX, memory.number()),
        ] {
            for parted in [false, true] {
                let (_sender, receiver) = Endpoint::pair().unwrap();
                let refused = block_on(async {
                    let stream = receiver.into_stream().unwrap();
                    stream.take_memory(None, handle, len, parted).expect_err(what)
                });
                assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{what}");
            }
        }
        // And they are still ours.
        assert!(file.metadata().is_ok());
        assert_eq!(memory[..], [0; 8192]);
    }

    fn the_standard_input_of_c_code_is_empty_too() {
        let mut worker = start("c-stdin", &[]);
        // Were it the stream, this would be read.
        worker.stream.write_all(b"not for C").unwrap();
        assert_eq!(worker.line(), "0");
    }

    fn crash(args: &[String]) {
        let _stream = enter(args);
        match &args[1][..] {
            "fault" => inspect::fault(),
            "overflow" => {
                #[expect(unconditional_recursion, reason = "that is what it is for")]
                fn deeper(level: [u8; 4096]) -> u8 {
                    std::hint::black_box(deeper(std::hint::black_box(level)))
                }
                let _ = std::thread::spawn(|| deeper([0; 4096])).join();
            }
            "illegal" => inspect::illegal_instruction(),
            "breakpoint" => inspect::breakpoint(),
            "raised" => inspect::raise(0xC000_0374),
            _ => std::process::abort(),
        }
    }

    fn crashes_are_named() {
        for (how, name) in [
            ("fault", "STATUS_ACCESS_VIOLATION"),
            ("overflow", "STATUS_STACK_OVERFLOW"),
            ("illegal", "STATUS_ILLEGAL_INSTRUCTION"),
            ("breakpoint", "STATUS_BREAKPOINT"),
            ("raised", "STATUS_HEAP_CORRUPTION"),
            ("abort", "STATUS_STACK_BUFFER_OVERRUN"),
        ] {
            let exit = start("crash", &[how]).ended().2;
            assert_eq!(exit.name(), Some(name), "{how}: {exit:?}");
        }
    }

    /// No dialog, no debugger and no report are waited for.
    fn a_crash_takes_no_longer_than_an_exit() {
        let began = std::time::Instant::now();
        start("crash", &["fault"]).ended();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    fn start_by(path: &str) -> io::Result<()> {
        guarded();
        let (_ours, theirs) = Endpoint::pair()?;
        let mut launch = launch("nobody", &[], theirs);
        launch.program.path = path.into();
        let (watch, seen) = recorder();
        let child = block_on(spawn(launch, watch))?;
        child.kill();
        harness::ended(&seen);
        Ok(())
    }

    fn a_batch_file_is_not_started() {
        let path = std::env::temp_dir().join(format!("leaf-{}.bat", std::process::id()));
        fs::write(&path, "exit 0\r\n").unwrap();
        let refused = start_by(path.to_str().unwrap()).unwrap_err();
        fs::remove_file(&path).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{refused}");
    }

    fn a_bare_name_is_looked_up_in_the_path() {
        start_by("cmd").unwrap();
        start_by("cmd.exe").unwrap();
        assert_eq!(start_by("no-such-program-anywhere").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// Starts two families, tells their pids, and waits for ever.
    fn parent(_: &[String]) {
        let families: Vec<_> = (0..2).map(|_| start("family", &[])).collect();
        for family in &families {
            println!("{}", family.child.pid());
            println!("{}", family.number());
        }
        println!("0");
        sleep_for_ever()
    }

    /// Kills the Unix process that is the Windows one with these words among its arguments.
    fn kill_below(words: &[&str]) {
        assert_eq!(inspect::kill_below(words), 1, "{words:?}");
    }

    fn nobody_outlives_a_parent_whose_process_is_killed_by_the_system_below() {
        if !is_wine() {
            eprintln!("(there is no system below)");
            return;
        }
        let word = format!("below-{}", std::process::id());
        for _ in 0..5 {
            let mut parent = command("parent", &[&word]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let mut output = parent.stdout.take().unwrap();
            let mut members: Vec<Process> = Vec::new();
            loop {
                match read_line(&mut output).trim_end().parse().unwrap() {
                    0 => break,
                    pid => members.push(living(pid)),
                }
            }
            assert_eq!(members.len(), 4);
            kill_below(&["role", "parent", &word]);
            parent.wait().unwrap();
            all_die(&members);
        }
    }

    fn a_worker_whose_process_is_killed_by_the_system_below_is_mourned() {
        if !is_wine() {
            eprintln!("(there is no system below)");
            return;
        }
        let word = format!("below-{}", std::process::id());
        let worker = start("family", &[&word]);
        let grandchild = worker.process();
        kill_below(&["role", "family", &word]);
        // Wine takes that for an exit with code 0, which on Windows nobody can bring about from outside.
        assert_eq!(worker.ended().2, code(0));
        all_die(&[grandchild]);
    }

    fn a_suspended_tree_is_killed_all_the_same() {
        let worker = start("family", &[]);
        let grandchild = worker.number();
        for pid in [grandchild, worker.child.pid()] {
            inspect::Process::open(pid).unwrap().suspend();
        }
        let grandchild = living(grandchild);
        worker.child.kill();
        assert_eq!(worker.ended().2.name(), Some("KILLED"));
        all_die(&[grandchild]);
    }
}
