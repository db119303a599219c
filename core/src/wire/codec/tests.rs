use std::collections::{BTreeMap, BTreeSet, HashMap, LinkedList, VecDeque};
use std::fmt::Debug;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::decoder::decode_metered;
use super::error::MAX_TEXT;
use super::*;
use crate::wire::mutations::{self, Mutations, varint};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Circle(f64),
    Line(i16, i64),
    Named { name: String, tags: Vec<Option<char>> },
    Group(Vec<Shape>),
    Boxed(Box<Shape>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    id: u64,
    nothing: Nothing,
    wrapped: Wrapped,
    numbers: (i8, u16, i32, i128, u128, f32, bool),
    fixed: [u16; 5],
    payload: Bytes,
    shape: Shape,
    by_name: BTreeMap<String, i32>,
    by_id: HashMap<u16, Option<()>>,
    seen: BTreeSet<u64>,
    outcome: Result<Box<str>, Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Link {
    next: Option<Box<Link>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Directory {
    entries: BTreeMap<u8, Directory>,
}

/// 1,000 bytes of its own in each level.
#[derive(Debug, Serialize, Deserialize)]
struct Wide {
    block: Option<[[[u64; 5]; 5]; 5]>,
    next: Option<Box<Wide>>,
}

/// A kilobyte that takes one byte where it is absent.
#[derive(Debug, PartialEq, Deserialize)]
struct Kilobyte(Option<[[u8; 32]; 32]>);

/// Takes no bytes at all, and a kilobyte of memory.
#[derive(Debug, Deserialize)]
struct Skipped {
    #[serde(skip, default = "kilobyte")]
    _block: [[u8; 32]; 32],
}

fn kilobyte() -> [[u8; 32]; 32] {
    [[0; 32]; 32]
}

fn shapes() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Empty),
        any::<f64>().prop_filter("NaN is not equal to itself", |n| !n.is_nan()).prop_map(Shape::Circle),
        any::<(i16, i64)>().prop_map(|(a, b)| Shape::Line(a, b)),
        ("\\PC{0,9}", prop::collection::vec(any::<Option<char>>(), 0..5))
            .prop_map(|(name, tags)| Shape::Named { name, tags }),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Shape::Group),
            inner.prop_map(|shape| Shape::Boxed(Box::new(shape))),
        ]
    })
}

fn jobs() -> impl Strategy<Value = Job> {
    let numbers = any::<(i8, u16, i32, i128, u128, u16, bool)>();
    let numbers = numbers.prop_map(|(a, b, c, d, e, f, g)| (a, b, c, d, e, f32::from(f) / 3.0, g));
    let plain = (any::<u64>(), any::<u32>(), numbers, any::<[u16; 5]>(), any::<Vec<u8>>(), shapes());
    let collections = (
        prop::collection::btree_map("\\PC{0,5}", any::<i32>(), 0..9),
        prop::collection::hash_map(any::<u16>(), any::<Option<()>>(), 0..9),
        prop::collection::btree_set(any::<u64>(), 0..20),
        prop_oneof![".{0,9}".prop_map(|text| Ok(text.into())), any::<Vec<u8>>().prop_map(Err)],
    );
    (plain, collections).prop_map(|((id, wrapped, numbers, fixed, payload, shape), (by_name, by_id, seen, outcome))| {
        Job {
            id,
            nothing: Nothing,
            wrapped: Wrapped(wrapped),
            numbers,
            fixed,
            payload: payload.into(),
            shape,
            by_name,
            by_id,
            seen,
            outcome,
        }
    })
}

const FRAME: usize = 16 << 20;

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = encode(value, FRAME).unwrap();
    assert_eq!(bytes, postcard::to_stdvec(value).unwrap(), "not postcard's encoding");
    assert_eq!(&decode::<T>(&bytes, Budget::default()).unwrap(), value);
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value);
}

