//! An operating system process that hosts an actor: how it is born, watched, stopped and mourned.

pub(crate) mod drive;
pub(crate) mod entry;
mod flusher;
pub(crate) mod keeper;
pub(crate) mod launcher;
pub(crate) mod limits;
mod lines;
pub(crate) mod local;
pub(crate) mod output;
pub(crate) mod place;
pub(crate) mod registration;
pub(crate) mod witness;
mod worker;
