use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::wire::hello::Hello;
use crate::wire::ids::{RunId, TypeHash};
use crate::wire::mutations::{self, Mutations};

fn destination() -> impl Strategy<Value = Destination> {
    any::<[u64; 4]>().prop_map(|[run, node, actor, hash]| Destination {
        run: RunId(run),
        node: NodeId(node),
        actor: ActorId(actor),
        type_hash: TypeHash(hash),
    })
}

fn payload() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn handle() -> impl Strategy<Value = Handle> {
    any::<(u8, u64, u64)>().prop_map(|(kind, node, actor)| Handle {
        kind,
        node: NodeId(node),
        actor: ActorId(actor & NUMBER),
    })
}

fn handles() -> impl Strategy<Value = Vec<Handle>> {
    proptest::collection::vec(handle(), 0..4)
}

fn request() -> impl Strategy<Value = Frame> {
    let head = (any::<[u64; 3]>(), any::<bool>(), any::<u16>(), any::<u8>(), any::<Option<u32>>(), any::<u128>());
    (head, destination(), handles(), payload()).prop_map(
        |(([call, caused_by, span], reply, method, priority, remaining, trace), to, handles, payload)| {
            Frame::Request(Request {
                call: CallId(call),
                reply,
                to,
                method,
                priority,
                remaining: remaining.filter(|&left| left != NO_DEADLINE),
                caused_by: CallId(caused_by),
                trace: Trace::new(trace, span),
                handles,
                payload: payload.into(),
            })
        },
    )
}

fn short() -> impl Strategy<Value = Frame> {
    let head = any::<(u64, bool, u16, u8, Option<u32>)>();
    (head, payload()).prop_map(|((call, reply, method, priority, remaining), payload)| {
        Frame::Short(Short {
            call: CallId(call),
            reply,
            method,
            priority,
            remaining: remaining.filter(|&left| left != NO_DEADLINE),
            payload: payload.into(),
        })
    })
}

fn form() -> impl Strategy<Value = MemoryForm> {
    prop_oneof![Just(MemoryForm::Lost), Just(MemoryForm::Sealed), Just(MemoryForm::Parted)]
}

fn frame() -> impl Strategy<Value = Frame> {
    let call = || any::<u64>().prop_map(CallId);
    let status = prop_oneof![
        Just(Status::Value),
        Just(Status::HandlerError),
        Just(Status::Failed),
        Just(Status::Withdrawn),
        Just(Status::Fatal)
    ];
    prop_oneof![
        request(),
        short(),
        (call(), status, handles(), payload()).prop_map(|(call, status, handles, payload)| Frame::Reply {
            call,
            status,
            handles,
            payload: payload.into(),
        }),
        call().prop_map(|call| Frame::Cancel { call }),
        any::<(u64, u64, u32, u32)>().prop_map(|(node, actor, returned, window)| {
            Frame::Credit { to: Route { node: NodeId(node), actor: ActorId(actor) }, returned, window }
        }),
        call().prop_map(|call| Frame::Deferred { call }),
        (call(), destination()).prop_map(|(call, to)| Frame::Monitor { call, to }),
        (call(), payload()).prop_map(|(call, payload)| Frame::Down { call, payload }),
        (handles(), payload()).prop_map(|(handles, payload)| Frame::Init { handles, payload }),
        Just(Frame::Ready),
        payload().prop_map(|payload| Frame::StartFailed { payload }),
        any::<u64>().prop_map(|node| Frame::Announce { node: NodeId(node) }),
        payload().prop_map(|payload| Frame::Event { payload }),
        payload().prop_map(|payload| Frame::Bye { payload }),
        payload().prop_map(|payload| Frame::Stop { payload }),
        (handle(), any::<u64>()).prop_map(|(handle, count)| Frame::Release { handle, count }),
        (handle(), any::<[u64; 3]>(), form()).prop_map(|(handle, [tag, len, told], form)| Frame::Memory {
            handle,
            about: MemoryAbout { tag, len, told, form }
        }),
        handle().prop_map(|handle| Frame::Forget { handle }),
    ]
}

