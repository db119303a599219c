//! The dict against a `Vec` of pairs.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::dict::{Columns, Dict, DictChange, DictOperation};
use super::super::list::End;
use super::super::reply::{Cursor, Row};
use super::super::transaction::{Check, Transaction, Write};
use super::*;

type Pairs = Vec<(u8, i64)>;

#[derive(Clone, Debug)]
enum Step {
    Set(u8, i64),
    Insert(u8, i64),
    GetOrInsert(u8, i64),
    CompareSet(u8, bool, Option<i64>),
    Remove(u8),
    RemoveMany(Vec<u8>),
    Take(bool, usize),
    Merge(Pairs),
    Clear,
    Add(u8, i64),
    Transact(Vec<(u8, Expected)>, Vec<(u8, Written)>),
}

#[derive(Clone, Debug)]
enum Expected {
    Version(bool),
    Equal(i64),
    Present,
    Absent,
}

#[derive(Clone, Debug)]
enum Written {
    Set(i64),
    Remove,
    Add(i64),
}

fn steps() -> impl Strategy<Value = Step> {
    let key = || 0..6u8;
    let value = || -3..4i64;
    // An overflow is seldom, and ends a transaction.
    let by = || prop_oneof![9 => -3..4i64, 1 => Just(i64::MAX)];
    let pairs = proptest::collection::vec((key(), value()), 0..5);
    let expected = prop_oneof![
        any::<bool>().prop_map(Expected::Version),
        value().prop_map(Expected::Equal),
        Just(Expected::Present),
        Just(Expected::Absent),
    ];
    let written = prop_oneof![value().prop_map(Written::Set), Just(Written::Remove), by().prop_map(Written::Add)];
    let checks = proptest::collection::vec((key(), expected), 0..3);
    let writes = proptest::collection::vec((key(), written), 0..5);
    prop_oneof![
        1 => (key(), value()).prop_map(|(key, value)| Step::Set(key, value)),
        1 => (key(), value()).prop_map(|(key, value)| Step::Insert(key, value)),
        1 => (key(), value()).prop_map(|(key, value)| Step::GetOrInsert(key, value)),
        1 => (key(), any::<bool>(), proptest::option::of(value())).prop_map(|(key, right, to)| Step::CompareSet(key, right, to)),
        1 => key().prop_map(Step::Remove),
        1 => proptest::collection::vec(key(), 0..4).prop_map(Step::RemoveMany),
        1 => (any::<bool>(), 0..3usize).prop_map(|(first, count)| Step::Take(first, count)),
        1 => pairs.prop_map(Step::Merge),
        1 => Just(Step::Clear),
        1 => (key(), by()).prop_map(|(key, by)| Step::Add(key, by)),
        3 => (checks, writes).prop_map(|(checks, writes)| Step::Transact(checks, writes)),
    ]
}

fn find(model: &Pairs, key: u8) -> Option<i64> {
    model.iter().find(|pair| pair.0 == key).map(|pair| pair.1)
}

fn put(model: &mut Pairs, key: u8, value: i64) {
    match model.iter_mut().find(|pair| pair.0 == key) {
        Some(pair) => pair.1 = value,
        None => model.push((key, value)),
    }
}

fn remove(model: &mut Pairs, key: u8) {
    model.retain(|pair| pair.0 != key);
}

fn plus(by: i64) -> Computation<Bytes> {
    Computation { number: NumberType::I64, how: How::Add, operand: encode(by) }
}

