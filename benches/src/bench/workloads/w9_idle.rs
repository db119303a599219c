//! W9: 100 idle workers: what each has of memory, and what it costs to have them.

use std::time::{Duration, Instant};

use super::super::bare::{self, idle};
use super::super::metric::Metric;
use super::super::runner::{Contestant, Readings};
use super::super::{procession, procspawn, python, system};
use super::{Scale, Workload};

pub(crate) fn workload(scale: Scale) -> Workload {
    let count = scale.pick(100, 5);
    let millis = scale.pick(3_000, 200);
    let watched = Duration::from_millis(millis as u64);
    let mut notes = vec![
        "supervise_100_cpu_percent is what the starting process and all the workers spend, in parts of one core"
            .to_owned(),
    ];
    let mut contestants = Vec::new();
    for (peer, work) in [("exec", "idle"), ("tokio-worker", "idle-tokio")] {
        contestants.push(Contestant::limit(peer, move || {
            let kids = idle::crowd(count, work)?;
            let pids = kids.iter().map(bare::Kid::pid).collect();
            let observed = Observed::begin(pids)?;
            // Nothing wakes this up: the children stay.
            std::thread::park_timeout(watched);
            Ok(observed.end()?)
        }));
    }
    contestants.extend(procession::both(async move |supervisor| {
        let observed = Observed::begin(procession::crowd(supervisor, count).await?)?;
        tokio::time::sleep(watched).await;
        Ok(observed.end()?)
    }));
    contestants.push(Contestant::peer("procspawn", move || {
        let crowd = procspawn::crowd(count)?;
        let observed = Observed::begin(crowd.iter().map(procspawn::Idle::pid).collect::<Result<_, _>>()?)?;
        std::thread::park_timeout(watched);
        Ok(observed.end()?)
    }));
    let ways =
        [("python-mp-fork", "w9 fork"), ("python-mp-forkserver", "w9 forkserver"), ("python-mp-spawn", "w9 spawn")];
    contestants.extend(python::contestants(&ways, &[count, millis], &mut notes));
    Workload { contestants, notes }
}

/// Workers from the time that they are idle.
struct Observed {
    workers: Vec<u32>,
    memory: f64,
    spent: Duration,
    since: Instant,
}

impl Observed {
    fn begin(workers: Vec<u32>) -> std::io::Result<Self> {
        let memory = workers.iter().map(|pid| system::proportional_memory(*pid)).sum::<std::io::Result<f64>>()?;
        let mut observed = Self { workers, memory, spent: Duration::ZERO, since: Instant::now() };
        observed.spent = observed.spent()?;
        observed.since = Instant::now();
        Ok(observed)
    }

    fn spent(&self) -> std::io::Result<Duration> {
        let all = self.workers.iter().copied().chain([std::process::id()]);
        all.map(system::processor_time).sum()
    }

    fn end(self) -> std::io::Result<Readings> {
        let lasted = self.since.elapsed();
        let spent = self.spent()?.saturating_sub(self.spent);
        let memory = self.memory / self.workers.len() as f64;
        let percent = 100.0 * spent.as_secs_f64() / lasted.as_secs_f64();
        Ok(vec![(Metric::WorkerMemory, memory), (Metric::Supervision, percent)])
    }
}
