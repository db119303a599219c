//! A frame: one message between two processes, as bytes.
//!
//! The layout is written down in `docs/protocol.md`; a change here edits that file in the same commit.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::codec::Handle;
use super::ids::{ActorId, CallId, Destination, NodeId, RunId, TypeHash};

/// The version of the frame and of the greeting.
pub(crate) const VERSION: u8 = 1;
/// The longest frame of the data stream, all of it.
pub(crate) const FRAME_LIMIT: usize = 16 << 20;
/// The longest frame of the control stream, all of it.
pub(crate) const CONTROL_LIMIT: usize = 64 << 10;
/// The longest payload: what a frame has left beside its header, its trace and 255 handles.
pub(crate) const PAYLOAD_LIMIT: usize = FRAME_LIMIT - PREFIX - REQUEST - 255 * HANDLE;

const PREFIX: usize = 16;
const REQUEST: usize = 72;
const HANDLE: usize = 16;
/// The part of a handle's number that is the actor's.
const NUMBER: u64 = (1 << 56) - 1;
const NO_DEADLINE: u32 = u32::MAX;

/// One message between two processes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// A call, or a cast where `reply` is false.
    Request(Request),
    /// The one outcome of a call.
    Reply { call: CallId, status: Status, handles: Vec<Handle>, payload: Bytes },
    /// The caller is not interested any more.
    Cancel { call: CallId },
    /// Units of the route to an actor that are free again, and the size of its window from now on.
    Credit { to: Route, returned: u32, window: u32 },
    /// The handler of a call has ended and answers later.
    Deferred { call: CallId },
    /// Tell me, under this number, when the present incarnation of the actor ends.
    Monitor { call: CallId, to: Destination },
    /// The end of a monitored incarnation; ends its `Monitor`.
    Down { call: CallId, payload: Bytes },
    /// The actor's first argument, sent once after the greeting.
    Init { handles: Vec<Handle>, payload: Bytes },
    /// The actor is ready for messages.
    Ready,
    /// The actor did not start.
    StartFailed { payload: Bytes },
    /// A node of its own lives behind this connection.
    Announce { node: NodeId },
    /// Something that the other side should make known.
    Event { payload: Bytes },
    /// The sender ends, and why; nothing follows.
    Bye { payload: Bytes },
    /// Control: end after the running message.
    Stop { payload: Bytes },
    /// Control: give the call back, if its handler has not been started.
    Recall { call: CallId },
    /// Toward the owner of a handle: nobody on the sender's side holds it any more, of the so many that were sent there.
    Release { handle: Handle, count: u64 },
    /// Memory that the sender gives: what follows refers to it by the handle.
    Memory { handle: Handle, about: MemoryAbout },
    /// The sender knows that nobody beyond the connection holds its memory any more: it would have to be given again.
    Forget { handle: Handle },
}

/// What is said of memory that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryAbout {
    /// Its number among all memory of the run, by which payloads refer to it: whatever its maker has drawn.
    pub(crate) tag: u64,
    pub(crate) len: u64,
    /// What the system of the sender says of it, for that of the receiver.
    pub(crate) told: u64,
    pub(crate) form: MemoryForm,
}

/// What may be done with memory that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryForm {
    /// It did not reach the sender either, who had no room for it.
    Lost,
    /// It stays as it is.
    Sealed,
    /// Parts of it are written by whoever has claimed them.
    Parted,
}

/// The route of a credit: the node and the actor whose mailbox it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    pub(crate) node: NodeId,
    pub(crate) actor: ActorId,
}

/// A message to an actor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) call: CallId,
    /// Whether an outcome is awaited: a call, else a cast.
    pub(crate) reply: bool,
    pub(crate) to: Destination,
    pub(crate) method: u16,
    pub(crate) priority: u8,
    /// What is left of the deadline, in milliseconds; rewritten at each hop.
    pub(crate) remaining: Option<u32>,
    /// The call whose handler made this one, as the receiver of this frame numbers it.
    pub(crate) caused_by: CallId,
    /// Trace and span of the sender, zero where there is none.
    pub(crate) trace: Trace,
    pub(crate) handles: Vec<Handle>,
    pub(crate) payload: Bytes,
}

/// Ids of a distributed trace, carried and not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) trace: u128,
    pub(crate) span: u64,
}