fn step(dict: &mut Watched<Dict<Bytes>>, model: &mut Pairs, step: Step) {
    let versioned = |dict: &mut Watched<Dict<Bytes>>, key: u8| match dict.apply(DictOperation::Get(encode(key))) {
        Ok(Reply::Value(value)) => value,
        other => panic!("{other:?}"),
    };
    match step {
        Step::Set(key, value) => {
            put(model, key, value);
            let set = DictOperation::Set { key: encode(key), item: encode(value) };
            assert!(matches!(dict.apply(set), Ok(Reply::Done(_))));
        }
        Step::Insert(key, value) => {
            let old = versioned(dict, key);
            put(model, key, value);
            let insert = DictOperation::Insert { key: encode(key), item: encode(value) };
            assert_eq!(dict.apply(insert), Ok(Reply::Value(old)));
        }
        Step::GetOrInsert(key, value) => {
            let there = find(model, key);
            put(model, key, there.unwrap_or(value));
            let answer = dict.apply(DictOperation::GetOrInsert { key: encode(key), item: encode(value) });
            let version = versioned(dict, key).unwrap().1;
            let value = encode(there.unwrap_or(value));
            assert_eq!(answer, Ok(Reply::Put { value, version, new: there.is_none() }));
        }
        Step::CompareSet(key, right, to) => {
            let found = versioned(dict, key);
            let version = found.as_ref().map(|found| found.1);
            let expected = if right { version } else { Some(Version(version.map_or(77, |version| version.0 + 1))) };
            let answer = dict.apply(DictOperation::CompareSet { key: encode(key), expected, item: to.map(encode) });
            if !right {
                return assert_eq!(answer, Ok(Reply::Conflict { key: 0, found }));
            }
            assert!(matches!(answer, Ok(Reply::Done(_))));
            match to {
                Some(value) => put(model, key, value),
                None => remove(model, key),
            }
        }
        Step::Remove(key) => {
            let old = versioned(dict, key);
            remove(model, key);
            assert_eq!(dict.apply(DictOperation::Remove(encode(key))), Ok(Reply::Value(old)));
        }
        Step::RemoveMany(keys) => {
            let before = model.len();
            keys.iter().for_each(|key| remove(model, *key));
            let keys = keys.into_iter().map(encode).collect();
            assert_eq!(dict.apply(DictOperation::RemoveMany(keys)), Ok(Reply::Count((before - model.len()) as u64)));
        }
        Step::Take(first, count) => {
            let count = count.min(model.len());
            let end = if first { End::First } else { End::Last };
            let answer = dict.apply(DictOperation::Take { end, limit: count as u64 });
            let Ok(Reply::Taken(rows)) = answer else { panic!("{answer:?}") };
            let mut expected: Pairs =
                if first { model.drain(..count).collect() } else { model.split_off(model.len() - count) };
            if !first {
                expected.reverse();
            }
            assert_eq!(pairs(&rows), expected);
        }
        Step::Merge(new) => {
            let before = model.len();
            new.iter().for_each(|(key, value)| put(model, *key, *value));
            let new = new.into_iter().map(|(key, value)| (encode(key), encode(value))).collect();
            assert_eq!(dict.apply(DictOperation::Merge(new)), Ok(Reply::Count((model.len() - before) as u64)));
        }
        Step::Clear => {
            assert_eq!(dict.apply(DictOperation::Clear), Ok(Reply::Count(model.len() as u64)));
            model.clear();
        }
        Step::Add(key, by) => {
            let answer = dict.apply(DictOperation::Compute { key: encode(key), computation: plus(by) });
            let new = find(model, key).is_none();
            let Some(sum) = find(model, key).unwrap_or(0).checked_add(by) else {
                return assert_eq!(answer, Err(Refusal::Overflow { number: "i64".into() }));
            };
            put(model, key, sum);
            let version = versioned(dict, key).unwrap().1;
            assert_eq!(answer, Ok(Reply::Put { value: encode(sum), version, new }));
        }
        Step::Transact(checks, writes) => transact(dict, model, checks, writes),
    }
}

