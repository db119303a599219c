//! Programs with whole families of workers and grandchildren, of whom nobody may be left.

use std::time::{Duration, Instant};

use procession::prelude::*;

use super::probe::{Init, Plan, Probe, ProbeApi};
use super::programs::told;
use super::quiet;
use super::system::{self, Process, marked};

/// A program with workers in all states, each with a child of its own that runs and one that is frozen.
pub async fn parent() -> procession::Result {
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
        super::eventually("it computes", || began.exists()).await;
    }
    for name in ["frozen one", "frozen two"] {
        let pid = raise(sup, name).await?.pid().await?;
        system::freeze(pid);
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
    super::eventually("they start", || grandchild.exists() && super::lines(&told("starting")).len() == 2).await;
    Ok(())
}

/// The program, its guardian, eight workers, two grandchildren of six of them and one of a seventh.
pub const FAMILY: usize = 1 + system::GUARDIANS + 8 + 2 * 6 + 1;

/// A worker with a child of its own that runs and one that is frozen.
pub async fn raise(sup: &Supervisor, name: &str) -> procession::Result<Address<Probe>> {
    let probe = sup.spawn::<Probe>(name, Plan::default()).await?;
    probe.grandchild(false).await?;
    probe.grandchild(true).await?;
    Ok(probe)
}

/// How often a test that kills at another moment each time does it.
pub fn trials() -> u32 {
    std::env::var("PROCESSION_TRIALS").ok().and_then(|trials| trials.parse().ok()).unwrap_or(20)
}

/// Everybody but that one, as soon as there are so many: who has just been started is not to be told from others yet.
pub fn family(members: usize, but: Option<u32>) -> Vec<Process> {
    let mut family = Vec::new();
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        family.clear();
        family.extend(marked().into_iter().filter(|process| Some(process.pid) != but));
        if family.len() == members {
            return family;
        }
        assert!(Instant::now() < deadline, "not {members}, but {}: {family:#?}", family.len());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits for the death of all and says how long it took from `since` on.
pub fn all_die(family: &[Process], since: Instant) -> Duration {
    let mut alive: Vec<&Process> = family.iter().collect();
    while !alive.is_empty() {
        alive.retain(|process| process.is_alive());
        assert!(since.elapsed() < Duration::from_secs(10), "they live on: {alive:?}");
    }
    since.elapsed()
}

/// Prints how long it took, and fails if that was long.
pub fn said(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let most = times.last().copied().unwrap_or_default();
    println!("{what}: {} trials, p50 {:?}, at most {most:?}", times.len(), times[times.len() / 2]);
    assert!(most < Duration::from_secs(5));
}
