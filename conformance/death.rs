//! How the end of a child is told.

use std::io::{Read, Write};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{
    PATIENCE, Role, Test, all_die, block_on, code, ended, enter, eventually, guarded, launch, linger, living, plain,
    recorder, say, start, tests, told,
};
use super::leaf::{Endpoint, Exit, Output, Watch, die_with_tree, spawn};
use super::system;

pub(super) const TESTS: &[Test] = tests![
    each_cause_of_death_is_told_as_it_was,
    exited_comes_once_and_after_all_output,
    whoever_finds_it_dead_first_tells_all_of_it,
    whoever_keeps_the_vigil_finds_the_end,
    an_end_that_nobody_found_in_a_vigil_is_told_after_it,
    a_vigil_for_the_dead_changes_nothing,
    nobody_finds_a_living_child_dead,
    grandchildren_die_with_the_worker,
    a_grandchild_that_holds_the_output_does_not_delay_the_exit,
    a_worker_can_take_its_whole_tree_with_it,
    kill_takes_the_whole_tree,
    kill_after_the_end_does_nothing,
    the_stream_of_a_killed_child_ends,
    a_child_of_a_short_lived_thread_outlives_it,
    a_child_of_a_short_lived_runtime_outlives_it,
    a_flooding_child_does_not_delay_the_exit_of_another,
    a_watch_that_panics_stops_nobody,
    the_deaths_of_many_at_once_are_all_told,
];

pub(super) const ROLES: &[Role] = &[
    ("die", die),
    ("print", print),
    ("family", family),
    ("flood", |args| {
        enter(args);
        flood()
    }),
    ("flood-plain", |_| flood()),
];

fn die(args: &[String]) {
    let _stream = enter(args);
    match &args[1][..] {
        "fault" => system::fault(),
        "abort" => process::abort(),
        code => process::exit(code.parse().unwrap()),
    }
}

fn each_cause_of_death_is_told_as_it_was() {
    for number in [0, 3, 255] {
        let exit = start("die", &[&number.to_string()]).ended().2;
        assert_eq!(exit, code(number));
        assert_eq!(exit.success(), number == 0);
        assert_eq!(exit.name(), None);
    }
    for (how, name) in [("fault", system::FAULT), ("abort", system::ABORT)] {
        let exit = start("die", &[how]).ended().2;
        assert_eq!(exit.name(), Some(name), "{exit:?}");
        assert!(!exit.success());
    }
    let worker = start("linger", &[]);
    worker.child.kill();
    let exit = worker.ended().2;
    assert_eq!(exit.name(), Some(system::KILL), "{exit:?}");
    assert!(!exit.success());
}

const MUCH: usize = 3_000_000;
const LAST: usize = 30_000;

fn print(args: &[String]) {
    let stream = enter(args);
    std::io::stdout().write_all(&vec![b'o'; MUCH]).unwrap();
    std::io::stderr().write_all(&vec![b'e'; LAST]).unwrap();
    std::io::stdout().write_all(&vec![b'O'; LAST]).unwrap();
    std::io::stdout().flush().unwrap();
    drop(stream);
    die_with_tree()
}

fn exited_comes_once_and_after_all_output() {
    for _ in 0..10 {
        let (stdout, stderr, exit) = start("print", &[]).ended();
        assert_eq!(exit.name(), Some(system::KILL));
        assert_eq!(stdout.len(), MUCH + LAST);
        assert!(stdout.ends_with(&[b'O'; LAST]));
        assert_eq!(stderr.len(), LAST);
    }
}

fn whoever_finds_it_dead_first_tells_all_of_it() {
    for _ in 0..10 {
        let worker = start("print", &[]);
        // Its stream ends with it, or before.
        (&worker.stream).read_to_end(&mut Vec::new()).unwrap();
        while !worker.child.try_wait() {
            thread::yield_now();
        }
        // Told already, and not again by the process thread.
        let (stdout, stderr, exit) = told(&worker.seen);
        assert_eq!(exit.name(), Some(system::KILL));
        assert_eq!((stdout.len(), stderr.len()), (MUCH + LAST, LAST));
        assert!(worker.child.try_wait());
        assert!(worker.seen.recv_timeout(PATIENCE).is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected));
    }
}

