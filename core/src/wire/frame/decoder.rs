//! Frames out of bytes.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Frame, FrameError, HANDLE, MemoryAbout, MemoryForm, NO_DEADLINE, NUMBER, PREFIX, REQUEST, Request, Route, SHORT,
    Short, Status, Trace, VALUE, VERSION, kind,
};
use crate::wire::codec::Handle;
use crate::wire::content::Content;
use crate::wire::ids::{ActorId, CallId, Destination, NodeId, RunId, TypeHash};
use crate::wire::rope::LARGE;

/// Where a frame says of what kind it is.
const KIND_AT: usize = 5;

/// Cuts frames out of a stream of bytes.
#[derive(Debug)]
pub(crate) struct Decoder {
    limit: usize,
}

/// What follows the prefix of a frame, and the bytes that it lies in.
#[derive(Clone, Copy)]
struct Body<'a> {
    whole: &'a Bytes,
    rest: &'a [u8],
}

impl Body<'_> {
    /// The payload, which holds the bytes that were read with it.
    #[inline]
    fn keep(&self, payload: &[u8]) -> Bytes {
        if payload.is_empty() { Bytes::new() } else { self.whole.slice_ref(payload) }
    }
}

impl Decoder {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit }
    }

    /// Takes the next whole frame off the front of `buffer`; `None` until it has all arrived.
    ///
    /// A length beyond the limit is refused when its four bytes are there, before room is made for it.
    #[cfg(test)]
    pub(crate) fn next(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(len) = self.length(buffer)?.filter(|len| *len <= buffer.len()) else { return Ok(None) };
        let whole = buffer.split_to(len).freeze();
        decode(&whole, &whole).map(Some)
    }

    /// Takes all whole frames off the front of `buffer`; those before a bad one as well.
    #[cfg(test)]
    pub(crate) fn take_all(&self, buffer: &mut BytesMut, frames: &mut Vec<Frame>) -> Result<(), FrameError> {
        let mut cuts = Vec::new();
        let fault = self.cut(buffer, &mut cuts);
        for frame in cuts.iter().flat_map(Cut::frames) {
            frames.push(frame.decode()?);
        }
        fault
    }

    /// Cuts all whole frames off the front of `buffer`, in one piece; those before a bad one as well.
    pub(crate) fn cut(&self, buffer: &mut BytesMut, cuts: &mut Vec<Cut>) -> Result<(), FrameError> {
        let (mut end, mut gives_memory) = (0, false);
        let fault = loop {
            match self.length(&buffer[end..]) {
                Ok(Some(len)) if len <= buffer.len() - end => {
                    gives_memory |= buffer[end + KIND_AT] == kind::MEMORY;
                    end += len;
                }
                Ok(next) => break Ok(next),
                Err(error) => break Err(error),
            }
        };
        if end > 0 {
            cuts.push(Cut { whole: buffer.split_to(end).freeze(), gives_memory });
        }
        // A short one finds its room in what the reader reserves, a long one has its own.
        fault.map(|_| ())
    }

    /// The length of the frame at the front of what is left, if it is long and has not all arrived: such a one is read into
    /// memory of its own.
    pub(crate) fn long(&self, buffer: &[u8]) -> Option<usize> {
        self.length(buffer).ok().flatten().filter(|len| *len >= LARGE && *len > buffer.len())
    }

    /// The length of the frame at the front, all of it, once it can be told.
    #[inline]
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(len) = bytes.first_chunk() else { return Ok(None) };
        let len = (u32::from_le_bytes(*len) as usize).saturating_add(4);
        if len > self.limit {
            return Err(FrameError::TooLong { len, limit: self.limit });
        }
        if len < PREFIX {
            return Err(FrameError::TooShort { len });
        }
        Ok(Some(len))
    }
}

/// Whole frames that have come together, not looked into yet.
#[derive(Debug)]
pub(crate) struct Cut {
    whole: Bytes,
    /// Whether one of them is a [`Frame::Memory`].
    pub(crate) gives_memory: bool,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<'a> {
    all: &'a Bytes,
    frame: &'a [u8],
}

impl Cut {
    #[inline]
    pub(crate) fn frames(&self) -> impl Iterator<Item = Whole<'_>> {
        let mut rest = &self.whole[..];
        std::iter::from_fn(move || {
            // Their lengths were looked at when they were cut.
            let len = u32::from_le_bytes(*rest.first_chunk()?) as usize + 4;
            let (frame, behind) = rest.split_at_checked(len)?;
            rest = behind;
            Some(Whole { all: &self.whole, frame })
        })
    }
}

