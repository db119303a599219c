//! Values one behind the other, of which bytes are many.

use std::mem;

use serde::{Serialize, Serializer, ser};

use super::{EncodeFault, Encoder, Limited};

/// The room for bytes one behind the other: at first no more than this,
const FIRST_ROOM: usize = 1 << 10;
/// and each time twice as much, from this
const LITTLE_ROOM: usize = 16;
/// to this.
const MUCH_ROOM: usize = 1 << 20;

/// Values one behind the other.
///
/// While they are bytes it has the buffer by itself, with room in it: in the loop over an array of bytes the place of the next
/// one lies in a register, and not in memory, where each byte would wait for the one before.
pub(super) struct Row<'a> {
    encoder: &'a mut Encoder,
    /// The encoder's buffer while it is `taken`.
    bytes: Vec<u8>,
    /// How many of these are encoded; the others are room.
    used: usize,
    taken: bool,
    /// How much room is made next.
    hint: usize,
}

impl<'a> Row<'a> {
    #[inline(always)]
    pub(super) fn new(encoder: &'a mut Encoder, hint: usize) -> Self {
        Self { encoder, bytes: Vec::new(), used: 0, taken: false, hint: hint.min(FIRST_ROOM) }
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) -> Result<(), EncodeFault> {
        if self.used == self.bytes.len() {
            let had = if mem::take(&mut self.taken) { Some(mem::take(&mut self.bytes)) } else { None };
            let more = self.hint.clamp(LITTLE_ROOM, MUCH_ROOM);
            let (bytes, used) = self.encoder.with_room(had, self.used, more)?;
            (self.bytes, self.used, self.taken) = (bytes, used, true);
            // Of a list its length is only said: it gets more room as it has more.
            self.hint = more * 2;
        }
        self.bytes[self.used] = byte;
        self.used += 1;
        Ok(())
    }

    /// Gives the buffer back to the encoder.
    #[inline(always)]
    fn give_back(&mut self) {
        if mem::take(&mut self.taken) {
            self.bytes.truncate(mem::take(&mut self.used));
            self.encoder.postcard.output.bytes = mem::take(&mut self.bytes);
        }
    }

    #[inline(always)]
    fn close(self) -> Result<(), EncodeFault> {
        self.encoder.leave();
        Ok(())
    }
}

/// Whatever happens: what was encoded before is somebody's.
impl Drop for Row<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A sequence and a tuple differ in their traits only.
macro_rules! rows {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Row<'_> {
            type Ok = ();
            type Error = EncodeFault;

            #[inline(always)]
            fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeFault> {
                value.serialize(Next(self))
            }

            #[inline(always)]
            fn end(self) -> Result<(), EncodeFault> {
                self.close()
            }
        }
    )*};
}

rows!(SerializeSeq SerializeTuple);

/// The next value of a row.
struct Next<'r, 'a>(&'r mut Row<'a>);