/// How a call ended, as far as those on the way need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The payload is the handler's value.
    Value,
    /// The payload is the handler's own error.
    HandlerError,
    /// The payload says why there is neither.
    Failed,
    /// A cancel came before the handler was started; it never will be.
    Withdrawn,
    /// The payload says why there is neither, and the actor ends by it: what is sent from now on is for its next
    /// incarnation.
    Fatal,
}

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("a frame of {len} bytes is longer than the limit of {limit}")]
    TooLong { len: usize, limit: usize },
    #[error("a frame of {len} bytes is shorter than its header")]
    TooShort { len: usize },
    #[error("a frame of version {found}; this side speaks version {VERSION}")]
    Version { found: u8 },
    #[error("unknown kind of frame {kind}")]
    Kind { kind: u8 },
    #[error("unknown status {status} in a reply")]
    Status { status: u8 },
    #[error("it gave what is not memory: {why}")]
    Memory { why: String },
    #[error("unknown form {form} of memory")]
    Form { form: u64 },
    #[error("reserved bits are set in the flags {flags:#04x}")]
    Flags { flags: u8 },
}

mod kind {
    pub(super) const CALL: u8 = 1;
    pub(super) const CAST: u8 = 2;
    pub(super) const REPLY: u8 = 3;
    pub(super) const CANCEL: u8 = 4;
    pub(super) const CREDIT: u8 = 5;
    pub(super) const DEFERRED: u8 = 6;
    pub(super) const MONITOR: u8 = 7;
    pub(super) const DOWN: u8 = 8;
    pub(super) const INIT: u8 = 9;
    pub(super) const READY: u8 = 10;
    pub(super) const START_FAILED: u8 = 11;
    pub(super) const ANNOUNCE: u8 = 12;
    pub(super) const EVENT: u8 = 13;
    pub(super) const BYE: u8 = 14;
    pub(super) const STOP: u8 = 15;
    pub(super) const RECALL: u8 = 16;
    pub(super) const RELEASE: u8 = 17;
    pub(super) const MEMORY: u8 = 18;
    pub(super) const FORGET: u8 = 19;
}

impl Frame {
    /// Appends the frame's bytes.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Request(request) => request.encode(out),
            Self::Reply { call, status, handles, payload } => {
                let status = match status {
                    Status::Value => 0,
                    Status::HandlerError => 1,
                    Status::Failed => 2,
                    Status::Withdrawn => 3,
                    Status::Fatal => 4,
                };
                with_handles(out, kind::REPLY, status, *call, handles, payload);
            }
            Self::Cancel { call } => prefix(out, kind::CANCEL, 0, 0, *call, 0),
            Self::Credit { to, returned, window } => {
                prefix(out, kind::CREDIT, 0, 0, CallId::NONE, 24);
                out.put_u64_le(to.node.0);
                out.put_u64_le(to.actor.0);
                out.put_u32_le(*returned);
                out.put_u32_le(*window);
            }
            Self::Deferred { call } => prefix(out, kind::DEFERRED, 0, 0, *call, 0),
            Self::Monitor { call, to } => {
                prefix(out, kind::MONITOR, 0, 0, *call, 32);
                put_destination(out, to);
            }
            Self::Down { call, payload } => body(out, kind::DOWN, *call, payload),
            Self::Init { handles, payload } => with_handles(out, kind::INIT, 0, CallId::NONE, handles, payload),
            Self::Ready => prefix(out, kind::READY, 0, 0, CallId::NONE, 0),
            Self::StartFailed { payload } => body(out, kind::START_FAILED, CallId::NONE, payload),
            Self::Announce { node } => {
                prefix(out, kind::ANNOUNCE, 0, 0, CallId::NONE, 8);
                out.put_u64_le(node.0);
            }
            Self::Event { payload } => body(out, kind::EVENT, CallId::NONE, payload),
            Self::Bye { payload } => body(out, kind::BYE, CallId::NONE, payload),
            Self::Stop { payload } => body(out, kind::STOP, CallId::NONE, payload),
            Self::Recall { call } => prefix(out, kind::RECALL, 0, 0, *call, 0),
            Self::Release { handle, count } => {
                prefix(out, kind::RELEASE, 0, 0, CallId::NONE, HANDLE + 8);
                put_handle(out, handle);
                out.put_u64_le(*count);
            }
            Self::Memory { handle, about } => {
                prefix(out, kind::MEMORY, 0, 0, CallId::NONE, HANDLE + 32);
                put_handle(out, handle);
                let form = match about.form {
                    MemoryForm::Lost => 0,
                    MemoryForm::Sealed => 1,
                    MemoryForm::Parted => 2,
                };
                for field in [about.tag, about.len, about.told, form] {
                    out.put_u64_le(field);
                }
            }
            Self::Forget { handle } => {
                prefix(out, kind::FORGET, 0, 0, CallId::NONE, HANDLE);
                put_handle(out, handle);
            }
        }
    }
}

