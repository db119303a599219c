//! The stores against plain collections, and what each operation says.

mod dicts;
mod lists;

use bytes::Bytes;
use serde::Serialize;

use super::bounds::{Bounds, WhenFull};
use super::cell::{Cell, CellOperation, ValueChange};
use super::log::{Log, Read};
use super::number::{Computation, How, NumberType};
use super::refusal::Refusal;
use super::reply::{Reply, Version};
use super::{Change, Store};
use crate::wire::codec;

fn encode<T: Serialize>(value: T) -> Bytes {
    codec::encode(&value, 1 << 20).unwrap()
}

fn bounds(max_len: u64, max_bytes: u64, when_full: WhenFull) -> Bounds {
    Bounds { max_len, max_bytes, when_full }
}

/// A store and one watcher of it.
struct Watched<S: Store> {
    store: S,
    log: Log<S::Change>,
    watcher: u64,
    next: u64,
}

impl<S: Store> Watched<S> {
    fn new(store: S) -> Self {
        let mut log = Log::new(1 << 16);
        let (watcher, next) = log.watch().unwrap();
        Self { store, log, watcher, next }
    }

    fn apply(&mut self, operation: S::Operation) -> Result<Reply<S::Item>, Refusal> {
        self.store.apply(operation, &mut self.log)
    }

    /// What the watcher is told of since it last asked.
    fn told(&mut self) -> Vec<S::Change> {
        let mut told = Vec::new();
        let mut latest = Version(0);
        while let Some(Read { missed: 0, changes, next }) = self.log.read(self.watcher, self.next).unwrap() {
            for (version, changes) in changes {
                assert!(version > latest, "versions grow");
                latest = version;
                told.extend(changes);
            }
            self.next = next;
        }
        if !told.is_empty() {
            assert_eq!(latest, self.store.version(), "the last change leads to the present version");
        }
        told
    }
}

#[test]
fn a_cell_counts_compares_and_tells() {
    let mut cell = Watched::new(Cell::new(encode(5i64), Bounds::default()).unwrap());
    let plus = |by: i64| Computation { number: NumberType::I64, how: How::Add, operand: encode(by) };
    let first = cell.store.version();
    let version = Version(2);
    assert_eq!(
        cell.apply(CellOperation::Compute(plus(-7))),
        Ok(Reply::Put { value: encode(-2i64), version, new: false })
    );
    let conflict = Reply::Conflict { key: 0, found: Some((encode(-2i64), version)) };
    assert_eq!(cell.apply(CellOperation::CompareSet { expected: first, item: encode(1i64) }), Ok(conflict.clone()));
    let compare = |expected: i64| CellOperation::CompareReplace { expected: encode(expected), item: encode(1i64) };
    assert_eq!(cell.apply(compare(5)), Ok(conflict));
    assert_eq!(cell.apply(compare(-2)), Ok(Reply::Done(Version(3))));
    assert_eq!(cell.apply(CellOperation::Replace(encode(9i64))), Ok(Reply::Value(Some((encode(1i64), Version(3))))));
    let full = CellOperation::Compute(plus(i64::MAX));
    assert_eq!(cell.apply(full), Err(Refusal::Overflow { number: "i64".into() }));
    assert_eq!(cell.apply(CellOperation::Get), Ok(Reply::Value(Some((encode(9i64), Version(4))))));
    let told: Vec<Bytes> = cell.told().into_iter().map(|ValueChange(item)| item).collect();
    assert_eq!(told, [encode(-2i64), encode(1i64), encode(9i64)]);
}

#[test]
fn sequences_are_appended_to_without_being_decoded() {
    let mut cell = Watched::new(Cell::new(encode(Vec::<String>::new()), Bounds::default()).unwrap());
    let mut model = Vec::new();
    for n in 0..300u64 {
        model.push(format!("text {n}"));
        let append =
            CellOperation::Append(vec![encode(model.last())].into_iter().map(|some| some.slice(1..)).collect());
        assert_eq!(cell.apply(append), Ok(Reply::Count(n + 1)));
    }
    assert_eq!(cell.apply(CellOperation::Get), Ok(Reply::Value(Some((encode(&model), Version(301))))));
    let broken = Bytes::from_static(&[0xff; 20]);
    cell.apply(CellOperation::Set(broken)).unwrap();
    assert_eq!(cell.apply(CellOperation::Append(vec![encode(1u8)])), Err(Refusal::NotASequence));
}

#[test]
fn a_cell_holds_no_more_than_its_bound() {
    let full = |bytes| Refusal::Full { len: 1, max_len: 1, bytes, max_bytes: 4 };
    assert_eq!(Cell::new(encode("12345"), bounds(1, 4, WhenFull::Refuse)).map(drop), Err(full(6)));
    let mut cell = Watched::new(Cell::new(encode("123"), bounds(1, 4, WhenFull::Refuse)).unwrap());
    assert_eq!(cell.apply(CellOperation::Set(encode("1234"))), Err(full(5)));
    assert_eq!(cell.told(), []);
    fn changes_weigh<C: Change>(change: &C) -> usize {
        change.weight().bytes
    }
    assert!(changes_weigh(&ValueChange(encode("123"))) > 4);
}
