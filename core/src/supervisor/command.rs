//! What a supervisor is asked, and what it answers with.

use tokio::sync::oneshot;

use super::child::ChildInfo;
use super::policy::{ChildId, Counts};
use super::spec::Spec;
use crate::actor::address::Address;
use crate::actor::traits::Handlers;
use crate::error::exit::Exit;
use crate::error::start::StartError;
use crate::process::keeper::End;
use crate::wire::ids::Destination;

/// What a supervisor is asked, and what it is told of its children.
pub(crate) enum Command {
    /// Start a child and say where it is once it is ready.
    Start(Box<Spec>, oneshot::Sender<Result<Destination, StartError>>),
    /// Stop a child, for good.
    Stop {
        child: Which,
        kill: bool,
        done: oneshot::Sender<Result<Exit, Unknown>>,
    },
    /// Stop a child and start it again.
    Restart {
        child: Which,
        done: oneshot::Sender<Result<(), Unknown>>,
    },
    /// Say how a child ended once it has ended for good; nothing of one that is unknown.
    Join {
        child: Destination,
        done: oneshot::Sender<Option<Exit>>,
    },
    Children(oneshot::Sender<Vec<ChildInfo>>),
    Counts(oneshot::Sender<Counts>),
    /// End in order.
    Shutdown,
    /// End at once.
    Kill,
    Ready(ChildId, u32),
    Ended(ChildId, Box<End>),
}

/// A child, by name or by address: `"counter"`, or `&address`.
#[derive(Clone, Debug)]
pub struct Which(pub(super) By);

#[derive(Clone, Debug)]
pub(super) enum By {
    Name(String),
    At(Destination),
}

impl From<&str> for Which {
    fn from(name: &str) -> Self {
        Self(By::Name(name.to_owned()))
    }
}

impl From<&String> for Which {
    fn from(name: &String) -> Self {
        Self(By::Name(name.clone()))
    }
}

impl<A: Handlers> From<&Address<A>> for Which {
    fn from(address: &Address<A>) -> Self {
        Self(By::At(address.destination()))
    }
}

/// The supervisor has no such child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the supervisor has no such child")]
pub struct Unknown;