impl Request {
    fn encode(&self, out: &mut BytesMut) {
        debug_assert!(self.handles.len() <= 255, "the codec allows no more");
        let kind = if self.reply { kind::CALL } else { kind::CAST };
        let handles = self.handles.len() as u8;
        let rest = REQUEST + self.handles.len() * HANDLE + self.payload.len();
        prefix(out, kind, 0, handles, self.call, rest);
        // Gathered first: a growing buffer is asked for room once and not for each field.
        let mut head = [0; REQUEST];
        let mut fields = &mut head[..];
        put_destination(&mut fields, &self.to);
        fields.put_u32_le(self.remaining.unwrap_or(NO_DEADLINE));
        fields.put_u16_le(self.method);
        fields.put_u8(self.priority);
        fields.put_u8(0);
        fields.put_u64_le(self.caused_by.0);
        fields.put_u128_le(self.trace.trace);
        fields.put_u64_le(self.trace.span);
        out.extend_from_slice(&head);
        for handle in &self.handles {
            put_handle(out, handle);
        }
        out.put_slice(&self.payload);
    }

    fn decode(call: CallId, reply: bool, handles: u8, mut body: Bytes) -> Result<Self, FrameError> {
        let len = body.len();
        let count = usize::from(handles);
        if len < REQUEST + count * HANDLE {
            return Err(FrameError::TooShort { len: PREFIX + len });
        }
        let mut fields = &body[..REQUEST];
        let to = get_destination(&mut fields);
        let remaining = match fields.get_u32_le() {
            NO_DEADLINE => None,
            left => Some(left),
        };
        let method = fields.get_u16_le();
        let priority = fields.get_u8();
        let reserved = fields.get_u8();
        if reserved != 0 {
            return Err(FrameError::Flags { flags: reserved });
        }
        let caused_by = CallId(fields.get_u64_le());
        let trace = Trace { trace: fields.get_u128_le(), span: fields.get_u64_le() };
        body.advance(REQUEST);
        let handles = (0..count).map(|_| get_handle(&mut body)).collect();
        Ok(Self { call, reply, to, method, priority, remaining, caused_by, trace, handles, payload: body })
    }
}

/// Cuts frames out of a stream of bytes.
#[derive(Debug)]
pub(crate) struct Decoder {
    limit: usize,
}

impl Decoder {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Takes the next whole frame off the front of `buffer`; `None` until it has all arrived.
    ///
    /// A length beyond the limit is refused when its four bytes are there, before room is made for it.
    pub(crate) fn next(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if buffer.len() < 4 {
            return Ok(None);
        }
        let len = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
        let len = len.saturating_add(4);
        if len > self.limit {
            return Err(FrameError::TooLong { len, limit: self.limit });
        }
        if len < PREFIX {
            return Err(FrameError::TooShort { len });
        }
        if buffer.len() < len {
            // A long frame gets its room at once; a short one finds it in what the reader reserves.
            buffer.reserve((len - buffer.len()).min(1 << 20));
            return Ok(None);
        }
        let mut head = &buffer[4..PREFIX];
        let version = head.get_u8();
        if version != VERSION {
            return Err(FrameError::Version { found: version });
        }
        let kind = head.get_u8();
        let flags = head.get_u8();
        let handles = head.get_u8();
        let call = CallId(head.get_u64_le());
        let mut frame = buffer.split_to(len).freeze();
        frame.advance(PREFIX);
        if flags != 0 && kind != kind::REPLY {
            return Err(FrameError::Flags { flags });
        }
        if handles != 0 && !matches!(kind, kind::CALL | kind::CAST | kind::REPLY | kind::INIT) {
            return Err(FrameError::Flags { flags: handles });
        }
        let fixed = |need: usize| {
            if frame.len() == need { Ok(()) } else { Err(FrameError::TooShort { len }) }
        };
        Ok(Some(match kind {
            kind::CALL => Frame::Request(Request::decode(call, true, handles, frame)?),
            kind::CAST => Frame::Request(Request::decode(call, false, handles, frame)?),
            kind::REPLY => {
                let status = match flags {
                    0 => Status::Value,
                    1 => Status::HandlerError,
                    2 => Status::Failed,
                    3 => Status::Withdrawn,
                    4 => Status::Fatal,
                    status => return Err(FrameError::Status { status }),
                };
                let handles = get_handles(handles, &mut frame)?;
                Frame::Reply { call, status, handles, payload: frame }
            }
            kind::CANCEL => fixed(0).map(|()| Frame::Cancel { call })?,
            kind::CREDIT => {
                fixed(24)?;
                let to = Route { node: NodeId(frame.get_u64_le()), actor: ActorId(frame.get_u64_le()) };
                Frame::Credit { to, returned: frame.get_u32_le(), window: frame.get_u32_le() }
            }
            kind::DEFERRED => fixed(0).map(|()| Frame::Deferred { call })?,
            kind::MONITOR => {
                fixed(32)?;
                Frame::Monitor { call, to: get_destination(&mut frame) }
            }
            kind::DOWN => Frame::Down { call, payload: frame },
            kind::INIT => Frame::Init { handles: get_handles(handles, &mut frame)?, payload: frame },
            kind::READY => fixed(0).map(|()| Frame::Ready)?,
            kind::START_FAILED => Frame::StartFailed { payload: frame },
            kind::ANNOUNCE => {
                fixed(8)?;
                Frame::Announce { node: NodeId(frame.get_u64_le()) }
            }
            kind::EVENT => Frame::Event { payload: frame },
            kind::BYE => Frame::Bye { payload: frame },
            kind::STOP => Frame::Stop { payload: frame },
            kind::RECALL => fixed(0).map(|()| Frame::Recall { call })?,
            kind::RELEASE => {
                fixed(HANDLE + 8)?;
                Frame::Release { handle: get_handle(&mut frame), count: frame.get_u64_le() }
            }
            kind::MEMORY => {
                fixed(HANDLE + 32)?;
                let handle = get_handle(&mut frame);
                let [tag, len, told, form] = [(); 4].map(|()| frame.get_u64_le());
                let form = match form {
                    0 => MemoryForm::Lost,
                    1 => MemoryForm::Sealed,
                    2 => MemoryForm::Parted,
                    form => return Err(FrameError::Form { form }),
                };
                Frame::Memory { handle, about: MemoryAbout { tag, len, told, form } }
            }
            kind::FORGET => fixed(HANDLE).map(|()| Frame::Forget { handle: get_handle(&mut frame) })?,
            kind => return Err(FrameError::Kind { kind }),
        }))
    }
}

