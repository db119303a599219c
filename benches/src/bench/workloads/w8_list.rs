//! W8: 4 processes append 10,000 items of 32 bytes each to one list.

use super::super::bare::server;
use super::super::metric::Metric;
use super::super::runner::Contestant;
use super::super::{procession, python};
use super::{Scale, Workload};

const CLIENTS: usize = 4;
/// Appends that a client has under way.
const WINDOW: usize = 1000;

pub(crate) fn workload(scale: Scale) -> Workload {
    let items = scale.pick(10_000, 200);
    let mut notes = Vec::new();
    let mut contestants = vec![Contestant::limit("list-server", move || {
        let single = server::appends(CLIENTS, items, 1)?;
        // Ten times as many: they are that fast.
        let pipelined = server::appends(CLIENTS, 10 * items, WINDOW)?;
        Ok(vec![(Metric::AppendsSingle, single), (Metric::AppendsPipelined, pipelined)])
    })];
    contestants.extend(procession::both(async move |supervisor| {
        let single = procession::appends(supervisor, CLIENTS, items, 1).await?;
        let pipelined = procession::appends(supervisor, CLIENTS, items, WINDOW).await?;
        Ok(vec![(Metric::AppendsSingle, single), (Metric::AppendsPipelined, pipelined)])
    }));
    contestants.extend(python::contestants(&[("python-mp-manager-list", "w8 list")], &[CLIENTS, items], &mut notes));
    Workload { contestants, notes }
}
