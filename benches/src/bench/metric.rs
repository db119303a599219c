//! What is measured, by name.

use serde::{Deserialize, Serialize};

/// A quantity that a workload measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Metric {
    SpawnToReady,
    RoundTripMedian,
    RoundTrip99,
    RequestReply,
    OneWay,
    TasksOneAFrame,
    TasksAutomatic,
    Efficiency,
    Throughput,
    Handover,
    Acquisitions,
    AppendsSingle,
    AppendsPipelined,
    WorkerMemory,
    Supervision,
    KillToKnown,
}

impl Metric {
    pub(crate) fn name(self) -> &'static str {
        self.about().0
    }

    pub(crate) fn unit(self) -> &'static str {
        self.about().1
    }

    /// Whether more of it is better.
    pub(crate) fn more_is_better(self) -> bool {
        self.about().2
    }

    const fn about(self) -> (&'static str, &'static str, bool) {
        match self {
            Self::SpawnToReady => ("spawn_to_ready_ms", "ms", false),
            Self::RoundTripMedian => ("rtt_p50_us", "us", false),
            Self::RoundTrip99 => ("rtt_p99_us", "us", false),
            Self::RequestReply => ("request_reply_per_s", "1/s", true),
            Self::OneWay => ("one_way_per_s", "1/s", true),
            Self::TasksOneAFrame => ("tasks_per_s_one_a_frame", "1/s", true),
            Self::TasksAutomatic => ("tasks_per_s_automatic", "1/s", true),
            Self::Efficiency => ("efficiency", "x", true),
            Self::Throughput => ("gib_per_s", "GiB/s", true),
            Self::Handover => ("handover_us", "us", false),
            Self::Acquisitions => ("acquisitions_per_s", "1/s", true),
            Self::AppendsSingle => ("appends_per_s_single", "1/s", true),
            Self::AppendsPipelined => ("appends_per_s_pipelined", "1/s", true),
            Self::WorkerMemory => ("worker_pss_kib", "KiB", false),
            Self::Supervision => ("supervise_100_cpu_percent", "%", false),
            Self::KillToKnown => ("kill_to_known_us", "us", false),
        }
    }

    /// The metric with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    const ALL: [Self; 16] = [
        Self::SpawnToReady,
        Self::RoundTripMedian,
        Self::RoundTrip99,
        Self::RequestReply,
        Self::OneWay,
        Self::TasksOneAFrame,
        Self::TasksAutomatic,
        Self::Efficiency,
        Self::Throughput,
        Self::Handover,
        Self::Acquisitions,
        Self::AppendsSingle,
        Self::AppendsPipelined,
        Self::WorkerMemory,
        Self::Supervision,
        Self::KillToKnown,
    ];
}