proptest! {
    #[test]
    fn a_value_comes_back_equal_and_its_bytes_are_postcards(job in jobs()) {
        round_trip(&job);
    }

    #[test]
    fn std_types_come_back_equal(
        numbers in any::<(u8, u16, u32, u64, u128, usize)>(),
        signed in any::<(i8, i16, i32, i64, i128, isize)>(),
        texts in any::<(String, char, Option<Option<bool>>)>(),
        lists in any::<(Vec<Vec<u16>>, VecDeque<String>, LinkedList<i8>, [Option<u8>; 7])>(),
        time in any::<(Duration, std::net::IpAddr, Result<(), u8>)>(),
    ) {
        round_trip(&(numbers, signed, texts, lists, time));
    }

    #[test]
    fn bytes_that_are_not_a_value_never_panic(bytes in any::<Vec<u8>>()) {
        for decode in TYPES {
            decode(&bytes);
        }
    }

    #[test]
    fn an_encoding_passes_its_own_length_and_not_one_byte_less(job in jobs()) {
        let bytes = encode(&job, FRAME).unwrap();
        prop_assert_eq!(encode(&job, bytes.len()), Ok(bytes.clone()));
        let limit = bytes.len() - 1;
        prop_assert_eq!(encode(&job, limit), Err(EncodeError::TooLarge { limit }));
    }

    #[test]
    fn a_cut_or_prolonged_encoding_is_refused(job in jobs(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&job, FRAME).unwrap();
        let cut = bytes.slice(..cut.index(bytes.len()));
        prop_assert_eq!(decode::<Job>(&cut, Budget::default()), Err(DecodeError::Truncated));
        let long = Bytes::from([&bytes[..], &[0, 0]].concat());
        prop_assert_eq!(decode::<Job>(&long, Budget::default()), Err(DecodeError::Trailing { left: 2 }));
    }
}

// Encoding

#[test]
fn a_large_slice_is_refused_before_it_is_copied() {
    // A mapping of zeros that nobody touches costs nothing; a copy of it would.
    let huge = Bytes::from(vec![0; 1 << 28]);
    let began = Instant::now();
    assert_eq!(encode(&(1u8, &huge), FRAME), Err(EncodeError::TooLarge { limit: FRAME }));
    println!("refused 256 MiB in {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_millis(250));
}

#[test]
fn a_large_vec_is_refused_at_the_limit() {
    let limit = 1 << 10;
    let began = Instant::now();
    assert_eq!(encode(&vec![0u8; 1 << 28], limit), Err(EncodeError::TooLarge { limit }));
    assert!(began.elapsed() < Duration::from_millis(250));
}

#[test]
fn the_words_of_a_failing_serialize_are_kept() {
    struct Closed;
    impl Serialize for Closed {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("the file is closed"))
        }
    }
    let error = encode(&vec![Some(Closed)], FRAME).unwrap_err();
    assert_eq!(error.to_string(), "the value cannot be serialised: the file is closed");
}

#[test]
fn what_the_format_cannot_express_is_refused_when_it_is_encoded() {
    #[derive(Serialize)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<u8>,
        id: u8,
    }
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        inner: BTreeMap<String, u8>,
    }
    assert!(encode(&Sparse { name: Some(1), id: 2 }, FRAME).is_ok());
    let sparse = encode(&Sparse { name: None, id: 2 }, FRAME).unwrap_err();
    assert!(sparse.to_string().contains("field `name` is left out"), "{sparse}");
    let flat = encode(&Flat { inner: BTreeMap::new() }, FRAME).unwrap_err();
    assert!(flat.to_string().contains("flatten"), "{flat}");
}

#[test]
fn a_displayed_value_is_encoded_as_its_text_and_its_failure_is_an_error() {
    struct Shown(bool);
    impl std::fmt::Display for Shown {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            if self.0 { write!(f, "left-{}", 7) } else { Err(std::fmt::Error) }
        }
    }
    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
    assert_eq!(encode(&Shown(true), 7).unwrap(), Bytes::from_static(b"\x06left-7"));
    assert_eq!(encode(&Shown(true), 6), Err(EncodeError::TooLarge { limit: 6 }));
    assert!(matches!(encode(&Shown(false), 6), Err(EncodeError::Serialize(_))));
}

