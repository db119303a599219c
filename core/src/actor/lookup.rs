//! Asking for an actor by its name.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::address::Address;
use super::call::Call;
use super::message::{Message, type_hash};
use super::traits::Handlers;
use crate::error::call::{CallError, NoError};
use crate::wire::ids::Destination;

/// Why a name led to no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LookupError {
    /// No actor has this name.
    #[error("no actor is named {0:?}")]
    NotFound(String),
    /// An actor has this name, of another type than was asked for.
    #[error("{name:?} is a {found}, not a {wanted}")]
    WrongType {
        /// The name.
        name: String,
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The registry could not be asked.
    #[error("failed to ask the registry: {0}")]
    Failed(#[from] CallError),
}

/// What a registry knows of a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) to: Destination,
    pub(crate) type_name: String,
}

/// Asks the registry at `registry` for an actor of type `A`.
pub(crate) async fn lookup<A: Handlers>(registry: Destination, name: &str) -> Result<Address<A>, LookupError> {
    let message = Message::plain("lookup", 0, &name);
    let found: Option<Named> = Call::<_, NoError>::new(registry, message).await?;
    typed(name, found)
}

/// What a registry found, as an address of the type that was asked for.
pub(crate) fn typed<A: Handlers>(name: &str, found: Option<Named>) -> Result<Address<A>, LookupError> {
    match found {
        None => Err(LookupError::NotFound(name.to_owned())),
        Some(named) if named.to.type_hash == type_hash::<A>() => Ok(Address::new(named.to)),
        Some(named) => Err(LookupError::WrongType {
            name: name.to_owned(),
            found: named.type_name,
            wanted: std::any::type_name::<A>().to_owned(),
        }),
    }
}
