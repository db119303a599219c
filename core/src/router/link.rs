//! A connection as the router sees it: bytes to go out, and requests that came in.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::arena::Key;
use super::entry::EntryKey;
use super::record::CallKey;
use crate::shm::progress::Progress;
use crate::wire::ids::CallId;

/// A link's key.
pub(crate) type LinkKey = Key;

#[derive(Debug)]
pub(super) struct Link {
    /// Frames of the data stream that are not written yet.
    pub(super) out: BytesMut,
    /// Frames of the control stream that are not written yet.
    pub(super) control: BytesMut,
    /// Open requests that came in over this link, by the number their sender gave them.
    pub(super) inbound: HashMap<CallId, CallKey>,
    /// Deadlines of those.
    pub(super) timers: BTreeSet<(Instant, CallKey)>,
    /// The actor that the process at the other end hosts.
    pub(super) worker: Option<EntryKey>,
    pub(super) progress: Option<Journal>,
}

/// A [`Progress`] that can be shown.
#[derive(Clone)]
pub(super) struct Journal(pub(super) Arc<dyn Progress>);

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Journal {{ started: {}, finished: {} }}", self.0.started(), self.0.finished())
    }
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            out: BytesMut::new(),
            control: BytesMut::new(),
            inbound: HashMap::new(),
            timers: BTreeSet::new(),
            worker: None,
            progress: None,
        }
    }
}