#[test]
fn sender_and_receiver_agree_on_the_deepest_value() {
    let nested = |depth| (1..depth).fold(Shape::Empty, |shape, _| Shape::Boxed(Box::new(shape)));
    let deepest = nested(128);
    round_trip(&deepest);
    let deeper = nested(129);
    assert_eq!(encode(&deeper, FRAME), Err(EncodeError::TooDeep { limit: 128 }));
    let bytes = Bytes::from(postcard::to_stdvec(&deeper).unwrap());
    assert_eq!(decode::<Shape>(&bytes, Budget::default()), Err(DecodeError::Depth { limit: 128 }));
}

// Decoding

#[test]
fn the_words_of_a_failing_deserialize_are_kept() {
    #[derive(Debug)]
    struct Even;
    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            match u32::deserialize(deserializer)? % 2 {
                0 => Ok(Self),
                _ => Err(serde::de::Error::custom("the number is odd")),
            }
        }
    }
    let error = decode::<Vec<Even>>(&Bytes::from_static(&[2, 4, 5]), Budget::default()).unwrap_err();
    assert_eq!(error.to_string(), "the bytes are not a value of this type: the number is odd");
}

#[test]
fn the_words_of_an_error_are_cut() {
    let text = "€".repeat(MAX_TEXT);
    let error: DecodeFault = serde::de::Error::custom(&text);
    let DecodeError::Malformed(kept) = error.into() else { panic!("another error") };
    assert_eq!(kept, format!("{} ..", "€".repeat(MAX_TEXT / "€".len())));
}

#[test]
fn each_way_to_be_malformed_is_named() {
    fn words<T: DeserializeOwned + Debug>(bytes: &'static [u8]) -> String {
        decode::<T>(&Bytes::from_static(bytes), Budget::default()).unwrap_err().to_string()
    }
    assert!(words::<bool>(&[2]).ends_with("a bool is neither 0 nor 1"));
    assert!(words::<Option<u8>>(&[2]).ends_with("an option is neither 0 nor 1"));
    assert!(words::<String>(&[1, 0xff]).ends_with("a string is not UTF-8"));
    assert!(words::<char>(&[1, 0xff]).ends_with("a char is not a Unicode scalar value"));
    assert!(words::<u16>(&[0xff; 4]).ends_with("a number is too long for its type"));
    assert!(words::<Shape>(&[9]).ends_with("invalid value: integer `9`, expected variant index 0 <= i < 6"));
    assert_eq!(words::<u64>(&[0x80]), "the bytes end in the middle of the value");
}

#[test]
fn errors_are_messages_themselves() {
    let errors = [
        DecodeError::Depth { limit: 1 },
        DecodeError::Stack { limit: 1 },
        DecodeError::Nodes { limit: 2 },
        DecodeError::Memory { limit: 3 },
        DecodeError::Trailing { left: 4 },
        DecodeError::Truncated,
        DecodeError::Malformed("x".to_owned()),
    ];
    errors.iter().for_each(round_trip);
    let errors = [
        EncodeError::TooLarge { limit: 1 },
        EncodeError::TooDeep { limit: 2 },
        EncodeError::TooManyHandles { limit: 3 },
        EncodeError::Serialize("x".to_owned()),
    ];
    errors.iter().for_each(round_trip);
}

#[test]
fn bytes_are_decoded_whole() {
    let payload = Bytes::from(vec![7; 8 << 20]);
    let bytes = encode(&payload, FRAME).unwrap();
    let (decoded, memory) = decode_metered::<Bytes>(&bytes, Budget::default());
    assert_eq!(decoded.unwrap(), payload);
    assert_eq!(memory, 0);
}

