//! Large bytes that are all of a message or an answer: decoded without a copy.

use std::any::Any;

use bytes::Bytes;

use crate::wire::content::Content;
use crate::wire::rope::LARGE;

/// The value with this encoding, if it is [`Bytes`] or one argument of that type, and large: it shares the memory of the encoding.
///
/// Serde has no way to hand a part of memory on, so that any other value copies.
#[inline]
pub(crate) fn from_shared<T: 'static>(encoding: &Content) -> Option<T> {
    if size_of::<T>() != size_of::<Bytes>() || encoding.len() < LARGE {
        return None;
    }
    let mut place: Option<T> = None;
    let any: &mut dyn Any = &mut place;
    if let Some(place) = any.downcast_mut::<Option<Bytes>>() {
        *place = bytes_in(encoding);
    } else if let Some(place) = any.downcast_mut::<Option<(Bytes,)>>() {
        *place = bytes_in(encoding).map(|bytes| (bytes,));
    }
    place
}

/// What follows a length, if it is that long; whatever else is wrong with it is told by who decodes it as usual.
fn bytes_in(encoding: &Content) -> Option<Bytes> {
    let (mut len, mut at) = (0_usize, 0);
    loop {
        let byte = *encoding.get(at)?;
        // Of what a frame holds the length has four such bytes at most.
        len |= usize::from(byte & 0x7f).checked_shl(7 * at as u32).filter(|_| at < 5)?;
        at += 1;
        if byte & 0x80 == 0 {
            // Not one that could have been shorter.
            let is_shortest = byte != 0 || at == 1;
            return (is_shortest && encoding.len() - at == len).then(|| encoding.slice(at..).into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::budget::Budget;
    use crate::wire::codec::{decode_slice, encode};

    fn large(len: usize) -> Bytes {
        (0..len).map(|at| at as u8).collect()
    }

    #[test]
    fn large_bytes_alone_are_what_decoding_gives_and_lie_in_the_encoding() {
        for len in [LARGE, LARGE + 1, 1 << 21, (1 << 21) + 77] {
            let encoded = encode(&large(len), 4 << 20).unwrap();
            let content = Content::from(encoded.clone());
            let shared: Bytes = from_shared(&content).unwrap();
            assert_eq!(shared, decode_slice::<Bytes>(&encoded, Budget::default()).unwrap());
            assert!(encoded.as_ptr_range().contains(&shared.as_ptr()), "it was copied");
            assert_eq!(from_shared::<(Bytes,)>(&content), Some((shared,)));
        }
    }

    #[test]
    fn whatever_else_there_is_is_left_to_the_decoder() {
        let encoded = encode(&large(LARGE), 1 << 20).unwrap();
        let content = |bytes: &[u8]| Content::from(Bytes::copy_from_slice(bytes));
        assert_eq!(from_shared::<Vec<u8>>(&content(&encoded)), None);
        assert_eq!(from_shared::<(u8, Bytes)>(&content(&encoded)), None);
        assert_eq!(from_shared::<Bytes>(&content(&encoded[..encoded.len() - 1])), None, "too short");
        assert_eq!(from_shared::<Bytes>(&content(&encoded[1..])), None, "another length");
        assert_eq!(from_shared::<Bytes>(&content(&[0xff; LARGE])), None, "no length");
        assert_eq!(
            from_shared::<Bytes>(&content(&encode(&large(100), 1 << 10).unwrap())),
            None,
            "small ones are copied"
        );
    }
}
