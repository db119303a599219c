//! Many writers at once, some of which are killed.

use std::collections::BTreeMap;
use std::time::Duration;

use procession::shared::{Counter, Dict, List, Refusal, SharedError, SharedSpec, Value};
use procession::{CallError, Event, Supervisor};

use crate::hands::{HandApi, all, hands, note_square};
use crate::processes::{begin, end, event, start, system, within};

#[tokio::test]
async fn three_processes_count_to_450_each_in_its_own_way() {
    let sup = start().await;
    let hands = hands(&sup, 3).await;
    let counter: Counter = sup.counter("hits").unwrap();
    let words: Dict<String, u64> = sup.dict("words").unwrap();
    let value: Value<u64> = sup.value("value", 0).unwrap();
    all(hands.iter().map(|hand| hand.count(counter.clone(), 150))).await;
    all(hands.iter().map(|hand| hand.count_words(words.clone(), 150))).await;
    all(hands.iter().map(|hand| hand.raise(value.clone(), 150))).await;
    assert_eq!(within(counter.get()).await, Ok(450));
    let snapshot = within(words.snapshot()).await.unwrap();
    let counts: BTreeMap<String, u64> = snapshot.values.into_iter().collect();
    assert_eq!(counts, BTreeMap::from([("added".to_owned(), 450), ("updated".to_owned(), 450)]));
    assert_eq!(within(value.get()).await, Ok(450));
    end(sup).await;
}

#[tokio::test]
async fn nested_appends_of_five_processes_all_arrive() {
    let sup = start().await;
    let hands = hands(&sup, 5).await;
    let found: Dict<String, Vec<(u32, u32)>> = sup.dict("found").unwrap();
    let lists: Dict<String, List<u64>> = sup.dict("lists").unwrap();
    // The dict alone holds it.
    within(lists.insert("all", sup.list::<u64>(SharedSpec::unnamed()).unwrap())).await.unwrap();
    let appends = hands.iter().zip(0..).map(|(hand, from)| hand.append(found.clone(), lists.clone(), from, 40));
    all(appends).await;
    let mut sequence = within(found.get("all")).await.unwrap().expect("a sequence");
    for from in 0..5 {
        let of_it: Vec<u32> = sequence.iter().filter(|item| item.0 == from).map(|item| item.1).collect();
        assert!(of_it.into_iter().eq(0..40), "each worker's own are in order");
    }
    sequence.sort_unstable();
    let list = within(lists.get("all")).await.unwrap().expect("a list");
    let mut values = within(list.snapshot()).await.unwrap().values;
    values.sort_unstable();
    let as_number = |(from, n): (u32, u32)| u64::from(from) << 32 | u64::from(n);
    assert_eq!(sequence.into_iter().map(as_number).collect::<Vec<_>>(), values);
    assert_eq!(values.len(), 200);
    end(sup).await;
}

#[tokio::test]
async fn transactions_are_all_or_nothing_though_their_writers_are_killed() {
    let sup = start().await;
    let mut events = sup.events();
    let hands = hands(&sup, 3).await;
    let accounts: Dict<u32, i64> = sup.dict(SharedSpec::named("accounts").watch_lag(1 << 20)).unwrap();
    within(accounts.merge((0..5u32).map(|account| (account, 100i64)))).await.unwrap();
    let mut watch = within(accounts.watch()).await.unwrap();
    let mut balances: BTreeMap<u32, i64> = within(accounts.snapshot()).await.unwrap().values.into_iter().collect();
    let transfer = |seed: usize| begin(hands[seed].transfer(accounts.clone(), seed as u32, 1_000_000));
    let mut running: Vec<_> = (0..3).map(transfer).collect();
    for round in 0..6 {
        let killed = round % 3;
        let name = format!("hand {killed}");
        kill(&sup, &name).await;
        let next = round as u32 / 3 + 2;
        let started = |event: &Event| matches!(event, Event::Started { child, incarnation, .. } if *child == name && *incarnation == next);
        event(&mut events, started).await;
        running[killed] = transfer(killed);
        let snapshot = within(accounts.snapshot()).await.unwrap();
        assert_eq!(snapshot.values.iter().map(|(_, balance)| balance).sum::<i64>(), 500, "{snapshot:?}");
        // Nobody has ever seen a part of a transfer.
        for seen in 1.. {
            let changed = within(watch.next()).await.expect("a watcher that keeps up");
            for change in changed.changes {
                let procession::shared::DictChange::Set { key, value } = change else { panic!("{change:?}") };
                balances.insert(key, value);
            }
            assert_eq!(balances.values().sum::<i64>(), 500);
            if seen > 100 && changed.version >= snapshot.version {
                break;
            }
        }
    }
    for n in 0..3 {
        within(sup.kill(&format!("hand {n}"))).await.unwrap();
    }
    end(sup).await;
}

