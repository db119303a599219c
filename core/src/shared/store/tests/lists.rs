//! The list against a `Vec`.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::list::{At, End, List, ListChange, ListOperation};
use super::super::reply::{Cursor, Row};
use super::*;

/// What is done to a list, with indices that are taken modulo its length and one more.
#[derive(Clone, Debug)]
enum Step {
    Push(u16),
    Extend(Vec<u16>),
    Insert(usize, Vec<u16>),
    Set(usize, u16),
    Remove(usize),
    RemoveItem(u16),
    Take(bool, usize),
    RemoveRange(usize, usize),
    Clear,
    Reverse,
    Replace(Vec<u16>),
    Add(usize, u16),
}

fn steps() -> impl Strategy<Value = Step> {
    let some = || proptest::collection::vec(0..8u16, 0..5);
    prop_oneof![
        4 => (0..8u16).prop_map(Step::Push),
        4 => some().prop_map(Step::Extend),
        4 => (any::<usize>(), some()).prop_map(|(at, items)| Step::Insert(at, items)),
        2 => (any::<usize>(), 0..8u16).prop_map(|(at, item)| Step::Set(at, item)),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => (0..8u16).prop_map(Step::RemoveItem),
        2 => (any::<bool>(), 0..4usize).prop_map(|(first, count)| Step::Take(first, count)),
        2 => (any::<usize>(), 0..4usize).prop_map(|(at, count)| Step::RemoveRange(at, count)),
        1 => Just(Step::Clear),
        1 => Just(Step::Reverse),
        1 => some().prop_map(Step::Replace),
        2 => (any::<usize>(), 0..9u16).prop_map(|(at, by)| Step::Add(at, by)),
    ]
}

fn items(items: &[u16]) -> Vec<Bytes> {
    items.iter().map(encode).collect()
}

/// Does the step to both, and compares what they answer.
fn step(list: &mut Watched<List<Bytes>>, model: &mut Vec<u16>, step: Step) {
    let len = model.len();
    let index = |at: usize| (at % (len + 1)) as u64;
    let out_of_range = |index: u64| Err(Refusal::OutOfRange { index, len: len as u64 });
    match step {
        Step::Push(item) => {
            model.push(item);
            assert!(matches!(list.apply(ListOperation::Push(encode(item))), Ok(Reply::Done(_))));
        }
        Step::Extend(new) => {
            model.extend(&new);
            assert!(matches!(list.apply(ListOperation::Extend(items(&new))), Ok(Reply::Done(_))));
        }
        Step::Insert(at, new) => {
            let index = index(at);
            model.splice(index as usize..index as usize, new.clone());
            assert!(matches!(list.apply(ListOperation::Insert { index, items: items(&new) }), Ok(Reply::Done(_))));
        }
        Step::Set(at, item) => {
            let index = index(at);
            let answer = list.apply(ListOperation::Set { index, item: encode(item) });
            match model.get_mut(index as usize) {
                Some(old) => *old = item,
                None => return assert_eq!(answer, out_of_range(index)),
            }
            assert!(matches!(answer, Ok(Reply::Done(_))));
        }
        Step::Remove(at) => {
            let index = index(at);
            let answer = list.apply(ListOperation::Remove(index));
            if index as usize == len {
                return assert_eq!(answer, out_of_range(index));
            }
            assert_eq!(taken(answer), [model.remove(index as usize)]);
        }
        Step::RemoveItem(item) => {
            let place = model.iter().position(|other| *other == item);
            assert_eq!(list.apply(ListOperation::Find(encode(item))), Ok(Reply::Place(place.map(|at| at as u64))));
            assert_eq!(
                list.apply(ListOperation::RemoveItem(encode(item))),
                Ok(Reply::Place(place.map(|at| at as u64)))
            );
            place.map(|at| model.remove(at));
        }
        Step::Take(first, count) => {
            let count = count.min(len);
            let end = if first { End::First } else { End::Last };
            let range = if first { 0..count } else { len - count..len };
            let expected: Vec<u16> = model.drain(range).collect();
            assert_eq!(taken(list.apply(ListOperation::Take { end, limit: count as u64 })), expected);
        }
        Step::RemoveRange(at, count) => {
            let start = index(at);
            let end = start + count as u64;
            let answer = list.apply(ListOperation::RemoveRange { start, end: Some(end) });
            if end as usize > len {
                return assert_eq!(answer, out_of_range(end));
            }
            model.drain(start as usize..end as usize);
            assert_eq!(answer, Ok(Reply::Count(count as u64)));
        }
        Step::Clear => {
            assert_eq!(list.apply(ListOperation::Clear), Ok(Reply::Count(len as u64)));
            model.clear();
        }
        Step::Reverse => {
            model.reverse();
            assert!(matches!(list.apply(ListOperation::Reverse), Ok(Reply::Done(_))));
        }
        Step::Replace(new) => {
            let old = list.store.version();
            let replace = |expected| ListOperation::Replace { expected: Some(expected), items: items(&new) };
            assert_eq!(list.apply(replace(Version(old.0 + 1))), Ok(Reply::Outdated(old)));
            assert!(matches!(list.apply(replace(old)), Ok(Reply::Done(_))));
            *model = new;
        }
        Step::Add(at, by) => {
            let index = index(at);
            let computation = Computation { number: NumberType::U16, how: How::Add, operand: encode(by) };
            let answer = list.apply(ListOperation::Compute { index, computation });
            let Some(old) = model.get_mut(index as usize) else { return assert_eq!(answer, out_of_range(index)) };
            *old += by;
            let version = list.store.version();
            assert_eq!(answer, Ok(Reply::Put { value: encode(*old), version, new: false }));
        }
    }
}

