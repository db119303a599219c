//! How a program ends by its own word: with which exit code, and what becomes of its children.

mod life;

use std::process::{ExitCode, Termination};

use procession::Failure;
use procession::prelude::*;

use life::probe::{How, Plan, Probe, ProbeApi};
use life::programs::{self, Program, eventually, told};
use life::system::{self, exit_code, marked};
use life::{Place, alone_on, quiet, touch};

fn main() -> ExitCode {
    programs::main(
        tests![
            main_that_returns_ok_exits_with_0,
            main_that_returns_an_error_exits_with_1_and_says_it_in_words,
            a_main_that_panics_exits_with_101_and_leaves_nobody,
            a_main_that_exits_by_itself_keeps_its_code_and_leaves_nobody,
            children_left_at_the_return_of_main_are_stopped_in_reverse,
            children_of_a_supervisor_that_nobody_drops_are_stopped_too,
            a_child_to_be_waited_for_is_waited_for_at_the_return_of_main,
            the_last_lines_of_workers_are_printed_before_the_program_ends,
            a_supervisor_that_main_drops_before_its_end_is_killed,
            a_worker_of_a_program_has_one_argument,
            a_test_without_the_entry_is_told_so,
        ],
        &[
            ("succeeds", || succeeds().report()),
            ("fails", || fails().report()),
            ("panics", || panics().report()),
            ("exits", || exits().report()),
            ("leaves children", || leaves_children().report()),
            ("forgets children", || forgets_children().report()),
            ("leaves one to wait for", || leaves_one_to_wait_for().report()),
            ("last words", || last_words().report()),
            ("drops early", || drops_early().report()),
            ("heedless", || heedless().report()),
        ],
    )
}

// Programs.

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
        probe.end(How::Normal).await
    });
    life::eventually("it works", || told("began").exists()).await;
    Ok(())
}

#[procession::main]
async fn last_words() -> procession::Result {
    let sup = Supervisor::builder().start().await?;
    let probe = sup.spawn::<Probe>("p", Plan::default()).await?;
    probe.print(5000, "sheep".to_owned()).await?;
    Ok(())
}

#[procession::main]
async fn drops_early() -> procession::Result {
    drop(three().await?);
    // A moment later it is too late for an order.
    tokio::task::yield_now().await;
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

// Tests.

fn main_that_returns_ok_exits_with_0() {
    let (status, out, err) = Program::start("succeeds", &Place::new()).ended();
    assert_eq!((exit_code(status), out), (0, vec!["1".to_owned()]), "{err:?}");
    assert!(err.is_empty(), "{err:?}");
}

fn main_that_returns_an_error_exits_with_1_and_says_it_in_words() {
    let (status, _, err) = Program::start("fails", &Place::new()).ended();
    assert_eq!((exit_code(status), err), (1, vec!["Error: counting sheep: the barn is empty".to_owned()]));
    eventually("nobody is left", || marked().is_empty());
}

fn a_main_that_panics_exits_with_101_and_leaves_nobody() {
    let (status, _, err) = Program::start("panics", &Place::new()).ended();
    // The test program's own main would have it as its code too.
    assert_eq!(exit_code(status), 101, "{err:?}");
    assert!(err.iter().any(|line| line == "told to panic"), "{err:?}");
    eventually("nobody is left", || marked().is_empty());
}

fn a_main_that_exits_by_itself_keeps_its_code_and_leaves_nobody() {
    let (status, _, err) = Program::start("exits", &Place::new()).ended();
    assert_eq!(exit_code(status), 5, "{err:?}");
    eventually("nobody is left", || marked().is_empty());
}

fn stops_all_three(role: &str) {
    let place = Place::new();
    let (status, _, err) = Program::start(role, &place).ended();
    assert_eq!(exit_code(status), 0, "{err:?}");
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
    assert_eq!((exit_code(status), out), (0, vec![r#"Ok("worked")"#.to_owned()]), "{err:?}");
    assert_eq!(place.lines("log"), ["start p", "ready p", "stop p"]);
}

fn the_last_lines_of_workers_are_printed_before_the_program_ends() {
    let (status, out, err) = Program::start("last words", &Place::new()).ended();
    assert_eq!(exit_code(status), 0, "{err:?}");
    assert_eq!((out.len(), out.last().map(String::as_str)), (5000, Some("[p] 4999 sheep")));
}

fn a_supervisor_that_main_drops_before_its_end_is_killed() {
    let place = Place::new();
    let (status, _, err) = Program::start("drops early", &place).ended();
    assert_eq!(exit_code(status), 0, "{err:?}");
    assert_eq!(place.lines("log").len(), 6, "nobody was asked");
    eventually("nobody is left", || marked().is_empty());
}

fn a_worker_of_a_program_has_one_argument() {
    let place = Place::new();
    let mut program = Program::start("heedless", &place);
    assert_eq!(program.line(), "ready");
    let workers = system::workers_of(program.pid()).into_iter();
    let arguments: Vec<_> = workers.map(system::arguments).collect();
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
