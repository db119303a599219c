//! W4: a pool maps x * x over u64: 100,000 tasks, 2 workers, results in order.

use ::procession::Chunk;

use super::super::bare::pool;
use super::super::metric::Metric;
use super::super::runner::Contestant;
use super::super::{procession, procspawn, python, rayon};
use super::{Scale, Workload};

const WORKERS: usize = 2;

pub(crate) fn workload(scale: Scale) -> Workload {
    let tasks = scale.pick(100_000, 4_000);
    // For those that need a wake-up, or two, for each.
    let few = tasks / 10;
    let mut notes = Vec::new();
    let mut contestants = vec![
        Contestant::limit("pool-window-1000", move || {
            let rate = pool::squares(tasks, WORKERS, 1000)?;
            Ok(vec![(Metric::TasksOneAFrame, rate), (Metric::TasksAutomatic, rate)])
        }),
        Contestant::limit("pool-window-64", move || {
            Ok(vec![(Metric::TasksOneAFrame, pool::squares(tasks, WORKERS, 64)?)])
        }),
        Contestant::limit("pool-window-2", move || Ok(vec![(Metric::TasksOneAFrame, pool::squares(few, WORKERS, 2)?)])),
        Contestant::limit("pool-window-1", move || Ok(vec![(Metric::TasksOneAFrame, pool::squares(few, WORKERS, 1)?)])),
        Contestant::limit("rayon", move || Ok(vec![(Metric::TasksAutomatic, rayon::squares(tasks, WORKERS)?)])),
    ];
    contestants.extend(procession::both(async move |supervisor| {
        let one_by_one = procession::squares(supervisor, tasks, WORKERS, 1).await?;
        let automatic = procession::squares(supervisor, tasks, WORKERS, Chunk::Auto).await?;
        Ok(vec![(Metric::TasksOneAFrame, one_by_one), (Metric::TasksAutomatic, automatic)])
    }));
    contestants.push(Contestant::peer("procspawn-pool", move || {
        Ok(vec![(Metric::TasksOneAFrame, procspawn::squares(few, WORKERS)?)])
    }));
    let ways = [
        ("python-mp-pool-map", "w4 pool-map"),
        ("python-mp-pool-map-chunk-1", "w4 pool-map-one"),
        ("python-mp-imap-unordered", "w4 imap-unordered-one"),
        ("python-executor-chunk-100", "w4 executor"),
    ];
    contestants.extend(python::contestants(&ways, &[tasks, WORKERS], &mut notes));
    let slow = [("python-executor-chunk-1", "w4 executor-one")];
    contestants.extend(python::contestants(&slow, &[few, WORKERS], &mut Vec::new()));
    Workload { contestants, notes }
}