// Honest values, however sparse

fn passes<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let bytes = encode(&value, FRAME).unwrap();
    let (decoded, memory) = decode_metered::<T>(&bytes, Budget::default());
    println!("{}: {} bytes, {memory} of memory", std::any::type_name::<T>(), bytes.len());
    assert!(decoded.unwrap() == value);
}

#[test]
fn honest_values_pass() {
    passes(vec![[[7u8; 32]; 32]; 1 << 10]);
    passes(vec![None::<u64>; 1 << 20]);
    passes((0..1 << 17).map(|n| (n % 100 == 0).then_some(n)).collect::<Vec<Option<u64>>>());
    passes(vec![String::new(); 1 << 18]);
    passes(vec![vec![String::new()]; 1 << 16]);
    passes(vec![0u64; 1 << 20]);
    passes(vec![0u128; 1 << 18]);
    passes(vec![(); 1 << 16]);
    passes(vec![Shape::Empty; 1 << 17]);
    passes((0..1 << 16).map(|n| (n, String::new())).collect::<HashMap<u32, String>>());
    passes((0..1 << 16).map(|n| (n, None)).collect::<BTreeMap<u32, Option<u64>>>());
    passes((0..1 << 12).map(|n| BTreeSet::from([n])).collect::<Vec<BTreeSet<u32>>>());
    passes((0..1 << 16).collect::<LinkedList<u32>>());
    passes((0..16).fold(Shape::Empty, |shape, _| Shape::Group(vec![shape.clone(), shape])));
}

#[test]
fn a_budget_can_be_tighter() {
    let bytes = encode(&vec![vec![1u8; 100]; 100], FRAME).unwrap();
    let tight = Budget { memory_per_byte: 0, memory_base: 1000, ..Budget::default() };
    assert_eq!(decode::<Vec<Vec<u8>>>(&bytes, tight), Err(DecodeError::Memory { limit: 1000 }));
    let shallow = Budget { depth: 1, ..Budget::default() };
    assert_eq!(decode::<Vec<Vec<u8>>>(&bytes, shallow), Err(DecodeError::Depth { limit: 1 }));
}

// Bombs

/// Refuses bytes as a `T` before anything is made of them.
fn refused<T: DeserializeOwned + Debug>(bytes: &[u8]) -> DecodeError {
    refused_within::<T>(Duration::from_millis(250), bytes)
}

/// Refuses bytes as a `T` where it can only be seen on the way that they are a bomb: the budget is spent before.
fn refused_in_the_end<T: DeserializeOwned + Debug>(bytes: &[u8]) -> DecodeError {
    refused_within::<T>(Duration::from_secs(10), bytes)
}

/// The time is printed. What is asserted has a wide margin, for a debug build on a busy machine.
fn refused_within<T: DeserializeOwned + Debug>(most: Duration, bytes: &[u8]) -> DecodeError {
    let bytes = Bytes::copy_from_slice(bytes);
    let began = Instant::now();
    let error = decode::<T>(&bytes, Budget::default()).map(drop).unwrap_err();
    let took = began.elapsed();
    println!("{}: {} bytes refused in {took:?}: {error}", std::any::type_name::<T>(), bytes.len());
    assert!(took < most, "took {took:?}");
    error
}

/// A sequence of `length` elements, each of which is the same bytes.
fn sequence(length: usize, element: &[u8]) -> Vec<u8> {
    [varint(length as u64), element.repeat(length)].concat()
}

