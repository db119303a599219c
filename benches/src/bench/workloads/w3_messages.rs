//! W3: 32-byte messages: requests with 1,000 outstanding, and one way.

use super::super::bare::messages;
use super::super::metric::Metric;
use super::super::runner::Contestant;
use super::super::{ipc_channel, procession, python, tarpc};
use super::{Scale, Workload};

/// Requests that are outstanding.
const WINDOW: usize = 1000;
/// As many as fit into the sockets when each has a write of its own.
const EACH_WINDOW: usize = 128;

pub(crate) fn workload(scale: Scale) -> Workload {
    // The slow ones are given less, so that all take about as long.
    let fast = scale.pick(2_000_000, 20_000);
    let ours = scale.pick(1_000_000, 5_000);
    let count = scale.pick(200_000, 5_000);
    let mut notes = Vec::new();
    let mut contestants = vec![
        Contestant::limit("socket-batched", move || {
            let request_reply = messages::request_reply(fast, WINDOW, false)?;
            let one_way = messages::one_way(fast, WINDOW)?;
            Ok(vec![(Metric::RequestReply, request_reply), (Metric::OneWay, one_way)])
        }),
        Contestant::limit("socket-write-each", move || {
            let request_reply = messages::request_reply(count, EACH_WINDOW, true)?;
            Ok(vec![(Metric::RequestReply, request_reply), (Metric::OneWay, messages::one_way(count, 1)?)])
        }),
    ];
    contestants.extend(procession::both(async move |supervisor| {
        let request_reply = procession::request_reply(supervisor, ours, WINDOW).await?;
        supervisor.stop("echo").await?;
        let one_way = procession::one_way(supervisor, ours).await?;
        Ok(vec![(Metric::RequestReply, request_reply), (Metric::OneWay, one_way)])
    }));
    contestants.push(Contestant::peer("ipc-channel", move || {
        let request_reply = ipc_channel::request_reply(count, WINDOW)?;
        Ok(vec![(Metric::RequestReply, request_reply), (Metric::OneWay, ipc_channel::one_way(count)?)])
    }));
    contestants.push(Contestant::peer("tarpc", move || {
        Ok(vec![(Metric::RequestReply, tarpc::request_reply(count, WINDOW)?)])
    }));
    contestants.extend(python::contestants(&[("python-mp-pipe", "w3 pipe")], &[count / 4, WINDOW], &mut notes));
    Workload { contestants, notes }
}
