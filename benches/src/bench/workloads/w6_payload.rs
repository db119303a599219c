//! W6: 64 MiB to a worker that answers length, first and last byte.

use std::io::Result;
use std::time::Duration;

use bytes::Bytes;

use super::super::bare::payload;
use super::super::figure::micros;
use super::super::metric::Metric;
use super::super::runner::Contestant;
use super::super::{ipc_channel, procession, python, system};
use super::{Scale, Workload};

/// Handovers of what is filled already.
const HANDOVERS: usize = 500;

/// Other sizes of what is filled already: what it costs to hand over does not depend on them. The last one only where the
/// machine has memory to spare.
const SIZES: [(usize, [&str; 2]); 3] = [
    (4 << 10, ["procession-blob-4KiB", "procession-blob-kept-4KiB"]),
    (1 << 20, ["procession-blob-1MiB", "procession-blob-kept-1MiB"]),
    (1 << 30, ["procession-blob-1GiB", "procession-blob-kept-1GiB"]),
];

pub(crate) fn workload(scale: Scale) -> Workload {
    let size = scale.pick(64 << 20, 20 << 20);
    let times = scale.pick(5, 1);
    let bytes = Bytes::from(vec![7; size]);
    let mut notes = vec![
        "procession-blob hands over a blob that the worker has let go of, procession-blob-kept one that it has"
            .to_owned(),
        format!(
            "procession's bytes go in calls of {} MiB, all outstanding at once: a frame holds 16 MiB",
            procession::PIECE >> 20
        ),
    ];
    let through = |peer, send: fn(&[u8], usize) -> Result<Vec<Duration>>| {
        let bytes = bytes.clone();
        Contestant::limit(peer, move || Ok(vec![throughput(size, send(&bytes, times)?)]))
    };
    let mut contestants = vec![
        through("memcpy", payload::copied),
        through("socket-reused-buffer", payload::through_socket),
        through("memfd-refilled", payload::through_new_memory),
    ];
    let filled = bytes.clone();
    contestants
        .push(Contestant::limit("memfd-filled", move || Ok(vec![handover(payload::handovers(&filled, HANDOVERS)?)])));
    let sent = bytes.clone();
    contestants.extend(procession::both(async move |supervisor| {
        Ok(vec![throughput(size, procession::payloads(supervisor, &sent, times).await?)])
    }));
    let fill = bytes.clone();
    contestants.extend(procession::both_as(
        ["procession-blob", "procession-blob-current-thread"],
        async move |supervisor| {
            let new = throughput(size, procession::new_blobs(supervisor, &fill, times).await?);
            Ok(vec![new, handover(procession::handovers(supervisor, size, HANDOVERS, false).await?)])
        },
    ));
    contestants.extend(procession::both_as(
        ["procession-blob-kept", "procession-blob-kept-current-thread"],
        async move |supervisor| Ok(vec![handover(procession::handovers(supervisor, size, HANDOVERS, true).await?)]),
    ));
    for (len, [anew, kept]) in SIZES {
        let spare = system::available_memory().unwrap_or_default();
        if len > size && (scale == Scale::Quick || spare < 3 * len as u64) {
            notes.push(format!(
                "{anew} and {kept} are left out: they are for full runs with 3 times their size to spare"
            ));
            continue;
        }
        for (name, keep) in [(anew, false), (kept, true)] {
            contestants.push(procession::multi_thread(name, async move |supervisor| {
                Ok(vec![handover(procession::handovers(supervisor, len, HANDOVERS, keep).await?)])
            }));
        }
    }
    contestants.push(Contestant::peer("ipc-channel", move || {
        let new = throughput(size, ipc_channel::through_new_memory(&bytes, times)?);
        Ok(vec![new, handover(ipc_channel::handovers(&bytes, HANDOVERS)?)])
    }));
    let ways = [("python-mp-pool-pickle", "w6 pool-pickle"), ("python-shared-memory-reused", "w6 shared-memory")];
    contestants.extend(python::contestants(&ways, &[size, times], &mut notes));
    Workload { contestants, notes }
}

fn throughput(size: usize, mut times: Vec<Duration>) -> (Metric, f64) {
    let seconds = micros(&mut times, 0.5) / 1e6;
    (Metric::Throughput, size as f64 / f64::from(1 << 30) / seconds)
}

fn handover(mut times: Vec<Duration>) -> (Metric, f64) {
    (Metric::Handover, micros(&mut times, 0.5))
}
