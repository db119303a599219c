//! What watchers are told.

use std::collections::BTreeMap;

use procession::shared::{Counter, Dict, DictChange, List, ListChange, SharedError, SharedSpec, Version, WatchError};

use crate::hands::{HandApi, hands};
use crate::processes::{ProbeApi, begin, end, probe, start, within};

#[tokio::test]
async fn a_watcher_sees_every_change_in_order_wherever_it_is() {
    let sup = start().await;
    let (probe, hands) = (probe(&sup).await, hands(&sup, 1).await);
    let list: List<u64> = sup.list("list").unwrap();
    within(list.push(7)).await.unwrap();
    let mut here = within(list.watch()).await.unwrap();
    let there = begin(hands[0].follow(list.clone(), 1000, probe));
    within(probe.noted("watching".to_owned(), 1)).await.unwrap();
    for n in 1..=1000u64 {
        within(list.push(n)).await.unwrap();
    }
    assert_eq!(within(there).await, Ok((1..=1000).collect()));
    let mut latest = here.since();
    for n in 1..=1000 {
        let changed = within(here.next()).await.unwrap();
        assert_eq!(changed.changes, [ListChange::Inserted { index: n, values: vec![n] }]);
        assert!(changed.version > latest);
        latest = changed.version;
    }
    end(sup).await;
}

#[tokio::test]
async fn a_slow_watcher_is_told_how_much_it_missed_and_goes_on() {
    let sup = start().await;
    let list: List<u64> = sup.list(SharedSpec::named("list").watch_lag(10)).unwrap();
    let mut watch = within(list.watch()).await.unwrap();
    for n in 0..25u64 {
        within(list.push(n)).await.unwrap();
    }
    assert_eq!(within(watch.next()).await, Err(WatchError::Lagged(15)));
    for n in 15..25 {
        let changed = within(watch.next()).await.unwrap();
        assert_eq!(changed.changes, [ListChange::Inserted { index: n, values: vec![n] }]);
    }
    // A wait that is given up loses nothing.
    drop(begin(watch.next()));
    within(list.clear()).await.unwrap();
    assert_eq!(within(watch.next()).await.unwrap().changes, [ListChange::Removed { index: 0, count: 25 }]);
    end(sup).await;
}

#[tokio::test]
async fn a_snapshot_and_the_changes_after_it_are_the_dict() {
    let sup = start().await;
    let dict: Dict<u32, String> = sup.dict("dict").unwrap();
    let writer = {
        let dict = dict.clone();
        tokio::spawn(async move {
            for n in 0..600u32 {
                match n % 5 {
                    0..3 => drop(dict.set(&(n % 17), format!("{n}")).await.unwrap()),
                    3 => drop(dict.remove(&(n % 13)).await.unwrap()),
                    _ if n % 200 == 199 => drop(dict.clear().await.unwrap()),
                    _ => drop(dict.transaction().set(&1, n.to_string()).remove(&2).commit().await.unwrap().unwrap()),
                }
            }
            dict.set(&99, "the end".to_owned()).await.unwrap()
        })
    };
    let mut watch = within(dict.watch()).await.unwrap();
    let snapshot = within(dict.snapshot()).await.unwrap();
    let mut mirror: BTreeMap<u32, String> = snapshot.values.into_iter().collect();
    let mut version = snapshot.version;
    while !mirror.contains_key(&99) {
        let changed = within(watch.next()).await.unwrap();
        if changed.version <= snapshot.version {
            continue;
        }
        version = changed.version;
        for change in changed.changes {
            match change {
                DictChange::Set { key, value } => drop(mirror.insert(key, value)),
                DictChange::Removed { key } => drop(mirror.remove(&key)),
                DictChange::Cleared => mirror.clear(),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(within(writer).await.unwrap(), version);
    let all: BTreeMap<u32, String> = within(dict.items().page_len(3).collect()).await.unwrap().into_iter().collect();
    assert_eq!(all, mirror);
    end(sup).await;
}

#[tokio::test]
async fn a_watcher_is_told_of_the_end_of_what_it_watches() {
    let sup = start().await;
    let counter: Counter = sup.counter("counter").unwrap();
    let mut watch = within(counter.watch()).await.unwrap();
    within(counter.add(1)).await.unwrap();
    let changed = within(watch.next()).await.unwrap();
    assert_eq!((changed.changes[0].0, changed.version > Version::default()), (1, true));
    let (next, ()) = tokio::join!(within(watch.next()), end(sup));
    assert_eq!(next, Err(WatchError::Failed(SharedError::Gone)));
}
