//! Actors in processes of their own: called, killed, restarted.

use procession::CallError;
use procession::prelude::*;

procession::test_workers!();

#[derive(Actor)]
struct Counter {
    n: i64,
}

#[handlers]
impl Counter {
    #[init]
    async fn new(n: i64) -> Self {
        Self { n }
    }

    #[cast]
    fn add(&mut self, by: i64) {
        self.n += by;
    }

    #[call]
    async fn get(&self) -> i64 {
        self.n
    }

    #[call]
    fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    fn divide(&mut self, by: i64) -> Result<i64, String> {
        self.n.checked_div(by).ok_or_else(|| "division by zero".to_owned())
    }
}

#[tokio::test]
async fn an_actor_answers_from_a_process_of_its_own() -> procession::Result<()> {
    let sup = Supervisor::builder().start().await?;
    let counter = sup.spawn::<Counter>("counter", 10).await?;
    counter.add(5).await?;
    assert_eq!(counter.get().await?, 15);
    assert_ne!(counter.pid().await?, std::process::id());
    assert_eq!(counter.divide(0).await, Err(CallError::Handler("division by zero".to_owned())));
    sup.shutdown().await?;
    Ok(())
}
