//! The workers of these tests: each does with shared objects what it is told.

use std::time::Duration;

use procession::prelude::*;
use procession::shared::{Counter, Dict, List, SharedError, State, Value};
use procession::sync::{Mutex, MutexGuard};
use procession::{Failure, Restart};
use serde::{Deserialize, Serialize};

use crate::processes::{Probe, ProbeApi, start, within};

/// A worker that has hands for shared objects, and may keep a list.
#[derive(Actor, Default)]
pub(crate) struct Hand {
    kept: Option<List<u64>>,
    guard: Option<MutexGuard>,
}

/// Two lists in the middle of other data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lists {
    pub(crate) name: String,
    pub(crate) lists: Vec<(u8, List<u64>)>,
}

#[handlers]
impl Hand {
    #[call]
    pub(crate) fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call(timeout = "60s")]
    pub(crate) async fn count(&self, counter: Counter, times: u32) -> Result<(), Failure> {
        for _ in 0..times {
            counter.add(1).await?;
        }
        Ok(())
    }

    /// A read, any code, and a write; and the same as one operation.
    #[call(timeout = "60s")]
    pub(crate) async fn count_words(&self, words: Dict<String, u64>, times: u32) -> Result<(), Failure> {
        for _ in 0..times {
            words.update("updated", |count| Some(count.unwrap_or(0) + 1)).await?;
            words.add("added", 1).await?;
        }
        Ok(())
    }

    #[call(timeout = "60s")]
    pub(crate) async fn raise(&self, value: Value<u64>, times: u32) -> Result<(), Failure> {
        for _ in 0..times {
            value.update(|old| old + 1).await?;
        }
        Ok(())
    }

    /// Appends to one sequence inside of a dict, and to one list that is a value of another.
    #[call(timeout = "60s")]
    pub(crate) async fn append(
        &self,
        found: Dict<String, Vec<(u32, u32)>>,
        lists: Dict<String, List<u64>>,
        from: u32,
        times: u32,
    ) -> Result<(), Failure> {
        for n in 0..times {
            found.append_to("all", (from, n)).await?;
            let list = lists.get("all").await?.ok_or(Failure::new("no list"))?;
            list.push(u64::from(from) << 32 | u64::from(n)).await?;
        }
        Ok(())
    }

    #[cast]
    pub(crate) fn keep(&mut self, list: List<u64>) {
        self.kept = Some(list);
    }

    #[call]
    pub(crate) async fn push_kept(&self, value: u64) -> Result<u64, Failure> {
        let kept = self.kept.as_ref().ok_or(Failure::new("no list"))?;
        kept.push(value).await?;
        Ok(kept.len().await?)
    }

    /// Takes the lock for so long, and keeps the list as its holder has it.
    #[call]
    pub(crate) async fn keep_guarded(&mut self, list: List<u64>, lock: Mutex, lease: Duration) -> Result<(), Failure> {
        let guard = lock.lock().lease(lease).await?;
        self.kept = Some(list.guarded_by(guard.token()));
        self.guard = Some(guard);
        Ok(())
    }

    #[call]
    pub(crate) fn give_back(&mut self) -> Option<List<u64>> {
        self.kept.take()
    }

    #[call]
    pub(crate) async fn push_all(&self, lists: Lists, value: u64) -> Result<(), Failure> {
        for (_, list) in &lists.lists {
            list.push(value).await?;
        }
        Ok(())
    }

    /// Moves money about until the end of the process: one transfer is one transaction.
    #[call(timeout = "10m")]
    pub(crate) async fn transfer(&self, accounts: Dict<u32, i64>, seed: u32, times: u32) -> Result<(), Failure> {
        for n in 0..times {
            let (from, to) = ((seed + n) % 5, (seed + n * 3 + 1) % 5);
            let by = i64::from(n % 7);
            if n % 2 == 0 {
                accounts.transaction().subtract(&from, by).add(&to, by).commit().await??;
            } else if from != to {
                let moved = accounts.transact(&[from, to], move |balances| {
                    let [Some(from), Some(to)] = balances else { return Err(Failure::new("an account is missing")) };
                    (*from, *to) = (*from - by, *to + by);
                    Ok(())
                });
                moved.await??;
            }
        }
        Ok(())
    }

    /// Puts in threes without a pause and without a wait, until the end of the process.
    #[call(timeout = "10m")]
    pub(crate) async fn flood(&self, list: List<u64>, pairs: Dict<String, u64>) -> Result<(), Failure> {
        let seed = u64::from(std::process::id()) << 32;
        for n in 0.. {
            list.extend([seed + n; 3]).forget().no_timeout().await?;
            pairs.merge([("left".to_owned(), n), ("right".to_owned(), n)]).forget().no_timeout().await?;
        }
        Ok(())
    }

    /// How long it took to append items of 32 bytes, one after the other, then without a wait, in seconds.
    #[call(timeout = "5m")]
    pub(crate) async fn append_items(&self, list: List<[u64; 4]>, single: u64, pipelined: u64) -> Result<f64, Failure> {
        for n in 0..single {
            list.push([n, 1 << 60, 1 << 61, 1 << 62]).await?;
        }
        let start = std::time::Instant::now();
        for n in 0..pipelined {
            list.push([n, 1 << 60, 1 << 61, 1 << 62]).forget().no_timeout().await?;
        }
        // What was sent before it is done then.
        list.len().await?;
        Ok(start.elapsed().as_secs_f64())
    }

    #[call(timeout = "60s")]
    pub(crate) async fn follow(&self, list: List<u64>, until: u64, probe: Address<Probe>) -> Result<Vec<u64>, Failure> {
        let mut watch = list.watch().await?;
        probe.note("watching".to_owned()).await?;
        let mut seen = Vec::new();
        while seen.last() != Some(&until) {
            for change in watch.next().await?.changes {
                if let procession::shared::ListChange::Inserted { values, .. } = change {
                    seen.extend(values);
                }
            }
        }
        Ok(seen)
    }
}

