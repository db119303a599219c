//! References of this process to shared memory, which messages bring and take along.

use serde::de::Error;

use super::error::BlobError;
use crate::actor::node::{Node, random};
use crate::actor::parcel::opened_handle;
use crate::router::Handles;
use crate::shm::memories::{self, Known};
use crate::sys::SharedMemory;
use crate::wire::codec::Handle;

/// Makes new memory known: its tag, its handle, and what holds it.
pub(super) fn made(memory: SharedMemory) -> (u64, Handle, Handles) {
    let tag = random();
    let number = memories::keep(Known { tag, memory: Some(memory) });
    let handle = Node::here().with(|router| router.memory(number));
    (tag, handle, held(handle))
}

/// One more reference.
pub(super) fn held(handle: Handle) -> Handles {
    Node::here().hold(vec![handle])
}

/// A value's use of memory as a whole, which counts while it is there.
pub(super) struct Use(u64);

impl Use {
    /// Of memory that came.
    pub(super) fn given(handle: Handle) -> Result<Self, BlobError> {
        memories::use_given(handle.actor.0)?;
        Ok(Self(handle.actor.0))
    }

    /// Of memory that was written here.
    pub(super) fn made(handle: Handle) -> Self {
        memories::use_made(handle.actor.0);
        Self(handle.actor.0)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        memories::unuse(self.0);
    }
}

/// The memory with this tag that the message which is being decoded refers to.
pub(super) fn opened<E: Error>(tag: u64) -> Result<(Handle, SharedMemory), E> {
    let mut known = None;
    let handle = opened_handle(|handle| {
        let is_memory = handle.kind == Handle::MEMORY;
        known = is_memory.then(|| memories::find(handle.actor.0)).flatten().filter(|known| known.tag == tag);
        known.is_some()
    });
    let (Some(handle), Some(known)) = (handle, known) else {
        return Err(E::custom("the message does not bring the memory that it names"));
    };
    let memory = known.memory.ok_or_else(|| {
        E::custom("the memory did not get here: a process on its way had no descriptor left for it, or has died")
    })?;
    Ok((handle, memory))
}
