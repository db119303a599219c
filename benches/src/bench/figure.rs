//! What a run finds: readings, and of those the figures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// What somebody who runs a workload is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Role {
    /// What the system allows: no framework, only the work.
    Limit,
    /// The subject.
    Procession,
    /// Another framework.
    Peer,
}

/// What a runner tells its launcher, a line each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// This contestant's turn comes.
    Turn { peer: String },
    /// What was measured in it.
    Reading { peer: String, role: Role, metric: Metric, value: f64 },
    /// What the reader of the figures should know.
    Note(String),
    /// It did not come to the end of its turn, and has no more.
    Failed { peer: String, why: String },
}

/// All readings of one metric by one contestant.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) workload: &'static str,
    pub(crate) peer: String,
    pub(crate) role: Role,
    pub(crate) metric: Metric,
    /// In ascending order.
    pub(crate) readings: Vec<f64>,
}

/// A figure as it is written in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Figure<'a> {
    workload: &'a str,
    peer: &'a str,
    metric: &'a str,
    value: f64,
    unit: &'a str,
}

impl Series {
    pub(crate) fn new(workload: &'static str, peer: String, role: Role, metric: Metric) -> Self {
        Self { workload, peer, role, metric, readings: Vec::new() }
    }

    pub(crate) fn add(&mut self, value: f64) {
        let at = self.readings.partition_point(|reading| reading.total_cmp(&value).is_lt());
        self.readings.insert(at, value);
    }

    pub(crate) fn median(&self) -> f64 {
        quantile(&self.readings, 0.5)
    }

    pub(crate) fn figure(&self) -> Figure<'_> {
        Figure {
            workload: self.workload,
            peer: &self.peer,
            metric: self.metric.name(),
            value: self.median(),
            unit: self.metric.unit(),
        }
    }
}

/// The value below which this part of the ascending readings lies.
pub(crate) fn quantile(ascending: &[f64], part: f64) -> f64 {
    let Some(last) = ascending.len().checked_sub(1) else { return f64::NAN };
    let at = part * last as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    ascending[below] + (ascending[above] - ascending[below]) * (at - below as f64)
}

/// The quantile of durations, in microseconds.
pub(crate) fn micros(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let micros: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    quantile(&micros, part)
}
