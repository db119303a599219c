//! The place where it is played: what was there before must be there after it, and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use procession::prelude::*;
use procession::{Backoff, WorkerOutput};

use crate::arguments::Arguments;
use crate::prey::Prey;
use crate::system::{self, Holdings};
use crate::verdict::Verdict;

/// How long those that die may take to be gone.
const DYING: Duration = Duration::from_secs(10);

#[procession::task]
fn nothing() {}

/// A supervisor whose workers may die as often as they like.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) sup: Supervisor,
    pub(crate) prey: Prey,
    before: Holdings,
}

impl Stage {
    pub(crate) async fn set(_: &Arguments) -> Result<Self, procession::Failure> {
        system::adopt_orphans();
        // What is made at the first start stays: the thread of processes, the guardian.
        let first = supervisor().await?;
        let pool = first.task_pool("first", 1).await?;
        pool.map(nothing, [()]).await?;
        pool.finish().await;
        first.shutdown().await?;
        drop((first, pool));
        tokio::spawn(async {}).await?;
        let before = Holdings::now();
        let sup = supervisor().await?;
        let prey = Prey::follow(sup.events());
        Ok(Self { sup, prey, before })
    }

    /// Ends the supervisor: no process and no descriptor is left.
    pub(crate) async fn clear(self, verdict: &mut Verdict) -> procession::Result {
        let Self { sup, before, prey } = self;
        sup.shutdown().await?;
        drop((sup, prey));
        let deadline = Instant::now() + DYING;
        while Instant::now() < deadline && !(system::family().is_empty() && Holdings::now().are_as(&before)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = system::family();
        verdict.check(left.is_empty(), || format!("processes are left: {left:?}"));
        left.iter().for_each(system::Process::kill);
        let now = Holdings::now();
        verdict.check(now.are_as(&before), || format!("before it {before:?}, after it {now:?}"));
        println!("nothing is left: {}", left.is_empty());
        Ok(())
    }
}

async fn supervisor() -> Result<Supervisor, procession::StartError> {
    Supervisor::builder()
        .intensity(u32::MAX, Duration::from_secs(60))
        .backoff(Backoff::none())
        .output(WorkerOutput::To(Arc::new(|_| ())))
        .start()
        .await
}
