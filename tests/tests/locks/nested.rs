//! Locks over several levels of supervisors.

use procession::Failure;
use procession::prelude::*;
use procession::sync::Mutex;

use super::processes::{end, quiet, start, system, within};
use super::{Holder, HolderApi};

/// Has a supervisor of its own, in its own process.
#[derive(Actor)]
struct Boss {
    sup: Supervisor,
    own: Mutex<u64>,
    holder: Address<Holder>,
}

#[handlers]
impl Boss {
    /// Its worker holds the lock that it is given, or one of the boss's own.
    #[init]
    async fn new(above: Option<Mutex<u64>>) -> Result<Self, Failure> {
        let sup = quiet().start().await?;
        let own = sup.mutex_with("own", 0_u64).await?;
        let holder = sup.spawn::<Holder>("below", above.unwrap_or_else(|| own.clone())).await?;
        Ok(Self { sup, own, holder })
    }

    #[call]
    fn holder(&self) -> Address<Holder> {
        self.holder
    }

    #[call]
    fn own(&self) -> Mutex<u64> {
        self.own.clone()
    }

    #[call]
    async fn lock_own(&self) -> Result<Option<String>, Failure> {
        let guard = self.own.lock().await?;
        let poison = guard.poisoned_by().map(|poison| poison.holder().to_owned());
        guard.release().await?;
        Ok(poison)
    }

    #[stop]
    async fn stop(&mut self) {
        let _ = self.sup.clone().shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_below_holds_a_lock_from_above_and_its_death_releases_it() {
    let sup = start().await;
    let mutex = within(sup.mutex_with("above", 0_u64)).await.unwrap();
    let boss = within(sup.spawn::<Boss>("boss", Some(mutex.clone()))).await.unwrap();
    let below = within(boss.holder()).await.unwrap();
    within(below.take(None)).await.unwrap();
    let next = tokio::spawn(mutex.lock());
    system::kill(within(below.pid()).await.unwrap());
    let guard = within(next).await.unwrap().unwrap();
    assert!(guard.poisoned_by().is_some());
    drop(guard);
    within(below.take(None)).await.unwrap();
    within(below.give()).await.unwrap();
    end(sup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_a_supervisor_below_serves_its_own_process_those_below_and_those_above() {
    let sup = start().await;
    let boss = within(sup.spawn::<Boss>("boss", None)).await.unwrap();
    assert_eq!(within(boss.lock_own()).await.unwrap(), None);
    let below = within(boss.holder()).await.unwrap();
    within(below.take(None)).await.unwrap();
    let mutex = within(boss.own()).await.unwrap();
    let next = tokio::spawn(mutex.lock());
    system::kill(within(below.pid()).await.unwrap());
    let guard = within(next).await.unwrap().unwrap();
    assert_eq!(guard.poisoned_by().map(|poison| poison.holder()), Some("below"));
    within(guard.release()).await.unwrap();
    assert_eq!(within(boss.lock_own()).await.unwrap(), None);
    end(sup).await;
}
