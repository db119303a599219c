//! Bytes as numbers, or as other plain data.

use bytemuck::{AnyBitPattern, NoUninit, PodCastError};
use thiserror::Error;

/// Why bytes are not a slice of the type that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ViewError {
    /// They do not begin where a value may.
    #[error("the bytes begin at an address that no {of} may have: cut blobs at multiples of {align} bytes")]
    Misaligned {
        /// The type.
        of: &'static str,
        /// What its addresses are multiples of.
        align: usize,
    },
    /// They are not a whole number of values.
    #[error("{len} bytes are no whole number of {of} of {size} bytes each")]
    Length {
        /// How many bytes there are.
        len: usize,
        /// The type.
        of: &'static str,
        /// How many bytes one takes up.
        size: usize,
    },
}

pub(super) fn view<T: AnyBitPattern>(bytes: &[u8]) -> Result<&[T], ViewError> {
    // Nothing begins anywhere.
    if bytes.is_empty() {
        return Ok(&[]);
    }
    bytemuck::try_cast_slice(bytes).map_err(|error| refused::<T>(bytes.len(), error))
}

pub(super) fn view_mut<T: AnyBitPattern + NoUninit>(bytes: &mut [u8]) -> Result<&mut [T], ViewError> {
    let len = bytes.len();
    if len == 0 {
        return Ok(&mut []);
    }
    bytemuck::try_cast_slice_mut(bytes).map_err(|error| refused::<T>(len, error))
}

fn refused<T>(len: usize, error: PodCastError) -> ViewError {
    let of = std::any::type_name::<T>();
    match error {
        PodCastError::TargetAlignmentGreaterAndInputNotAligned | PodCastError::AlignmentMismatch => {
            ViewError::Misaligned { of, align: align_of::<T>() }
        }
        PodCastError::SizeMismatch | PodCastError::OutputSliceWouldHaveSlop => {
            ViewError::Length { len, of, size: size_of::<T>() }
        }
    }
}
