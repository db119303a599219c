//! Kills a worker of the pool every few dozen files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use procession::TaskPool;
use tokio::sync::Notify;

use crate::door;

/// Files between two kills.
const EVERY: u64 = 40;

/// Counts files, and says when it is time.
#[derive(Debug, Default)]
pub(crate) struct Chaos {
    files: AtomicU64,
    due: Notify,
}

impl Chaos {
    /// A file was done.
    pub(crate) fn count(&self) {
        if (self.files.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(EVERY) {
            self.due.notify_one();
        }
    }

    /// Kills one worker after the other, each when it is due, for as long as it is polled.
    pub(crate) async fn reign(self: Arc<Self>, pool: TaskPool) {
        let mut victim = 0;
        loop {
            self.due.notified().await;
            let pids: Vec<u32> = pool.workers().await.iter().filter_map(|worker| worker.pid).collect();
            if !pids.is_empty() {
                victim += 1;
                door::kill(pids[victim % pids.len()]);
            }
        }
    }
}
