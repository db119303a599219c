//! W2: 32 bytes to a worker and back, one outstanding.

use std::time::Duration;

use super::super::bare::messages;
use super::super::figure::micros;
use super::super::metric::Metric;
use super::super::runner::{Contestant, Readings};
use super::super::{ipc_channel, procession, procspawn, python, tarpc};
use super::{Scale, Workload};

pub(crate) fn workload(scale: Scale) -> Workload {
    let count = scale.pick(10_000, 200);
    let mut notes = Vec::new();
    let mut contestants = vec![
        Contestant::limit("socket-blocking", move || Ok(readings(messages::round_trips(count)?))),
        Contestant::limit("socket-tokio", move || Ok(readings(messages::round_trips_tokio(count)?))),
        Contestant::limit("socket-yield-polled", move || Ok(readings(messages::round_trips_yielding(count)?))),
    ];
    contestants.extend(procession::both(async move |supervisor| {
        procession::round_trips(supervisor, count).await.map(readings)
    }));
    contestants.push(procession::polling(async move |supervisor| {
        procession::round_trips(supervisor, count).await.map(readings)
    }));
    contestants.push(Contestant::peer("ipc-channel", move || Ok(readings(ipc_channel::round_trips(count)?))));
    contestants.push(Contestant::peer("tarpc", move || Ok(readings(tarpc::round_trips(count)?))));
    contestants.push(Contestant::peer("procspawn-pool", move || Ok(readings(procspawn::round_trips(count)?))));
    let ways = [
        ("python-mp-pipe", "w2 pipe"),
        ("python-mp-pool-apply", "w2 pool-apply"),
        ("python-mp-manager", "w2 manager"),
        ("python-executor", "w2 executor"),
    ];
    contestants.extend(python::contestants(&ways, &[count], &mut notes));
    Workload { contestants, notes }
}

fn readings(mut times: Vec<Duration>) -> Readings {
    vec![(Metric::RoundTripMedian, micros(&mut times, 0.5)), (Metric::RoundTrip99, micros(&mut times, 0.99))]
}
