//! A value as the bytes of a message, and back.
//!
//! The bytes are postcard's. What postcard leaves open is decided here: an encoding stops at a limit before it copies, a
//! decoding stops at a [`Budget`] before it recurses or allocates, an error keeps the words of the type that raised it,
//! and the handles inside a message are [noted](note_handle) while it is encoded.
//!
//! ```text
//! let bytes = codec::encode(&(7u32, "seven"), 64)?;
//! let value: (u32, String) = codec::decode(&bytes, Budget::default())?;
//! ```

mod decoder;
mod encoder;
mod error;
mod kept;
mod octets;
mod scope;
mod shared;
#[cfg(test)]
mod tests;

pub(crate) use super::budget::Budget;
pub(crate) use decoder::{decode, decode_slice};
use encoder::encode_payload;
pub(crate) use encoder::{encode, encode_into};
pub(in crate::wire) use error::DecodeFault;
pub use error::{DecodeError, EncodeError};
pub(crate) use kept::Kept;
pub use kept::Large;
pub(crate) use octets::{from_octets, octets};
pub(crate) use scope::{
    Handle, encode_message, encode_message_behind, encode_message_into, note_handle, note_handle_once, noted_handles,
};
pub(crate) use shared::from_shared;
