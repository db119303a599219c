//! Where in the tree this process stands.

use std::sync::OnceLock;

use crate::shm::chunk::Places;

/// How deep the tree may be: far deeper than anyone means, and shallow enough that a runaway ends soon.
pub(crate) const DEEPEST: u32 = 8;

static WORKER: OnceLock<Worker> = OnceLock::new();

/// What a worker knows of itself.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) depth: u32,
    /// Where it says how far it has come with tasks that travel together.
    pub(crate) chunks: Places,
}

pub(crate) fn settle(worker: Worker) {
    let _ = WORKER.set(worker);
}

/// How many processes lie between this one and the root.
pub(crate) fn depth() -> u32 {
    WORKER.get().map_or(0, |worker| worker.depth)
}

/// Where this worker says how far it has come with tasks that travel together; none in a process that is no worker.
pub(crate) fn chunks() -> Option<Places> {
    WORKER.get().map(|worker| worker.chunks.clone())
}
