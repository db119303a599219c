use std::cell::Cell;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::error::DecodeFault;
use super::{Budget, DecodeError};
use crate::wire::budget::Meter;

/// Decodes a value that takes up all of `bytes`, within a budget.
///
/// A length is checked against the budget before anything is made of it, so that a refusal is quick. `bytes::Bytes` and
/// `serde_bytes` fields are copied once.
///
/// # Errors
/// [`DecodeError`]: what was wrong with the bytes, or which part of the budget did not suffice.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &Bytes, budget: Budget) -> Result<T, DecodeError> {
    decode_with(&mut Decoder::new(bytes, budget))
}

/// The same of bytes that somebody else has.
///
/// # Errors
/// Those of [`decode`].
pub(crate) fn decode_slice<T: DeserializeOwned>(bytes: &[u8], budget: Budget) -> Result<T, DecodeError> {
    decode_with(&mut Decoder::new(bytes, budget))
}

/// Decodes, and says how much memory the budget gave for it.
#[cfg(test)]
pub(super) fn decode_metered<T: DeserializeOwned>(bytes: &[u8], budget: Budget) -> (Result<T, DecodeError>, usize) {
    let mut decoder = Decoder::new(bytes, budget);
    let result = decode_with(&mut decoder);
    (result, decoder.meter.memory_taken())
}

#[inline]
fn decode_with<'de, T: Deserialize<'de>>(decoder: &mut Decoder<'de>) -> Result<T, DecodeError> {
    // What the caller gets by value is its own affair: it is as large for the smallest message.
    let value = decoder.place(PhantomData::<T>)?;
    match decoder.rest.len() {
        0 => Ok(value),
        left => Err(DecodeError::Trailing { left }),
    }
}

/// The bytes that are still to be read, the budget that is still to be used; serde's deserializer.
///
/// Postcard's own could be wrapped instead, but then every visitor has to be wrapped too, and it loses the words of a
/// type's own error. Postcard still reads all that has bytes of its own; what is left is the nesting, which is what the
/// budget is about.
struct Decoder<'de> {
    rest: &'de [u8],
    meter: Meter,
    /// The memory that is already taken from the budget for the place of the value that comes next.
    paid: usize,
}

impl<'de> Decoder<'de> {
    #[inline]
    fn new(bytes: &'de [u8], budget: Budget) -> Self {
        Self { rest: bytes, meter: Meter::new(budget, bytes.len()), paid: 0 }
    }

    /// Decodes a value into a place that is paid for.
    #[inline(always)]
    fn place<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, DecodeFault> {
        self.paid = size_of::<T::Value>();
        seed.deserialize(self)
    }

    /// Takes memory for what a value is larger than its place: the place then holds a `Box` or the like.
    #[inline]
    fn pay_for<T>(&mut self) -> Result<(), DecodeFault> {
        let size = size_of::<T>();
        if size > self.paid {
            self.meter.take_memory(size - self.paid)?;
            self.paid = size;
        }
        Ok(())
    }

    /// Goes one level down for what `visit` does there.
    #[inline]
    fn inside<T>(&mut self, visit: impl FnOnce(&mut Self) -> Result<T, DecodeFault>) -> Result<T, DecodeFault> {
        self.meter.enter()?;
        let value = visit(self)?;
        self.meter.leave();
        Ok(value)
    }

    /// Visits the parts of a value in the place that was paid for last.
    #[inline]
    fn visit_fields<V: Visitor<'de>>(&mut self, left: usize, visitor: V) -> Result<V::Value, DecodeFault> {
        self.meter.take_nodes(left)?;
        visitor.visit_seq(Fields { left, paid: self.paid, row: Row { rest: self.rest, decoder: self } })
    }

    /// Reads what postcard reads by itself: a number, a string, bytes.
    #[inline(always)]
    fn read<T: Deserialize<'de>>(&mut self) -> Result<T, DecodeFault> {
        let (value, rest) = postcard::take_from_bytes(self.rest)?;
        self.rest = rest;
        Ok(value)
    }

    /// Reads a byte. Of what is as long as that there is often much in a row.
    #[inline(always)]
    fn read_byte(&mut self) -> Result<u8, DecodeFault> {
        let Some((byte, rest)) = self.rest.split_first() else { return Err(DecodeError::Truncated.into()) };
        self.rest = rest;
        Ok(*byte)
    }

    /// Reads how many elements follow, and takes the room for them.
    #[inline]
    fn read_length(&mut self) -> Result<usize, DecodeFault> {
        let length = usize::try_from(self.read::<u64>()?).unwrap_or(usize::MAX);
        self.meter.take_nodes(length)?;
        Ok(length)
    }

    fn not_self_describing<T>(&self) -> Result<T, DecodeFault> {
        Err(DecodeFault::malformed(
            "the type needs a self-describing format, as with serde's `untagged`, `tag` and `flatten`",
        ))
    }
}

