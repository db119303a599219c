//! What a keeper does, seen in one process.

use std::time::{Duration, Instant};

use super::error::SharedError;
use super::keeper::Keeper;
use super::object::Object;
use super::store::bounds::Bounds;
use super::store::list::List as Store;
use super::{List, ListChange, Refusal, WatchError};
use crate::actor::fence::{self, FencingToken, LockKey};
use crate::actor::held::{Held, SHARED};
use crate::actor::parcel::Parcel;
use crate::actor::service::{self, Serving};
use crate::wire::ids::{ActorId, Destination, NodeId, RunId};

fn open<T: crate::Payload>(named: bool) -> (List<T>, Serving) {
    let keeper = Keeper::new(Store::<Parcel>::new(Bounds::default()), 100, None, named);
    let (serving, run) = service::open(0, "a list", keeper);
    tokio::spawn(run);
    (List::of(Held::<SHARED>::new(serving.destination())), serving)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("an end within 30 s")
}

async fn ended(serving: &Serving) {
    let begun = Instant::now();
    while !serving.is_over() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not end");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_unnamed_object_ends_with_its_last_handle_wherever_that_is() {
    let (list, serving) = open::<u32>(false);
    let (outer, outer_serving) = open::<List<u32>>(false);
    within(list.push(1)).await.unwrap();
    within(outer.push(&list)).await.unwrap();
    drop(list);
    // Only the other object holds it.
    let list = within(outer.pop()).await.unwrap().expect("the list");
    assert_eq!(within(list.len()).await, Ok(1));
    within(outer.push(&list)).await.unwrap();
    let operation = list.push(2);
    drop(list);
    within(outer.clear()).await.unwrap();
    assert!(!serving.is_over());
    // An operation under way is the last.
    within(operation).await.unwrap();
    ended(&serving).await;
    let (third, third_serving) = open::<u32>(false);
    within(outer.push(third)).await.unwrap();
    drop(outer);
    ended(&outer_serving).await;
    ended(&third_serving).await;
}

#[tokio::test]
async fn a_named_object_is_there_without_handles() {
    let (list, serving) = open::<u32>(true);
    within(list.push(1)).await.unwrap();
    drop(list);
    let (other, _) = open::<u32>(true);
    within(other.len()).await.unwrap();
    assert!(!serving.is_over());
    let again = List::<u32>::of(Held::<SHARED>::new(serving.destination()));
    assert_eq!(within(again.len()).await, Ok(1));
    serving.close();
    assert_eq!(within(again.len()).await, Err(SharedError::Gone));
}

#[tokio::test]
async fn a_stale_token_is_refused_and_writes_nothing() {
    let (node, actor) = (NodeId(8_001), ActorId(1));
    let token = |number| FencingToken { number, lock: LockKey { node, actor, lock: 1 } };
    let (list, _serving) = open::<u32>(true);
    let guarded = list.guarded_by(token(1));
    let foreign = Err(SharedError::Refused(Refusal::ForeignGrant { token: 1 }));
    assert_eq!(within(guarded.push(0)).await, foreign, "nobody here knows of that lock");
    fence::open(node, actor);
    fence::begin(token(1));
    within(guarded.push(1)).await.unwrap();
    fence::end(token(1));
    fence::begin(token(2));
    let stale = Refusal::StaleGrant { token: 1 };
    assert_eq!(within(guarded.push(2)).await, Err(SharedError::Refused(stale.clone())));
    assert_eq!(within(guarded.update(0, |value| value + 1)).await, Err(SharedError::Refused(stale)));
    // The token travels with the handle, and a handle without one is not asked.
    let sent: List<u32> = Parcel::new(&list.guarded_by(token(2))).unwrap().open().unwrap();
    within(sent.push(3)).await.unwrap();
    within(list.push(4)).await.unwrap();
    fence::close(node, actor);
    assert!(within(sent.push(5)).await.is_err());
    assert_eq!(within(list.snapshot()).await.unwrap().values, [1, 3, 4]);
}

