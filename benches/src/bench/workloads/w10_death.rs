//! W10: from `kill -9` of a worker until whoever started it knows.

use std::time::Duration;

use tokio::runtime::Builder;

use super::super::bare::idle::{Watch, deaths, deaths_on_tokio};
use super::super::figure::micros;
use super::super::metric::Metric;
use super::super::runner::{Contestant, Readings};
use super::super::{ipc_channel, procession, procspawn, python};
use super::{Scale, Workload};

pub(crate) fn workload(scale: Scale) -> Workload {
    let count = scale.pick(50, 3);
    let mut notes = Vec::new();
    let mut contestants = Vec::new();
    for (peer, watch) in [
        ("pidfd-poll", Watch::Pidfd),
        ("tokio-end-of-stream", Watch::Stream),
        ("child-wait", Watch::Wait),
        ("child-wait-tokio", Watch::WaitForTokio),
    ] {
        contestants.push(Contestant::limit(peer, move || Ok(readings(deaths(count, watch)?))));
    }
    contestants.push(Contestant::limit("tokio-child-wait", move || {
        Ok(readings(deaths_on_tokio(count, Builder::new_multi_thread())?))
    }));
    contestants.push(Contestant::limit("tokio-child-wait-current-thread", move || {
        Ok(readings(deaths_on_tokio(count, Builder::new_current_thread())?))
    }));
    contestants.push(procession::limit("worker-pidfd-poll", async move |supervisor| {
        procession::deaths_by_pidfd(supervisor, count).await.map(readings)
    }));
    contestants
        .extend(procession::both(async move |supervisor| procession::deaths(supervisor, count).await.map(readings)));
    contestants.push(Contestant::peer("ipc-channel", move || Ok(readings(ipc_channel::deaths(count)?))));
    contestants.push(Contestant::peer("procspawn", move || Ok(readings(procspawn::deaths(count)?))));
    let ways = [("python-mp-sentinel", "w10 sentinel"), ("python-executor-broken", "w10 executor")];
    contestants.extend(python::contestants(&ways, &[count], &mut notes));
    Workload { contestants, notes }
}

fn readings(mut times: Vec<Duration>) -> Readings {
    vec![(Metric::KillToKnown, micros(&mut times, 0.5))]
}
