//! Where in the tree this process stands.

use std::sync::OnceLock;
use std::task::{Context, Poll};

use crate::shm::chunk::Places;

/// How deep the tree may be: far deeper than anyone means, and shallow enough that a runaway ends soon.
pub(crate) const DEEPEST: u32 = 8;

static WORKER: OnceLock<Worker> = OnceLock::new();
static OUTGOING: OnceLock<Box<dyn Outgoing>> = OnceLock::new();

/// What this worker's handler has sent, on its way to the supervisor.
pub(crate) trait Outgoing: Send + Sync {
    /// Whether something was sent since this was last said.
    fn has_news(&self) -> bool;
    /// Ready when all of it is heard, even if this process ended then.
    fn poll_safe(&self, cx: &mut Context<'_>) -> Poll<()>;
}

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

/// Says how what this worker sends goes out.
pub(crate) fn settle_outgoing(outgoing: impl Outgoing + 'static) {
    let _ = OUTGOING.set(Box::new(outgoing));
}

/// What this worker's handler has sent, where something was since this was last asked.
pub(crate) fn news() -> Option<&'static dyn Outgoing> {
    OUTGOING.get().filter(|outgoing| outgoing.has_news()).map(|outgoing| &**outgoing)
}
