//! An encoded value, and what it takes up in a message.

use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::ops::Add;

use bytes::Bytes;

use super::refusal::Refusal;
use crate::wire::frame::PAYLOAD_LIMIT;

/// What a message needs around the values in it, at most.
const AROUND: usize = 4 << 10;
/// What a message needs around each value in it, at most.
const AROUND_EACH: usize = 32;
/// The handles that the values of one message may hold together.
const HANDLES: usize = 250;
/// What a part of many values is filled up to. One value may be larger.
const PART: usize = 512 << 10;

/// An encoded value, with the handles that are in it.
pub(in crate::shared) trait Item: Clone {
    /// Its encoding. Two values are equal when these are.
    fn bytes(&self) -> &[u8];

    /// How many handles are in it.
    fn handles(&self) -> usize;

    /// A value put together from others, whose handles it has, in this order.
    fn of(bytes: Bytes, parts: &[&Self]) -> Self;

    /// What it takes up.
    fn weight(&self) -> Weight {
        Weight { bytes: self.bytes().len() + AROUND_EACH, handles: self.handles() }
    }

    /// The bytes of it that count against the bounds of a store.
    fn size(&self) -> u64 {
        self.bytes().len() as u64
    }
}

/// What values take up in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shared) struct Weight {
    pub(in crate::shared) bytes: usize,
    pub(in crate::shared) handles: usize,
}

impl Weight {
    /// Whether a message can carry it.
    pub(in crate::shared) fn check(self) -> Result<(), Refusal> {
        if self.bytes > PAYLOAD_LIMIT - AROUND {
            return Err(Refusal::TooLarge { size: self.bytes as u64, limit: (PAYLOAD_LIMIT - AROUND) as u64 });
        }
        if self.handles > HANDLES {
            return Err(Refusal::TooManyHandles { handles: self.handles as u64, limit: HANDLES as u64 });
        }
        Ok(())
    }

    /// Whether a part with it is full.
    pub(in crate::shared) fn fills_part(self) -> bool {
        self.bytes > PART || self.handles > HANDLES
    }
}

impl Add for Weight {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, handles: self.handles + other.handles }
    }
}

impl Sum for Weight {
    fn sum<I: Iterator<Item = Self>>(weights: I) -> Self {
        weights.fold(Self::default(), Add::add)
    }
}

/// How many of the first of these make up one part: as many as fit, and at least one.
pub(in crate::shared) fn part(weights: impl Iterator<Item = Weight>) -> usize {
    let mut total = Weight::default();
    let fits = |weight: &Weight| {
        total = total + *weight;
        !total.fills_part()
    };
    let mut weights = weights.peekable();
    let some = weights.peek().is_some();
    weights.take_while(fits).count().max(usize::from(some))
}

/// Refuses values that no message could bring back.
pub(in crate::shared) fn check<'a, I: Item + 'a>(items: impl IntoIterator<Item = &'a I>) -> Result<(), Refusal> {
    items.into_iter().map(Item::weight).sum::<Weight>().check()
}

/// An encoded sequence (a `Vec`, a `VecDeque`) with more elements at its end, and how many it has then.
pub(in crate::shared) fn extended<I: Item>(sequence: Option<&I>, elements: &[I]) -> Result<(I, u64), Refusal> {
    let old = sequence.map_or(&[0][..], Item::bytes);
    let (length, rest) = postcard::take_from_bytes::<u64>(old).map_err(|_| Refusal::NotASequence)?;
    let length = length.checked_add(elements.len() as u64).ok_or(Refusal::NotASequence)?;
    let added: usize = elements.iter().map(|element| element.bytes().len()).sum();
    let mut bytes = Vec::with_capacity(10 + rest.len() + added);
    let mut head = [0; 10];
    let head = postcard::to_slice(&length, &mut head).map_err(|_| Refusal::NotASequence)?;
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(rest);
    for element in elements {
        bytes.extend_from_slice(element.bytes());
    }
    let parts: Vec<&I> = sequence.into_iter().chain(elements).collect();
    Ok((I::of(bytes.into(), &parts), length))
}

/// A value as a key: equal, and hashed, by its encoding.
#[derive(Clone, Debug)]
pub(in crate::shared) struct Key<I>(pub(in crate::shared) I);

impl<I: Item> PartialEq for Key<I> {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes() == other.0.bytes()
    }
}

impl<I: Item> Eq for Key<I> {}

impl<I: Item> Hash for Key<I> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.bytes().hash(state);
    }
}

#[cfg(test)]
impl Item for Bytes {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn handles(&self) -> usize {
        0
    }

    fn of(bytes: Bytes, _: &[&Self]) -> Self {
        bytes
    }
}
