//! W5: 200 tasks that each take 10 ms of a core, 2 workers: how near to what rayon takes in the same round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::metric::Metric;
use super::super::runner::{Contestant, Readings};
use super::super::{procession, python, rayon, system};
use super::{Scale, Workload};

const WORKERS: usize = 2;
const EACH: Duration = Duration::from_millis(10);

/// Computes until this thread has had so much of a core.
pub(crate) fn burn(time: Duration) {
    let until = system::thread_time() + time;
    while system::thread_time() < until {
        std::hint::spin_loop();
    }
}

/// What rayon took in this round, in nanoseconds: it has the first turn.
type Reference = Arc<AtomicU64>;

pub(crate) fn workload(scale: Scale) -> Workload {
    let tasks = scale.pick(200, 20);
    let mut notes = Vec::new();
    let reference = Reference::default();
    let set = reference.clone();
    let mut contestants = vec![Contestant::limit("rayon", move || {
        let took = rayon::burns(tasks, WORKERS, EACH)?;
        set.store(u64::try_from(took.as_nanos())?, Ordering::Relaxed);
        Ok(readings(&set, took))
    })];
    let beside = reference.clone();
    contestants.extend(procession::both(async move |supervisor| {
        procession::burns(supervisor, tasks, WORKERS, EACH).await.map(|took| readings(&beside, took))
    }));
    if python::is_there() {
        contestants.push(Contestant::peer("python-mp-pool-map", move || {
            let nanos = usize::try_from(EACH.as_nanos())?;
            let reference = usize::try_from(reference.load(Ordering::Relaxed))?;
            Ok(python::run("w5 pool", &[tasks, WORKERS, nanos, reference])?)
        }));
    } else {
        notes.push(python::MISSING.to_owned());
    }
    Workload { contestants, notes }
}

fn readings(reference: &Reference, took: Duration) -> Readings {
    let reference = Duration::from_nanos(reference.load(Ordering::Relaxed));
    vec![(Metric::Efficiency, reference.as_secs_f64() / took.as_secs_f64())]
}