fn transact(
    dict: &mut Watched<Dict<Bytes>>,
    model: &mut Pairs,
    checks: Vec<(u8, Expected)>,
    writes: Vec<(u8, Written)>,
) {
    let mut failed = None;
    let mut wire_checks = Vec::new();
    for (number, (key, expected)) in checks.into_iter().enumerate() {
        let Ok(Reply::Value(found)) = dict.apply(DictOperation::Get(encode(key))) else { panic!("a value") };
        let version = found.as_ref().map(|found| found.1);
        let (check, holds) = match expected {
            Expected::Version(right) => {
                let expected = Version(version.map_or(1, |version| version.0) + u64::from(!right));
                (Check::Version(expected), right && found.is_some())
            }
            Expected::Equal(value) => (Check::Equal(encode(value)), find(model, key) == Some(value)),
            Expected::Present => (Check::Present, found.is_some()),
            Expected::Absent => (Check::Absent, found.is_none()),
        };
        if !holds && failed.is_none() {
            failed = Some(Reply::Conflict { key: number as u64, found });
        }
        wire_checks.push((encode(key), check));
    }
    let mut after = Some(model.clone());
    let mut wire_writes = Vec::new();
    for (key, written) in writes {
        let write = match written {
            Written::Set(value) => {
                if let Some(after) = &mut after {
                    put(after, key, value);
                }
                Write::Set(encode(value))
            }
            Written::Remove => {
                if let Some(after) = &mut after {
                    remove(after, key);
                }
                Write::Remove
            }
            Written::Add(by) => {
                after = after.and_then(|mut after| {
                    let sum = find(&after, key).unwrap_or(0).checked_add(by)?;
                    put(&mut after, key, sum);
                    Some(after)
                });
                Write::Compute(plus(by))
            }
        };
        wire_writes.push((encode(key), write));
    }
    let before = dict.store.version();
    let transaction = Transaction { version: Some(before), checks: wire_checks, writes: wire_writes };
    let outdated = Transaction { version: Some(Version(before.0 + 1)), ..transaction.clone() };
    assert_eq!(dict.apply(DictOperation::Transact(outdated)), Ok(Reply::Outdated(before)));
    let answer = dict.apply(DictOperation::Transact(transaction));
    match (failed, after) {
        (Some(conflict), _) => assert_eq!(answer, Ok(conflict)),
        (None, None) => assert_eq!(answer, Err(Refusal::Overflow { number: "i64".into() })),
        (None, Some(mut after)) => {
            assert!(matches!(answer, Ok(Reply::Done(_))), "{answer:?}");
            // A key that is removed and put in again by one transaction keeps its place: nobody saw it gone.
            let place = |key: u8| model.iter().position(|pair| pair.0 == key).unwrap_or(usize::MAX);
            after.sort_by_key(|pair| place(pair.0));
            let (old, mut new): (Pairs, Pairs) = after.into_iter().partition(|pair| find(model, pair.0).is_some());
            let order: Vec<u8> = pairs(&all(dict)).iter().map(|pair| pair.0).collect();
            new.sort_by_key(|pair| order.iter().position(|key| *key == pair.0));
            *model = old.into_iter().chain(new).collect();
            return;
        }
    }
    assert_eq!(dict.store.version(), before, "none of it was done");
}

fn pairs(rows: &[Row<Bytes>]) -> Pairs {
    let decode = |row: &Row<Bytes>| {
        let (key, value) = (row.key.as_ref().unwrap(), row.value.as_ref().unwrap());
        (postcard::from_bytes(key).unwrap(), postcard::from_bytes(value).unwrap())
    };
    rows.iter().map(decode).collect()
}

fn all(dict: &mut Watched<Dict<Bytes>>) -> Vec<Row<Bytes>> {
    match dict.apply(DictOperation::Snapshot(Columns::Items)) {
        Ok(Reply::Snapshot { rows, .. }) => rows,
        other => panic!("{other:?}"),
    }
}

