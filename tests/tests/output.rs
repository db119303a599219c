//! What workers print: whole lines under their names, nothing lost before a crash, and no reader so slow that it blocks one.

mod life;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use procession::prelude::*;
use procession::{ExitCause, OutputLine, SupervisorBuilder, WorkerOutput};

use life::probe::{How, Plan, Probe, ProbeApi};
use life::{Place, alone, alone_blocking, eventually, on, soon, system};

procession::test_workers!();

/// One line, as a sink was told it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    worker: String,
    is_error: bool,
    text: String,
}

type Lines = Arc<Mutex<Vec<Line>>>;

fn told() -> (Lines, SupervisorBuilder) {
    let lines = Lines::default();
    let to = lines.clone();
    let sink = move |line: OutputLine<'_>| {
        let text = String::from_utf8(line.line.to_vec()).expect("text");
        to.lock().expect("no panic").push(Line { worker: line.worker.to_owned(), is_error: line.is_error, text });
    };
    (lines, Supervisor::builder().output(WorkerOutput::To(Arc::new(sink))))
}

fn of(lines: &Lines) -> Vec<Line> {
    lines.lock().expect("no panic").clone()
}

fn texts(lines: &Lines, is_error: bool) -> Vec<String> {
    of(lines).into_iter().filter(|line| line.is_error == is_error).map(|line| line.text).collect()
}

#[test]
fn a_sink_is_told_each_line_with_its_worker_and_nothing_of_the_test_harness() {
    alone(|| async {
        let (lines, builder) = told();
        let sup = builder.start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        probe.print(3, "sheep".to_owned()).await?;
        probe.write("to stderr\n".to_owned(), true).await?;
        sup.shutdown().await?;
        assert_eq!(texts(&lines, false), ["0 sheep", "1 sheep", "2 sheep"]);
        assert_eq!(texts(&lines, true), ["to stderr"]);
        assert!(of(&lines).iter().all(|line| line.worker == "p"));
        Ok(())
    });
}

