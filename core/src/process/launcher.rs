//! Starts incarnations: what supervisors and pools share.

use std::time::Duration;
use tokio::sync::watch;

use super::entry::Children;
use super::keeper::{self, End, Incarnation, Wish};
use super::limits::Limits;
use super::local::{self, LocalIncarnation};
use super::place;
use super::registration::ActorEntry;
use super::witness::LineSink;
use crate::actor::parcel::Parcel;
use crate::router::EntryKey;
use crate::shm::chunk::Places;
use crate::sys::Child;
use crate::wire::hello::Hello;
use crate::wire::ids::Destination;

/// What all incarnations under one supervisor have in common.
#[derive(Clone)]
pub(crate) struct Launcher {
    pub(crate) owner: u64,
    /// How worker processes get in; none where only threads are started.
    pub(crate) children: Option<Children>,
    /// Takes workers' lines; where there is none workers print by themselves.
    pub(crate) lines: Option<LineSink>,
    pub(crate) registry: Destination,
    /// How long both ends of a connection look for what comes next before they wait.
    pub(crate) poll_for: Duration,
}

/// One incarnation to start.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) actor: ActorEntry,
    pub(crate) id: String,
    pub(crate) to: Destination,
    pub(crate) entry: EntryKey,
    pub(crate) number: u32,
    pub(crate) init: Parcel,
    pub(crate) init_timeout: Duration,
    /// What its process may use; a thread has none.
    pub(crate) limits: Limits,
}

impl Launcher {
    /// Starts an incarnation in a process of its own; `ready` and `ended` are called once each, `ready` first or never.
    ///
    /// The incarnation ends when the returned sender says so, or is dropped.
    pub(crate) fn launch(
        &self,
        children: Children,
        order: Order,
        ready: impl FnOnce(&Child, Places) + Send + 'static,
        ended: impl FnOnce(End) + Send + 'static,
    ) -> watch::Sender<Wish> {
        let (wish, wished) = watch::channel(Wish::Live);
        let incarnation = Incarnation {
            owner: self.owner,
            hello: Hello {
                to: order.to,
                actor: order.id,
                name: order.name.clone(),
                incarnation: order.number,
                depth: place::depth() + 1,
                registry: self.registry,
                poll_for: self.poll_for.as_micros().min(10_000) as u64,
                blobs: order.limits.blobs,
            },
            name: order.name,
            actor: order.actor,
            entry: order.entry,
            init: order.init,
            init_timeout: order.init_timeout,
            limits: order.limits,
            children,
            lines: self.lines.clone(),
        };
        tokio::spawn(async move {
            let (end, remains) = keeper::keep(incarnation, wished, ready).await;
            ended(end);
            // Those who are told of it have their turn first.
            tokio::task::yield_now().await;
            drop(remains);
        });
        wish
    }

    /// The same on a thread of this process.
    pub(crate) fn launch_local(
        &self,
        order: Order,
        ready: impl FnOnce(u32) + Send + 'static,
        ended: impl FnOnce(End) + Send + 'static,
    ) -> watch::Sender<Wish> {
        let (wish, wished) = watch::channel(Wish::Live);
        let incarnation = LocalIncarnation {
            owner: self.owner,
            name: order.name,
            actor: order.actor,
            to: order.to,
            registry: self.registry,
            entry: order.entry,
            number: order.number,
            init: order.init,
            init_timeout: order.init_timeout,
        };
        tokio::spawn(async move { ended(local::keep_local(incarnation, wished, ready).await) });
        wish
    }
}

impl std::fmt::Debug for Launcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launcher").field("owner", &self.owner).finish_non_exhaustive()
    }
}
