//! Arrays of bytes, which go over whole.
//!
//! serde shows an array one element after the other, and does not say of what. Their encoding is nothing but their bytes; so
//! where a whole value is such an array, or a tuple of one, as the arguments of most methods are, its bytes are copied.

use std::any::Any;

/// serde knows arrays of up to 32 elements.
macro_rules! arrays {
    ($($length:literal)*) => {
        /// The encoding of a value, if it lies in the value as it is.
        #[inline(always)]
        pub(crate) fn octets<T: 'static>(value: &T) -> Option<&[u8]> {
            // Of a type all but one of these are ruled out when it is compiled.
            let any: &dyn Any = value;
            match size_of::<T>() {
                $($length => match any.downcast_ref::<[u8; $length]>() {
                    Some(array) => Some(array),
                    None => any.downcast_ref::<([u8; $length],)>().map(|(array,)| &array[..]),
                },)*
                _ => None,
            }
        }

        /// The value with this encoding, if it is such a value, and as long.
        #[inline(always)]
        pub(crate) fn from_octets<T: 'static>(bytes: &[u8]) -> Option<T> {
            let mut place: Option<T> = None;
            let any: &mut dyn Any = &mut place;
            match size_of::<T>() {
                $($length => {
                    if let Some(place) = any.downcast_mut::<Option<[u8; $length]>>() {
                        *place = bytes.try_into().ok();
                    } else if let Some(place) = any.downcast_mut::<Option<([u8; $length],)>>() {
                        *place = bytes.try_into().ok().map(|array| (array,));
                    }
                })*
                _ => {}
            }
            place
        }
    };
}

arrays!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::budget::Budget;
    use crate::wire::codec::{decode_slice, encode};

    fn is_encoded_so<T>(value: T)
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug + 'static,
    {
        let encoded = encode(&value, 64).unwrap();
        assert_eq!(octets(&value), Some(&encoded[..]));
        assert_eq!(from_octets::<T>(&encoded), Some(value));
        assert_eq!(from_octets::<T>(&encoded[1..]), None);
    }

    #[test]
    fn an_array_of_bytes_alone_is_its_encoding() {
        is_encoded_so([7_u8; 1]);
        is_encoded_so(([7_u8],));
        is_encoded_so(*b"sixteen bytes...");
        is_encoded_so(([9_u8; 32],));
    }

    #[test]
    fn nothing_else_is() {
        assert_eq!(octets(&7_u8), None);
        assert_eq!(octets(&(7_u8,)), None);
        assert_eq!(octets(&true), None);
        assert_eq!(octets(&[7_i8; 4]), None);
        assert_eq!(octets(&7_u32), None);
        assert_eq!(octets(&[true; 2]), None);
        assert_eq!(octets(&([7_u8; 2], 7_u8)), None);
        assert_eq!(octets(&"text"), None);
        assert_eq!(octets(&vec![7_u8; 3]), None);
        assert_eq!(from_octets::<u32>(&[1, 2, 3, 4]), None);
        assert_eq!(from_octets::<bool>(&[2]), None);
        assert_eq!(decode_slice::<[u8; 3]>(&[1, 2, 3], Budget::default()), Ok([1, 2, 3]));
    }
}
