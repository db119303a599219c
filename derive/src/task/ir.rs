//! What `#[procession::task]` has understood.

use syn::{ItemFn, Type};

/// A function that is to be a task.
pub(crate) struct Task {
    pub(crate) function: ItemFn,
    pub(crate) arguments: Vec<Type>,
    /// The returned type, `()` spelled out.
    pub(crate) output: Type,
    /// Whether the value says by itself that the task failed.
    pub(crate) fallible: bool,
    /// Whether it may be begun again where it is not known what became of it.
    pub(crate) idempotent: bool,
}
