//! The bytes of a message.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Deref, RangeFrom};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::rope::Part;

/// So many words of bytes lie in the content itself: most messages are that short, and cost no memory of their own.
///
/// In words, since whatever has the bytes is moved often, and a processor moves what is aligned at once.
const WORDS: usize = 4;
const SHORT: usize = WORDS * size_of::<u64>();

/// The bytes of a message or an answer: short ones in place, long ones shared.
#[derive(Clone)]
pub(crate) struct Content(Repr);

#[derive(Clone)]
enum Repr {
    /// The length is one less than `beyond`: what tells the two apart is a word then, and what follows is moved in words. With a
    /// byte in front it was moved in odd pieces, each of which waited for those that were just written.
    Short {
        beyond: NonZeroU64,
        words: [u64; WORDS],
    },
    Long(Bytes),
}

impl Content {
    pub(crate) const EMPTY: Self = Self(Repr::Short { beyond: NonZeroU64::MIN, words: [0; WORDS] });

    /// The bytes themselves where they are short.
    #[inline]
    pub(crate) fn short(from: &[u8]) -> Option<Self> {
        if from.len() > SHORT {
            return None;
        }
        let mut words = [0; WORDS];
        bytemuck::bytes_of_mut(&mut words)[..from.len()].copy_from_slice(from);
        Some(Self(Repr::Short { beyond: NonZeroU64::MIN.saturating_add(from.len() as u64), words }))
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

    /// All of it, to be written.
    #[inline]
    pub(crate) fn whole(&self) -> Part<'_> {
        match &self.0 {
            Repr::Short { .. } => Part::Copied(self),
            Repr::Long(bytes) => Part::Shared(bytes),
        }
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
            Repr::Short { beyond, words } => &bytemuck::bytes_of(words)[..((beyond.get() - 1) as usize).min(SHORT)],
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
    fn a_content_has_its_bytes_however_long_it_is() {
        let whole = Bytes::from((0..200).collect::<Vec<u8>>());
        for len in [0, 1, SHORT - 1, SHORT, SHORT + 1, 200] {
            let bytes = &whole[..len];
            let mut content = Content::of(&whole, bytes);
            assert_eq!(&content[..], bytes);
            assert_eq!(&content.clone().into_bytes()[..], bytes);
            assert_eq!(content, Content::from(bytes.to_vec()));
            assert_eq!(content, Content::from(whole.slice(..len)));
            let from = len / 2;
            content.advance(from);
            assert_eq!(&content[..], &bytes[from..]);
        }
    }

    #[test]
    fn a_content_is_hardly_larger_than_what_refers_to_bytes() {
        assert_eq!(size_of::<Content>(), size_of::<Bytes>() + 8);
    }
}
