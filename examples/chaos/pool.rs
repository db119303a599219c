//! Tasks of a pool whose workers die: each ends once, and only the one that a dead worker ran is lost.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use procession::TaskError;
use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;
use crate::dice::Dice;
use crate::ledger::{Ledger, Ran, begin};
use crate::stage::Stage;
use crate::system;
use crate::verdict::Verdict;

/// How long no task may end before it counts as hanging.
const HANGING: Duration = Duration::from_secs(60);

/// For so many kills from outside a task ends its worker by itself.
const BY_ITSELF: u64 = 5;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    number: u64,
    folder: String,
    does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Does {
    Computes(u32),
    Sleeps(u64),
    Faults,
    Exits(i32),
    Aborts,
}

impl Does {
    /// What this task does, of so many tasks with so many deaths.
    fn of(arguments: &Arguments, number: u64) -> Self {
        let mut dice = Dice::of(arguments.seed, number);
        if dice.is_in(arguments.kills / BY_ITSELF, arguments.tasks) {
            return [Self::Faults, Self::Exits(0), Self::Exits(3), Self::Aborts][dice.below(4) as usize];
        }
        match dice.below(100) {
            0 => Self::Sleeps(1 + dice.below(3)),
            1..10 => Self::Computes(20_000),
            _ => Self::Computes(dice.below(500) as u32),
        }
    }

    fn kills(self) -> bool {
        matches!(self, Self::Faults | Self::Exits(_) | Self::Aborts)
    }
}

#[procession::task]
async fn work(job: Job) -> u64 {
    begin(&job.folder, job.number);
    match job.does {
        Does::Computes(rounds) => {
            let mut dice = Dice::of(0, 0);
            std::hint::black_box((0..rounds).fold(0, |sum: u64, _| sum.wrapping_add(dice.roll())));
        }
        Does::Sleeps(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Does::Faults => system::fault(),
        Does::Exits(code) => std::process::exit(code),
        Does::Aborts => std::process::abort(),
    }
    answer(job.number)
}

fn answer(number: u64) -> u64 {
    Dice::of(1, number).roll()
}

pub(crate) async fn play(arguments: &Arguments, stage: &Stage, verdict: &mut Verdict) -> procession::Result {
    let Arguments { tasks, workers, kills, seed, .. } = *arguments;
    let pool = stage.sup.task_pool("pool", workers).await?;
    let mut ledger = Ledger::new(tasks)?;
    let folder = ledger.folder();
    let does = *arguments;
    let jobs = (0..tasks).map(move |number| Job { number, folder: folder.clone(), does: Does::of(&does, number) });
    let mut outcomes = pool.outcomes(work, jobs);

    let (begun, mut hunts) = (Instant::now(), Vec::new());
    let (mut ended, mut aimed) = (0, 0);
    let mut lost: HashMap<u32, u64> = HashMap::new();
    let mut suicides = HashSet::new();
    loop {
        let completion = match tokio::time::timeout(HANGING, outcomes.next()).await {
            Ok(Some(completion)) => completion,
            Ok(None) => break,
            Err(_) => {
                let left = (pool.queued(), pool.workers().await);
                verdict.broken(format!(
                    "nothing has ended for {HANGING:?} after {ended} tasks; queued and workers: {left:?}"
                ));
                return Ok(());
            }
        };
        let number = completion.index;
        let does = Does::of(arguments, number);
        match completion.outcome {
            Ok(value) => {
                verdict.check(value == answer(number), || format!("task {number} has another one's value"));
                verdict.check(!does.kills(), || format!("task {number} has ended its worker and is done"));
                ledger.ended(number, Ran::Once);
            }
            Err(TaskError::Died { exit, executed, .. }) => {
                ledger.ended(number, executed.into());
                *lost.entry(exit.pid).or_default() += 1;
                let known = does.kills() || stage.prey.was_hit(exit.pid);
                verdict.check(known, || format!("task {number} was lost to a worker that nobody had killed: {exit}"));
                if does.kills() {
                    suicides.insert(exit.pid);
                }
            }
            Err(error) => {
                ledger.ended(number, Ran::Never);
                verdict.broken(format!("task {number}: {error}"));
            }
        }
        ended += 1;
        while aimed < kills && aimed * tasks <= ended * kills {
            let mut dice = Dice::of(seed, u64::MAX - aimed);
            let Some(hunt) = stage.prey.hunt(&mut dice) else { break };
            hunts.push(hunt);
            aimed += 1;
        }
        if ended.is_multiple_of((tasks / 10).max(1)) {
            println!(
                "{ended:>10} tasks have ended, {} workers have died, {:.1?}",
                stage.prey.fallen().len(),
                begun.elapsed()
            );
        }
    }
    let took = begun.elapsed();
    for hunt in hunts {
        hunt.await?;
    }
    verdict.check(outcomes.refused().is_none(), || format!("not all was taken: {:?}", outcomes.refused()));
    verdict.check(ended == tasks, || format!("{ended} of {tasks} tasks have ended"));

    // It is as usable as before.
    let again: Vec<_> =
        (0..1_000).map(|number| Job { number, folder: String::new(), does: Does::Computes(1) }).collect();
    match pool.map(plain, again).await {
        Ok(values) => {
            let right = values.iter().enumerate().all(|(number, value)| *value == answer(number as u64));
            verdict.check(right && values.len() == 1_000, || "the pool mixes up values after it".to_owned());
        }
        Err(failed) => verdict.broken(format!("the pool is not usable after it: {failed}")),
    }
    let report = pool.finish().await;
    let told = report.done + report.lost;
    verdict.check(told == report.submitted && told == tasks + 1_000, || format!("the pool's own count: {report}"));

    let fallen = stage.prey.fallen();
    // Ids are given anew after some thousands of starts.
    let mut deaths: HashMap<u32, u64> = HashMap::new();
    for pid in &fallen {
        *deaths.entry(*pid).or_default() += 1;
    }
    for (pid, tasks) in &lost {
        let deaths = deaths.get(pid).copied().unwrap_or(0);
        verdict.check(*tasks <= deaths, || format!("{tasks} tasks were lost to {deaths} deaths of process {pid}"));
    }
    for pid in &fallen {
        let known = stage.prey.was_hit(*pid) || suicides.contains(pid);
        verdict.check(known, || format!("process {pid} has died and nobody had killed it"));
    }
    let (hit, frozen, missed) = stage.prey.counts();
    verdict.check(missed == 0, || format!("{missed} events were missed"));
    let sum = ledger.judge("task", verdict)?;
    println!(
        "{tasks} tasks, {workers} workers, {} deaths ({hit} killed from outside, {frozen} stopped before, {} by their own tasks)",
        fallen.len(),
        suicides.len()
    );
    println!("{} done, {} lost with their worker, {} siblings affected", sum.once, sum.at_most_once, sum.never);
    println!("{:.1?}, {:.0} tasks and {:.0} deaths a second", took, rate(tasks, took), rate(fallen.len() as u64, took));
    let (told, back) = (stage.prey.told_after(), stage.prey.back_after());
    println!("death to event, under this load: {told}\nreplacement ready, under this load: {back}");
    Ok(())
}

/// The same work without a book.
#[procession::task]
fn plain(job: Job) -> u64 {
    answer(job.number)
}

fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
