//! A request before it is sent.

use std::cell::{Cell, RefCell};
use std::mem;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::parcel::Parcel;
use super::party::Party;
use super::traits::Handlers;
use crate::error::call::{CallError, CodecError, NoError};
use crate::router::CallKey;
use crate::wire::codec::{EncodeError, Kept, Large};
use crate::wire::frame::Trace;
use crate::wire::ids::{Destination, TypeHash};

/// The deadline of a call that sets none.
pub(crate) const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// An encoded request: a method and its arguments.
#[derive(Clone, Debug)]
pub struct Message {
    pub(crate) method: u16,
    pub(crate) name: &'static str,
    pub(crate) timeout: Option<Duration>,
    pub(crate) encoded: Result<Parcel, EncodeError>,
    pub(crate) kept: Kept,
}

impl Message {
    /// A message for the method with this number, with its arguments as a tuple, each of which is looked at.
    #[inline]
    pub fn new<A: Handlers, T: Serialize + 'static>(method: u16, arguments: &T, look: impl FnOnce(&mut Large)) -> Self {
        let mut large = Large::default();
        look(&mut large);
        let (encoded, kept) = large.encode(|| Parcel::of(arguments));
        let about = A::METHODS.get(usize::from(method));
        Self {
            method,
            name: about.map_or("", |method| method.name),
            timeout: Some(about.and_then(|method| method.timeout).unwrap_or(DEFAULT_DEADLINE)),
            encoded,
            kept,
        }
    }

    /// A message of one of our own services, with one argument.
    pub(crate) fn plain<T: Serialize>(name: &'static str, method: u16, argument: &T) -> Self {
        Self { method, name, timeout: Some(DEFAULT_DEADLINE), encoded: Parcel::new(argument), kept: Kept::default() }
    }

    /// A message for a service: it says who asks.
    pub(crate) fn service<T: Serialize>(name: &'static str, method: u16, arguments: &T) -> Self {
        Self::service_by(Party::here(), name, method, arguments)
    }

    /// The same in the name of who began it, whoever runs now.
    pub(crate) fn service_by<T: Serialize>(party: Party, name: &'static str, method: u16, arguments: &T) -> Self {
        let encoded = Parcel::behind(&party.to_bytes(), arguments);
        Self { method, name, timeout: Some(DEFAULT_DEADLINE), encoded, kept: Kept::default() }
    }

    /// The same, for the router; an error where the arguments could not be encoded.
    pub(crate) fn into_parts(mut self) -> Result<crate::router::Message, CallError<NoError>> {
        self.take_parts()
    }

    /// The same where it lies: nothing is left of it.
    #[inline]
    pub(crate) fn take_parts(&mut self) -> Result<crate::router::Message, CallError<NoError>> {
        match &mut self.encoded {
            Ok(Parcel { bytes, handles }) => Ok(crate::router::Message {
                method: self.method,
                priority: 0,
                trace: Trace::default(),
                handles: mem::take(handles),
                payload: mem::take(bytes),
                kept: mem::take(&mut self.kept),
            }),
            Err(error) => {
                let error = error.clone();
                Err(CallError::Codec(CodecError::Arguments { method: self.name.to_owned(), error }))
            }
        }
    }
}

/// What identifies the protocol of an actor type.
pub(crate) fn type_hash<A: Handlers>() -> TypeHash {
    TypeHash::of(&[std::any::type_name::<A>(), A::LOCATION, A::SCHEMA, env!("CARGO_PKG_VERSION")])
}

/// What the handler on this thread is handling.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Current {
    /// The message; none in an init, a tick or a stop.
    pub(crate) call: Option<CallKey>,
    pub(crate) deadline: Option<Instant>,
}

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
    static ACTOR: RefCell<Option<(Destination, u32, String)>> = const { RefCell::new(None) };
}

/// What is handled by the handler that is being polled on this thread.
pub(crate) fn current() -> Option<Current> {
    CURRENT.get()
}

/// Says which actor runs on this thread, from now on.
pub(crate) fn settle(actor: Destination, incarnation: u32, name: &str) {
    ACTOR.replace(Some((actor, incarnation, name.to_owned())));
}

/// The actor that runs on this thread, and which incarnation.
pub(crate) fn actor() -> Option<(Destination, u32)> {
    ACTOR.with_borrow(|actor| actor.as_ref().map(|(to, incarnation, _)| (*to, *incarnation)))
}

/// The path by which a call to `to` from the handler that is being polled on this thread would wait for its own actor.
pub(crate) fn self_call(to: &Destination) -> Option<Vec<String>> {
    current()?;
    ACTOR.with_borrow(|actor| {
        let (me, _, name) = actor.as_ref()?;
        (me == to).then(|| vec![name.clone(), name.clone()])
    })
}

/// Polls a handler's future as the handler of `current`.
pub(crate) fn enter<R>(current: Current, poll: impl FnOnce() -> R) -> R {
    struct Restore(Option<Current>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(Some(current)));
    poll()
}