fn follow(mirror: &mut Pairs, changes: Vec<DictChange<Bytes, Bytes>>) {
    for change in changes {
        match change {
            DictChange::Set { key, value } => {
                put(mirror, postcard::from_bytes(&key).unwrap(), postcard::from_bytes(&value).unwrap());
            }
            DictChange::Removed { key } => remove(mirror, postcard::from_bytes(&key).unwrap()),
            DictChange::Cleared => mirror.clear(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_dict_is_a_map_in_order_and_its_changes_lead_from_each_state_to_the_next(
        steps in proptest::collection::vec(steps(), 0..80),
    ) {
        let mut dict = Watched::new(Dict::new(Bounds::default()));
        let (mut model, mut mirror) = (Pairs::new(), Pairs::new());
        for each in steps {
            let before = dict.store.version();
            step(&mut dict, &mut model, each);
            let rows = all(&mut dict);
            prop_assert_eq!(pairs(&rows), model.clone());
            prop_assert_eq!(dict.apply(DictOperation::Len), Ok(Reply::Count(model.len() as u64)));
            let told = dict.told();
            prop_assert_eq!(told.is_empty(), before == dict.store.version());
            follow(&mut mirror, told);
            prop_assert_eq!(&mirror, &model);
        }
    }

    #[test]
    fn pages_give_what_stays_exactly_once_and_in_order(
        before in proptest::collection::vec((0..6u8, 0..3i64), 0..12),
        between in proptest::collection::vec(proptest::collection::vec(steps(), 0..4), 0..12),
    ) {
        let mut dict = Watched::new(Dict::new(Bounds::default()));
        let mut model = Pairs::new();
        step(&mut dict, &mut model, Step::Merge(before));
        // A key that was taken out and put in again is another entry.
        let numbers = |dict: &Watched<Dict<Bytes>>| dict.store.numbers();
        let mut staying = numbers(&dict);
        let (mut seen, mut cursor, mut between) = (Vec::new(), Some(Cursor::default()), between.into_iter());
        while let Some(at) = cursor {
            let answer = dict.apply(DictOperation::Page { columns: Columns::Items, cursor: at, limit: 2 });
            let Ok(Reply::Page { rows, next, .. }) = answer else { panic!("{answer:?}") };
            let now = numbers(&dict);
            seen.extend(pairs(&rows).iter().map(|(key, _)| now.iter().find(|(other, _)| other == &encode(key)).unwrap().clone()));
            cursor = next;
            for each in between.next().into_iter().flatten() {
                step(&mut dict, &mut model, each);
                let now = numbers(&dict);
                staying.retain(|entry| now.contains(entry));
            }
        }
        let mut once = seen.clone();
        once.sort_by_key(|entry| entry.1);
        once.dedup();
        prop_assert_eq!(&once, &seen, "in order, and nothing twice");
        let stayed: Vec<_> = seen.into_iter().filter(|entry| staying.contains(entry)).collect();
        prop_assert_eq!(stayed, staying);
    }

    #[test]
    fn a_bounded_dict_drops_its_oldest_keys_and_never_what_is_written(
        merges in proptest::collection::vec(proptest::collection::vec((0..9u8, 0..3i64), 0..4), 0..30),
        max_len in 4..6usize,
    ) {
        let mut dict = Watched::new(Dict::new(bounds(max_len as u64, 1 << 20, WhenFull::DropOldest)));
        let mut mirror = Pairs::new();
        for merge in merges {
            let mut model = mirror.clone();
            merge.iter().for_each(|(key, value)| put(&mut model, *key, *value));
            while model.len() > max_len {
                let oldest = model.iter().position(|pair| merge.iter().all(|new| new.0 != pair.0)).unwrap();
                model.remove(oldest);
            }
            let merge = merge.into_iter().map(|(key, value)| (encode(key), encode(value))).collect();
            prop_assert!(dict.apply(DictOperation::Merge(merge)).is_ok());
            prop_assert_eq!(pairs(&all(&mut dict)), model.clone());
            follow(&mut mirror, dict.told());
            prop_assert_eq!(&mirror, &model);
        }
    }
}

#[test]
fn a_full_dict_refuses_the_whole_operation_and_counts_right() {
    let mut dict = Watched::new(Dict::new(bounds(2, 8, WhenFull::Refuse)));
    let set = |key: u8, item: &[u8]| DictOperation::Set { key: encode(key), item: Bytes::copy_from_slice(item) };
    dict.apply(set(1, &[1, 2, 3])).unwrap();
    dict.apply(set(2, &[1, 2, 3])).unwrap();
    let full = |len, bytes| Err(Refusal::Full { len, max_len: 2, bytes, max_bytes: 8 });
    assert_eq!(dict.apply(set(3, &[])), full(3, 9));
    assert_eq!(dict.apply(set(2, &[1, 2, 3, 4])), full(2, 9));
    dict.apply(set(2, &[1])).unwrap();
    dict.apply(set(2, &[1, 2, 3])).unwrap();
    let swap = Transaction {
        version: None,
        checks: Vec::new(),
        writes: vec![(encode(1u8), Write::Remove), (encode(3u8), Write::Set(encode(3u8)))],
    };
    assert!(matches!(dict.apply(DictOperation::Transact(swap)), Ok(Reply::Done(_))), "what goes makes room");
    let twice = DictOperation::RemoveMany(vec![encode(3u8), encode(3u8), encode(2u8), encode(9u8)]);
    assert_eq!(dict.apply(twice), Ok(Reply::Count(2)));
    assert!(dict.apply(set(1, &[0; 7])).is_ok(), "nothing is counted that is not there");
}

#[test]
fn values_that_no_message_can_carry_together_are_refused() {
    let mut dict = Watched::new(Dict::new(Bounds::default()));
    let large = Bytes::from(vec![0; 10 << 20]);
    for key in [1u8, 2] {
        dict.apply(DictOperation::Set { key: encode(key), item: large.clone() }).unwrap();
    }
    let many = DictOperation::GetMany(vec![encode(1u8), encode(2u8)]);
    assert!(matches!(dict.apply(many), Err(Refusal::TooLarge { .. })));
    let huge = DictOperation::Set { key: large.clone(), item: large };
    assert!(matches!(dict.apply(huge), Err(Refusal::TooLarge { .. })));
    let taken = dict.apply(DictOperation::Take { end: End::First, limit: u64::MAX });
    assert!(matches!(taken, Ok(Reply::Taken(rows)) if rows.len() == 1), "as many as a message carries");
}
