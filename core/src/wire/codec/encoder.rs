mod row;

use std::cell::Cell;
use std::mem;

use bytes::Bytes;
use postcard::ser_flavors::Flavor;
use serde::{Serialize, Serializer, ser};

use row::Row;

use super::EncodeError;
use super::error::EncodeFault;
use super::kept::Keeping;
use crate::wire::budget::MAX_DEPTH;
use crate::wire::content::Content;
use crate::wire::rope::LARGE;

/// So many elements are worth a look at whether they can fit.
const MANY: usize = 1 << 20;

/// Encodes a value in at most `limit` bytes.
///
/// A piece that would pass the limit is refused before it is copied. Whole byte slices (`bytes::Bytes`, `serde_bytes`)
/// are copied once, a `Vec<u8>` byte by byte.
///
/// # Errors
/// [`EncodeError::TooLarge`]; [`EncodeError::TooDeep`] where a receiver with the default budget would refuse the depth;
/// [`EncodeError::Serialize`] with the words of the value's own `Serialize`, or where it needs a self-describing format.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, limit: usize) -> Result<Bytes, EncodeError> {
    encode_as(&[], value, limit, Bytes::copy_from_slice, Bytes::from)
}

/// The same, as the bytes of a message, behind others.
///
/// # Errors
/// Those of [`encode`].
#[inline]
pub(crate) fn encode_payload<T: Serialize + ?Sized>(
    head: &[u8],
    value: &T,
    limit: usize,
) -> Result<Content, EncodeError> {
    encode_as(head, value, limit, Content::copy_from_slice, Content::from)
}

#[inline]
fn encode_as<T: Serialize + ?Sized, R>(
    head: &[u8],
    value: &T,
    limit: usize,
    short: impl FnOnce(&[u8]) -> R,
    long: impl FnOnce(Vec<u8>) -> R,
) -> Result<R, EncodeError> {
    // A `Serialize` that encodes something by itself finds no memory here, and has its own.
    let mut bytes = SCRATCH.try_with(Cell::take).unwrap_or_default();
    bytes.extend_from_slice(head);
    let encoded = encode_into(value, limit - head.len(), &mut bytes).map_err(|error| match error {
        EncodeError::TooLarge { .. } => EncodeError::TooLarge { limit },
        other => other,
    });
    if encoded.is_ok() && bytes.len() > SHORT {
        return Ok(long(bytes));
    }
    // Most messages are short: a piece of memory of their size for them, and none that grows.
    let short = encoded.map(|()| short(&bytes));
    bytes.clear();
    if bytes.capacity() > SHORT {
        bytes.shrink_to(SHORT);
    }
    // A thread that ends has none any more.
    let _ = SCRATCH.try_with(|scratch| scratch.set(bytes));
    short
}

/// What is copied out of the memory that it was encoded in.
const SHORT: usize = 1 << 10;

thread_local! {
    /// Memory in which short messages are encoded.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The same behind what is in `into` already, which an error leaves as it was.
///
/// # Errors
/// Those of [`encode`].
pub(crate) fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let from = into.len();
    let keeping = Keeping::take();
    let output = Limited { bytes: mem::take(into), limit: from.saturating_add(limit), overflowed: false };
    let mut encoder = Encoder { postcard: postcard::Serializer { output }, depth: MAX_DEPTH, keeping };
    let result = value.serialize(&mut encoder);
    *into = encoder.postcard.output.bytes;
    if let Some(keeping) = encoder.keeping
        && result.is_ok()
    {
        keeping.give_back();
    }
    result.map_err(|fault| {
        into.truncate(from);
        match EncodeError::from(fault) {
            EncodeError::TooLarge { .. } => EncodeError::TooLarge { limit },
            other => other,
        }
    })
}

/// Postcard's encoding with our errors, a depth, and no way to leave out a field.
struct Encoder {
    postcard: postcard::Serializer<Limited>,
    /// The levels that may still be entered. Counted as the decoder counts them.
    depth: u32,
    /// Large bytes that it need not copy.
    keeping: Option<Box<Keeping>>,
}

/// A buffer that grows up to a limit.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
    overflowed: bool,
}

impl Flavor for Limited {
    type Output = Vec<u8>;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.bytes.len() >= self.limit {
            return self.try_extend(&[byte]);
        }
        self.bytes.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() > self.limit - self.bytes.len() {
            self.overflowed = true;
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.bytes)
    }
}

impl Encoder {
    #[inline]
    fn put(
        &mut self,
        write: impl FnOnce(&mut postcard::Serializer<Limited>) -> postcard::Result<()>,
    ) -> Result<(), EncodeFault> {
        write(&mut self.postcard).map_err(|_| self.fault())
    }