fn decode(item: &Bytes) -> u16 {
    postcard::from_bytes(item).unwrap()
}

fn values(rows: &[Row<Bytes>]) -> Vec<u16> {
    rows.iter().map(|row| decode(row.value.as_ref().unwrap())).collect()
}

fn taken(answer: Result<Reply<Bytes>, Refusal>) -> Vec<u16> {
    match answer {
        Ok(Reply::Taken(rows)) => values(&rows),
        other => panic!("{other:?}"),
    }
}

fn all(list: &mut Watched<List<Bytes>>) -> Vec<Row<Bytes>> {
    match list.apply(ListOperation::Slice { start: 0, end: None }) {
        Ok(Reply::Snapshot { rows, .. }) => rows,
        other => panic!("{other:?}"),
    }
}

fn follow(mirror: &mut Vec<u16>, changes: Vec<ListChange<Bytes>>) {
    for change in changes {
        match change {
            ListChange::Inserted { index, values } => {
                let values: Vec<u16> = values.iter().map(decode).collect();
                mirror.splice(index as usize..index as usize, values);
            }
            ListChange::Set { index, value } => mirror[index as usize] = decode(&value),
            ListChange::Removed { index, count } => drop(mirror.drain(index as usize..(index + count) as usize)),
            ListChange::Reversed => mirror.reverse(),
        }
    }
}