impl Whole<'_> {
    pub(crate) fn decode(self) -> Result<Frame, FrameError> {
        decode(self.all, self.frame)
    }

    /// The parts of a value in reply to a call, where it has no handles: most frames to a caller are that, and need not be
    /// moved about as a whole.
    #[inline]
    pub(crate) fn as_value(self) -> Option<(CallId, Content)> {
        let (head, rest) = self.frame.split_first_chunk::<PREFIX>()?;
        // Behind its length: version, kind, status and number of handles.
        let is_value = head[4..8] == [VERSION, kind::REPLY, VALUE, 0];
        is_value.then(|| (CallId(u64_at(head, 8)), Content::of(self.all, rest)))
    }

    /// A short request, as most frames to a worker are, likewise; `None` where it is none or is not as it must be.
    #[inline]
    pub(crate) fn as_short(self) -> Option<Short> {
        let (head, rest) = self.frame.split_first_chunk::<PREFIX>()?;
        // Version, kind, flags and number of handles.
        let reply = match *head {
            [_, _, _, _, VERSION, kind::SHORT_CAST, 0, 0, ..] => false,
            [_, _, _, _, VERSION, kind::SHORT_CALL, 0, 0, ..] => true,
            _ => return None,
        };
        let (about, payload) = rest.split_first_chunk::<SHORT>()?;
        let about = u64::from_le_bytes(*about);
        if about >> 56 != 0 {
            return None;
        }
        Some(Short {
            call: CallId(u64_at(head, 8)),
            reply,
            method: (about >> 32) as u16,
            priority: (about >> 48) as u8,
            remaining: Some(about as u32).filter(|left| *left != NO_DEADLINE),
            payload: Content::of(self.all, payload),
        })
    }
}

/// Reads one frame, which lies in `whole`.
#[inline]
fn decode(whole: &Bytes, frame: &[u8]) -> Result<Frame, FrameError> {
    let len = frame.len();
    let Some((head, rest)) = frame.split_first_chunk::<PREFIX>() else { return Err(FrameError::TooShort { len }) };
    let &[_, _, _, _, version, kind, flags, handles, ..] = head;
    if version != VERSION {
        return Err(FrameError::Version { found: version });
    }
    let call = CallId(u64_at(head, 8));
    if flags != 0 && kind != kind::REPLY {
        return Err(FrameError::Flags { flags });
    }
    if handles != 0 && !matches!(kind, kind::CALL | kind::CAST | kind::REPLY | kind::INIT) {
        return Err(FrameError::Flags { flags: handles });
    }
    let body = Body { whole, rest };
    Ok(match kind {
        kind::CALL => Frame::Request(Request::decode(call, true, handles, body)?),
        kind::CAST => Frame::Request(Request::decode(call, false, handles, body)?),
        kind::SHORT_CALL | kind::SHORT_CAST => match (Whole { all: whole, frame }.as_short(), rest.get(SHORT - 1)) {
            (Some(short), _) => Frame::Short(short),
            (None, Some(&reserved)) => return Err(FrameError::Flags { flags: reserved }),
            (None, None) => return Err(FrameError::TooShort { len }),
        },
        kind::REPLY => {
            let status = match flags {
                VALUE => Status::Value,
                1 => Status::HandlerError,
                2 => Status::Failed,
                3 => Status::Withdrawn,
                4 => Status::Fatal,
                status => return Err(FrameError::Status { status }),
            };
            let (handles, rest) = get_handles(handles, rest).ok_or(FrameError::TooShort { len })?;
            Frame::Reply { call, status, handles, payload: Content::of(body.whole, rest) }
        }
        kind::INIT => {
            let (handles, rest) = get_handles(handles, rest).ok_or(FrameError::TooShort { len })?;
            Frame::Init { handles, payload: body.keep(rest) }
        }
        kind => return decode_rare(kind, call, body),
    })
}

