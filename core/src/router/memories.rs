//! Shared memory that messages refer to: what it is called here, and what at the other end of a connection.
//!
//! Memory has no owner: every process that refers to it has it. So it has no name that all of them know, which somebody could
//! use to get at what they were never given. Its handle is one of the process that has it; whoever gives it to a neighbour
//! calls it by their own handle, and the neighbour gives it a handle of its own:
//!
//! ```text
//!   maker ----- Memory(m1) Call(m1) ---->  hub  ----- Memory(h7) Call(h7) ----> worker
//!         <---- Release(m1, 1) -----            <---- Release(h7, 1) -----
//!         ----- Forget(m1) --------->           ----- Forget(h7) -------->
//! ```
//!
//! It is given once, and again only after a Forget. A Release may cross with a message that refers to the memory, so who has
//! released it keeps it until the Forget says that there was none.

use std::collections::HashMap;

use super::link::{LinkKey, MEMORIES_KNOWN, MEMORIES_LIMIT};
use super::router::{Action, Router};
use crate::wire::codec::Handle;
use crate::wire::frame::Frame;
use crate::wire::ids::ActorId;
use crate::wire::rope::Output;

/// Memory that came over connections.
#[derive(Debug, Default)]
pub(super) struct Memories {
    /// What a peer calls it, and what this process does.
    names: HashMap<(LinkKey, Handle), Handle>,
    imports: HashMap<Handle, Import>,
}

#[derive(Debug)]
struct Import {
    link: LinkKey,
    /// What it is called there.
    theirs: Handle,
    /// How often messages from there have referred to it, and were not released since.
    mentions: u64,
    /// Whether it came without the memory itself.
    lost: bool,
}

/// Memory that the peer has to be given, and where among the bytes for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) at: usize,
    pub(crate) handle: Handle,
    /// The peer would not have more: it is only told of it.
    pub(crate) withheld: bool,
}

impl Router {
    /// What memory with this number is called here.
    pub(crate) fn memory(&self, number: u64) -> Handle {
        Handle { kind: Handle::MEMORY, node: self.node, actor: ActorId(number) }
    }

    /// The peer has given memory, which has this number here.
    pub(crate) fn handle_memory(&mut self, link: LinkKey, theirs: Handle, number: u64, lost: bool) {
        let ours = self.memory(number);
        let uplink = self.uplink == Some(link);
        let Some(l) = self.links.get_mut(link).filter(|l| !l.refused) else {
            return self.actions.push_back(Action::Unheld(ours));
        };
        let known = l.got + l.got_lost;
        let wrong = if theirs.kind != Handle::MEMORY || theirs.node == self.node {
            Some("it gave memory under a name that is not its own")
        } else if self.memories.names.contains_key(&(link, theirs)) {
            Some("it gave the same memory twice")
        } else if (!lost && l.got >= MEMORIES_LIMIT && !uplink) || known >= MEMORIES_KNOWN {
            Some("it gave more memory at a time than it may")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            self.actions.push_back(Action::Unheld(ours));
            return self.refuse(link, wrong.to_owned());
        }
        if lost {
            l.got_lost += 1;
        } else {
            l.got += 1;
        }
        self.memories.names.insert((link, theirs), ours);
        self.memories.imports.insert(ours, Import { link, theirs, mentions: 0, lost });
    }

    /// What a handle is called at the other end of the link, to which a message with it goes out.
    pub(super) fn memory_sent(&mut self, link: LinkKey, ours: Handle) -> Handle {
        if let Some(import) = self.memories.imports.get(&ours).filter(|import| import.link == link) {
            return import.theirs;
        }
        if self.exported(link, ours) == 1
            && let Some(l) = self.links.get_mut(link)
        {
            let withheld = l.given >= MEMORIES_LIMIT;
            l.given += 1;
            l.ahead.push(Ahead { at: l.out.len(), handle: ours, withheld });
        }
        ours
    }

    /// What a handle in a message of the peer is called here, if the peer may name it.
    pub(super) fn memory_received(&mut self, link: LinkKey, theirs: Handle) -> Option<Handle> {
        let ours = match self.memories.names.get(&(link, theirs)) {
            Some(&ours) => {
                if let Some(import) = self.memories.imports.get_mut(&ours) {
                    import.mentions += 1;
                }
                ours
            }
            // One of ours, which it was given.
            None if theirs.node == self.node && self.is_exported(link, theirs) => theirs,
            None => {
                self.refuse(link, "it referred to memory that it does not have".to_owned());
                return None;
            }
        };
        self.hold(&[ours]);
        Some(ours)
    }

    /// The peer holds our memory no more, as far as both know.
    pub(super) fn memory_released(&mut self, link: LinkKey, ours: Handle) {
        if let Some(l) = self.links.get_mut(link) {
            l.given -= 1;
        }
        self.send(link, &Frame::Forget { handle: ours });
    }

    /// Nothing in this process and nothing beyond it holds the memory. Where a peer has given it, that decides.
    pub(super) fn memory_unheld(&mut self, ours: Handle) {
        let Some(import) = self.memories.imports.get_mut(&ours) else {
            return self.actions.push_back(Action::Unheld(ours));
        };
        let count = std::mem::take(&mut import.mentions);
        let (link, handle) = (import.link, import.theirs);
        if count > 0 {
            self.send(link, &Frame::Release { handle, count });
        }
    }

    /// The peer knows that nobody here holds the memory that it gave.
    pub(super) fn handle_forget(&mut self, link: LinkKey, theirs: Handle) {
        let ours = self.memories.names.get(&(link, theirs)).copied();
        let unused = |ours: &Handle| {
            let import = self.memories.imports.get(ours);
            import.is_some_and(|import| import.mentions == 0) && !self.is_held(*ours)
        };
        let Some(ours) = ours.filter(unused) else {
            return self.refuse(link, "it forgot memory that is held".to_owned());
        };
        self.forget_import(ours);
        self.actions.push_back(Action::Unheld(ours));
    }

    /// What came over a connection that has ended is this process's own from now on.
    pub(super) fn memories_closed(&mut self, link: LinkKey) {
        let came: Vec<_> =
            self.memories.imports.iter().filter(|(_, import)| import.link == link).map(|(&ours, _)| ours).collect();
        for ours in came {
            self.forget_import(ours);
            if !self.is_held(ours) {
                self.actions.push_back(Action::Unheld(ours));
            }
        }
    }

    fn forget_import(&mut self, ours: Handle) {
        if let Some(import) = self.memories.imports.remove(&ours) {
            self.memories.names.remove(&(import.link, import.theirs));
            if let Some(l) = self.links.get_mut(import.link) {
                let counter = if import.lost { &mut l.got_lost } else { &mut l.got };
                *counter -= 1;
            }
        }
    }

    /// Whether anything of memory that came over connections is on record.
    #[cfg(test)]
    pub(crate) fn has_imports(&self) -> bool {
        !self.memories.imports.is_empty() || !self.memories.names.is_empty()
    }
}
