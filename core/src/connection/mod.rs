//! One stream between two processes: the flow on it, and the driver that feeds it.

pub(crate) mod driver;
pub(crate) mod flow;
pub(crate) mod outgoing;
pub(crate) mod polling;
pub(crate) mod reader;
pub(crate) mod signal;
