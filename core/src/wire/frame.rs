//! A frame: one message between two processes, as bytes.
//!
//! The layout is written down in `docs/protocol.md`; a change here edits that file in the same commit.

use bytes::Bytes;
use thiserror::Error;

use super::codec::{Handle, Kept};
use super::content::Content;
use super::ids::{ActorId, CallId, Destination, NodeId};
use super::rope::{LARGE, Output, Part};

mod decoder;

pub(crate) use decoder::{Cut, Decoder};

/// The version of the frame and of the greeting.
pub(crate) const VERSION: u8 = 1;
/// The longest frame, all of it.
pub(crate) const FRAME_LIMIT: usize = 16 << 20;
/// The longest payload: what a frame has left beside its header, its trace and 255 handles.
pub(crate) const PAYLOAD_LIMIT: usize = FRAME_LIMIT - PREFIX - REQUEST - 255 * HANDLE;

const PREFIX: usize = 16;
const REQUEST: usize = 72;
const SHORT: usize = 8;
const HANDLE: usize = 16;
/// The part of a handle's number that is the actor's.
const NUMBER: u64 = (1 << 56) - 1;
const NO_DEADLINE: u32 = u32::MAX;
/// A [`Status::Value`] in a frame.
const VALUE: u8 = 0;

/// One message between two processes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// A call, or a cast where `reply` is false.
    Request(Request),
    /// The same to the actor that the receiver hosts for the sender, with nothing but its arguments: most are that.
    Short(Short),
    /// The one outcome of a call.
    Reply { call: CallId, status: Status, handles: Vec<Handle>, payload: Content },
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
    /// End after the running message.
    Stop { payload: Bytes },
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
    pub(crate) payload: Content,
}

/// A message to the actor that its receiver hosts for its sender, without handles, cause and trace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Short {
    pub(crate) call: CallId,
    pub(crate) reply: bool,
    pub(crate) method: u16,
    pub(crate) priority: u8,
    pub(crate) remaining: Option<u32>,
    pub(crate) payload: Content,
}

/// Ids of a distributed trace, carried and not looked at. Most requests have none, and move quicker without room for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace(Option<Box<(u128, u64)>>);

impl Trace {
    /// Trace and span; zeros where there is none.
    pub(crate) fn new(trace: u128, span: u64) -> Self {
        Self((trace != 0 || span != 0).then(|| Box::new((trace, span))))
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    fn ids(&self) -> (u128, u64) {
        self.0.as_deref().copied().unwrap_or_default()
    }
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
    pub(super) const RELEASE: u8 = 17;
    pub(super) const MEMORY: u8 = 18;
    pub(super) const FORGET: u8 = 19;
    pub(super) const SHORT_CALL: u8 = 20;
    pub(super) const SHORT_CAST: u8 = 21;
}

impl Frame {
    /// Appends the frame's bytes.
    pub(crate) fn encode(&self, out: &mut impl Output) {
        match self {
            Self::Request(request) => request.encode(out),
            Self::Short(short) => short.parts(&Kept::default()).encode(out),
            Self::Reply { call, status, handles, payload } => {
                encode_reply(out, *call, *status, handles, payload.whole())
            }
            Self::Cancel { call } => prefix(out, kind::CANCEL, 0, 0, *call, 0),
            Self::Credit { to, returned, window } => {
                prefix(out, kind::CREDIT, 0, 0, CallId::NONE, 24);
                out.put(&to.node.0.to_le_bytes());
                out.put(&to.actor.0.to_le_bytes());
                out.put(&(*returned).to_le_bytes());
                out.put(&(*window).to_le_bytes());
            }
            Self::Deferred { call } => prefix(out, kind::DEFERRED, 0, 0, *call, 0),
            Self::Monitor { call, to } => {
                prefix(out, kind::MONITOR, 0, 0, *call, 32);
                put_destination(out, to);
            }
            Self::Down { call, payload } => body(out, kind::DOWN, *call, payload),
            Self::Init { handles, payload } => {
                with_handles(out, kind::INIT, 0, CallId::NONE, handles, Part::Shared(payload))
            }
            Self::Ready => prefix(out, kind::READY, 0, 0, CallId::NONE, 0),
            Self::StartFailed { payload } => body(out, kind::START_FAILED, CallId::NONE, payload),
            Self::Announce { node } => {
                prefix(out, kind::ANNOUNCE, 0, 0, CallId::NONE, 8);
                out.put(&node.0.to_le_bytes());
            }
            Self::Event { payload } => body(out, kind::EVENT, CallId::NONE, payload),
            Self::Bye { payload } => body(out, kind::BYE, CallId::NONE, payload),
            Self::Stop { payload } => body(out, kind::STOP, CallId::NONE, payload),
            Self::Release { handle, count } => {
                prefix(out, kind::RELEASE, 0, 0, CallId::NONE, HANDLE + 8);
                put_handle(out, handle);
                out.put(&(*count).to_le_bytes());
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
                    out.put(&field.to_le_bytes());
                }
            }
            Self::Forget { handle } => {
                prefix(out, kind::FORGET, 0, 0, CallId::NONE, HANDLE);
                put_handle(out, handle);
            }
        }
    }
}

