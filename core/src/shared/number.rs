//! Numbers that shared objects can compute with.

use super::store::number::{Computation, How, NumberType};
use crate::actor::parcel::Parcel;
use crate::actor::traits::Payload;
use crate::wire::codec::EncodeError;

/// A number that a shared object can compute with, so that a change is one operation: the integers of up to 128 bits and the
/// two floats.
///
/// Integers never wrap: what would is refused with [`Overflow`](super::Refusal::Overflow). Floats follow IEEE 754.
pub trait Number: Payload + Copy + Default + sealed::Typed {}

pub(super) mod sealed {
    use super::NumberType;

    /// The type, as the object knows it.
    pub trait Typed {
        #[doc(hidden)]
        fn number_type() -> u8;
    }

    pub(in crate::shared) fn of<N: Typed>() -> NumberType {
        super::TYPES[usize::from(N::number_type())]
    }
}

macro_rules! numbers {
    ($($type:ty: $name:ident,)*) => {
        const TYPES: &[NumberType] = &[$(NumberType::$name,)*];

        $(impl Number for $type {}

        impl sealed::Typed for $type {
            fn number_type() -> u8 {
                TYPES.iter().position(|other| *other == NumberType::$name).unwrap_or_default() as u8
            }
        })*
    };
}

numbers! {
    i8: I8, i16: I16, i32: I32, i64: I64, i128: I128, isize: I64,
    u8: U8, u16: U16, u32: U32, u64: U64, u128: U128, usize: U64,
    f32: F32, f64: F64,
}

/// What an object is to compute.
pub(super) fn computation<N: Number>(how: How, operand: N) -> Result<Computation<Parcel>, EncodeError> {
    Ok(Computation { number: sealed::of::<N>(), how, operand: Parcel::new(&operand)? })
}
