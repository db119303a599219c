//! W7: 8 processes acquire and release one lock 10,000 times each.

use super::super::bare::server;
use super::super::metric::Metric;
use super::super::runner::Contestant;
use super::super::{procession, python};
use super::{Scale, Workload};

const CLIENTS: usize = 8;

pub(crate) fn workload(scale: Scale) -> Workload {
    let times = scale.pick(10_000, 100);
    let mut notes = Vec::new();
    let mut contestants = vec![Contestant::limit("lock-server", move || {
        Ok(vec![(Metric::Acquisitions, server::acquisitions(CLIENTS, times)?)])
    })];
    contestants.extend(procession::both(async move |supervisor| {
        Ok(vec![(Metric::Acquisitions, procession::acquisitions(supervisor, CLIENTS, times).await?)])
    }));
    contestants.extend(python::contestants(&[("python-mp-lock", "w7 lock")], &[CLIENTS, times], &mut notes));
    // A tenth: it is that slow.
    let slow = [("python-mp-manager-lock", "w7 manager-lock")];
    contestants.extend(python::contestants(&slow, &[CLIENTS, times / 10], &mut Vec::new()));
    Workload { contestants, notes }
}
