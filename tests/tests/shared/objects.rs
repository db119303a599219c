//! What each kind of object offers.

use procession::shared::{
    Conflict, Counter, Dict, List, OpenError, Refusal, SharedError, SharedSpec, State, Value, Versioned, WhenFull,
};
use procession::{CallError, Event, NotDelivered};

use crate::hands::{Scores, ScoresApi, play};
use crate::processes::{end, event, start, within};

fn refused<T: std::fmt::Debug>(result: Result<T, SharedError>) -> Refusal {
    match result {
        Err(SharedError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_does_what_a_list_does() {
    let sup = start().await;
    let list: List<String> = sup.list("list").unwrap();
    let text = |text: &str| text.to_owned();
    within(list.push(text("b"))).await.unwrap();
    within(list.extend(["d", "e"].map(text))).await.unwrap();
    within(list.insert(0, text("a"))).await.unwrap();
    within(list.insert_all(2, [&text("c"), &text("x")])).await.unwrap();
    assert_eq!(within(list.remove_value(text("x"))).await, Ok(Some(3)));
    assert_eq!(within(list.snapshot()).await.unwrap().values, ["a", "b", "c", "d", "e"]);
    assert_eq!(within(list.slice(1..3)).await.unwrap().values, ["b", "c"]);
    assert_eq!(within(list.slice(3..=4)).await.unwrap().values, ["d", "e"]);
    assert_eq!(within(list.index_of(text("c"))).await, Ok(Some(2)));
    assert_eq!(within(list.contains(text("z"))).await, Ok(false));
    assert_eq!((within(list.first()).await, within(list.last()).await), (Ok(Some(text("a"))), Ok(Some(text("e")))));
    assert_eq!(within(list.remove(1)).await, Ok(text("b")));
    within(list.set(0, text("A"))).await.unwrap();
    assert_eq!(within(list.pop()).await, Ok(Some(text("e"))));
    assert_eq!(within(list.pop_front()).await, Ok(Some(text("A"))));
    within(list.update_all(|all| all.sort_by(|one, other| other.cmp(one)))).await.unwrap();
    assert_eq!(within(list.iter().collect()).await, Ok(vec![text("d"), text("c")]));
    within(list.reverse()).await.unwrap();
    assert_eq!(within(list.update(1, |text| text + "!")).await, Ok(text("d!")));
    assert_eq!(within(list.take(9)).await, Ok(vec![text("c"), text("d!")]));
    assert_eq!((within(list.pop()).await, within(list.len()).await), (Ok(None), Ok(0)));
    within(list.replace_all(["p", "q", "r"].map(text))).await.unwrap();
    assert_eq!(within(list.remove_range(..2)).await, Ok(2));
    assert_eq!(within(list.clear()).await, Ok(1));
    let numbers: List<i32> = sup.list("numbers").unwrap();
    within(numbers.extend([1, 2])).await.unwrap();
    assert_eq!(within(numbers.add(0, -5)).await, Ok(-4));
    assert_eq!((within(numbers.max(0, 3)).await, within(numbers.min(1, -1)).await), (Ok(3), Ok(-1)));
    let nested: List<Vec<u8>> = sup.list("nested").unwrap();
    within(nested.push(vec![])).await.unwrap();
    assert_eq!((within(nested.append_to(0, 1)).await, within(nested.append_to(0, 2)).await), (Ok(1), Ok(2)));
    assert_eq!(within(nested.get(0)).await, Ok(Some(vec![1, 2])));
    end(sup).await;
}

#[tokio::test]
async fn a_dict_does_what_a_dict_does() {
    let sup = start().await;
    let dict: Dict<String, i64> = sup.dict("dict").unwrap();
    assert_eq!(within(dict.insert("a", 1)).await, Ok(None));
    assert_eq!(within(dict.insert("a", 2)).await, Ok(Some(1)));
    within(dict.set("b", 3)).await.unwrap();
    assert_eq!(within(dict.get_or_insert("b", 9)).await, Ok(3));
    assert_eq!(within(dict.get_or_insert("c", 9)).await, Ok(9));
    assert_eq!(within(dict.merge([("c".to_owned(), 4), ("d".to_owned(), 5)])).await, Ok(1));
    assert_eq!((within(dict.len()).await, within(dict.contains_key("d")).await), (Ok(4), Ok(true)));
    assert_eq!(within(dict.add("d", 10)).await, Ok(15));
    assert_eq!(within(dict.add("new", 10)).await, Ok(10));
    assert_eq!((within(dict.max("a", 7)).await, within(dict.min("a", 6)).await), (Ok(7), Ok(6)));
    let keys = ["a", "b", "c", "d", "new"].map(str::to_owned);
    assert_eq!(within(dict.keys().page_len(2).collect()).await, Ok(keys.to_vec()));
    assert_eq!(within(dict.values().collect()).await, Ok(vec![6, 3, 4, 15, 10]));
    let found = within(dict.get_many(["b", "zzz"])).await.unwrap();
    assert_eq!((found[0].as_ref().map(|found| found.value), &found[1]), (Some(3), &None));
    assert_eq!(within(dict.remove("b")).await, Ok(Some(3)));
    assert_eq!(within(dict.update("a", |_| None)).await, Ok(None));
    assert_eq!(within(dict.update("e", |none| Some(none.map_or(1, |_| 2)))).await, Ok(Some(1)));
    assert_eq!(within(dict.pop_first()).await, Ok(Some(("c".to_owned(), 4))));
    assert_eq!(within(dict.pop_last()).await, Ok(Some(("e".to_owned(), 1))));
    let gave_up = within(dict.transact(["d", "new"], |values| {
        values[0] = None;
        Err::<(), _>("no")
    }));
    assert_eq!(gave_up.await, Ok(Err("no")));
    assert_eq!(within(dict.remove_many(["d", "new", "d", "zzz"])).await, Ok(2));
    assert_eq!((within(dict.clear()).await, within(dict.get("a")).await), (Ok(0), Ok(None)));
    let nested: Dict<u8, Vec<String>> = sup.dict("nested").unwrap();
    within(nested.append_to(&1, "x".to_owned())).await.unwrap();
    assert_eq!(within(nested.extend_at(&1, ["y", "z"].map(str::to_owned))).await, Ok(3));
    assert_eq!(within(nested.get(&1)).await, Ok(Some(["x", "y", "z"].map(str::to_owned).to_vec())));
    end(sup).await;
}

#[tokio::test]
async fn keys_are_equal_when_their_encodings_are() {
    let sup = start().await;
    let floats: Dict<f64, u8> = sup.dict("floats").unwrap();
    within(floats.merge([(0.0, 1), (-0.0, 2), (f64::NAN, 3)])).await.unwrap();
    assert_eq!(within(floats.insert(&f64::NAN, 4)).await, Ok(Some(3)), "a NaN is equal to itself");
    assert_eq!((within(floats.get(&0.0)).await, within(floats.get(&-0.0)).await), (Ok(Some(1)), Ok(Some(2))));
    end(sup).await;
}

#[tokio::test]
async fn who_was_slower_is_told_what_there_is_now() {
    let sup = start().await;
    let dict: Dict<String, u32> = sup.dict("dict").unwrap();
    let first = within(dict.compare_and_set("a", None, 1)).await.unwrap().expect("it was not there");
    let conflict = within(dict.compare_and_set("a", None, 2)).await.unwrap();
    let found = Some(Versioned { value: 1, version: first });
    assert_eq!(conflict, Err(Conflict { expectation: Some(0), found }));
    let second = within(dict.compare_and_set("a", Some(first), 2)).await.unwrap().unwrap();
    assert!(second > first);
    assert!(within(dict.compare_and_remove("a", first)).await.unwrap().is_err());
    // The same value again is another write.
    within(dict.set("a", 2)).await.unwrap();
    assert!(within(dict.compare_and_remove("a", second)).await.unwrap().is_err());
    let transaction = dict.transaction().expect_present("a").expect_equal("a", 2).expect_absent("a").set("b", 1);
    let conflict = within(transaction.commit()).await.unwrap().unwrap_err();
    assert_eq!((conflict.expectation, conflict.found.map(|found| found.value)), (Some(2), Some(2)));
    assert_eq!(within(dict.contains_key("b")).await, Ok(false));
    let snapshot = within(dict.snapshot()).await.unwrap();
    let whole = |value| dict.transaction().expect_version(snapshot.version).set("c", value).commit();
    within(whole(1)).await.unwrap().expect("nothing was changed");
    assert_eq!(within(whole(2)).await.unwrap().unwrap_err().expectation, None);
    let value: Value<String> = sup.value("value", "one".to_owned()).unwrap();
    let there = within(value.get_versioned()).await.unwrap();
    assert_eq!(within(value.replace("two".to_owned())).await, Ok("one".to_owned()));
    let conflict = within(value.compare_and_set(there.version, "three".to_owned())).await.unwrap().unwrap_err();
    assert_eq!(conflict.found.map(|found| found.value), Some("two".to_owned()));
    let counter: Counter<f64> = sup.counter("counter").unwrap();
    assert_eq!(within(counter.add(0.5)).await, Ok(0.5));
    assert!(within(counter.compare_and_set(0.25, 1.0)).await.unwrap().is_err());
    within(counter.compare_and_set(0.5, 1.0)).await.unwrap().unwrap();
    let list: List<u8> = sup.list("list").unwrap();
    within(list.extend([1, 2])).await.unwrap();
    let second = within(list.get_versioned(1)).await.unwrap().unwrap();
    within(list.pop_front()).await.unwrap();
    assert!(within(list.compare_and_set(0, second.version, 9)).await.unwrap().is_ok(), "it has moved, and is the same");
    end(sup).await;
}

#[tokio::test]
async fn malformed_operations_are_refused_by_name_and_change_nothing() {
    let sup = start().await;
    let list: List<u8> = sup.list("list").unwrap();
    within(list.extend([1, 2, 3])).await.unwrap();
    let out_of_range = |index| Refusal::OutOfRange { index, len: 3 };
    assert_eq!(refused(within(list.set(3, 0)).await), out_of_range(3));
    assert_eq!(refused(within(list.remove(u64::MAX)).await), out_of_range(u64::MAX));
    assert_eq!(refused(within(list.insert(4, 0)).await), out_of_range(4));
    assert_eq!(refused(within(list.slice(2..9)).await), out_of_range(9));
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let reversed = list.slice(2..1);
    assert_eq!(refused(within(reversed).await), Refusal::BadRange { start: 2, end: 1 });
    assert_eq!(refused(within(list.update(5, |value| value)).await), out_of_range(5));
    assert_eq!(refused(within(list.add(0, 255)).await), Refusal::Overflow { number: "u8".into() });
    let mut pages = list.iter().page_len(1);
    within(pages.next()).await.unwrap().unwrap();
    within(list.reverse()).await.unwrap();
    let forgotten = Refusal::CursorForgotten { index: 1, len: 3 };
    assert_eq!(refused(within(pages.next()).await.expect("an error")), forgotten);
    let blobs: List<Vec<u8>> = sup.list("blobs").unwrap();
    let huge = within(blobs.push(vec![1; 17 << 20])).await.unwrap_err();
    assert!(!huge.may_have_executed() && huge.to_string().contains("arguments of push"), "{huge}");
    assert_eq!(within(list.snapshot()).await.unwrap().values, [3, 2, 1]);
    end(sup).await;
}

#[tokio::test]
async fn what_is_full_refuses_or_drops_the_oldest() {
    let sup = start().await;
    let refusing: List<u8> = sup.list(SharedSpec::named("refusing").max_len(2)).unwrap();
    within(refusing.extend([1, 2])).await.unwrap();
    let full = |bytes| Refusal::Full { len: 3, max_len: 2, bytes, max_bytes: 1 << 30 };
    assert_eq!(refused(within(refusing.push(3)).await), full(3));
    // Nobody waits for this one: it is an event.
    let mut events = sup.events();
    within(refusing.push(4).forget()).await.unwrap();
    let failed = event(&mut events, |event| matches!(event, Event::CastFailed { .. })).await;
    assert!(
        matches!(failed, Event::CastFailed { actor, error, .. } if actor == "refusing" && error == full(3).to_string())
    );
    assert_eq!(within(refusing.snapshot()).await.unwrap().values, [1, 2]);
    let latest = SharedSpec::named("latest").max_len(3).when_full(WhenFull::DropOldest);
    let list: List<u32> = sup.list(latest.clone()).unwrap();
    for n in 0..10 {
        within(list.push(n)).await.unwrap();
    }
    assert_eq!(within(list.snapshot()).await.unwrap().values, [7, 8, 9]);
    let seen: Dict<u32, ()> = sup.dict(SharedSpec::unnamed().max_len(3).when_full(WhenFull::DropOldest)).unwrap();
    for n in 0..10 {
        within(seen.set(&n, ())).await.unwrap();
    }
    assert_eq!(within(seen.keys().collect()).await, Ok(vec![7, 8, 9]));
    let small: Value<String> = sup.value(SharedSpec::named("small").max_bytes(8), String::new()).unwrap();
    let long = "longer than eight".to_owned();
    assert!(matches!(refused(within(small.set(&long)).await), Refusal::Full { max_bytes: 8, .. }));
    let too_long = sup.value(SharedSpec::unnamed().max_bytes(8), long);
    assert!(matches!(too_long, Err(OpenError::Refused(Refusal::Full { .. }))));
    assert_eq!(sup.list::<u32>(latest.max_len(4)), Err(OpenError::OtherBounds { name: "latest".into() }));
    end(sup).await;
}

#[tokio::test]
async fn a_name_is_one_object_of_one_type() {
    let sup = start().await;
    let one: Counter = sup.counter("name").unwrap();
    within(one.add(5)).await.unwrap();
    let other = sup.counter::<i64>("name").unwrap();
    assert_eq!((within(other.get()).await, one == other), (Ok(5), true));
    let wrong = [
        sup.list::<i64>("name").map(drop),
        sup.dict::<String, i64>("name").map(drop),
        sup.value("name", 0i64).map(drop),
        sup.counter::<u64>("name").map(drop),
    ];
    for wrong in wrong {
        let error = wrong.unwrap_err();
        assert!(matches!(error, OpenError::OtherType { .. }));
        assert!(error.to_string().starts_with("\"name\" is a shared counter of i64, not a shared "), "{error}");
    }
    assert_eq!(within(sup.value("value", 1u8).unwrap().get()).await, Ok(1));
    assert_eq!(within(sup.value("value", 2u8).unwrap().get()).await, Ok(1), "it was there");
    let strangers = (sup.list::<u8>(SharedSpec::unnamed()).unwrap(), sup.list::<u8>(SharedSpec::unnamed()).unwrap());
    assert_ne!(strangers.0, strangers.1);
    end(sup).await;
    assert_eq!(within(one.get()).await, Err(SharedError::Gone));
}

#[tokio::test]
async fn a_state_of_ones_own_is_called_from_anywhere_and_never_begins_anew_unnoticed() {
    let sup = start().await;
    let pool = within(sup.task_pool("pool", 2)).await.unwrap();
    let scores: State<Scores> = within(sup.state("scores", ())).await.unwrap();
    let plays = (1..=30u32).map(|n| (scores, format!("player {n}"), n));
    within(pool.map(play, plays)).await.unwrap();
    let same = within(sup.state::<Scores>("scores", ())).await.unwrap();
    assert_eq!(same, scores);
    assert_eq!(within(same.result()).await, Ok(("player 30".to_owned(), 30, 30)));
    assert!(matches!(within(scores.break_down()).await, Err(CallError::Panicked(_))));
    assert_eq!(within(scores.result()).await, Err(CallError::NotDelivered(NotDelivered::Stopped)));
    let text = within(pool.submit(play, (scores, "late".to_owned(), 1))).await.unwrap().unwrap_err();
    assert!(text.contains("has stopped"), "{text}");
    within(pool.finish()).await;
    end(sup).await;
}