/// Kills a child's process from outside.
async fn kill(sup: &Supervisor, name: &str) {
    let children = within(sup.children()).await;
    let pid = children.iter().find(|child| child.name == name).and_then(|child| child.pid);
    system::kill(pid.expect("a process"));
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_its_writes_leaves_whole_operations_only() {
    let sup = start().await;
    let hands = hands(&sup, 2).await;
    let list: List<u64> = sup.list("list").unwrap();
    let pairs: Dict<String, u64> = sup.dict("pairs").unwrap();
    let mut watch = within(list.watch()).await.unwrap();
    let running: Vec<_> = hands.iter().map(|hand| begin(hand.flood(list.clone(), pairs.clone()))).collect();
    let mut seen = 0;
    while seen < 200 {
        // However far behind: it is time that counts here.
        seen += u32::from(within(watch.next()).await.is_ok());
    }
    drop(watch);
    for name in ["hand 0", "hand 1"] {
        kill(&sup, name).await;
    }
    for running in running {
        assert!(matches!(within(running).await, Err(CallError::Died { .. })));
    }
    let values = within(list.snapshot()).await.unwrap().values;
    assert!(values.len() >= 600 && values.len() % 3 == 0);
    assert!(values.chunks(3).all(|three| three[0] == three[1] && three[1] == three[2]));
    let pair = within(pairs.get_many(["left", "right"])).await.unwrap();
    let pair: Vec<u64> = pair.into_iter().flatten().map(|found| found.value).collect();
    assert_eq!(pair[0], pair[1]);
    // Of each writer all up to some point, and in order.
    for writer in [0, 1] {
        let of: BTreeMap<u64, Vec<u64>> = values.iter().step_by(3).fold(BTreeMap::new(), |mut of, value| {
            of.entry(value >> 32).or_insert_with(Vec::new).push(value & 0xffff_ffff);
            of
        });
        assert_eq!(of.len(), 2);
        assert!(of.values().nth(writer).is_some_and(|numbers| numbers.iter().copied().eq(0..numbers.len() as u64)));
    }
    end(sup).await;
}

#[tokio::test]
async fn tasks_of_a_pool_take_handles_as_arguments() {
    let sup = start().await;
    let pool = within(sup.task_pool("pool", 2)).await.unwrap();
    let squares: Dict<u64, u64> = sup.dict("squares").unwrap();
    let sum: Counter<u64> = sup.counter("sum").unwrap();
    let input = (1..=50u64).map(|n| (n, squares.clone(), sum.clone()));
    assert!(within(pool.map(note_square, input)).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(within(sum.get()).await, Ok((1..=50).map(|n| n * n).sum()));
    assert_eq!(within(squares.len()).await, Ok(50));
    within(pool.finish()).await;
    end(sup).await;
}

#[tokio::test]
async fn a_snapshot_is_of_one_moment_though_it_takes_many_messages_and_writers_go_on() {
    let sup = start().await;
    let hands = hands(&sup, 2).await;
    let list: List<u64> = sup.list("list").unwrap();
    let pairs: Dict<String, u64> = sup.dict("pairs").unwrap();
    let filler: Vec<u64> = vec![u64::MAX; 60_000];
    // More than two messages carry, in threes like all that follows.
    for _ in 0..3 {
        within(list.extend(&filler)).await.unwrap();
    }
    let running: Vec<_> = hands.iter().map(|hand| begin(hand.flood(list.clone(), pairs.clone()))).collect();
    let mut versions = Vec::new();
    for _ in 0..5 {
        let snapshot = within(list.snapshot()).await.unwrap();
        assert_eq!(snapshot.values.len() % 3, 0);
        assert!(snapshot.values.chunks(3).all(|three| three[0] == three[1] && three[1] == three[2]));
        versions.push(snapshot.version);
    }
    assert!(versions.is_sorted(), "{versions:?}");
    let mut pages = list.iter().page_len(7000);
    let mut seen = 0;
    while seen < 180_000 {
        seen += within(pages.next()).await.expect("there is more").unwrap().len();
    }
    drop(running);
    for name in ["hand 0", "hand 1"] {
        within(sup.kill(name)).await.unwrap();
    }
    end(sup).await;
}

#[tokio::test]
async fn a_stopped_holder_that_resumes_after_its_lease_cannot_write() {
    let sup = start().await;
    let hands = hands(&sup, 2).await;
    let lock = within(sup.mutex("lock")).await.unwrap();
    let list: List<u64> = sup.list(SharedSpec::named("list").guarded_by(&lock)).unwrap();
    let not_guarded = SharedError::Refused(Refusal::NotGuarded);
    assert_eq!(within(list.push(0)).await, Err(not_guarded));
    let stopped = within(hands[0].pid()).await.unwrap();
    within(hands[0].keep_guarded(list.clone(), lock.clone(), Duration::from_millis(1500))).await.unwrap();
    assert_eq!(within(hands[0].push_kept(1)).await, Ok(1));
    system::freeze(stopped);
    // Granted when the lease is over.
    within(hands[1].keep_guarded(list.clone(), lock, Duration::from_secs(600)).no_timeout()).await.unwrap();
    system::thaw(stopped);
    let refused = within(hands[0].push_kept(2)).await.unwrap_err();
    assert!(refused.to_string().contains("not valid any more"), "{refused}");
    assert_eq!(within(hands[1].push_kept(3)).await, Ok(2));
    assert_eq!(within(list.snapshot()).await.unwrap().values, [1, 3]);
    end(sup).await;
}
