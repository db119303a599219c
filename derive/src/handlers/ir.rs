//! What `#[handlers]` has understood.

use std::time::Duration;
use syn::{Attribute, Generics, Ident, Type, Visibility};

/// The protocol of one actor.
pub(crate) struct Protocol {
    /// The actor's type as the impl block names it.
    pub(crate) actor: Type,
    /// The last segment of that type.
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    /// The conditions that the impl block itself is under.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) init: Init,
    /// Calls and casts; the index is the method's number on the wire.
    pub(crate) methods: Vec<Method>,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) stop: Option<Handler>,
    /// The widest visibility among the calls and casts.
    pub(crate) visibility: Visibility,
}

/// How the actor is built.
pub(crate) enum Init {
    /// No `#[init]`: by `Default`.
    Default,
    Handler {
        handler: Handler,
        fallible: bool,
    },
    /// There is an `#[init]`, but an erroneous one.
    Broken,
}

/// A method of the user's that the message loop runs.
pub(crate) struct Handler {
    pub(crate) name: Ident,
    pub(crate) is_async: bool,
    /// In the user's order, without `self`.
    pub(crate) parameters: Vec<Parameter>,
}

impl Handler {
    /// What travels: the parameters that the caller fills.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Argument> + Clone {
        self.parameters.iter().filter_map(|parameter| match parameter {
            Parameter::Argument(argument) => Some(argument),
            _ => None,
        })
    }
}

/// What a parameter is filled with.
#[expect(clippy::large_enum_variant, reason = "a handful of them live for one expansion")]
pub(crate) enum Parameter {
    Context,
    Argument(Argument),
    Reply,
    Reason,
}

/// A value that travels in the message.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// Without `Self`.
    pub(crate) ty: Type,
}

/// A call or a cast.
pub(crate) struct Method {
    pub(crate) handler: Handler,
    /// What the method of the extension trait carries on: docs and deprecation.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) kind: Kind,
}

#[expect(clippy::large_enum_variant, reason = "a handful of them live for one expansion")]
pub(crate) enum Kind {
    Cast { output: Output },
    Call { answer: Answer, timeout: Option<Duration>, cancel_drops: bool },
}

/// What a handler that answers nobody returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Nothing,
    Result,
}

/// How a call is answered; the types are without `Self`.
pub(crate) enum Answer {
    /// Nothing is returned: the reply says that it was done.
    Done,
    Value(Type),
    Result(Type, Type),
    /// Through a `Reply`, whenever the actor likes.
    Deferred(Type, Option<Type>),
}

/// A method that runs again and again.
pub(crate) struct Tick {
    pub(crate) handler: Handler,
    pub(crate) every: Duration,
    pub(crate) output: Output,
}
