//! What `#[procession::main]` has understood.

use syn::{ItemFn, LitInt};

/// The user's main function and the runtime it wants.
pub(crate) struct Main {
    /// Made valid: async, without arguments and generic parameters.
    pub(crate) function: ItemFn,
    pub(crate) flavor: Flavor,
}

/// The runtime that the body runs on.
pub(crate) enum Flavor {
    CurrentThread,
    MultiThread { worker_threads: Option<LitInt> },
}