/// The next page of two at most.
fn page(list: &mut Watched<List<Bytes>>, cursor: Cursor) -> Result<(Vec<Row<Bytes>>, Option<Cursor>), Refusal> {
    match list.apply(ListOperation::Page { cursor, limit: 2 })? {
        Reply::Page { rows, next, .. } => Ok((rows, next)),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_is_a_vec_and_its_changes_lead_from_each_state_to_the_next(steps in proptest::collection::vec(steps(), 0..80)) {
        let mut list = Watched::new(List::new(Bounds::default()));
        let (mut model, mut mirror) = (Vec::new(), Vec::new());
        for each in steps {
            let before = list.store.version();
            step(&mut list, &mut model, each);
            let rows = all(&mut list);
            prop_assert_eq!(values(&rows), model.clone());
            prop_assert_eq!(list.apply(ListOperation::Len), Ok(Reply::Count(model.len() as u64)));
            let last = rows.last().map(|row| (row.value.clone().unwrap(), row.version));
            prop_assert_eq!(list.apply(ListOperation::Get(At::Last)), Ok(Reply::Value(last)));
            let told = list.told();
            prop_assert_eq!(told.is_empty(), before == list.store.version());
            follow(&mut mirror, told);
            prop_assert_eq!(&mirror, &model);
            let mut versions: Vec<_> = rows.iter().map(|row| row.version).collect();
            versions.sort();
            versions.dedup();
            prop_assert_eq!(versions.len(), rows.len(), "no two elements have one version");
        }
    }

    /// Elements are told apart by their versions, which none of these steps changes.
    #[test]
    fn pages_give_what_stays_exactly_once_and_in_order(
        before in proptest::collection::vec(0..8u16, 0..12),
        between in proptest::collection::vec(proptest::collection::vec(steps(), 0..4), 0..12),
    ) {
        let mut list = Watched::new(List::new(Bounds::default()));
        list.apply(ListOperation::Extend(items(&before))).unwrap();
        let ids = |list: &mut Watched<List<Bytes>>| all(list).iter().map(|row| row.version.0).collect::<Vec<_>>();
        let mut model = before;
        let mut staying = ids(&mut list);
        let mut seen = Vec::new();
        let mut cursor = Some(Cursor { version: list.store.version(), at: 0 });
        let mut between = between.into_iter();
        while let Some(at) = cursor {
            let (rows, next) = page(&mut list, at).unwrap();
            seen.extend(rows.iter().map(|row| row.version.0));
            cursor = next;
            for each in between.next().into_iter().flatten() {
                if !matches!(each, Step::Reverse | Step::Set(..) | Step::Add(..)) {
                    step(&mut list, &mut model, each);
                    let now = ids(&mut list);
                    staying.retain(|id| now.contains(id));
                }
            }
        }
        let mut once = seen.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), seen.len(), "nothing comes twice");
        let stayed: Vec<u64> = seen.iter().copied().filter(|id| staying.contains(id)).collect();
        prop_assert_eq!(stayed, staying);
    }

    #[test]
    fn a_bounded_list_drops_its_first_elements_and_never_what_is_written(
        steps in proptest::collection::vec(steps(), 0..80),
        max_len in 4..8u64,
    ) {
        let mut list = Watched::new(List::new(bounds(max_len, 1 << 20, WhenFull::DropOldest)));
        let mut mirror = Vec::new();
        for each in steps {
            let mut model = mirror.clone();
            let (at, written) = match &each {
                Step::Insert(at, written) => (at % (model.len() + 1), written.clone()),
                Step::Extend(written) => (model.len(), written.clone()),
                Step::Push(written) => (model.len(), vec![*written]),
                Step::Replace(written) => {
                    model.clear();
                    (0, written.clone())
                }
                _ => continue,
            };
            let operation = match &each {
                Step::Replace(_) => ListOperation::Replace { expected: None, items: items(&written) },
                _ => ListOperation::Insert { index: at as u64, items: items(&written) },
            };
            model.splice(at..at, written.clone());
            let excess = model.len().saturating_sub(max_len as usize);
            let before = excess.min(at);
            model.drain(at + written.len()..at + written.len() + excess - before);
            model.drain(..before);
            prop_assert!(list.apply(operation).is_ok());
            prop_assert_eq!(values(&all(&mut list)), model.clone());
            follow(&mut mirror, list.told());
            prop_assert_eq!(&mirror, &model);
        }
    }
}