/// A request as it is written: from parts that lie elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestParts<'a> {
    pub(crate) call: CallId,
    pub(crate) reply: bool,
    pub(crate) to: Destination,
    pub(crate) method: u16,
    pub(crate) priority: u8,
    pub(crate) remaining: Option<u32>,
    pub(crate) caused_by: CallId,
    pub(crate) trace: &'a Trace,
    pub(crate) handles: &'a [Handle],
    pub(crate) payload: &'a Content,
    /// What belongs to the payload, and lies elsewhere.
    pub(crate) kept: &'a Kept,
}

/// A short request as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortParts<'a> {
    pub(crate) call: CallId,
    pub(crate) reply: bool,
    pub(crate) method: u16,
    pub(crate) priority: u8,
    pub(crate) remaining: Option<u32>,
    pub(crate) payload: &'a Content,
    pub(crate) kept: &'a Kept,
}

impl ShortParts<'_> {
    /// Appends the frame's bytes.
    #[inline]
    pub(crate) fn encode(&self, out: &mut impl Output) {
        let kind = if self.reply { kind::SHORT_CALL } else { kind::SHORT_CAST };
        let rest = SHORT + self.payload.len() + self.kept.len();
        out.reserve(room(PREFIX + rest));
        let mut head = [0; PREFIX + SHORT];
        head[..PREFIX].copy_from_slice(&prefix_bytes(kind, 0, 0, self.call, rest));
        let remaining = self.remaining.unwrap_or(NO_DEADLINE);
        let about = u64::from(remaining) | u64::from(self.method) << 32 | u64::from(self.priority) << 48;
        head[PREFIX..].copy_from_slice(&about.to_le_bytes());
        out.put(&head);
        self.kept.write(self.payload.whole(), out);
    }
}

impl RequestParts<'_> {
    /// The same without what a short one has not, if it has nothing of that.
    #[inline]
    pub(crate) fn as_short(&self) -> Option<ShortParts<'_>> {
        let is_short = self.handles.is_empty() && self.caused_by == CallId::NONE && self.trace.is_none();
        is_short.then_some(ShortParts {
            call: self.call,
            reply: self.reply,
            method: self.method,
            priority: self.priority,
            remaining: self.remaining,
            payload: self.payload,
            kept: self.kept,
        })
    }

    /// Appends the frame's bytes.
    pub(crate) fn encode(&self, out: &mut impl Output) {
        debug_assert!(self.handles.len() <= 255, "the codec allows no more");
        let kind = if self.reply { kind::CALL } else { kind::CAST };
        let rest = REQUEST + self.handles.len() * HANDLE + self.payload.len() + self.kept.len();
        out.reserve(room(PREFIX + rest));
        // Gathered first, at places that are known beforehand: one copy and no check for each field.
        let mut head = [0; PREFIX + REQUEST];
        head[..PREFIX].copy_from_slice(&prefix_bytes(kind, 0, self.handles.len() as u8, self.call, rest));
        let (trace, span) = self.trace.ids();
        let fields = &mut head[PREFIX..];
        fields[..8].copy_from_slice(&self.to.run.0.to_le_bytes());
        fields[8..16].copy_from_slice(&self.to.node.0.to_le_bytes());
        fields[16..24].copy_from_slice(&self.to.actor.0.to_le_bytes());
        fields[24..32].copy_from_slice(&self.to.type_hash.0.to_le_bytes());
        fields[32..36].copy_from_slice(&self.remaining.unwrap_or(NO_DEADLINE).to_le_bytes());
        fields[36..38].copy_from_slice(&self.method.to_le_bytes());
        fields[38] = self.priority;
        fields[40..48].copy_from_slice(&self.caused_by.0.to_le_bytes());
        fields[48..64].copy_from_slice(&trace.to_le_bytes());
        fields[64..72].copy_from_slice(&span.to_le_bytes());
        out.put(&head);
        for handle in self.handles {
            put_handle(out, handle);
        }
        self.kept.write(self.payload.whole(), out);
    }
}