/// Reads a frame that is about something else than a request or its reply, and has no flags.
fn decode_rare(kind: u8, call: CallId, body: Body<'_>) -> Result<Frame, FrameError> {
    let mut fields = body.rest;
    let fixed = |need: usize| {
        let len = body.rest.len();
        if len == need { Ok(()) } else { Err(FrameError::TooShort { len: PREFIX + len }) }
    };
    let payload = || body.keep(body.rest);
    Ok(match kind {
        kind::CANCEL => fixed(0).map(|()| Frame::Cancel { call })?,
        kind::CREDIT => {
            fixed(24)?;
            let to = Route { node: NodeId(fields.get_u64_le()), actor: ActorId(fields.get_u64_le()) };
            Frame::Credit { to, returned: fields.get_u32_le(), window: fields.get_u32_le() }
        }
        kind::DEFERRED => fixed(0).map(|()| Frame::Deferred { call })?,
        kind::MONITOR => {
            fixed(32)?;
            Frame::Monitor { call, to: get_destination(&mut fields) }
        }
        kind::DOWN => Frame::Down { call, payload: payload() },
        kind::READY => fixed(0).map(|()| Frame::Ready)?,
        kind::START_FAILED => Frame::StartFailed { payload: payload() },
        kind::ANNOUNCE => {
            fixed(8)?;
            Frame::Announce { node: NodeId(fields.get_u64_le()) }
        }
        kind::EVENT => Frame::Event { payload: payload() },
        kind::BYE => Frame::Bye { payload: payload() },
        kind::STOP => Frame::Stop { payload: payload() },
        kind::RELEASE => {
            fixed(HANDLE + 8)?;
            Frame::Release { handle: get_handle(&mut fields), count: fields.get_u64_le() }
        }
        kind::MEMORY => {
            fixed(HANDLE + 32)?;
            let handle = get_handle(&mut fields);
            let [tag, len, told, form] = [(); 4].map(|()| fields.get_u64_le());
            let form = match form {
                0 => MemoryForm::Lost,
                1 => MemoryForm::Sealed,
                2 => MemoryForm::Parted,
                form => return Err(FrameError::Form { form }),
            };
            Frame::Memory { handle, about: MemoryAbout { tag, len, told, form } }
        }
        kind::FORGET => fixed(HANDLE).map(|()| Frame::Forget { handle: get_handle(&mut fields) })?,
        kind => return Err(FrameError::Kind { kind }),
    })
}

impl Request {
    #[inline]
    fn decode(call: CallId, reply: bool, handles: u8, body: Body<'_>) -> Result<Self, FrameError> {
        let too_short = FrameError::TooShort { len: PREFIX + body.rest.len() };
        let Some((fields, rest)) = body.rest.split_first_chunk::<REQUEST>() else { return Err(too_short) };
        let to = Destination {
            run: RunId(u64_at(fields, 0)),
            node: NodeId(u64_at(fields, 8)),
            actor: ActorId(u64_at(fields, 16)),
            type_hash: TypeHash(u64_at(fields, 24)),
        };
        let remaining = match u64_at(fields, 32) as u32 {
            NO_DEADLINE => None,
            left => Some(left),
        };
        let method = u16::from_le_bytes([fields[36], fields[37]]);
        let (priority, reserved) = (fields[38], fields[39]);
        if reserved != 0 {
            return Err(FrameError::Flags { flags: reserved });
        }
        let caused_by = CallId(u64_at(fields, 40));
        let trace = u128::from(u64_at(fields, 56)) << 64 | u128::from(u64_at(fields, 48));
        let trace = Trace::new(trace, u64_at(fields, 64));
        let (handles, rest) = get_handles(handles, rest).ok_or(too_short)?;
        Ok(Self {
            call,
            reply,
            to,
            method,
            priority,
            remaining,
            caused_by,
            trace,
            handles,
            payload: Content::of(body.whole, rest),
        })
    }
}

/// The number at a place that is known beforehand.
#[inline]
fn u64_at<const N: usize>(fields: &[u8; N], at: usize) -> u64 {
    fields[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The handles at the front of a body, and what is behind them.
fn get_handles(count: u8, body: &[u8]) -> Option<(Vec<Handle>, &[u8])> {
    if count == 0 {
        return Some((Vec::new(), body));
    }
    let count = usize::from(count);
    let (mut list, rest) = body.split_at_checked(count * HANDLE)?;
    Some(((0..count).map(|_| get_handle(&mut list)).collect(), rest))
}

fn get_handle(body: &mut impl Buf) -> Handle {
    let node = NodeId(body.get_u64_le());
    let number = body.get_u64_le();
    Handle { kind: (number >> 56) as u8, node, actor: ActorId(number & NUMBER) }
}

fn get_destination(body: &mut impl Buf) -> Destination {
    Destination {
        run: RunId(body.get_u64_le()),
        node: NodeId(body.get_u64_le()),
        actor: ActorId(body.get_u64_le()),
        type_hash: TypeHash(body.get_u64_le()),
    }
}
