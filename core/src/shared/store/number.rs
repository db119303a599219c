//! Arithmetic on encoded numbers, which are no types of users.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::item::Item;
use super::refusal::Refusal;
use crate::wire::budget::Budget;
use crate::wire::codec;

/// What is to be done to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) enum How {
    Add,
    Subtract,
    Multiply,
    Max,
    Min,
}

/// A number to be computed from the present one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shared) struct Computation<I> {
    pub(in crate::shared) number: NumberType,
    pub(in crate::shared) how: How,
    pub(in crate::shared) operand: I,
}

impl<I: Item> Computation<I> {
    /// The new number. Where there is none yet, it is the operand: nothing plus one is one.
    pub(in crate::shared) fn run(&self, old: Option<&I>) -> Result<I, Refusal> {
        let old = old.map(Item::bytes);
        let new = self.number.compute(self.how, old, self.operand.bytes())?;
        Ok(I::of(new, &[]))
    }
}

trait Arithmetic: Copy + PartialOrd + Serialize + serde::de::DeserializeOwned {
    fn add(self, other: Self) -> Option<Self>;
    fn subtract(self, other: Self) -> Option<Self>;
    fn multiply(self, other: Self) -> Option<Self>;
    fn greater(self, other: Self) -> Self;
    fn less(self, other: Self) -> Self;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Arithmetic for $type {
            fn add(self, other: Self) -> Option<Self> { self.checked_add(other) }
            fn subtract(self, other: Self) -> Option<Self> { self.checked_sub(other) }
            fn multiply(self, other: Self) -> Option<Self> { self.checked_mul(other) }
            fn greater(self, other: Self) -> Self { self.max(other) }
            fn less(self, other: Self) -> Self { self.min(other) }
        }
    )*};
}

macro_rules! floats {
    ($($type:ty)*) => {$(
        impl Arithmetic for $type {
            fn add(self, other: Self) -> Option<Self> { Some(self + other) }
            fn subtract(self, other: Self) -> Option<Self> { Some(self - other) }
            fn multiply(self, other: Self) -> Option<Self> { Some(self * other) }
            fn greater(self, other: Self) -> Self { self.max(other) }
            fn less(self, other: Self) -> Self { self.min(other) }
        }
    )*};
}

integers! { i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 }
floats! { f32 f64 }

macro_rules! number_types {
    ($($name:ident: $type:ty,)*) => {
        /// The type of a number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub(in crate::shared) enum NumberType {
            $($name,)*
        }

        impl NumberType {
            pub(in crate::shared) fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($type),)*
                }
            }

            fn compute(self, how: How, old: Option<&[u8]>, operand: &[u8]) -> Result<Bytes, Refusal> {
                match self {
                    $(Self::$name => compute::<$type>(self, how, old, operand),)*
                }
            }
        }
    };
}

number_types! {
    I8: i8, I16: i16, I32: i32, I64: i64, I128: i128,
    U8: u8, U16: u16, U32: u32, U64: u64, U128: u128,
    F32: f32, F64: f64,
}

fn compute<N: Arithmetic>(number: NumberType, how: How, old: Option<&[u8]>, operand: &[u8]) -> Result<Bytes, Refusal> {
    let not_a_number = || Refusal::NotANumber { number: number.name().to_owned() };
    let decode = |bytes| codec::decode_slice::<N>(bytes, Budget::default()).map_err(|_| not_a_number());
    let operand = decode(operand)?;
    let new = match (old.map(decode).transpose()?, how) {
        (Some(old), How::Add) => old.add(operand),
        (Some(old), How::Subtract) => old.subtract(operand),
        (Some(old), How::Multiply) => old.multiply(operand),
        (Some(old), How::Max) => Some(old.greater(operand)),
        (Some(old), How::Min) => Some(old.less(operand)),
        (None, _) => Some(operand),
    };
    let new = new.ok_or_else(|| Refusal::Overflow { number: number.name().to_owned() })?;
    codec::encode(&new, 32).map_err(|_| not_a_number())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<N: Serialize>(number: NumberType, how: How, old: Option<N>, operand: N) -> Result<Bytes, Refusal> {
        let encode = |number| codec::encode(&number, 32).unwrap();
        Computation { number, how, operand: encode(operand) }.run(old.map(encode).as_ref())
    }

    #[test]
    fn numbers_of_each_type_are_computed_or_refused() {
        let encoded = |number: i64| Ok(codec::encode(&number, 32).unwrap());
        assert_eq!(run(NumberType::I64, How::Add, Some(-3i64), 5), encoded(2));
        assert_eq!(run(NumberType::I64, How::Max, Some(-3i64), -5), encoded(-3));
        assert_eq!(run(NumberType::I64, How::Min, Some(-3i64), -5), encoded(-5));
        assert_eq!(run(NumberType::I64, How::Multiply, Some(-3i64), -5), encoded(15));
        assert_eq!(run(NumberType::I64, How::Add, None, 5i64), encoded(5));
        let overflow = |number: &str| Err(Refusal::Overflow { number: number.to_owned() });
        assert_eq!(run(NumberType::I64, How::Add, Some(i64::MAX), 1), overflow("i64"));
        assert_eq!(run(NumberType::U8, How::Subtract, Some(3u8), 4), overflow("u8"));
        let float = |number: f64| Ok(codec::encode(&number, 32).unwrap());
        assert_eq!(run(NumberType::F64, How::Add, Some(0.5f64), 0.25), float(0.75));
        assert_eq!(run(NumberType::F64, How::Max, Some(f64::NAN), 0.25), float(0.25));
        let wrong = Err(Refusal::NotANumber { number: "u8".to_owned() });
        assert_eq!(run(NumberType::U8, How::Add, Some("text"), ""), wrong);
    }
}