/// What a collection may make room for before it has its first element, which is what shows their size.
///
/// Not every collection is as careful with it as serde's own. A long list grows fast enough from there.
#[inline]
fn hint(left: usize, rest: &[u8]) -> usize {
    left.min(rest.len()).min(16 << 10)
}

/// Postcard reads these itself.
macro_rules! primitives {
    ($($method:ident: $type:ty => $visit:ident,)*) => {$(
        #[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
            visitor.$visit(self.read::<$type>()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = DecodeFault;

    primitives! {
        deserialize_bool: bool => visit_bool,
        deserialize_i16: i16 => visit_i16,
        deserialize_i32: i32 => visit_i32,
        deserialize_i64: i64 => visit_i64,
        deserialize_i128: i128 => visit_i128,
        deserialize_u16: u16 => visit_u16,
        deserialize_u32: u32 => visit_u32,
        deserialize_u64: u64 => visit_u64,
        deserialize_u128: u128 => visit_u128,
        deserialize_f32: f32 => visit_f32,
        deserialize_f64: f64 => visit_f64,
        deserialize_char: char => visit_char,
        deserialize_str: &'de str => visit_borrowed_str,
        deserialize_string: &'de str => visit_borrowed_str,
        deserialize_bytes: &'de [u8] => visit_borrowed_bytes,
        deserialize_byte_buf: &'de [u8] => visit_borrowed_bytes,
    }

    #[inline]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
        visitor.visit_u8(self.read_byte()?)
    }

    #[inline]
    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
        visitor.visit_i8(self.read_byte()?.cast_signed())
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeFault> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
        self.pay_for::<V::Value>()?;
        match self.read_byte()? {
            0 => visitor.visit_none(),
            1 => self.inside(|decoder| visitor.visit_some(decoder)),
            _ => Err(DecodeFault::malformed("an option is neither 0 nor 1")),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeFault> {
        self.pay_for::<V::Value>()?;
        self.inside(|decoder| visitor.visit_newtype_struct(decoder))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
        self.pay_for::<V::Value>()?;
        let left = self.read_length()?;
        self.inside(|decoder| {
            let row = Row { rest: decoder.rest, decoder };
            visitor.visit_seq(Elements { row, left, paid: 0, asked: Cell::new(false) })
        })
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
        self.pay_for::<V::Value>()?;
        let left = self.read_length()?;
        self.inside(|decoder| {
            visitor.visit_map(Entries { decoder, left, paid_key: 0, paid_value: 0, asked: Cell::new(false) })
        })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, DecodeFault> {
        self.pay_for::<V::Value>()?;
        self.inside(|decoder| decoder.visit_fields(length, visitor))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeFault> {
        self.deserialize_tuple(length, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFault> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFault> {
        self.pay_for::<V::Value>()?;
        self.inside(|decoder| visitor.visit_enum(decoder))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeFault> {
        self.not_self_describing()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeFault> {
        self.not_self_describing()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeFault> {
        self.not_self_describing()
    }
}

/// Values one behind the other, and where the next one begins.
///
/// That place is not the decoder's own while bytes are read: in the loop over an array of bytes it lies in a register, and not
/// in memory, where each byte would wait for the one before.
struct Row<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    rest: &'de [u8],
}

impl<'de> Row<'_, 'de> {
    #[inline(always)]
    fn place<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, DecodeFault> {
        seed.deserialize(Next { row: self, paid: size_of::<T::Value>() })
    }

    #[inline(always)]
    fn read_byte(&mut self) -> Result<u8, DecodeFault> {
        let Some((byte, rest)) = self.rest.split_first() else { return Err(DecodeError::Truncated.into()) };
        self.rest = rest;
        Ok(*byte)
    }
}

/// The decoder goes on behind it.
impl Drop for Row<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.decoder.rest = self.rest;
    }
}

/// The next value of a row, in a place of this size that is paid for.
struct Next<'r, 'a, 'de> {
    row: &'r mut Row<'a, 'de>,
    paid: usize,
}

/// What is no single byte is the decoder's.
macro_rules! passed_on {
    ($($method:ident($($name:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, DecodeFault> {
            let Self { row, paid } = self;
            row.decoder.rest = row.rest;
            row.decoder.paid = paid;
            let value = row.decoder.$method($($name,)* visitor)?;
            row.rest = row.decoder.rest;
            Ok(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Next<'_, '_, 'de> {
    type Error = DecodeFault;

    #[inline(always)]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
        visitor.visit_u8(self.row.read_byte()?)
    }

    #[inline(always)]
    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFault> {
        visitor.visit_i8(self.row.read_byte()?.cast_signed())
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    passed_on! {
        deserialize_bool();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_option();
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_map();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_any();
        deserialize_identifier();
        deserialize_ignored_any();
    }
}

/// The fields of a struct, or the parts of a tuple or array.
struct Fields<'a, 'de> {
    row: Row<'a, 'de>,
    left: usize,
    /// The memory of the whole that no field has used yet. A visitor that puts the fields elsewhere uses more.
    paid: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = DecodeFault;

    #[inline(always)]
    fn next_element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, DecodeFault> {
        self.next_element_seed(PhantomData)
    }

    #[inline(always)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeFault> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        match self.paid.checked_sub(size_of::<T::Value>()) {
            Some(paid) => self.paid = paid,
            None => {
                self.row.decoder.meter.take_memory(size_of::<T::Value>() - self.paid)?;
                self.paid = 0;
            }
        }
        self.row.place(seed).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The elements of a sequence.
struct Elements<'a, 'de> {
    row: Row<'a, 'de>,
    left: usize,
    /// The size of element that all that are left are paid for: the first one shows it.
    paid: usize,
    /// Whether the collection wanted to know its size. One that does makes a table of it; one that does not makes nodes.
    asked: Cell<bool>,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = DecodeFault;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeFault> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        if size_of::<T::Value>() > self.paid {
            let slots = if self.asked.get() { self.left } else { slots_in_nodes(self.left) };
            self.row.decoder.meter.take_memory((size_of::<T::Value>() - self.paid).saturating_mul(slots))?;
            self.paid = size_of::<T::Value>();
        }
        self.left = left;
        self.row.place(seed).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.asked.set(true);
        Some(hint(self.left, self.row.rest))
    }
}

/// The entries of a map.
struct Entries<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
    /// The sizes of key and value that all that are left are paid for.
    paid_key: usize,
    paid_value: usize,
    asked: Cell<bool>,
}

impl Entries<'_, '_> {
    /// The entries that there is room for in a map of so many.
    fn slots(&self, length: usize) -> usize {
        match self.asked.get() {
            true => slots_in_table(length),
            false => slots_in_nodes(length),
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = DecodeFault;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeFault> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        if size_of::<K::Value>() > self.paid_key {
            let slots = self.slots(self.left);
            self.decoder.meter.take_memory((size_of::<K::Value>() - self.paid_key).saturating_mul(slots))?;
            self.paid_key = size_of::<K::Value>();
        }
        self.left = left;
        self.decoder.place(seed).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeFault> {
        if size_of::<V::Value>() > self.paid_value {
            // The key has already been counted down.
            let slots = self.slots(self.left + 1);
            self.decoder.meter.take_memory((size_of::<V::Value>() - self.paid_value).saturating_mul(slots))?;
            self.paid_value = size_of::<V::Value>();
        }
        self.decoder.place(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.asked.set(true);
        Some(hint(self.left, self.decoder.rest))
    }
}

/// A hash table has a power of two of slots, one in eight of them free.
fn slots_in_table(length: usize) -> usize {
    length.saturating_mul(2).max(4)
}

/// A B-tree has whole nodes of eleven slots, about half full at least.
fn slots_in_nodes(length: usize) -> usize {
    length.saturating_mul(2).max(12)
}

impl<'de> EnumAccess<'de> for &mut Decoder<'de> {
    type Error = DecodeFault;
    type Variant = Self;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), DecodeFault> {
        let index = self.read::<u32>()?;
        let name = seed.deserialize(IntoDeserializer::<DecodeFault>::into_deserializer(index))?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Decoder<'de> {
    type Error = DecodeFault;

    #[inline]
    fn unit_variant(self) -> Result<(), DecodeFault> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeFault> {
        self.pay_for::<T::Value>()?;
        self.place(seed)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, DecodeFault> {
        self.pay_for::<V::Value>()?;
        self.visit_fields(length, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFault> {
        self.tuple_variant(fields.len(), visitor)
    }
}
