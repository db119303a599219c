//! Who holds a handle: how many in this process, and how many in the processes around it.
//!
//! A handle has an owner: the process that has the queue, the lock or the shared value it refers to. Along the tree every
//! process counts for those that lie beyond it, seen from the owner:
//!
//! ```text
//!   owner ---- counts what it sent away ----> hub ---- the same ----> worker
//!         <--------- Release (so many) ------     <--- Release ------
//! ```
//!
//! What is sent *toward* the owner needs no count: the message comes before the sender's Release on the same stream, and
//! holds by itself what is in it. The end of a connection releases all that was sent over it.

use super::hash::PeerMap;
use super::link::LinkKey;
use super::router::{Action, Router};
use crate::wire::codec::Handle;
use crate::wire::frame::Frame;

/// Handles that are held, and by whom.
#[derive(Debug, Default)]
pub(super) struct References(PeerMap<Handle, Count>);

#[derive(Debug, Default)]
struct Count {
    /// By values, messages and answers of this process.
    here: u64,
    /// How often it came in from the owner's side and was not released since.
    imported: u64,
    /// How often it went out over each connection away from the owner, and was not released since.
    exported: Vec<(LinkKey, u64)>,
}

/// Where the owner of a handle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Here,
    Over(LinkKey),
    Nowhere,
}

impl Router {
    fn way_to(&self, handle: Handle) -> Way {
        if handle.node == self.node {
            return Way::Here;
        }
        match self.nodes.get(&handle.node).copied().or(self.uplink) {
            Some(link) => Way::Over(link),
            None => Way::Nowhere,
        }
    }

    /// Something of this process holds these handles from now on, each as often as it is named.
    pub(crate) fn hold(&mut self, handles: &[Handle]) {
        for &handle in handles.iter().filter(|handle| handle.is_counted()) {
            self.references.0.entry(handle).or_default().here += 1;
        }
    }

    /// It holds them no more.
    pub(crate) fn let_go(&mut self, handles: &[Handle]) {
        for &handle in handles.iter().filter(|handle| handle.is_counted()) {
            if let Some(count) = self.references.0.get_mut(&handle) {
                count.here = count.here.saturating_sub(1);
                self.settle_reference(handle);
            }
        }
    }

    /// Whether anybody is known to hold a handle.
    pub(crate) fn is_held(&self, handle: Handle) -> bool {
        self.references.0.contains_key(&handle)
    }

    /// How many hold a handle, as far as is known here: in this process, and sent away.
    #[cfg(test)]
    pub(crate) fn holders(&self, handle: Handle) -> (u64, u64) {
        let count = self.references.0.get(&handle);
        count.map_or((0, 0), |count| (count.here, count.exported.iter().map(|(_, sent)| sent).sum()))
    }

    /// Whether anything of a handle is on record.
    #[cfg(test)]
    pub(crate) fn has_references(&self) -> bool {
        !self.references.0.is_empty()
    }

    /// A message with these handles goes out over the link; says what they are called there.
    pub(super) fn handles_sent(&mut self, link: LinkKey, handles: &[Handle]) -> Vec<Handle> {
        let mut called = handles.to_vec();
        for handle in called.iter_mut().filter(|handle| handle.is_counted()) {
            if handle.kind == Handle::MEMORY {
                *handle = self.memory_sent(link, *handle);
            } else if self.way_to(*handle) != Way::Over(link) {
                self.exported(link, *handle);
            }
        }
        called
    }

    /// The handle goes out over the link once more; says how often that makes.
    pub(super) fn exported(&mut self, link: LinkKey, handle: Handle) -> u64 {
        let count = self.references.0.entry(handle).or_default();
        match count.exported.iter_mut().find(|(to, _)| *to == link) {
            Some((_, sent)) => {
                *sent += 1;
                *sent
            }
            None => {
                count.exported.push((link, 1));
                1
            }
        }
    }

    /// Whether the peer holds the handle, as far as is known here.
    pub(super) fn is_exported(&self, link: LinkKey, handle: Handle) -> bool {
        self.references.0.get(&handle).is_some_and(|count| count.exported.iter().any(|(to, _)| *to == link))
    }

    /// A message with these handles has come in over the link; it holds those that are returned until they are
    /// [let go](Self::let_go).
    ///
    /// A handle that the sender was never given holds nothing: nobody keeps alive what is not theirs. Those that are returned
    /// are called what they are called here.
    pub(super) fn handles_received(&mut self, link: LinkKey, handles: Vec<Handle>) -> Vec<Handle> {
        let mut held = handles;
        if held.is_empty() {
            return held;
        }
        held.retain_mut(|handle| {
            if handle.kind == Handle::MEMORY {
                return self.memory_received(link, *handle).map(|ours| *handle = ours).is_some();
            }
            let handle = *handle;
            if !handle.is_counted() {
                return true;
            }
            let from_owner = self.way_to(handle) == Way::Over(link);
            if !from_owner && !self.is_exported(link, handle) {
                return false;
            }
            let count = self.references.0.entry(handle).or_default();
            count.here += 1;
            count.imported += u64::from(from_owner);
            true
        });
        held
    }

    pub(super) fn handle_release(&mut self, link: LinkKey, handle: Handle, released: u64) {
        let known = self.references.0.get_mut(&handle);
        let sent = known.and_then(|count| count.exported.iter_mut().find(|(to, _)| *to == link));
        match sent {
            Some((_, sent)) if *sent >= released => {
                *sent -= released;
                if *sent == 0 && handle.kind == Handle::MEMORY {
                    self.memory_released(link, handle);
                }
            }
            _ => return self.refuse(link, format!("it released {released} times what it did not hold")),
        }
        self.settle_reference(handle);
    }

    /// What was sent over a connection that has ended is held there no more; what came over it has lost its owner.
    pub(super) fn references_closed(&mut self, link: LinkKey) {
        let touched: Vec<_> = self
            .references
            .0
            .iter()
            .filter(|(handle, count)| {
                count.exported.iter().any(|(to, _)| *to == link) || self.way_to(**handle) == Way::Over(link)
            })
            .map(|(handle, _)| *handle)
            .collect();
        for handle in touched {
            let lost = self.way_to(handle) == Way::Over(link);
            if let Some(count) = self.references.0.get_mut(&handle) {
                count.exported.retain(|(to, _)| *to != link);
                if lost {
                    count.imported = 0;
                }
            }
            self.settle_reference(handle);
        }
    }

    /// Where nobody holds a handle any more its owner is told.
    fn settle_reference(&mut self, handle: Handle) {
        let Some(count) = self.references.0.get_mut(&handle) else {
            return;
        };
        count.exported.retain(|(_, sent)| *sent > 0);
        if count.here > 0 || !count.exported.is_empty() {
            return;
        }
        let imported = count.imported;
        self.references.0.remove(&handle);
        match self.way_to(handle) {
            _ if handle.kind == Handle::MEMORY => self.memory_unheld(handle),
            Way::Here => self.actions.push_back(Action::Unheld(handle)),
            Way::Over(link) if imported > 0 => self.send(link, &Frame::Release { handle, count: imported }),
            Way::Over(_) | Way::Nowhere => {}
        }
    }
}
