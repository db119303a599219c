//! Shows five actors in processes of their own: who they are, a join that tells running from ended, what becomes of a
//! child at the end, and a hook and a report after the last one. Run: `cargo run --example process`

use std::time::Duration;

use procession::prelude::*;
use procession::{ChildSpec, JoinError};

#[derive(Actor)]
#[actor(restart = "temporary", shutdown = "2s")]
struct Task {
    number: u32,
}

#[handlers]
impl Task {
    #[init]
    fn new(number: u32) -> Self {
        Self { number }
    }

    /// Everything it needs came in by its arguments: nothing of the parent's memory is here.
    #[call]
    fn introduce(&self, ctx: &Context<Self>) -> String {
        format!(
            "I am {} (number {}), process {}, child of {}",
            ctx.name(),
            self.number,
            std::process::id(),
            ctx.parent()
        )
    }

    /// Ends by itself after some work.
    #[cast]
    async fn work(&mut self, ctx: &Context<Self>, time: Duration) {
        tokio::time::sleep(time).await;
        println!("{} has done its work", ctx.name());
        ctx.stop();
    }
}

#[procession::main]
async fn main() -> procession::Result {
    println!("main is process {}", std::process::id());
    let sup = Supervisor::builder()
        .on_exit(|reports| {
            println!("after the last child, once, in process {}:", std::process::id());
            for report in reports {
                println!("  {}: {}, after {:.1?}", report.child, report.exit, report.lived);
            }
        })
        .start()
        .await?;
    let mut tasks = Vec::new();
    for number in 1..=5 {
        // The last one is waited for at the end; the others are asked to stop.
        let at_end = if number == 5 { AtEnd::Wait } else { AtEnd::Stop };
        let spec = ChildSpec::<Task>::new(format!("task-{number}"), number).at_end(at_end);
        let task = sup.start_child(spec).await?;
        println!("{}", task.introduce().await?);
        tasks.push(task);
    }
    tasks[0].work(Duration::from_millis(100)).await?;
    tasks[4].work(Duration::from_millis(500)).await?;
    println!("joined task-1: {}", sup.join(&tasks[0], Duration::from_secs(5)).await?);
    match sup.join(&tasks[1], Duration::from_millis(50)).await {
        Err(JoinError::StillRunning { waited }) => println!("task-2 is still running after {waited:?}"),
        other => println!("task-2 ended: {other:?}"),
    }
    sup.shutdown().await?;
    Ok(())
}
