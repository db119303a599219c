//! placeholder until the codec lands
use bytes::Bytes;
use serde::{Deserialize, Serialize};
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) kind: u8,
    pub(crate) id: u64,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("x")]
pub struct EncodeError;
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("x")]
pub struct DecodeError;
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, _limit: usize) -> Result<Bytes, EncodeError> {
    postcard::to_stdvec(value).map(Bytes::from).map_err(|_| EncodeError)
}
