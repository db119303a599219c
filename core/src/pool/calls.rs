//! The calls of tasks, as bytes.

use std::ops::Range;

use bytes::{BufMut, Bytes};
use serde::Serialize;

use super::function::CALL_HEADER;
use crate::actor::parcel::Parcel;
use crate::router::Handles;
use crate::wire::codec::EncodeError;

/// What stands in front of the arguments of a call of a function.
pub(super) type Head = [u8; CALL_HEADER];

/// The calls of tasks that were submitted together, at least one: in one piece of memory, which is there until the last of
/// them has ended.
#[derive(Debug)]
pub(super) struct Calls {
    bytes: Bytes,
    /// Where each ends; of one alone that is known.
    ends: Vec<u32>,
    /// What stands in front of each and is not among the bytes, so that many of them can go together.
    head: Option<Head>,
    /// What the one call refers to that is alone.
    handles: Handles,
}

/// Calls of one function that are being written.
#[derive(Debug)]
pub(super) struct Writing {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    head: Head,
    /// Whether each is to go by itself, as it is.
    is_single: bool,
}

impl Calls {
    /// One alone.
    pub(super) fn one(call: Parcel) -> Self {
        Self { bytes: call.bytes.into_bytes(), ends: Vec::new(), head: None, handles: call.handles }
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len().max(1)
    }

    fn range(&self, place: usize) -> Range<usize> {
        let end = |place: usize| self.ends.get(place).map_or(self.bytes.len(), |end| *end as usize);
        let from = place.checked_sub(1).map_or(0, end);
        from..end(place).max(from)
    }

    /// The bytes of what is kept of the call at this place.
    pub(super) fn size(&self, place: usize) -> usize {
        self.range(place).len()
    }

    /// The same for several.
    pub(super) fn sizes(&self, places: Range<usize>) -> usize {
        places.end.checked_sub(1).map_or(0, |last| self.range(last).end.saturating_sub(self.range(places.start).start))
    }

    /// The whole call at this place.
    pub(super) fn call(&self, place: usize) -> Parcel {
        let range = self.range(place);
        let bytes = match &self.head {
            Some(head) => Bytes::from([head, &self.bytes[range]].concat()),
            None => self.bytes.slice(range),
        };
        Parcel { bytes: bytes.into(), handles: self.handles.clone() }
    }

    /// What stands in front of its arguments, where it can go with others and is not longer than `most` bytes.
    pub(super) fn head(&self, place: usize, most: usize) -> Option<Head> {
        let call = &self.bytes[self.range(place)];
        let head = self.head.or_else(|| call.first_chunk().copied())?;
        (call.len() <= most && self.handles.is_empty()).then_some(head)
    }

    /// How many of the calls at these places go together in `room` bytes, none of them longer than `most`; and how many bytes
    /// their arguments have.
    pub(super) fn fitting(&self, places: Range<usize>, room: usize, most: usize) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for place in places {
            let size = self.arguments(place..place + 1).len();
            if size > most || bytes + size > room {
                break;
            }
            (count, bytes) = (count + 1, bytes + size);
            if self.head.is_none() {
                break;
            }
        }
        (count, bytes)
    }

    /// The arguments of these, one behind the other; of one, where its head is not kept apart.
    pub(super) fn arguments(&self, places: Range<usize>) -> &[u8] {
        let from = self.range(places.start).start + if self.head.is_some() { 0 } else { CALL_HEADER };
        self.bytes.get(from..self.range(places.end - 1).end).unwrap_or_default()
    }

    /// Writes how long the arguments of each of these are.
    pub(super) fn write_lengths(&self, places: Range<usize>, into: &mut Vec<u8>) {
        places.for_each(|place| into.put_u32_le(self.arguments(place..place + 1).len() as u32));
    }
}

impl Writing {
    pub(super) fn new(head: Head, is_single: bool) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), head, is_single }
    }

    /// Adds a call with these arguments; what they refer to.
    #[inline]
    pub(super) fn push<A: Serialize>(&mut self, arguments: &A) -> Result<Handles, EncodeError> {
        let from = self.bytes.len();
        if self.is_single {
            self.bytes.extend_from_slice(&self.head);
        }
        let handles = Parcel::write(arguments, &mut self.bytes).inspect_err(|_| self.bytes.truncate(from))?;
        self.ends.push(self.bytes.len() as u32);
        Ok(handles)
    }

    /// Takes the last call out, with what it refers to.
    pub(super) fn pop(&mut self, handles: Handles) -> Option<Calls> {
        self.ends.pop()?;
        let arguments = self.bytes.split_off(self.ends.last().map_or(0, |end| *end as usize));
        let bytes = if self.is_single { arguments } else { [&self.head[..], &arguments].concat() };
        Some(Calls::one(Parcel { bytes: bytes.into(), handles }))
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The bytes that have been written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All of them; none where there are none.
    pub(super) fn finish(self) -> Option<Calls> {
        let Self { bytes, ends, head, is_single } = self;
        let head = (!is_single).then_some(head);
        (!ends.is_empty()).then(|| Calls { bytes: bytes.into(), ends, head, handles: Handles::none() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::content::Content;

    fn written(is_single: bool) -> Calls {
        let mut writing = Writing::new([7; CALL_HEADER], is_single);
        for text in ["a", "", "four", &"x".repeat(300)] {
            assert!(writing.push(&text).unwrap().is_empty());
        }
        writing.finish().unwrap()
    }

    #[test]
    fn each_call_is_the_same_whether_it_is_kept_whole_or_apart_from_its_head() {
        let (whole, apart) = (written(true), written(false));
        assert_eq!((whole.count(), apart.count()), (4, 4));
        for place in 0..4 {
            assert_eq!(whole.call(place).bytes, apart.call(place).bytes);
            assert_eq!(whole.arguments(place..place + 1), apart.arguments(place..place + 1));
            assert_eq!(whole.head(place, 1000), Some([7; CALL_HEADER]));
        }
        assert_eq!(apart.head(3, 300), None);
        assert_eq!(apart.arguments(0..3), b"\x01a\0\x04four");
        assert_eq!(apart.sizes(1..3), 6);
    }

    #[test]
    fn as_many_go_together_as_fit_and_none_that_is_long() {
        let apart = written(false);
        assert_eq!(apart.fitting(0..4, 1000, 1000), (4, 310));
        assert_eq!(apart.fitting(0..4, 1000, 100), (3, 8));
        assert_eq!(apart.fitting(0..4, 7, 100), (2, 3));
        assert_eq!(written(true).fitting(0..4, 1000, 1000), (1, 2));
        let one = Calls::one(written(false).call(2));
        assert_eq!((one.fitting(0..1, 10, 10), one.arguments(0..1), one.count()), ((1, 5), &b"\x04four"[..], 1));
    }

    #[test]
    fn the_last_call_can_be_taken_out_again() {
        let mut writing = Writing::new([7; CALL_HEADER], false);
        writing.push(&"a").unwrap();
        writing.push(&"b").unwrap();
        let last = writing.pop(Handles::none()).unwrap();
        assert_eq!((last.call(0).bytes, writing.count(), writing.len()), (written_one("b"), 1, 2));
        assert!(writing.pop(Handles::none()).is_some() && writing.finish().is_none());
    }

    fn written_one(text: &str) -> Content {
        let mut writing = Writing::new([7; CALL_HEADER], true);
        writing.push(&text).unwrap();
        writing.finish().unwrap().call(0).bytes
    }
}