    fn large_bytes(&mut self, value: &[u8]) -> Result<(), EncodeFault> {
        self.put(|postcard| postcard.serialize_u64(value.len() as u64))?;
        let Limited { bytes, limit, overflowed } = &mut self.postcard.output;
        if value.len() > *limit - bytes.len() {
            *overflowed = true;
            return Err(self.fault());
        }
        let is_kept = self.keeping.as_mut().is_some_and(|keeping| keeping.meet(value, bytes.len()));
        if is_kept {
            *limit -= value.len();
        } else {
            bytes.extend_from_slice(value);
        }
        Ok(())
    }

    /// What a failed write means: postcard itself has no other failure here than a full buffer and a failed `Display`.
    #[cold]
    fn fault(&self) -> EncodeFault {
        let Limited { limit, overflowed, .. } = self.postcard.output;
        if overflowed { EncodeError::TooLarge { limit }.into() } else { EncodeFault::refused("its `Display` failed") }
    }

    #[inline]
    fn length(&mut self, length: Option<usize>) -> Result<(), EncodeFault> {
        let Some(length) = length else {
            return Err(EncodeFault::refused(
                "a sequence or a map does not know its length beforehand, as with serde's `flatten`",
            ));
        };
        self.put(|postcard| postcard.serialize_u64(length as u64))?;
        // An element takes a byte or more: what cannot fit is refused before it is copied, element by element, as far as
        // it would go. Elements that take none are so many only by mistake.
        let Limited { bytes, limit, overflowed } = &mut self.postcard.output;
        if length > *limit - bytes.len() && length > MANY {
            *overflowed = true;
            return Err(self.fault());
        }
        Ok(())
    }

    #[inline]
    fn variant(&mut self, index: u32) -> Result<(), EncodeFault> {
        self.put(|postcard| postcard.serialize_u32(index))
    }

    /// Goes one level down. The end of the level gives it back; after an error nobody goes on.
    #[inline]
    fn enter(&mut self) -> Result<&mut Self, EncodeFault> {
        match self.depth.checked_sub(1) {
            Some(left) => {
                self.depth = left;
                Ok(self)
            }
            None => Err(EncodeError::TooDeep { limit: MAX_DEPTH }.into()),
        }
    }

    #[inline]
    fn leave(&mut self) {
        self.depth += 1;
    }

    #[inline]
    fn inner<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeFault> {
        value.serialize(&mut *self.enter()?)?;
        self.leave();
        Ok(())
    }
}

/// Postcard writes these itself.
macro_rules! primitives {
    ($($method:ident: $type:ty,)*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), EncodeFault> {
            self.put(|postcard| postcard.$method(value))
        }
    )*};
}

impl<'a> Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = EncodeFault;
    type SerializeSeq = Row<'a>;
    type SerializeTuple = Row<'a>;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    primitives! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeFault> {
        if self.keeping.is_some() && value.len() >= LARGE {
            return self.large_bytes(value);
        }
        self.put(|postcard| postcard.serialize_bytes(value))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), EncodeFault> {
        self.put(|postcard| postcard.collect_str(value))
    }

    #[inline]
    fn serialize_none(self) -> Result<(), EncodeFault> {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeFault> {
        self.serialize_u8(1)?;
        self.inner(value)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), EncodeFault> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeFault> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), EncodeFault> {
        self.enter()?.variant(index)?;
        self.leave();
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), EncodeFault> {
        self.inner(value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeFault> {
        self.variant(index)?;
        self.inner(value)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Row<'a>, EncodeFault> {
        self.length(length)?;
        self.enter().map(|encoder| Row::new(encoder, length.unwrap_or_default()))
    }

    #[inline]
    fn serialize_tuple(self, length: usize) -> Result<Row<'a>, EncodeFault> {
        self.enter().map(|encoder| Row::new(encoder, length))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, EncodeFault> {
        self.enter()
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, EncodeFault> {
        self.variant(index)?;
        self.enter()
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self, EncodeFault> {
        self.length(length)?;
        self.enter()
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, EncodeFault> {
        self.enter()
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, EncodeFault> {
        self.variant(index)?;
        self.enter()
    }
}

/// The traits of serde for what has parts differ in names only.
macro_rules! parts {
    ($($trait:ident { $($method:ident)* $(, $named:ident)? })*) => {$(
        impl ser::$trait for &mut Encoder {
            type Ok = ();
            type Error = EncodeFault;

            $(#[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeFault> {
                value.serialize(&mut **self)
            })*

            $(#[inline]
            fn $named<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), EncodeFault> {
                value.serialize(&mut **self)
            }

            // The format has no field names: a receiver would read the next field in the place of the one left out.
            fn skip_field(&mut self, name: &'static str) -> Result<(), EncodeFault> {
                Err(EncodeFault::refused(&format!(
                    "field `{name}` is left out at times (`skip_serializing_if`), which the format cannot express"
                )))
            })?

            #[inline]
            fn end(self) -> Result<(), EncodeFault> {
                self.leave();
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeTupleStruct { serialize_field }
    SerializeTupleVariant { serialize_field }
    SerializeMap { serialize_key serialize_value }
    SerializeStruct { , serialize_field }
    SerializeStructVariant { , serialize_field }
}