#[test]
fn malformed_operations_name_index_and_length() {
    let mut list = Watched::new(List::<Bytes>::new(Bounds::default()));
    list.apply(ListOperation::Extend(items(&[1, 2, 3]))).unwrap();
    let version = list.store.version();
    let out_of_range = |index| Err(Refusal::OutOfRange { index, len: 3 });
    for index in [3, 4, u64::MAX] {
        assert_eq!(list.apply(ListOperation::Set { index, item: encode(1u16) }), out_of_range(index));
        assert_eq!(list.apply(ListOperation::Remove(index)), out_of_range(index));
        assert_eq!(list.apply(ListOperation::Append { index, items: items(&[1]) }), out_of_range(index));
        assert_eq!(list.apply(ListOperation::Slice { start: index, end: Some(index + u64::from(index == 3)) }), {
            if index == 3 { out_of_range(4) } else { out_of_range(index) }
        });
    }
    let at_end = ListOperation::Slice { start: 3, end: None };
    assert!(matches!(list.apply(at_end), Ok(Reply::Snapshot { rows, .. }) if rows.is_empty()));
    assert_eq!(list.apply(ListOperation::Insert { index: 4, items: items(&[1]) }), out_of_range(4));
    let slice = ListOperation::Slice { start: 2, end: Some(1) };
    assert_eq!(list.apply(slice), Err(Refusal::BadRange { start: 2, end: 1 }));
    for (version, at) in [(Version(version.0 + 1), 1), (Version(u64::MAX), u64::MAX)] {
        let answer = page(&mut list, Cursor { version, at });
        assert_eq!(answer, Err(Refusal::CursorForgotten { index: at, len: 3 }));
    }
    assert_eq!(page(&mut list, Cursor { version, at: u64::MAX }), Ok((Vec::new(), None)));
    list.apply(ListOperation::Reverse).unwrap();
    assert_eq!(page(&mut list, Cursor { version, at: 1 }), Err(Refusal::CursorForgotten { index: 1, len: 3 }));
    assert!(list.told().len() == 2, "what was refused has changed nothing");
}

#[test]
fn a_cursor_is_forgotten_after_too_many_moves_and_not_after_any_number_of_pushes() {
    let mut list = Watched::new(List::<Bytes>::new(Bounds::default()));
    list.apply(ListOperation::Extend(items(&[1, 2, 3]))).unwrap();
    let cursor = Cursor { version: list.store.version(), at: 2 };
    for n in 0..5000u16 {
        list.apply(ListOperation::Push(encode(n))).unwrap();
    }
    assert_eq!(values(&page(&mut list, cursor).unwrap().0), [3, 0]);
    for _ in 0..2000 {
        list.apply(ListOperation::Remove(2)).unwrap();
    }
    assert_eq!(page(&mut list, cursor), Err(Refusal::CursorForgotten { index: 2, len: 3003 }));
}

#[test]
fn a_full_list_refuses_the_whole_operation() {
    let mut list = Watched::new(List::<Bytes>::new(bounds(3, 10, WhenFull::Refuse)));
    list.apply(ListOperation::Extend(items(&[1, 2]))).unwrap();
    let full = |len, bytes| Err(Refusal::Full { len, max_len: 3, bytes, max_bytes: 10 });
    assert_eq!(list.apply(ListOperation::Extend(items(&[3, 4]))), full(4, 4));
    assert_eq!(list.apply(ListOperation::Push(Bytes::from(vec![0; 9]))), full(3, 11));
    assert_eq!(list.apply(ListOperation::Set { index: 0, item: Bytes::from(vec![0; 10]) }), full(2, 11));
    assert!(list.apply(ListOperation::Set { index: 0, item: Bytes::from(vec![0; 9]) }).is_ok());
    assert_eq!(list.apply(ListOperation::Push(encode(1u8))), full(3, 11));
    let replaced = ListOperation::Replace { expected: None, items: items(&[1, 2, 3]) };
    assert!(list.apply(replaced).is_ok(), "what is taken out makes room");
    let mut dropping = Watched::new(List::<Bytes>::new(bounds(3, 10, WhenFull::DropOldest)));
    assert_eq!(dropping.apply(ListOperation::Extend(items(&[1, 2, 3, 4]))), full(4, 4));
}

#[test]
fn a_compare_and_set_is_not_deceived_by_a_moved_element() {
    let mut list = Watched::new(List::<Bytes>::new(Bounds::default()));
    list.apply(ListOperation::Extend(items(&[7, 7, 7]))).unwrap();
    let versions: Vec<_> = all(&mut list).iter().map(|row| row.version).collect();
    list.apply(ListOperation::Remove(0)).unwrap();
    let set = |index, expected| ListOperation::CompareSet { index, expected, item: encode(8u16) };
    let found = Some((encode(7u16), versions[2]));
    assert_eq!(list.apply(set(1, versions[1])), Ok(Reply::Conflict { key: 1, found }));
    assert!(matches!(list.apply(set(0, versions[1])), Ok(Reply::Done(_))));
    assert_eq!(values(&all(&mut list)), [8, 7]);
}
