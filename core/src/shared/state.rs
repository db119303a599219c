//! A struct of the user's own that any process of the tree can hold.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::actor::address::Address;
use crate::actor::call::{Call, Cast};
use crate::actor::message::Message;
use crate::actor::restart::Restart;
use crate::actor::target::Target;
use crate::actor::traits::{Handlers, Payload};
use crate::error::start::StartError;
use crate::supervisor::handle::Supervisor;
use crate::supervisor::spec::ChildSpec;

/// A struct of the user's own, with operations of its own, that any process of the tree can hold: a handle, cheap to copy, and
/// serde data for messages to any actor and arguments of any task. [`Supervisor::state`](crate::Supervisor::state) makes one.
///
/// It is an actor on a thread of the supervisor's process. Its methods are called through the handle like those of any actor,
/// one at a time, so that each is one operation, whatever it reads and changes, and may refuse by an error of its own:
///
/// ```
/// use procession::prelude::*;
/// use procession::shared::State;
///
/// #[derive(Actor, Default)]
/// struct Scores { best: Option<(String, u32)>, games: u64 }
///
/// #[handlers]
/// impl Scores {
///     /// Whether it is a new record.
///     #[call]
///     fn played(&mut self, who: String, points: u32) -> bool {
///         self.games += 1;
///         let is_best = self.best.as_ref().is_none_or(|(_, best)| points > *best);
///         if is_best {
///             self.best = Some((who, points));
///         }
///         is_best
///     }
/// }
///
/// #[procession::task]
/// async fn game(scores: State<Scores>) -> Result<bool, CallError> {
///     scores.played("ann".to_owned(), 7).await
/// }
///
/// # async fn run(sup: Supervisor) -> procession::Result<()> {
/// let scores = sup.state::<Scores>("scores", ()).await?;
/// scores.played("bob".to_owned(), 5).await?;
/// # Ok(()) }
/// ```
///
/// It is not started again after a panic, whatever its type's `#[actor(restart)]` says, since it would be another state
/// that looks like the old one: the call under way ends in [`Panicked`](crate::CallError::Panicked), those that wait in
/// `Died` with `executed: No`, and all later ones, from whoever has a handle, are not delivered, since it has stopped. So are
/// those after the process of its supervisor was restarted: none of them changes a state that began anew unnoticed.
pub struct State<S> {
    address: Address<S>,
}

impl<S: Handlers> State<S> {
    /// The address of the actor that it is: for `sup.stop(&state.address())` and `ctl().monitor()`.
    #[must_use]
    pub fn address(&self) -> Address<S> {
        self.address
    }
}

impl Supervisor {
    /// The state of this name, or a new one from these init arguments, which are of no meaning where there is one. It is there
    /// until the supervisor ends, or it is stopped, or panics.
    ///
    /// # Errors
    /// Why it did not start; [`NameTaken`](StartError::NameTaken) where a child of another type has the name.
    ///
    /// # Cancellation
    /// Dropping the future does not take the start back.
    pub async fn state<S: Handlers>(&self, name: impl Into<String>, args: S::Init) -> Result<State<S>, StartError> {
        let name = name.into();
        if let Ok(address) = self.lookup::<S>(&name) {
            return Ok(State { address });
        }
        let spec = ChildSpec::<S>::local(name.clone(), args).restart(Restart::Temporary);
        match self.start_child(spec).await {
            Ok(address) => Ok(State { address }),
            // Another one was faster.
            Err(StartError::NameTaken(taken)) => match self.lookup::<S>(&name) {
                Ok(address) => Ok(State { address }),
                Err(_) => Err(StartError::NameTaken(taken)),
            },
            Err(error) => Err(error),
        }
    }
}

impl<S: Handlers> Target<S> for State<S> {
    type Call<T, E> = Call<T, E>;
    type Cast = Cast;

    fn start_call<T: Payload, E: Payload>(&self, message: Message) -> Call<T, E> {
        self.address.start_call(message)
    }

    fn start_cast(&self, message: Message) -> Cast {
        self.address.start_cast(message)
    }
}

impl<S> Clone for State<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for State<S> {}

impl<S> PartialEq for State<S> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl<S> Eq for State<S> {}

impl<S> fmt::Debug for State<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.address).finish()
    }
}

impl<S: Handlers> Serialize for State<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.address.serialize(serializer)
    }
}

impl<'de, S: Handlers> Deserialize<'de> for State<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Address::deserialize(deserializer).map(|address| Self { address })
    }
}
