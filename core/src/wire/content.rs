//! The bytes of a message.

use std::fmt;
use std::ops::Deref;
use std::ops::RangeFrom;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// So many bytes lie in the payload itself: most messages are that short, and cost no memory of their own.
const SHORT: usize = 38;

/// The bytes of a message or an answer: short ones in place, long ones shared.
#[derive(Clone)]
pub(crate) struct Content(Repr);

#[derive(Clone)]
enum Repr {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Bytes),
}

impl Content {
    pub(crate) const EMPTY: Self = Self(Repr::Short { len: 0, bytes: [0; SHORT] });

    /// The bytes themselves where they are short.
    #[inline]
    pub(crate) fn short(from: &[u8]) -> Option<Self> {
        if from.len() > SHORT {
            return None;
        }
        let mut bytes = [0; SHORT];
        bytes[..from.len()].copy_from_slice(from);
        Some(Self(Repr::Short { len: from.len() as u8, bytes }))
    }

    #[inline]
    pub(crate) fn copy_from_slice(bytes: &[u8]) -> Self {
        Self::short(bytes).unwrap_or_else(|| Self(Repr::Long(Bytes::copy_from_slice(bytes))))
    }

    /// Bytes that lie in `whole`, which is kept for them unless they are short.
    #[inline]
    pub(crate) fn of(whole: &Bytes, bytes: &[u8]) -> Self {
        Self::short(bytes).unwrap_or_else(|| Self(Repr::Long(whole.slice_ref(bytes))))
    }

    /// What follows the first bytes.
    pub(crate) fn slice(&self, range: RangeFrom<usize>) -> Self {
        match &self.0 {
            Repr::Short { .. } => Self::short(&self[range]).unwrap_or_default(),
            Repr::Long(bytes) => Self::from(bytes.slice(range)),
        }
    }

    /// Drops the first bytes.
    pub(crate) fn advance(&mut self, n: usize) {
        *self = self.slice(n..);
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Short { .. } => Bytes::copy_from_slice(&self),
            Repr::Long(bytes) => bytes,
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { len, bytes } => &bytes[..usize::from(*len).min(SHORT)],
            Repr::Long(bytes) => bytes,
        }
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::short(&bytes).unwrap_or(Self(Repr::Long(bytes)))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::short(&bytes).unwrap_or_else(|| Self(Repr::Long(bytes.into())))
    }
}

impl<T: AsRef<[u8]>> PartialEq<T> for Content {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Bytes::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes::copy_from_slice(self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_bytes_however_long_it_is() {
        let whole = Bytes::from((0..200).collect::<Vec<u8>>());
        for len in [0, 1, SHORT - 1, SHORT, SHORT + 1, 200] {
            let bytes = &whole[..len];
            let mut payload = Content::of(&whole, bytes);
            assert_eq!(&payload[..], bytes);
            assert_eq!(&payload.clone().into_bytes()[..], bytes);
            assert_eq!(payload, Content::from(bytes.to_vec()));
            assert_eq!(payload, Content::from(whole.slice(..len)));
            let from = len / 2;
            payload.advance(from);
            assert_eq!(&payload[..], &bytes[from..]);
        }
    }

    #[test]
    fn a_payload_is_hardly_larger_than_what_refers_to_bytes() {
        assert_eq!(size_of::<Content>(), size_of::<Bytes>() + 8);
    }
}
