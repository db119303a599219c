//! Where in the tree this process stands.

use std::sync::OnceLock;

/// How deep the tree may be: far deeper than anyone means, and shallow enough that a runaway ends soon.
pub(crate) const DEEPEST: u32 = 8;

static WORKER: OnceLock<Worker> = OnceLock::new();

/// What a worker knows of itself.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) depth: u32,
}

pub(crate) fn settle(worker: Worker) {
    let _ = WORKER.set(worker);
}

/// How many processes lie between this one and the root.
pub(crate) fn depth() -> u32 {
    WORKER.get().map_or(0, |worker| worker.depth)
}
