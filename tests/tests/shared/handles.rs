//! Handles on their way, and those that are none.

use procession::prelude::*;
use procession::shared::{Dict, List, SharedError, SharedSpec};
use procession::{CodecError, Event};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hands::{Branch, BranchApi, HandApi, Lists, ScoresApi, hands};
use crate::processes::{end, event, start, system, within};

#[tokio::test]
async fn an_unnamed_object_is_there_while_anybody_holds_it() {
    let sup = start().await;
    let hands = hands(&sup, 2).await;
    let list: List<u64> = sup.list(SharedSpec::unnamed()).unwrap();
    within(list.push(1)).await.unwrap();
    within(hands[0].keep(list)).await.unwrap();
    // Only the other process has it now.
    assert_eq!(within(hands[0].push_kept(2)).await, Ok(2));
    let back = within(hands[0].give_back()).await.unwrap().expect("the list");
    within(hands[1].keep(back)).await.unwrap();
    assert_eq!(within(hands[1].push_kept(3)).await, Ok(3));
    let list = within(hands[1].give_back()).await.unwrap().expect("the list");
    assert_eq!(within(list.snapshot()).await.unwrap().values, [1, 2, 3]);
    end(sup).await;
}

#[tokio::test]
async fn handles_travel_in_the_middle_of_other_data() {
    let sup = start().await;
    let hands = hands(&sup, 1).await;
    let list = |name: &str| sup.list::<u64>(name).unwrap();
    let lists = Lists { name: "two".to_owned(), lists: vec![(1, list("one")), (2, list("two")), (3, list("one"))] };
    within(hands[0].push_all(lists, 7)).await.unwrap();
    assert_eq!((within(list("one").len()).await, within(list("two").len()).await), (Ok(2), Ok(1)));
    end(sup).await;
}

#[tokio::test]
async fn a_handle_whose_owner_was_restarted_says_so() {
    let sup = start().await;
    let mut events = sup.events();
    let branch = within(sup.spawn::<Branch>("branch", ())).await.unwrap();
    let list = within(branch.list()).await.unwrap();
    let state = within(branch.state()).await.unwrap();
    within(list.extend([1, 2, 3])).await.unwrap();
    assert_eq!(within(state.played("x".to_owned(), 1)).await, Ok(true));
    system::kill(within(branch.pid()).await.unwrap());
    event(&mut events, |event| matches!(event, Event::Started { incarnation: 2, .. })).await;
    let gone = within(list.push(4)).await.unwrap_err();
    assert_eq!(gone, SharedError::Gone);
    assert!(gone.to_string().contains("restarted") && !gone.may_have_executed(), "{gone}");
    assert!(within(state.result()).await.is_err());
    let new = within(branch.list()).await.unwrap();
    assert_eq!((within(new.len()).await, new == list), (Ok(0), false));
    end(sup).await;
}

#[tokio::test]
async fn a_handle_outside_of_a_message_is_refused() {
    let sup = start().await;
    let list: List<u64> = sup.list("list").unwrap();
    let error = postcard::to_stdvec(&list).map(drop);
    assert!(error.is_err(), "nobody could count it");
    end(sup).await;
}

/// Writes one thing, and reads another.
#[derive(Debug)]
struct Disguised<T>(Content, std::marker::PhantomData<fn() -> T>);

#[derive(Debug)]
enum Content {
    Dict(Dict<u64, u64>),
    Texts(List<String>),
    Bytes(Vec<u8>),
    /// As a handle is written, of what there is not.
    Invented([u64; 5]),
    Nothing,
}

fn disguised<T>(content: Content) -> Disguised<T> {
    Disguised(content, std::marker::PhantomData)
}

impl<T> Serialize for Disguised<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Content::Dict(dict) => dict.serialize(serializer),
            Content::Texts(list) => list.serialize(serializer),
            Content::Bytes(bytes) => bytes.serialize(serializer),
            Content::Invented(ids) => (5u8, ids, None::<()>).serialize(serializer),
            Content::Nothing => serializer.serialize_unit(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Disguised<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|_| disguised(Content::Nothing))
    }
}

/// Is sent what is none of its business.
#[derive(Actor, Default)]
struct Gullible;

#[handlers]
impl Gullible {
    #[call]
    fn list(&self, list: Disguised<List<u64>>) {
        drop(list);
    }

    #[call]
    fn dict(&self, dict: Disguised<Dict<u64, u64>>) {
        drop(dict);
    }
}

fn refusal(result: Result<(), CallError>) -> String {
    match result {
        Err(CallError::Codec(CodecError::Request { error, .. })) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_handle_of_the_type_is_refused_before_it_is_used() {
    let sup = start().await;
    let gullible = within(sup.spawn::<Gullible>("gullible", ())).await.unwrap();
    let (dict, texts) = (sup.dict("dict").unwrap(), sup.list("texts").unwrap());
    let kind = refusal(within(gullible.list(disguised(Content::Dict(dict)))).await);
    assert!(kind.contains("not the handle of a shared list of u64: it is of another kind"), "{kind}");
    let element = refusal(within(gullible.list(disguised(Content::Texts(texts)))).await);
    assert!(element.contains("not the handle of a shared list of u64: its values are others"), "{element}");
    let kind = refusal(within(gullible.dict(disguised(Content::Invented([1, 2, 3, 4, 5])))).await);
    assert!(kind.contains("not the handle of a shared dict of u64 u64: it is of another kind"), "{kind}");
    for length in 0..60 {
        refusal(within(gullible.list(disguised(Content::Bytes(vec![0xff; length])))).await);
        refusal(within(gullible.dict(disguised(Content::Bytes(vec![5; length])))).await);
    }
    end(sup).await;
}