/// A user's own state.
#[derive(Actor, Default)]
pub(crate) struct Scores {
    best: Option<(String, u32)>,
    games: u64,
}

#[handlers]
impl Scores {
    #[call]
    pub(crate) fn played(&mut self, who: String, points: u32) -> bool {
        self.games += 1;
        let is_best = self.best.as_ref().is_none_or(|(_, best)| points > *best);
        if is_best {
            self.best = Some((who, points));
        }
        is_best
    }

    /// Who is the best, with how many points, and after how many games.
    #[call]
    pub(crate) fn result(&self) -> (String, u32, u64) {
        let (who, points) = self.best.clone().unwrap_or_default();
        (who, points, self.games)
    }

    #[call]
    pub(crate) fn break_down(&self) {
        panic!("on purpose");
    }
}

/// Has a supervisor of its own, which keeps a list.
#[derive(Actor)]
pub(crate) struct Branch {
    sup: Supervisor,
}

#[handlers]
impl Branch {
    #[init]
    async fn new() -> Result<Self, Failure> {
        Ok(Self { sup: start().await })
    }

    #[call]
    pub(crate) fn pid(&self) -> u32 {
        std::process::id()
    }

    #[call]
    pub(crate) fn list(&self) -> Result<List<u64>, Failure> {
        Ok(self.sup.list("list")?)
    }

    #[call]
    pub(crate) async fn state(&self) -> Result<State<Scores>, Failure> {
        Ok(self.sup.state("state", ()).await?)
    }
}

#[procession::task]
pub(crate) async fn note_square(n: u64, squares: Dict<u64, u64>, sum: Counter<u64>) -> Result<u64, String> {
    let text = |error: SharedError| error.to_string();
    squares.set(&n, n * n).await.map_err(text)?;
    sum.add(n * n).await.map_err(text)
}

#[procession::task]
pub(crate) async fn play(scores: State<Scores>, who: String, points: u32) -> Result<bool, String> {
    scores.played(who, points).await.map_err(|error| error.to_string())
}

/// Some workers, each in a process of its own.
pub(crate) async fn hands(sup: &Supervisor, count: usize) -> Vec<Address<Hand>> {
    let mut hands = Vec::new();
    for n in 0..count {
        let spec = procession::ChildSpec::new(format!("hand {n}"), ()).restart(Restart::Permanent);
        hands.push(within(sup.start_child::<Hand>(spec)).await.expect("a start"));
    }
    hands
}

/// All of these have succeeded.
pub(crate) async fn all<T, E>(
    futures: impl IntoIterator<Item = impl Future<Output = Result<T, E>> + Send + 'static>,
) -> Vec<T>
where
    T: Send + 'static,
    E: std::fmt::Debug + Send + 'static,
{
    let tasks: Vec<_> = futures.into_iter().map(|future| tokio::spawn(future)).collect();
    let mut results = Vec::new();
    for task in tasks {
        let patience = Duration::from_secs(120);
        let result = tokio::time::timeout(patience, task).await.expect("an end within two minutes");
        results.push(result.expect("no panic").expect("success"));
    }
    results
}