fn prefix(out: &mut BytesMut, kind: u8, flags: u8, handles: u8, call: CallId, rest: usize) {
    out.reserve(PREFIX + rest);
    let mut head = [0; PREFIX];
    let mut fields = &mut head[..];
    fields.put_u32_le((PREFIX - 4 + rest) as u32);
    fields.put_u8(VERSION);
    fields.put_u8(kind);
    fields.put_u8(flags);
    fields.put_u8(handles);
    fields.put_u64_le(call.0);
    out.extend_from_slice(&head);
}

fn body(out: &mut BytesMut, kind: u8, call: CallId, payload: &Bytes) {
    prefix(out, kind, 0, 0, call, payload.len());
    out.put_slice(payload);
}

/// A frame that is its payload, behind the handles in it.
fn with_handles(out: &mut BytesMut, kind: u8, flags: u8, call: CallId, handles: &[Handle], payload: &Bytes) {
    debug_assert!(handles.len() <= 255, "the codec allows no more");
    prefix(out, kind, flags, handles.len() as u8, call, handles.len() * HANDLE + payload.len());
    for handle in handles {
        put_handle(out, handle);
    }
    out.put_slice(payload);
}

/// The kind in the uppermost byte of the number: a process does not make 2^56 actors.
fn put_handle(out: &mut impl BufMut, handle: &Handle) {
    out.put_u64_le(handle.node.0);
    out.put_u64_le(u64::from(handle.kind) << 56 | handle.actor.0 & NUMBER);
}

fn get_handle(body: &mut impl Buf) -> Handle {
    let node = NodeId(body.get_u64_le());
    let number = body.get_u64_le();
    Handle { kind: (number >> 56) as u8, node, actor: ActorId(number & NUMBER) }
}

fn get_handles(count: u8, body: &mut Bytes) -> Result<Vec<Handle>, FrameError> {
    let count = usize::from(count);
    if body.len() < count * HANDLE {
        return Err(FrameError::TooShort { len: PREFIX + body.len() });
    }
    Ok((0..count).map(|_| get_handle(body)).collect())
}

fn put_destination(out: &mut impl BufMut, to: &Destination) {
    out.put_u64_le(to.run.0);
    out.put_u64_le(to.node.0);
    out.put_u64_le(to.actor.0);
    out.put_u64_le(to.type_hash.0);
}

fn get_destination(body: &mut impl Buf) -> Destination {
    Destination {
        run: RunId(body.get_u64_le()),
        node: NodeId(body.get_u64_le()),
        actor: ActorId(body.get_u64_le()),
        type_hash: TypeHash(body.get_u64_le()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
                    trace: Trace { trace, span },
                    handles,
                    payload,
                })
            },
        )
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
            (call(), status, handles(), payload()).prop_map(|(call, status, handles, payload)| Frame::Reply {
                call,
                status,
                handles,
                payload
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
            call().prop_map(|call| Frame::Recall { call }),
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
            let decoder = Decoder::new(CONTROL_LIMIT);
            while let Ok(Some(_)) = decoder.next(&mut buffer) {}
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
}
