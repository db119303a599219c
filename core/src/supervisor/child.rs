//! What a supervisor tells of its children.

use std::time::Duration;

use crate::actor::restart::Restart;
use crate::error::exit::Exit;
use crate::wire::ids::Destination;

/// A child as its supervisor sees it at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its name.
    pub name: String,
    /// Its actor type.
    pub actor: &'static str,
    /// Its process, while it is ready.
    pub pid: Option<u32>,
    /// The present or last incarnation, counted from 1.
    pub incarnation: u32,
    /// How often it was started again after a failure.
    pub restarts: u32,
    /// When it is started again.
    pub restart: Restart,
    /// Where it stands.
    pub state: ChildState,
    /// Messages in its mailbox.
    pub queued: usize,
    /// Messages handed to its process and not finished.
    pub in_hand: usize,
    /// How the incarnation before ended.
    pub last_exit: Option<Exit>,
}

/// Where a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// It is not ready yet.
    Starting,
    /// It is ready.
    Running,
    /// It failed and waits to be started again.
    Restarting,
    /// It was asked to stop.
    Stopping,
}

/// The end of one incarnation, as an exit report lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExitReport {
    /// The child's name.
    pub child: String,
    /// How it ended.
    pub exit: Exit,
    /// How long it lived, its start included.
    pub lived: Duration,
    /// Whose end it is: a name may be given again.
    pub(crate) of: Destination,
}
