//! What the macros' code names. No part of the API: anything here may change with any version.

use std::any::TypeId;

pub use inventory;

pub use crate::actor::incoming::Incoming;
pub use crate::actor::message::Message;
pub use crate::pool::function::{TaskArguments, TaskEntry, TaskRun};
pub use crate::process::entry::{TestEntry, enter_test};
pub use crate::process::registration::ActorEntry;
pub use crate::program::{Flavor, main};
pub use crate::wire::codec::Large;

use crate::Failure;

/// The error of an init or a tick as a failure.
pub fn into_failure<E: Into<Failure>>(error: E) -> Failure {
    error.into()
}

/// The type of a function.
#[must_use]
pub fn type_id_of<F: 'static>(_: F) -> TypeId {
    TypeId::of::<F>()
}
