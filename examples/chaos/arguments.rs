//! What the command is told.

use clap::{Parser, ValueEnum};

/// Kills workers at random while a ledger watches that nothing is lost, doubled, or left behind.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "chaos")]
pub(crate) struct Arguments {
    /// What is played.
    #[arg(value_enum, default_value_t = What::Pool)]
    pub(crate) what: What,
    /// Tasks, in `pool`.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) tasks: u64,
    /// Calls, in `calls`.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) calls: u64,
    /// Worker processes.
    #[arg(long, default_value_t = 32)]
    pub(crate) workers: usize,
    /// Workers that are killed, in `pool` and `calls`; a fifth as many end by themselves.
    #[arg(long, default_value_t = 2_000)]
    pub(crate) kills: u64,
    /// Seconds, in `soak`, with one kill in each.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Where all chance comes from.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Holds the times to what an idle machine can do, in place of telling them.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Tasks of a pool whose workers are killed, stopped, and crash: each ends once, and only what a dead one ran is lost.
    Pool,
    /// Calls to actors that are killed, crash, panic and are late: each ends once, in time, and says truly whether it ran.
    Calls,
    /// Many workers: how soon they are ready, what each costs, and how soon it is known when all die at once.
    Crowd,
    /// One kill a second: neither memory nor descriptors grow.
    Soak,
}
