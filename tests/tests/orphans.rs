//! Nobody outlives a program that is killed: not its workers, whatever they do, nor what these have started.

mod life;

use std::process::{ExitCode, Termination};
use std::time::{Duration, Instant};

use bytes::Bytes;
use procession::prelude::*;

use life::families::{self, FAMILY, all_die, family, raise, said, trials};
use life::probe::{Plan, Probe, ProbeApi};
use life::programs::{self, Program, eventually};
use life::system::{self, marked};
use life::{Place, quiet};

fn main() -> ExitCode {
    programs::main(
        tests![
            nobody_outlives_a_killed_program,
            nobody_outlives_a_frozen_and_killed_program,
            nobody_outlives_a_program_that_was_killed_in_the_middle_of_its_work,
            nobody_outlives_a_program_that_was_killed_half_way_through_large_messages,
            nobody_outlives_the_root_of_a_deep_tree,
            a_hundred_workers_do_not_outlive_a_killed_program,
        ],
        &[
            ("parent", || parent().report()),
            ("deep", || deep().report()),
            ("restless", || restless().report()),
            ("talkative", || talkative().report()),
            ("hundred", || hundred().report()),
        ],
    )
}

#[procession::main]
async fn parent() -> procession::Result {
    families::parent().await
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

/// Nearly as much as a frame may have.
const MUCH: usize = 15 << 20;

#[procession::task]
fn returns(bytes: Bytes) -> Bytes {
    bytes
}

/// Sends much to one worker that does not read it, and to two that send it back, for as long as it lives.
#[procession::main]
async fn talkative() -> procession::Result {
    let sup = quiet().start().await?;
    let deaf = raise(&sup, "deaf").await?;
    system::freeze(deaf.pid().await?);
    tokio::spawn(deaf.write("x".repeat(MUCH), true));
    let pool = sup.task_pool("pool", 2).await?;
    println!("ready");
    loop {
        pool.map(returns, [Bytes::from(vec![7; MUCH]), vec![8; MUCH].into()]).await?;
    }
}

const HUNDRED: usize = 100;

#[procession::main]
async fn hundred() -> procession::Result {
    let sup = quiet().start().await?;
    let mut starts = Vec::new();
    for number in 0..HUNDRED {
        let sup = sup.clone();
        let spec = ChildSpec::<Probe>::new(format!("w{number}"), Plan::default()).init_timeout(life::PATIENCE);
        starts.push(tokio::spawn(async move { sup.start_child(spec).await }));
    }
    for start in starts {
        start.await??.count().await?;
    }
    println!("ready");
    std::future::pending().await
}

fn nobody_outlives_a_killed_program() {
    for killing in system::killings() {
        let mut times = Vec::new();
        for _ in 0..trials() {
            let place = Place::new();
            let mut program = Program::start("parent", &place);
            assert_eq!(program.line(), "ready");
            let family = family(FAMILY, None);
            let since = Instant::now();
            program.kill_by(killing);
            times.push(all_die(&family, since));
        }
        said(&format!("after {} of the program", killing.0), times);
    }
}

fn nobody_outlives_a_frozen_and_killed_program() {
    let place = Place::new();
    let mut program = Program::start("parent", &place);
    assert_eq!(program.line(), "ready");
    let family = family(FAMILY, None);
    system::freeze(program.pid());
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

fn nobody_outlives_a_program_that_was_killed_half_way_through_large_messages() {
    let mut times = Vec::new();
    for trial in 0..trials() {
        let place = Place::new();
        let mut program = Program::start("talkative", &place);
        assert_eq!(program.line(), "ready");
        // The program, its guardian, three workers and the grandchildren of one.
        let family = family(1 + system::GUARDIANS + 3 + 2, None);
        // Each time at another point of a message.
        std::thread::sleep(Duration::from_micros(u64::from(trial) * 2300 % 40_000));
        let since = Instant::now();
        program.kill();
        times.push(all_die(&family, since));
    }
    said("in the middle of large messages", times);
}

fn nobody_outlives_the_root_of_a_deep_tree() {
    let mut times = Vec::new();
    for _ in 0..5 {
        let place = Place::new();
        let mut program = Program::start("deep", &place);
        assert_eq!(program.line(), "ready");
        // Itself, its workers, their grandchildren and workers, and a guardian for each that has workers.
        let family = family(1 + 2 + 2 * (2 + 3) + 3 * system::GUARDIANS, None);
        let since = Instant::now();
        program.kill();
        times.push(all_die(&family, since));
    }
    said("a deep tree after the kill of its root", times);
}

fn a_hundred_workers_do_not_outlive_a_killed_program() {
    let place = Place::new();
    let mut program = Program::start("hundred", &place);
    assert_eq!(program.line(), "ready");
    let family = family(1 + system::GUARDIANS + HUNDRED, None);
    let since = Instant::now();
    program.kill();
    said("a hundred workers after the kill of their program", vec![all_die(&family, since)]);
}
