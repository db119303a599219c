//! The wire: pure bytes between two processes.

pub(crate) mod budget;
pub(crate) mod codec;
pub(crate) mod content;
pub(crate) mod frame;
pub(crate) mod hello;
pub(crate) mod ids;
#[cfg(test)]
pub(crate) mod mutations;
pub(crate) mod rope;
