//! What messages can be sent to.

use super::message::Message;
use super::traits::{Handlers, Payload};

/// Something that messages of the actor type `A` can be sent to: an address, a pool, a broadcast.
///
/// The extension trait that `#[handlers]` makes (`CounterApi` for `Counter`) is implemented for every target, so the
/// same call is written the same way everywhere; what it yields is the target's own.
#[diagnostic::on_unimplemented(
    message = "messages of `{A}` cannot be sent to `{Self}`",
    label = "not a target of `{A}`",
    note = "targets are `Address<{A}>`, `Pool<{A}>` and what their `.ctl()` returns"
)]
pub trait Target<A: Handlers> {
    /// What a call yields; for most targets a future of one answer.
    type Call<T, E>;
    /// What a cast yields.
    type Cast;

    /// Begins a call.
    fn start_call<T: Payload, E: Payload>(&self, message: Message) -> Self::Call<T, E>;

    /// Begins a cast.
    fn start_cast(&self, message: Message) -> Self::Cast;
}

impl<A: Handlers, X: Target<A> + ?Sized> Target<A> for &X {
    type Call<T, E> = X::Call<T, E>;
    type Cast = X::Cast;

    fn start_call<T: Payload, E: Payload>(&self, message: Message) -> Self::Call<T, E> {
        (**self).start_call(message)
    }

    fn start_cast(&self, message: Message) -> Self::Cast {
        (**self).start_cast(message)
    }
}
