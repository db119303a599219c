//! Bytes of a value that its encoding leaves where they are.

use std::any::Any;
use std::cell::Cell;
use std::mem;

use bytes::{Bytes, BytesMut};

use crate::wire::content::Content;
use crate::wire::rope::{LARGE, Output, Part};

thread_local! {
    /// What the value has that this thread encodes next.
    static NEXT: Cell<Option<Box<Keeping>>> = const { Cell::new(None) };
}

/// Large pieces of an encoded value that are not among its bytes, and where they belong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Option<Box<Pieces>>);

/// One word in a message where there are none.
#[derive(Clone, Debug)]
struct Pieces(Vec<(usize, Bytes)>);

/// What a value has, and what was met of it.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    has: Vec<Bytes>,
    met: Vec<(usize, Bytes)>,
}

/// Collects the large pieces of arguments before they are encoded.
#[derive(Debug, Default)]
pub struct Large(Option<Box<Keeping>>);

impl Large {
    /// Has a look at an argument.
    #[inline]
    pub fn look<T: 'static>(&mut self, argument: &T) {
        if let Some(bytes) = (argument as &dyn Any).downcast_ref::<Bytes>()
            && bytes.len() >= LARGE
        {
            self.0.get_or_insert_default().has.push(bytes.clone());
        }
    }

    /// Encodes, once, by `encode`: where that meets one of the pieces it leaves it out.
    #[inline]
    pub(crate) fn encode<R>(self, encode: impl FnOnce() -> R) -> (R, Kept) {
        match self.0 {
            None => (encode(), Kept::default()),
            some => {
                NEXT.set(some);
                let result = encode();
                let met = NEXT.take().map(|keeping| keeping.met).filter(|met| !met.is_empty());
                (result, Kept(met.map(|met| Box::new(Pieces(met)))))
            }
        }
    }
}

impl Keeping {
    /// For the value that is to be encoded now; what is encoded meanwhile has none.
    #[inline]
    pub(super) fn take() -> Option<Box<Self>> {
        NEXT.try_with(Cell::take).ok().flatten()
    }

    /// For whoever has asked for the encoding.
    pub(super) fn give_back(self: Box<Self>) {
        let _ = NEXT.try_with(|next| next.set(Some(self)));
    }

    /// Whether this is one of the pieces. It belongs at `at` then.
    pub(super) fn meet(&mut self, bytes: &[u8], at: usize) -> bool {
        let same = |one: &&Bytes| one.as_ptr() == bytes.as_ptr() && one.len() == bytes.len();
        let Some(found) = self.has.iter().find(same) else { return false };
        self.met.push((at, found.clone()));
        true
    }
}

impl Kept {
    /// How many bytes they have.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.pieces().iter().map(|(_, piece)| piece.len()).sum()
    }

    /// The whole encoding, whose other bytes these are.
    pub(crate) fn complete(&mut self, bytes: Content) -> Content {
        if self.0.is_none() {
            return bytes;
        }
        let mut whole = BytesMut::with_capacity(bytes.len() + self.len());
        mem::take(self).write(bytes.whole(), &mut whole);
        whole.freeze().into()
    }

    /// Appends the whole encoding, whose other bytes these are.
    #[inline]
    pub(crate) fn write(&self, bytes: Part<'_>, out: &mut impl Output) {
        if self.0.is_none() {
            return bytes.write(out);
        }
        let mut from = 0;
        for (at, piece) in self.pieces() {
            bytes.write_range(from..*at, out);
            out.put_payload(piece);
            from = *at;
        }
        bytes.write_range(from..bytes.len(), out);
    }

    fn pieces(&self) -> &[(usize, Bytes)] {
        self.0.as_ref().map_or(&[], |pieces| &pieces.0[..])
    }
}

#[cfg(test)]
mod tests {
    use serde::{Serialize, Serializer};

    use super::*;
    use crate::wire::budget::Budget;
    use crate::wire::codec::{EncodeError, decode, encode};
    use crate::wire::rope::Rope;

    type Arguments = (u8, Bytes, String, Bytes, Bytes);

    fn arguments() -> Arguments {
        let large = Bytes::from((0..LARGE + 5).map(|at| at as u8).collect::<Vec<_>>());
        (7, large.clone(), "text".to_owned(), Bytes::from_static(b"small"), large.slice(5..))
    }

    fn large(of: &Arguments) -> Large {
        let mut large = Large::default();
        large.look(&of.0);
        large.look(&of.1);
        large.look(&of.2);
        large.look(&of.3);
        large.look(&of.4);
        large
    }

    #[test]
    fn large_bytes_stay_where_they_are_and_the_whole_is_the_same() {
        let value = arguments();
        let plain = encode(&value, 1 << 20).unwrap();
        let (bytes, mut kept) = large(&value).encode(|| encode(&value, 1 << 20).unwrap());
        assert_eq!((bytes.len(), kept.len()), (plain.len() - 2 * LARGE - 5, 2 * LARGE + 5));
        let mut rope = Rope::new();
        kept.write(Part::Shared(&bytes), &mut rope);
        assert_eq!(rope.slices().flatten().copied().collect::<Vec<_>>(), plain);
        assert!(rope.slices().any(|piece| piece.as_ptr() == value.1.as_ptr()));
        let whole = kept.complete(bytes.into()).into_bytes();
        assert_eq!(decode::<Arguments>(&whole, Budget::default()).unwrap(), value);
        assert_eq!((whole, kept.len()), (plain, 0));
    }

    #[test]
    fn they_count_for_the_limit() {
        let value = arguments();
        let len = encode(&value, 1 << 20).unwrap().len();
        let (refused, kept) = large(&value).encode(|| encode(&value, len - 1));
        assert_eq!((refused, kept.len()), (Err(EncodeError::TooLarge { limit: len - 1 }), 0));
        assert!(large(&value).encode(|| encode(&value, len)).0.is_ok());
    }

    /// Encodes its bytes by themselves while it is serialised.
    struct Envelope(Bytes);

    impl Serialize for Envelope {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            assert!(encode(&self.0, 1 << 20).unwrap().len() > LARGE);
            serializer.serialize_bytes(&self.0)
        }
    }

    #[test]
    fn what_is_encoded_meanwhile_is_whole() {
        let envelope = Envelope(arguments().1);
        let mut large = Large::default();
        large.look(&envelope.0);
        let (bytes, kept) = large.encode(|| encode(&envelope, 1 << 20).unwrap());
        assert_eq!(kept.len(), envelope.0.len());
        assert!(bytes.len() < 10);
    }
}
