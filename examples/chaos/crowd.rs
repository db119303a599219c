//! Many workers at once: how soon they are ready, what each costs their supervisor, and how soon their death is known.

use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::stage::Stage;
use crate::system;
use crate::verdict::Verdict;

/// How many one can have on two cores within ten seconds.
const READY: Duration = Duration::from_secs(10);
/// Bytes that each may cost its supervisor.
const BYTES: usize = 100 << 10;
/// Descriptors that come and go by themselves.
const BESIDE: usize = 8;
/// What of the two is failure and not a busy machine.
const MARGIN: u32 = 6;

#[procession::task]
fn pid() -> u32 {
    std::process::id()
}

pub(crate) async fn play(arguments: &Arguments, stage: &Stage, verdict: &mut Verdict) -> procession::Result {
    let workers = arguments.workers;
    let before = (system::descriptors_of_this_process(), system::memory_of_this_process());
    let begun = Instant::now();
    let pool = stage.sup.task_pool("crowd", workers).await?;
    stage.prey.are_alive(workers).await;
    let ready = begun.elapsed();
    let descriptors = system::descriptors_of_this_process().saturating_sub(before.0);
    let memory = system::memory_of_this_process().saturating_sub(before.1);
    println!(
        "{workers} workers are ready after {ready:.2?}; each costs {:.2} descriptors and {} KiB of its supervisor's memory",
        descriptors as f64 / workers as f64,
        memory / workers / 1024
    );
    // The prey is known by a descriptor more, where a process is kept in sight by one.
    let most = (system::DESCRIPTORS_OF_A_WORKER + system::DESCRIPTORS_OF_A_SIGHT) * workers + BESIDE;
    verdict.check(descriptors <= most, || format!("{descriptors} descriptors for {workers} workers"));
    verdict.figure(ready, READY, READY * MARGIN, || format!("{ready:?} until {workers} were ready"));
    verdict.figure(memory, BYTES * workers, BYTES * workers * MARGIN as usize, || {
        format!("{memory} bytes of memory for {workers} workers")
    });

    let begun = Instant::now();
    let killed = stage.prey.kill_all();
    let sent = begun.elapsed();
    stage.prey.have_fallen(killed as u64).await;
    let known = begun.elapsed();
    println!(
        "{killed} of {workers} killed within {sent:.2?}, all deaths known after {known:.2?}; {}",
        stage.prey.told_after()
    );
    verdict.check(killed == workers, || format!("only {killed} of {workers} could be killed"));
    let wanted = if workers <= 200 { Duration::from_millis(500) } else { Duration::from_millis(3 * workers as u64) };
    verdict.figure(known, wanted, wanted * MARGIN * 4, || format!("{known:?} until {killed} deaths were known"));

    let pids = pool.map(pid, std::iter::repeat_n((), workers * 2)).await;
    verdict.check(pids.is_ok(), || format!("the pool is not usable after it: {pids:?}"));
    println!("{}", pool.finish().await);
    Ok(())
}