#[test]
fn length_bombs_are_refused() {
    for claimed in [1 << 20, u64::from(u32::MAX), u64::MAX] {
        let claim = varint(claimed);
        assert!(matches!(refused::<Vec<()>>(&claim), DecodeError::Nodes { .. }));
        assert!(matches!(refused::<Vec<u64>>(&claim), DecodeError::Nodes { .. }));
        assert!(matches!(refused::<HashMap<(), ()>>(&claim), DecodeError::Nodes { .. }));
        assert_eq!(refused::<String>(&claim), DecodeError::Truncated);
        assert_eq!(refused::<Bytes>(&claim), DecodeError::Truncated);
    }
    assert_eq!(refused::<Vec<u64>>(&varint(1000)), DecodeError::Truncated);
    assert!(matches!(refused_in_the_end::<Vec<Vec<()>>>(&sequence(1 << 18, &varint(100))), DecodeError::Nodes { .. }));
    assert!(matches!(refused_in_the_end::<Vec<[(); 32]>>(&varint(60_000)), DecodeError::Nodes { .. }));
}

#[test]
fn amplification_bombs_are_refused() {
    const MIB: usize = 1 << 20;
    let memory = |error| matches!(error, DecodeError::Memory { .. });
    assert!(memory(refused::<Vec<Kilobyte>>(&sequence(MIB, &[0]))));
    assert!(memory(refused::<VecDeque<Kilobyte>>(&sequence(MIB, &[0]))));
    assert!(memory(refused::<LinkedList<Kilobyte>>(&sequence(MIB, &[0]))));
    assert!(memory(refused::<Vec<Skipped>>(&varint(60_000))));
    assert!(memory(refused::<HashMap<u32, Kilobyte>>(&sequence(MIB / 2, &[0, 0]))));
    assert!(memory(refused::<BTreeMap<u32, Kilobyte>>(&sequence(MIB / 2, &[0, 0]))));
    assert!(memory(refused_in_the_end::<Vec<Vec<Kilobyte>>>(&sequence(10_000, &sequence(100, &[0])))));
    assert!(memory(refused_in_the_end::<Vec<BTreeSet<[Option<u64>; 32]>>>(&sequence(30_000, &sequence(1, &[0; 32])))));
}

#[test]
fn memory_behind_a_box_counts() {
    let memory = |error| matches!(error, DecodeError::Memory { .. });
    let bomb = sequence(1 << 20, &[0]);
    assert!(memory(refused_in_the_end::<Vec<Box<Kilobyte>>>(&bomb)));
    assert!(memory(refused_in_the_end::<Vec<Box<Option<[[u8; 32]; 32]>>>>(&bomb)));
    let bomb = sequence(1 << 19, &[1, 0]);
    assert!(memory(refused_in_the_end::<Vec<Option<Box<Kilobyte>>>>(&bomb)));
    assert!(memory(refused_in_the_end::<Vec<Result<u8, Box<Kilobyte>>>>(&bomb)));
    assert!(memory(refused_in_the_end::<Vec<Option<(Box<Kilobyte>, ())>>>(&bomb)));
}

#[test]
fn a_tree_of_claimed_lengths_takes_no_more_than_the_budget() {
    // Each level claims a million children, and a table of that size is made for it, before the first one is read.
    let bomb = varint(1 << 20).repeat(1 << 18);
    assert!(matches!(refused::<Tree>(&bomb), DecodeError::Memory { .. }));
}

/// Runs on a thread with the stack that tokio and std give one.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn depth_bombs_are_refused_on_a_small_stack() {
    on_a_small_stack(|| {
        let depth = DecodeError::Depth { limit: 128 };
        assert_eq!(refused::<Link>(&[1; 100_000]), depth);
        assert_eq!(refused::<Tree>(&[1; 100_000]), depth);
        assert_eq!(refused::<Directory>(&[1; 100_000]), depth);
        assert_eq!(refused::<Shape>(&[5; 100_000]), depth);
        let error = refused::<Wide>(&[0, 1].repeat(50_000));
        assert!(matches!(error, DecodeError::Depth { .. } | DecodeError::Stack { .. }));
    });
}

