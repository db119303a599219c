//! The ten workloads: their sizes, and who runs them.

pub(crate) mod w10_death;
pub(crate) mod w1_start;
pub(crate) mod w2_round_trip;
pub(crate) mod w3_messages;
pub(crate) mod w4_tasks;
pub(crate) mod w5_cpu;
pub(crate) mod w6_payload;
pub(crate) mod w7_lock;
pub(crate) mod w8_list;
pub(crate) mod w9_idle;

use clap::ValueEnum;

use super::runner::Contestant;

/// A workload's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    W1,
    W2,
    W3,
    W4,
    W5,
    W6,
    W7,
    W8,
    W9,
    W10,
}

/// Who runs a workload, in the order of their turns, and what is to be said of it.
pub(crate) struct Workload {
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) notes: Vec<String>,
}

/// How much of a workload is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Full,
    /// Enough to see that it works.
    Quick,
}

impl Scale {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "full" => Some(Self::Full),
            "quick" => Some(Self::Quick),
            _ => None,
        }
    }

    pub(crate) fn pick(self, full: usize, quick: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

impl Name {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|one| one.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W2 => "w2",
            Self::W3 => "w3",
            Self::W4 => "w4",
            Self::W5 => "w5",
            Self::W6 => "w6",
            Self::W7 => "w7",
            Self::W8 => "w8",
            Self::W9 => "w9",
            Self::W10 => "w10",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::W1 => "a new worker, from asking for it to the answer to its first message",
            Self::W2 => "32 bytes there and back, one outstanding",
            Self::W3 => "32-byte messages, 1,000 outstanding; and one way",
            Self::W4 => "x * x over u64 by 2 workers, results in order",
            Self::W5 => "200 tasks of 10 ms of a core each, 2 workers, beside rayon",
            Self::W6 => "64 MiB to a worker that answers length, first and last byte",
            Self::W7 => "8 processes acquire and release one lock",
            Self::W8 => "4 processes append 32-byte items to one list",
            Self::W9 => "100 idle workers",
            Self::W10 => "kill -9, until it is known",
        }
    }

    /// Whether two processes at a time are all that it is about: others cannot be held to one core or two sides.
    pub(crate) fn is_pinned(self) -> bool {
        !matches!(self, Self::W4 | Self::W5 | Self::W7 | Self::W8 | Self::W9)
    }

    pub(crate) fn workload(self, scale: Scale) -> Workload {
        match self {
            Self::W1 => w1_start::workload(scale),
            Self::W2 => w2_round_trip::workload(scale),
            Self::W3 => w3_messages::workload(scale),
            Self::W4 => w4_tasks::workload(scale),
            Self::W5 => w5_cpu::workload(scale),
            Self::W6 => w6_payload::workload(scale),
            Self::W7 => w7_lock::workload(scale),
            Self::W8 => w8_list::workload(scale),
            Self::W9 => w9_idle::workload(scale),
            Self::W10 => w10_death::workload(scale),
        }
    }
}