proptest! {
    #[test]
    fn frames_survive_the_wire_in_pieces_of_any_size(
        frames in proptest::collection::vec(frame(), 1..8),
        piece in 1_usize..300,
    ) {
        let mut wire = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut wire);
        }
        let decoder = Decoder::new(FRAME_LIMIT);
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for bytes in wire.chunks(piece) {
            buffer.extend_from_slice(bytes);
            while let Some(frame) = decoder.next(&mut buffer).unwrap() {
                seen.push(frame);
            }
        }
        prop_assert_eq!(seen, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn any_bytes_end_in_frames_or_in_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let decoder = Decoder::new(64 << 10);
        let all = {
            let (mut frames, mut buffer) = (Vec::new(), buffer.clone());
            let end = decoder.take_all(&mut buffer, &mut frames);
            (frames, end.err())
        };
        let mut one_by_one = (Vec::new(), None);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(frame)) => one_by_one.0.push(frame),
                Ok(None) => break,
                Err(error) => {
                    one_by_one.1 = Some(error);
                    break;
                }
            }
        }
        prop_assert_eq!(all, one_by_one);
    }

    #[test]
    fn frames_that_are_taken_together_are_those_that_are_taken_one_by_one(
        frames in proptest::collection::vec(frame(), 0..8),
        tail in proptest::collection::vec(any::<u8>(), 0..40),
        piece in 1_usize..400,
    ) {
        let mut wire = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut wire);
        }
        wire.extend_from_slice(&tail);
        let decoder = Decoder::new(FRAME_LIMIT);
        let (mut all, mut buffer) = (Vec::new(), BytesMut::new());
        for bytes in wire.chunks(piece) {
            buffer.extend_from_slice(bytes);
            if decoder.take_all(&mut buffer, &mut all).is_err() {
                break;
            }
        }
        prop_assert_eq!(&all[..frames.len()], frames);
    }

    #[test]
    fn a_mutated_frame_never_panics(frame in frame(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut buffer = BytesMut::new();
        frame.encode(&mut buffer);
        let at = at.index(buffer.len());
        buffer[at] = byte;
        let decoder = Decoder::new(FRAME_LIMIT);
        while let Ok(Some(_)) = decoder.next(&mut buffer) {}
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_room_is_made() {
    let mut buffer = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
    let before = buffer.capacity();
    let error = Decoder::new(FRAME_LIMIT).next(&mut buffer).unwrap_err();
    assert!(matches!(error, FrameError::TooLong { limit: FRAME_LIMIT, .. }));
    assert_eq!(buffer.capacity(), before);
}

/// Frames of all kinds, as they are written, one and several in a row.
fn originals() -> Vec<Vec<u8>> {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut some = |strategy: BoxedStrategy<Vec<Frame>>| {
        let mut wire = BytesMut::new();
        for frame in strategy.new_tree(&mut runner).unwrap().current() {
            frame.encode(&mut wire);
        }
        wire.to_vec()
    };
    (0..200).map(|at| some(proptest::collection::vec(frame(), 1..=1 + at % 4).boxed())).collect()
}

#[test]
fn mutated_frames_and_greetings_never_panic_and_take_little_memory_for_what_is_not_there() {
    let mutations = mutations::wanted(200_000);
    let mut random = Mutations::new();
    let (originals, decoder) = (originals(), Decoder::new(FRAME_LIMIT));
    let (mut whole, mut refused, mut most) = (0_u64, 0_u64, 0);
    let mut frames = Vec::new();
    for _ in 0..mutations {
        let mut bytes = originals[random.below(originals.len())].clone();
        for _ in 0..=random.below(4) {
            random.mutate(&mut bytes, &originals);
        }
        let mut buffer = BytesMut::from(&bytes[..]);
        let end = decoder.take_all(&mut buffer, &mut frames);
        whole += frames.len() as u64;
        refused += u64::from(end.is_err());
        most = most.max(buffer.capacity()).max(frames.len());
        frames.clear();
        // The beginning of a greeting is checked first; what it says must not be trusted either.
        let ours = TypeHash(7);
        let mut greeting = Hello::start_of(ours);
        greeting.extend_from_slice(&bytes);
        let _ = Hello::decode(&greeting, ours);
    }
    println!(
        "{mutations}: {whole} frames were whole, {refused} refused, at most {most} bytes kept for the rest of one"
    );
    // Room for a mebibyte is made at a time, however long a frame is said to be.
    assert!(most < (1 << 20) + (64 << 10), "{most} bytes are kept for what was not sent");
    assert!(whole > 0 && refused > 0);
}
