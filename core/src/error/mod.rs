//! What can go wrong, as data that travels.

pub(crate) mod call;
pub(crate) mod exit;
pub(crate) mod failure;
pub(crate) mod start;