/// The bytes of a handle to elsewhere.
fn forged(to: Destination) -> Parcel {
    Parcel::new(&List::<u32>::of(Held::<SHARED>::new(to))).unwrap()
}

#[tokio::test]
async fn a_handle_of_another_run_or_of_nobody_is_a_handle_of_what_is_gone() {
    let (list, serving) = open::<u32>(true);
    let to = serving.destination();
    for to in [
        Destination { run: RunId(to.run.0 ^ 1), ..to },
        Destination { node: NodeId(to.node.0 ^ 1), ..to },
        Destination { actor: ActorId(to.actor.0 + 1000), ..to },
    ] {
        let stranger: List<u32> = forged(to).open().unwrap();
        assert_eq!(within(stranger.push(1)).await, Err(SharedError::Gone));
        assert_eq!(within(stranger.watch()).await.map(drop), Err(SharedError::Gone));
    }
    assert_eq!(within(list.len()).await, Ok(0));
}

#[tokio::test]
async fn whatever_a_handle_is_cut_or_changed_to_is_refused_or_harmless() {
    let (list, serving) = open::<u32>(true);
    let whole = Parcel::new(&list).unwrap();
    for length in 0..whole.bytes.len() {
        let cut = Parcel { bytes: whole.bytes[..length].to_vec().into(), handles: whole.handles.clone() };
        assert!(cut.open::<List<u32>>().is_err());
    }
    let mut refused = 0;
    for place in 0..whole.bytes.len() {
        let mut bytes = whole.bytes.to_vec();
        bytes[place] ^= 1;
        match (Parcel { bytes: bytes.into(), handles: whole.handles.clone() }).open::<List<u32>>() {
            Ok(other) => assert!(within(other.push(1)).await.is_err() || other == list),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 10, "the kind, the protocol and the element type are checked");
    let (texts, _serving) = open::<String>(true);
    let error = Parcel::new(&texts).unwrap().open::<List<u32>>().unwrap_err();
    assert!(error.to_string().contains("not the handle of a shared list of u32: its values are others"), "{error}");
    drop(serving);
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_and_the_object_goes_on() {
    let (list, serving) = open::<u32>(true);
    let object = Object::new(Held::new(serving.destination()), List::<u32>::element());
    for method in [super::keeper::OPERATE, super::keeper::CHANGES, super::keeper::REST, 77] {
        let garbage = object.call::<_, ()>("garbage", method, &[[0xff_u8; 20]; 2]);
        assert!(within(garbage).await.is_err(), "{method}");
    }
    let unknown = object.call::<_, ()>("changes", super::keeper::CHANGES, &(99u64, 0u64));
    assert_eq!(within(unknown).await, Err(crate::CallError::Handler(Refusal::UnknownWatcher)));
    let forgotten = object.call::<_, ()>("rest", super::keeper::REST, &7u64);
    assert_eq!(within(forgotten).await, Err(crate::CallError::Handler(Refusal::SnapshotForgotten)));
    assert_eq!(within(list.push(1)).await.map(drop), Ok(()));
}

#[tokio::test]
async fn a_watch_that_is_dropped_ends_and_one_that_is_given_up_never_began() {
    let (list, _serving) = open::<u32>(true);
    for _ in 0..2000 {
        // More than an object has room for at once.
        drop(within(list.watch()).await.unwrap());
        let mut begun = Box::pin(list.watch());
        let _ = begun.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    }
    let mut watch = within(list.watch()).await.unwrap();
    within(list.push(1)).await.unwrap();
    assert_eq!(within(watch.next()).await.unwrap().changes, [ListChange::Inserted { index: 0, values: vec![1] }]);
    for n in 0..150 {
        within(list.push(n)).await.unwrap();
    }
    assert_eq!(within(watch.next()).await, Err(WatchError::Lagged(50)));
}
