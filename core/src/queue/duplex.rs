//! A pipe: two queues, one each way.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::{QueueError, SendError};
use super::receiver::Receiver;
use super::sender::Sender;
use super::waiting::Waiting;
use crate::actor::traits::Payload;
use crate::supervisor::handle::Supervisor;

/// One end of a pipe between two actors: it sends `S` and receives `R`, the other end the reverse.
///
/// Serde data: give one end to an actor or a task and keep the other. When one end is gone, because it was dropped or its
/// process died, the other receives what was sent and then the end of the stream, and what it sends is
/// [`Closed`](QueueError::Closed).
#[derive(Serialize, Deserialize)]
#[serde(bound = "S: Payload, R: Payload")]
pub struct Duplex<S, R> {
    sender: Sender<S>,
    receiver: Receiver<R>,
}

/// The two ends of one pipe.
pub type DuplexEnds<A, B> = (Duplex<A, B>, Duplex<B, A>);

impl Supervisor {
    /// Opens a pipe that takes so many items each way, at least one, and returns its two ends.
    ///
    /// # Errors
    /// [`NameTaken`](QueueError::NameTaken), or a supervisor that has ended.
    pub fn duplex<A: Payload, B: Payload>(&self, name: &str, items: usize) -> Result<DuplexEnds<A, B>, QueueError> {
        let (to_right, from_left) = self.queue(&format!("{name}, forth"), items)?;
        let (to_left, from_right) = self.queue(&format!("{name}, back"), items)?;
        Ok((Duplex { sender: to_right, receiver: from_right }, Duplex { sender: to_left, receiver: from_left }))
    }
}

impl<S: Payload, R: Payload> Duplex<S, R> {
    /// Sends an item to the other end; as [`Sender::send`] does.
    pub fn send(&self, item: S) -> Waiting<Result<(), SendError<S>>> {
        self.sender.send(item)
    }

    /// Sends an item if there is room for it now; as [`Sender::try_send`] does.
    pub fn try_send(&self, item: S) -> Waiting<Result<(), SendError<S>>> {
        self.sender.try_send(item)
    }

    /// Receives an item of the other end; `None` when that is gone and all was received. As [`Receiver::recv`] does.
    pub fn recv(&self) -> Waiting<Result<Option<R>, QueueError>> {
        self.receiver.recv()
    }

    /// Receives an item if there is one now; as [`Receiver::try_recv`] does.
    pub fn try_recv(&self) -> Waiting<Result<Option<R>, QueueError>> {
        self.receiver.try_recv()
    }

    /// Its two sides.
    #[must_use]
    pub fn into_split(self) -> (Sender<S>, Receiver<R>) {
        (self.sender, self.receiver)
    }
}

impl<S, R> fmt::Debug for Duplex<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex").field("sender", &self.sender).field("receiver", &self.receiver).finish()
    }
}
