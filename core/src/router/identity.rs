//! Who is who: whether a sender is the actor that it says it is, and whether that actor still lives.

use std::collections::VecDeque;

use super::entry::{Consumer, Source};
use super::link::LinkKey;
use super::router::{Router, Taken};
use crate::error::exit::Down;
use crate::wire::ids::{ActorId, Destination, NodeId};

/// Whether an incarnation lives, as far as is known here.
#[derive(Clone, Debug)]
pub(crate) enum Presence {
    /// It does, or only another process can know.
    Alive,
    /// It has ended, and how, where that is remembered.
    Ended(Option<Down>),
}

/// Closed connections of which messages are still in a mailbox, that are remembered. A mailbox that is served is empty long
/// before so many have come.
const DEPARTED: usize = 4096;

/// Who spoke over connections that are closed: what they had sent counts.
#[derive(Debug, Default)]
pub(super) struct Departed(VecDeque<(LinkKey, Behind)>);

/// Who speaks over a connection.
#[derive(Debug)]
pub(super) struct Behind {
    /// The actor that the process at the other end hosts.
    pub(super) actor: Option<ActorId>,
    /// The nodes that live behind it.
    pub(super) nodes: Vec<NodeId>,
}

impl Departed {
    pub(super) fn add(&mut self, link: LinkKey, behind: Behind) {
        if self.0.len() == DEPARTED {
            self.0.pop_front();
        }
        self.0.push_back((link, behind));
    }

    fn get(&self, link: LinkKey) -> Option<&Behind> {
        self.0.iter().rev().find(|(at, _)| *at == link).map(|(_, behind)| behind)
    }
}

impl Router {
    /// Whether a message may come from this actor: it came from this process, or over the connection behind which the actor
    /// lives.
    pub(crate) fn vouches(&self, taken: &Taken, actor: &Destination) -> bool {
        match taken.source {
            // Actors of other nodes speak over their connections; what is here is trusted: the actors of this node, and the
            // one that this process hosts, which may ask a supervisor of its own.
            Source::Local => {
                let hosted = self.hosted.map(|(route, _)| (route.node, route.actor));
                actor.run == self.run && (actor.node == self.node || hosted == Some((actor.node, actor.actor)))
            }
            Source::Link(link) if self.links.get(link).is_none() => self.departed.get(link).is_some_and(|behind| {
                let hosted = actor.node == self.node && behind.actor == Some(actor.actor);
                hosted || behind.nodes.contains(&actor.node)
            }),
            Source::Link(link) if actor.node == self.node => {
                self.links.get(link).is_some_and(|l| l.actor == Some(actor.actor))
            }
            // From above comes whatever is not below.
            Source::Link(link) if self.uplink == Some(link) => !self.nodes.contains_key(&actor.node),
            Source::Link(link) => self.nodes.get(&actor.node) == Some(&link),
        }
    }

    /// Refuses whoever has sent this message.
    pub(crate) fn refuse_source(&mut self, taken: &Taken, why: String) {
        if let Source::Link(link) = taken.source {
            self.refuse(link, why);
        }
    }

    /// Whether this incarnation of an actor still lives.
    pub(crate) fn presence(&self, actor: &Destination, incarnation: u32) -> Presence {
        if actor.node != self.node {
            // The actor that this process hosts lives as long as it does.
            return Presence::Alive;
        }
        let Some(e) = self.entry_of(actor.actor).and_then(|entry| self.entries.get(entry)) else {
            return Presence::Ended(None);
        };
        // Before it is ready an incarnation is not attached, and it may ask in its init.
        let is_next = matches!(e.consumer, Consumer::Nobody) && e.incarnation + 1 == incarnation;
        let is_present = !matches!(e.consumer, Consumer::Nobody) && e.incarnation == incarnation;
        if is_next || is_present {
            return Presence::Alive;
        }
        Presence::Ended(e.last_down.clone().filter(|down| down.incarnation == incarnation))
    }

    /// What an actor is called; a number where it has no name here.
    pub(crate) fn name_of(&self, actor: &Destination) -> String {
        let known = Some(actor.actor).filter(|_| actor.node == self.node && actor.actor != ActorId(0));
        match known.and_then(|actor| self.entry_of(actor)).and_then(|entry| self.entries.get(entry)) {
            Some(e) => e.about.name.to_string(),
            None => format!("actor {:x} of node {:x}", actor.actor.0, actor.node.0),
        }
    }
}
