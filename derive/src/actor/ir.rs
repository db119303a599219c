//! What `#[derive(Actor)]` has understood.

use std::time::Duration;
use syn::{Generics, Ident, LitInt};

/// A type that is to be an actor, and the defaults of its child spec.
pub(crate) struct Actor {
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    pub(crate) options: Options,
}

/// What `#[actor(..)]` sets; what is absent is left to core's defaults.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) restart: Option<Restart>,
    pub(crate) mailbox: Option<LitInt>,
    pub(crate) shutdown: Option<Shutdown>,
    pub(crate) init_timeout: Option<Duration>,
}

/// When an ended actor is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    Permanent,
    Transient,
    Temporary,
}

/// How long an orderly stop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// No time at all.
    Kill,
    Within(Duration),
}