fn whoever_keeps_the_vigil_finds_the_end() {
    let worker = start("linger", &[]);
    let vigil = worker.child.vigil();
    worker.child.kill();
    eventually("it is dead", || worker.child.try_wait());
    assert_eq!(told(&worker.seen).2.name(), Some(system::KILL));
    drop(vigil);
    assert!(worker.seen.recv_timeout(PATIENCE).is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected));
}

fn an_end_that_nobody_found_in_a_vigil_is_told_after_it() {
    for dies_in_it in [true, false] {
        let worker = start("linger", &[]);
        let process = living(worker.child.pid());
        let vigil = worker.child.vigil();
        if dies_in_it {
            worker.child.kill();
            all_die(&[process]);
        }
        drop(vigil);
        worker.child.kill();
        assert_eq!(worker.ended().2.name(), Some(system::KILL));
    }
}

fn a_vigil_for_the_dead_changes_nothing() {
    let worker = start("die", &["3"]);
    let child = worker.child.clone();
    assert_eq!(worker.ended().2, code(3));
    drop(child.vigil());
    assert!(child.try_wait());
    assert_eq!(start("die", &["4"]).ended().2, code(4));
}

fn nobody_finds_a_living_child_dead() {
    let worker = start("linger", &[]);
    assert!(!worker.child.try_wait());
    worker.stream.shutdown().unwrap();
    assert_eq!(worker.ended().2, code(0));
    // Whoever has told it may not be done with it yet.
    eventually("told, and known", || worker.child.try_wait());
}

/// A worker with children: tells their pids, then does what it is told.
fn family(args: &[String]) {
    let mut stream = enter(args);
    for role in &args[2..] {
        say(&stream, plain(role, &[]).id());
    }
    if args[1] == "tree" {
        stream.read_exact(&mut [0]).unwrap();
        die_with_tree()
    }
    linger(&stream);
}

fn flood() {
    let mut stdout = std::io::stdout();
    while stdout.write_all(&[b'x'; 4096]).is_ok() {}
}

fn grandchildren_die_with_the_worker() {
    let worker = start("family", &["linger", "sleep", "sleep"]);
    let grandchildren = [worker.process(), worker.process()];
    worker.stream.shutdown().unwrap();
    assert_eq!(worker.ended().2, code(0));
    all_die(&grandchildren);
}

fn a_grandchild_that_holds_the_output_does_not_delay_the_exit() {
    for role in ["sleep", "flood-plain"] {
        let worker = start("family", &["linger", role]);
        let grandchild = [worker.process()];
        worker.stream.shutdown().unwrap();
        let asked = Instant::now();
        assert_eq!(worker.ended().2, code(0));
        println!("beside {role}: {:?}", asked.elapsed());
        all_die(&grandchild);
    }
}

fn a_worker_can_take_its_whole_tree_with_it() {
    let worker = start("family", &["tree", "sleep", "sleep"]);
    let grandchildren = [worker.process(), worker.process()];
    (&worker.stream).write_all(b"!").unwrap();
    assert_eq!(worker.ended().2.name(), Some(system::KILL));
    all_die(&grandchildren);
}

fn kill_takes_the_whole_tree() {
    let worker = start("family", &["linger", "sleep", "sleep"]);
    let grandchildren = [worker.process(), worker.process()];
    worker.child.kill();
    assert_eq!(worker.ended().2.name(), Some(system::KILL));
    all_die(&grandchildren);
}

fn kill_after_the_end_does_nothing() {
    let worker = start("die", &["3"]);
    let clone = worker.child.clone();
    assert_eq!(worker.ended().2, code(3));
    worker.child.kill();
    worker.child.terminate();
    clone.kill();
    assert_eq!(clone.pid(), worker.child.pid());
    assert_eq!(start("die", &["4"]).ended().2, code(4));
}