/// Appends the bytes of a [`Frame::Reply`], from parts that lie elsewhere.
pub(crate) fn encode_reply(out: &mut impl Output, call: CallId, status: Status, handles: &[Handle], payload: Part<'_>) {
    let status = match status {
        Status::Value => VALUE,
        Status::HandlerError => 1,
        Status::Failed => 2,
        Status::Withdrawn => 3,
        Status::Fatal => 4,
    };
    with_handles(out, kind::REPLY, status, call, handles, payload);
}

impl Short {
    fn parts<'a>(&'a self, kept: &'a Kept) -> ShortParts<'a> {
        ShortParts {
            call: self.call,
            reply: self.reply,
            method: self.method,
            priority: self.priority,
            remaining: self.remaining,
            payload: &self.payload,
            kept,
        }
    }
}

impl Request {
    fn encode(&self, out: &mut impl Output) {
        RequestParts {
            call: self.call,
            reply: self.reply,
            to: self.to,
            method: self.method,
            priority: self.priority,
            remaining: self.remaining,
            caused_by: self.caused_by,
            trace: &self.trace,
            handles: &self.handles,
            payload: &self.payload,
            kept: &Kept::default(),
        }
        .encode(out);
    }
}

/// What a frame of this length is given at once. The payload of a long one is not copied.
fn room(len: usize) -> usize {
    if len < LARGE { len } else { PREFIX + REQUEST }
}

#[inline]
fn prefix_bytes(kind: u8, flags: u8, handles: u8, call: CallId, rest: usize) -> [u8; PREFIX] {
    let mut head = [0; PREFIX];
    head[..4].copy_from_slice(&((PREFIX - 4 + rest) as u32).to_le_bytes());
    head[4..8].copy_from_slice(&[VERSION, kind, flags, handles]);
    head[8..].copy_from_slice(&call.0.to_le_bytes());
    head
}

fn prefix(out: &mut impl Output, kind: u8, flags: u8, handles: u8, call: CallId, rest: usize) {
    out.reserve(room(PREFIX + rest));
    out.put(&prefix_bytes(kind, flags, handles, call, rest));
}

fn body(out: &mut impl Output, kind: u8, call: CallId, payload: &Bytes) {
    prefix(out, kind, 0, 0, call, payload.len());
    out.put_payload(payload);
}

/// A frame that is its payload, behind the handles in it.
fn with_handles(out: &mut impl Output, kind: u8, flags: u8, call: CallId, handles: &[Handle], payload: Part<'_>) {
    debug_assert!(handles.len() <= 255, "the codec allows no more");
    prefix(out, kind, flags, handles.len() as u8, call, handles.len() * HANDLE + payload.len());
    for handle in handles {
        put_handle(out, handle);
    }
    payload.write(out);
}

/// The kind in the uppermost byte of the number: a process does not make 2^56 actors.
fn put_handle(out: &mut impl Output, handle: &Handle) {
    out.put(&handle.node.0.to_le_bytes());
    out.put(&(u64::from(handle.kind) << 56 | handle.actor.0 & NUMBER).to_le_bytes());
}

fn put_destination(out: &mut impl Output, to: &Destination) {
    out.put(&to.run.0.to_le_bytes());
    out.put(&to.node.0.to_le_bytes());
    out.put(&to.actor.0.to_le_bytes());
    out.put(&to.type_hash.0.to_le_bytes());
}

#[cfg(test)]
mod tests;
