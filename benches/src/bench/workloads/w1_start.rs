//! W1: a new worker, from asking for it until its first message is answered; 50, one after the other.

use std::time::Duration;

use super::super::figure::micros;
use super::super::metric::Metric;
use super::super::runner::{Contestant, Readings};
use super::super::{bare, ipc_channel, procession, procspawn, python, tarpc};
use super::{Scale, Workload};

pub(crate) fn workload(scale: Scale) -> Workload {
    let count = scale.pick(50, 3);
    let mut notes = Vec::new();
    let mut contestants = vec![Contestant::limit("exec", move || Ok(readings(bare::starts(count)?)))];
    contestants
        .extend(procession::both(async move |supervisor| procession::starts(supervisor, count).await.map(readings)));
    contestants.push(Contestant::peer("procspawn", move || Ok(readings(procspawn::starts(count)?))));
    contestants.push(Contestant::peer("ipc-channel", move || Ok(readings(ipc_channel::starts(count)?))));
    contestants.push(Contestant::peer("tarpc", move || Ok(readings(tarpc::starts(count)?))));
    let ways =
        [("python-mp-fork", "w1 fork"), ("python-mp-forkserver", "w1 forkserver"), ("python-mp-spawn", "w1 spawn")];
    contestants.extend(python::contestants(&ways, &[count], &mut notes));
    Workload { contestants, notes }
}

fn readings(mut times: Vec<Duration>) -> Readings {
    vec![(Metric::SpawnToReady, micros(&mut times, 0.5) / 1e3)]
}