fn the_stream_of_a_killed_child_ends() {
    let mut worker = start("linger", &[]);
    worker.child.kill();
    worker.ended();
    // Nobody but the child had the other end.
    assert_eq!(worker.stream.read(&mut [0; 8]).unwrap(), 0);
}

fn a_child_of_a_short_lived_thread_outlives_it() {
    let worker = thread::spawn(|| start("family", &["linger", "sleep"])).join().unwrap();
    // It answers after the thread's end, and goes on to.
    let grandchild = worker.process();
    assert!(living(worker.child.pid()).is_alive());
    worker.stream.shutdown().unwrap();
    assert_eq!(worker.ended().2, code(0));
    all_die(&[grandchild]);
}

fn a_child_of_a_short_lived_runtime_outlives_it() {
    guarded();
    let (ours, theirs) = Endpoint::pair().unwrap();
    let (watch, seen) = recorder();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let starting = runtime.spawn(spawn(launch("linger", &[], theirs), watch));
    let child = runtime.block_on(starting).unwrap().unwrap();
    drop(runtime);
    assert!(living(child.pid()).is_alive());
    drop(ours);
    assert_eq!(ended(&seen).2, code(0));
}

fn a_flooding_child_does_not_delay_the_exit_of_another() {
    struct Count(AtomicUsize, Mutex<Option<mpsc::Sender<Exit>>>);
    impl Watch for Count {
        fn output(&self, _: Output, bytes: &[u8]) {
            self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        fn exited(&self, exit: Exit) {
            let _ = self.1.lock().unwrap().take().unwrap().send(exit);
        }
    }
    guarded();
    let (sender, gone) = mpsc::channel();
    let flood = Arc::new(Count(AtomicUsize::new(0), Mutex::new(Some(sender))));
    let (_ours, theirs) = Endpoint::pair().unwrap();
    let watch: Arc<dyn Watch> = flood.clone();
    let flooding = block_on(spawn(launch("flood", &[], theirs), watch)).unwrap();
    eventually("it floods", || flood.0.load(Ordering::Relaxed) > 0);
    let mut took = Vec::new();
    for _ in 0..20 {
        let worker = start("linger", &[]);
        let asked = Instant::now();
        worker.child.kill();
        worker.ended();
        took.push(asked.elapsed());
    }
    took.sort();
    println!("death to event beside a flood: p50 {:?}, max {:?}", took[10], took[19]);
    assert!(took[10] < Duration::from_millis(500), "{took:?}");
    let before = flood.0.load(Ordering::Relaxed);
    eventually("it still floods", || flood.0.load(Ordering::Relaxed) > before);
    flooding.kill();
    gone.recv_timeout(PATIENCE).unwrap();
}

fn a_watch_that_panics_stops_nobody() {
    struct Bad;
    impl Watch for Bad {
        fn output(&self, _: Output, _: &[u8]) {
            panic!("of output, by intent");
        }
        fn exited(&self, _: Exit) {
            panic!("of an exit, by intent");
        }
    }
    guarded();
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&panics);
    std::panic::set_hook(Box::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let (_ours, theirs) = Endpoint::pair().unwrap();
    let child = block_on(spawn(launch("print", &[], theirs), Arc::new(Bad))).unwrap();
    all_die(&[living(child.pid())]);
    let exit = start("die", &["3"]).ended().2;
    let _ = std::panic::take_hook();
    assert_eq!(exit, code(3));
    assert!(panics.load(Ordering::Relaxed) > 1);
}

fn the_deaths_of_many_at_once_are_all_told() {
    let workers: Vec<_> = (0..100).map(|_| start("linger", &[])).collect();
    let asked = Instant::now();
    for worker in &workers {
        worker.child.kill();
    }
    for worker in &workers {
        assert_eq!(worker.ended().2.name(), Some(system::KILL));
    }
    println!("100 deaths told in {:?}", asked.elapsed());
}