#[test]
fn the_last_lines_before_a_crash_are_told_with_the_end() {
    alone(|| async {
        let (lines, builder) = told();
        let sup = builder.start().await?;
        for (number, end) in [Some(How::Abort), Some(How::Code(3)), None].into_iter().enumerate() {
            let spec = ChildSpec::<Probe>::new("p", Plan::default()).restart(Restart::Temporary);
            let probe = sup.start_child(spec).await?;
            let pid = probe.pid().await?;
            probe.print(1000, "before".to_owned()).await?;
            probe.write("half a line".to_owned(), false).await?;
            probe.write(format!("what was wrong: {number}\nand half a line"), true).await?;
            match end {
                Some(how) => probe.end(how).await?,
                None => system::kill(pid),
            }
            let exit = sup.join(&probe, life::PATIENCE).await?;
            assert_eq!(exit.pid, pid);
            let said = format!("what was wrong: {number}\nand half a line");
            assert!(exit.stderr.starts_with(&said), "{exit}");
            let out = texts(&lines, false);
            assert_eq!(out.len(), 1001 * (number + 1));
            assert_eq!(out[out.len() - 2..], ["999 before", "half a line"]);
        }
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn a_long_line_comes_in_pieces_of_64_kib_and_nothing_is_lost() {
    alone(|| async {
        let (lines, builder) = told();
        let sup = builder.start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        const PIECE: usize = 64 << 10;
        let long: String = (0..3 * PIECE + 10).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        probe.write(format!("{long}\nshort\n"), false).await?;
        sup.shutdown().await?;
        let out = texts(&lines, false);
        assert_eq!(out.iter().map(String::len).collect::<Vec<_>>(), [PIECE, PIECE, PIECE, 10, 5]);
        assert_eq!(out[..4].concat(), long);
        Ok(())
    });
}

#[test]
fn standard_error_is_remembered_to_its_last_lines() {
    alone(|| async {
        let (_, builder) = told();
        let sup = builder.start().await?;
        let probe = sup.start_child(ChildSpec::<Probe>::new("p", Plan::default()).restart(Restart::Temporary)).await?;
        for hundred in 0..40 {
            let lines = (0..100).map(|line| format!("line {}\n", hundred * 100 + line));
            probe.write(lines.collect(), true).await?;
        }
        probe.end(How::Code(1)).await?;
        let exit = sup.join(&probe, life::PATIENCE).await?;
        assert_eq!(exit.cause, ExitCause::Code(1));
        assert!(exit.stderr.len() <= 16 << 10, "{}", exit.stderr.len());
        let lines: Vec<_> = exit.stderr.lines().collect();
        assert!(lines.len() > 1000 && lines.ends_with(&["line 3998", "line 3999"]), "{exit}");
        assert_eq!(lines[0], format!("line {}", 4000 - lines.len()), "from a line's begin, and none is missing");
        sup.shutdown().await?;
        Ok(())
    });
}

// What stands on this process's own output is seen from outside: by a test that starts this program with one of the
// tests below, which print where they are asked to and do nothing in an ordinary run.

const ROLE: &str = "PROCESSION_TEST_PRINTS";

fn printing(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|asked| asked == role)
}

fn program(role: &str) -> Command {
    let mut program = Command::new(std::env::current_exe().expect("a test has a path"));
    program.args(["--exact", role, "--nocapture", "--test-threads=1"]).env(ROLE, role).stdin(Stdio::null());
    program
}

const WORKERS: usize = 8;
const EACH: u32 = 2000;

#[test]
fn prints_hard() {
    if !printing("prints_hard") {
        return;
    }
    alone(|| async {
        let sup = Supervisor::builder().start().await?;
        let mut calls = Vec::new();
        for number in 0..WORKERS {
            let probe = sup.spawn::<Probe>(format!("w{number}"), Plan::default()).await?;
            let text = format!("{}.", char::from(b'a' + number as u8).to_string().repeat(100));
            calls.push(tokio::spawn(probe.print(EACH, text)));
        }
        for call in calls {
            call.await??;
        }
        sup.shutdown().await?;
        Ok(())
    });
    // An ordinary program has `#[procession::main]` for this: the last lines are on their way still. Whoever reads them
    // says when it has them.
    std::io::stdin().read_line(&mut String::new()).expect("it is a pipe");
}

#[test]
fn eight_workers_that_print_hard_tear_no_line_and_keep_their_order() {
    alone_blocking(|| {
        let mut program = program("prints_hard");
        program.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = program.spawn().expect("it runs");
        let lines = BufReader::new(program.stdout.take().expect("it is piped")).lines();
        let mut next = HashMap::<String, u32>::new();
        let mut all = 0;
        for line in lines {
            let line = line.expect("text");
            // What is not a worker's is the harness's own.
            let Some(begin) = line.find("[w") else { continue };
            let line = &line[begin..];
            let (name, rest) = line.split_once("] ").unwrap_or_else(|| panic!("torn: {line:?}"));
            let name = &name[1..];
            let (number, text) = rest.split_once(' ').unwrap_or_else(|| panic!("torn: {line:?}"));
            let letter = char::from(b'a' + name[1..].parse::<u8>().expect("a number"));
            assert_eq!(text, format!("{}.", letter.to_string().repeat(100)), "torn: {line:?}");
            let next = next.entry(name.to_owned()).or_default();
            assert_eq!(number.parse(), Ok(*next), "{name} out of order");
            *next += 1;
            all += 1;
            if all == WORKERS as u32 * EACH {
                // All that there is: it may go.
                drop(program.stdin.take());
            }
        }
        assert!(program.wait().expect("it is ours").success());
        assert_eq!(next.len(), WORKERS);
        assert!(next.values().all(|lines| *lines == EACH), "{next:?}");
    });
}

#[test]
fn prints_for_nobody() {
    if !printing("prints_for_nobody") {
        return;
    }
    let done = std::env::var("PROCESSION_TEST_DONE").expect("it is told");
    alone(|| async move {
        let sup = Supervisor::builder().start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        // Far more than any pipe holds and than may wait.
        probe.print(100_000, "x".repeat(100)).await?;
        assert_eq!(probe.count().await?, 1);
        sup.shutdown().await?;
        life::touch(done.as_ref());
        Ok(())
    });
    std::process::exit(0);
}

#[test]
fn a_reader_that_never_reads_blocks_no_worker() {
    alone_blocking(|| {
        let place = Place::new();
        let done = place.file("done");
        let mut program = program("prints_for_nobody");
        program.env("PROCESSION_TEST_DONE", &done).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = program.spawn().expect("it runs");
        on(&mut tokio::runtime::Builder::new_current_thread(), async {
            eventually("the worker has printed all of it", || done.exists()).await;
            Ok(())
        });
        // Nobody has read a byte.
        program.kill().ok();
        program.wait().expect("it is ours");
    });
}

#[test]
fn prints_by_itself() {
    if !printing("prints_by_itself") {
        return;
    }
    alone(|| async {
        let sup = Supervisor::builder().output(WorkerOutput::Inherit).start().await?;
        let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
        probe.print(1, "as it is".to_owned()).await?;
        probe.write("wrong, too\n".to_owned(), true).await?;
        probe.end(How::Code(4)).await?;
        let mut events = sup.events();
        let exit = loop {
            if let Ok(procession::Event::Exited { exit, .. }) = soon("the end", events.next()).await {
                break exit;
            }
        };
        assert_eq!((exit.cause, exit.stderr.as_str()), (ExitCause::Code(4), ""));
        sup.shutdown().await?;
        Ok(())
    });
}

#[test]
fn workers_that_inherit_print_by_themselves_without_a_name_in_front() {
    alone_blocking(|| {
        let output = program("prints_by_itself").output().expect("it runs");
        let out = String::from_utf8(output.stdout).expect("text");
        let err = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.success(), "{out}\n{err}");
        assert!(out.lines().any(|line| line.ends_with("0 as it is")), "{out}");
        assert!(err.lines().any(|line| line == "wrong, too"), "{err}");
        assert!(!out.contains("[p]") && !err.contains("[p]"), "{out}\n{err}");
    });
}