/// What is no single byte is the encoder's.
macro_rules! passed_on {
    ($($method:ident $(<$generic:ident>)? ($($name:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[inline]
        fn $method $(<$generic: Serialize + ?Sized>)? (self, $($name: $type),*) -> Result<$result, EncodeFault> {
            self.0.give_back();
            self.0.encoder.$method($($name),*)
        }
    )*};
}

impl<'r> Serializer for Next<'r, '_> {
    type Ok = ();
    type Error = EncodeFault;
    type SerializeSeq = Row<'r>;
    type SerializeTuple = Row<'r>;
    type SerializeTupleStruct = &'r mut Encoder;
    type SerializeTupleVariant = &'r mut Encoder;
    type SerializeMap = &'r mut Encoder;
    type SerializeStruct = &'r mut Encoder;
    type SerializeStructVariant = &'r mut Encoder;

    #[inline(always)]
    fn serialize_u8(self, value: u8) -> Result<(), EncodeFault> {
        self.0.push(value)
    }

    #[inline(always)]
    fn serialize_i8(self, value: i8) -> Result<(), EncodeFault> {
        self.0.push(value.cast_unsigned())
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), EncodeFault> {
        self.0.give_back();
        self.0.encoder.collect_str(value)
    }

    passed_on! {
        serialize_bool(value: bool) -> ();
        serialize_i16(value: i16) -> ();
        serialize_i32(value: i32) -> ();
        serialize_i64(value: i64) -> ();
        serialize_i128(value: i128) -> ();
        serialize_u16(value: u16) -> ();
        serialize_u32(value: u32) -> ();
        serialize_u64(value: u64) -> ();
        serialize_u128(value: u128) -> ();
        serialize_f32(value: f32) -> ();
        serialize_f64(value: f64) -> ();
        serialize_char(value: char) -> ();
        serialize_str(value: &str) -> ();
        serialize_bytes(value: &[u8]) -> ();
        serialize_none() -> ();
        serialize_some<T>(value: &T) -> ();
        serialize_unit() -> ();
        serialize_unit_struct(name: &'static str) -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_newtype_struct<T>(name: &'static str, value: &T) -> ();
        serialize_newtype_variant<T>(name: &'static str, index: u32, variant: &'static str, value: &T) -> ();
        serialize_seq(length: Option<usize>) -> Row<'r>;
        serialize_tuple(length: usize) -> Row<'r>;
        serialize_tuple_struct(name: &'static str, length: usize) -> &'r mut Encoder;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> &'r mut Encoder;
        serialize_map(length: Option<usize>) -> &'r mut Encoder;
        serialize_struct(name: &'static str, length: usize) -> &'r mut Encoder;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> &'r mut Encoder;
    }
}

impl Encoder {
    /// A buffer with room in it for what comes, within the limit, and how many bytes it has beside: that of a [`Row`], which is
    /// full, or our own. It is our own again where there is no room.
    #[cold]
    fn with_room(
        &mut self,
        of_row: Option<Vec<u8>>,
        used: usize,
        more: usize,
    ) -> Result<(Vec<u8>, usize), EncodeFault> {
        let Limited { bytes, limit, overflowed } = &mut self.postcard.output;
        if let Some(of_row) = of_row {
            *bytes = of_row;
            bytes.truncate(used);
        }
        let used = bytes.len();
        if used >= *limit {
            *overflowed = true;
            return Err(self.fault());
        }
        bytes.resize(used.saturating_add(more).min(*limit), 0);
        Ok((mem::take(bytes), used))
    }
}

#[cfg(test)]
mod tests {
    use serde::ser::{Error, SerializeTuple};

    use super::*;
    use crate::wire::budget::Budget;
    use crate::wire::codec::{EncodeError, decode_slice, encode_into};

    #[test]
    fn bytes_among_other_values_are_postcards_bytes() {
        let value = (
            1_u8,
            -2_i8,
            [3_u8; 32],
            "four".to_owned(),
            vec![[5_u8; 3]; 2],
            6_u8,
            (7_u16, 8_u8),
            vec![9_u8; 5000],
            10_u8,
        );
        let mut bytes = b"before".to_vec();
        encode_into(&value, 10_000, &mut bytes).unwrap();
        assert_eq!(bytes[6..], postcard::to_stdvec(&value).unwrap());
        let decoded = decode_slice(&bytes[6..], Budget::default());
        assert_eq!(decoded, Ok(value));
    }

    #[test]
    fn a_row_of_bytes_fills_the_limit_and_does_not_pass_it() {
        for len in [1, LITTLE_ROOM, FIRST_ROOM, 3 * FIRST_ROOM + 1] {
            let value = (0_u64, vec![7_u8; len], 8_u8);
            let needed = postcard::to_stdvec(&value).unwrap().len();
            let mut bytes = b"before".to_vec();
            assert_eq!(encode_into(&value, needed, &mut bytes), Ok(()));
            assert_eq!(bytes.len(), 6 + needed);
            for limit in [needed - 1, needed / 2] {
                let mut bytes = b"before".to_vec();
                assert_eq!(encode_into(&value, limit, &mut bytes), Err(EncodeError::TooLarge { limit }));
                assert_eq!(bytes, b"before");
            }
        }
    }

    /// Gives up after a byte.
    struct Half;

    impl Serialize for Half {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_tuple(2)?.serialize_element(&1_u8)?;
            Err(S::Error::custom("on purpose"))
        }
    }

    #[test]
    fn a_row_that_is_given_up_leaves_what_was_there() {
        let mut bytes = b"before".to_vec();
        encode_into(&([1_u8; 20], 2_u8, Half), 100, &mut bytes).unwrap_err();
        assert_eq!(bytes, b"before");
    }

    #[test]
    fn many_short_rows_in_a_long_encoding_take_little_room_each() {
        let rows = vec![[7_u8; 3]; 300_000];
        let mut bytes = Vec::new();
        encode_into(&rows, 1 << 20, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 3 + 900_000);
    }
}