#[test]
fn levels_too_wide_for_the_stack_are_refused_before_it_overflows() {
    on_a_small_stack(|| {
        let budget = Budget { depth: 100_000, ..Budget::default() };
        let error = decode::<Wide>(&[0, 1].repeat(50_000).into(), budget).map(drop);
        assert_eq!(error, Err(DecodeError::Stack { limit: 512 << 10 }));
    });
}

// Mutations

/// Decodes bytes as a `T` or not, says how much memory the budget gave for it.
fn decode_any<T: DeserializeOwned>(bytes: &[u8]) -> usize {
    let budget = Budget::default();
    let (_, memory) = decode_metered::<T>(bytes, budget);
    assert!(memory <= budget.memory_base + budget.memory_per_byte * bytes.len());
    memory
}

/// The first ones are those that the mutations begin with.
const TYPES: [fn(&[u8]) -> usize; 12] = [
    decode_any::<Job>,
    decode_any::<Vec<Job>>,
    decode_any::<Link>,
    decode_any::<Tree>,
    decode_any::<HashMap<String, Vec<Option<u64>>>>,
    decode_any::<Vec<Kilobyte>>,
    decode_any::<Shape>,
    decode_any::<Directory>,
    decode_any::<Wide>,
    decode_any::<Vec<Skipped>>,
    decode_any::<(LinkedList<BTreeSet<u16>>, Box<[String]>)>,
    decode_any::<Shared>,
];

/// Decodes through a type of another shape.
#[derive(Clone, Deserialize)]
#[serde(from = "Vec<(u8, Bytes)>")]
struct Shared {
    _list: Rc<Vec<(u8, Bytes)>>,
}

impl From<Vec<(u8, Bytes)>> for Shared {
    fn from(list: Vec<(u8, Bytes)>) -> Self {
        Self { _list: Rc::new(list) }
    }
}

#[test]
fn mutated_encodings_never_panic_and_stay_within_the_budget() {
    let mutations = mutations::wanted(200_000);
    let job = Job {
        id: 1 << 40,
        nothing: Nothing,
        wrapped: Wrapped(300),
        numbers: (-1, 2, -3, -4, 5, 6.5, true),
        fixed: [1, 20, 300, 4000, 50_000],
        payload: Bytes::from_static(b"payload"),
        shape: Shape::Group(vec![
            Shape::Boxed(Box::new(Shape::Line(-1, 2))),
            Shape::Named { name: "ñ".to_owned(), tags: vec![Some('ß'), None] },
        ]),
        by_name: BTreeMap::from([("one".to_owned(), 1), ("two".to_owned(), 2)]),
        by_id: HashMap::from([(7, Some(()))]),
        seen: (0..20).collect(),
        outcome: Ok("done".into()),
    };
    let link = (0..60).fold(Link { next: None }, |next, _| Link { next: Some(Box::new(next)) });
    let tree = (0..4).fold(Tree { children: Vec::new() }, |tree, _| Tree { children: vec![tree] });
    let originals = [
        postcard::to_stdvec(&job).unwrap(),
        postcard::to_stdvec(&vec![&job, &job]).unwrap(),
        postcard::to_stdvec(&link).unwrap(),
        postcard::to_stdvec(&tree).unwrap(),
        postcard::to_stdvec(&HashMap::from([("key".to_owned(), vec![Some(1u64), None])])).unwrap(),
        sequence(200, &[0]),
    ];
    let mut random = Mutations::new();
    let (mut most, mut slowest) = (0, Duration::ZERO);
    let began = Instant::now();
    for _ in 0..mutations {
        let kind = random.below(originals.len());
        let mut bytes = originals[kind].clone();
        for _ in 0..=random.below(4) {
            random.mutate(&mut bytes, &originals);
        }
        for decode in [TYPES[kind], TYPES[random.below(TYPES.len())]] {
            let each = Instant::now();
            most = most.max(decode(&bytes));
            slowest = slowest.max(each.elapsed());
        }
    }
    println!("{mutations} in {:?}: at most {most} bytes of memory, {slowest:?} for one", began.elapsed());
}
