//! One incarnation of an actor on a thread of this process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use super::keeper::{End, Wish};
use super::registration::ActorEntry;
use crate::actor::context::Stop;
use crate::actor::node::{LocalEnd, Node};
use crate::actor::parcel::Parcel;
use crate::actor::run::{Ended, Hosting, NoTurn};
use crate::error::exit::{Exit, ExitCause, StopReason};
use crate::error::start::{StartError, StartFailure};
use crate::event::{self, Event};
use crate::router::EntryKey;
use crate::wire::ids::Destination;

/// What a local incarnation is made of.
#[derive(Debug)]
pub(crate) struct LocalIncarnation {
    pub(crate) owner: u64,
    pub(crate) name: String,
    pub(crate) actor: ActorEntry,
    pub(crate) to: Destination,
    pub(crate) registry: Destination,
    pub(crate) entry: EntryKey,
    pub(crate) number: u32,
    pub(crate) init: Parcel,
    pub(crate) init_timeout: Duration,
}

/// Runs an actor on a thread of its own, to its end.
///
/// A thread cannot be killed: one that does not stop in time is left behind, and said to have been killed; what it still
/// answers is discarded.
pub(crate) async fn keep_local(
    incarnation: LocalIncarnation,
    mut wish: watch::Receiver<Wish>,
    ready: impl FnOnce(u32),
) -> End {
    let node = Node::here();
    let LocalIncarnation { owner, name, actor, to, registry, entry, number, init, init_timeout } = incarnation;
    let end = Arc::new(LocalEnd::new(name.clone(), Some(owner)));
    let stop = Stop::new();
    let (ready_tx, mut ready_rx) = oneshot::channel();
    let (ended_tx, mut ended_rx) = oneshot::channel();
    let hosting = {
        let (end, stop, name) = (end.clone(), stop.clone(), name.clone());
        move || Hosting {
            to,
            registry: Some(registry),
            entry,
            end,
            name,
            incarnation: number,
            parent: std::process::id(),
            stop,
            init,
            ready: Box::new(move || {
                let _ = ready_tx.send(());
            }),
            turn: Box::new(NoTurn),
        }
    };
    let pid = std::process::id();
    let exit = |cause| Exit { pid, cause, stderr: String::new() };
    let spawned = std::thread::Builder::new().name(name.clone()).spawn(move || {
        let ended = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let ended = LocalSet::new().block_on(&runtime, (actor.host)(hosting()));
                runtime.shutdown_background();
                ended
            }
            Err(error) => Ended::StartFailed(StartFailure::Init(format!("no runtime for its thread: {error}"))),
        };
        let _ = ended_tx.send(ended);
    });
    if let Err(error) = spawned {
        let error = StartError::Spawn { child: name, error: error.to_string() };
        return End { exit: exit(ExitCause::StartFailed(error.to_string())), failed: Some(error), link: None };
    }
    node.add_local(entry, &end);
    // A task that is dropped in the middle leaves a thread that stops by itself.
    let _asks = AskAtDrop(stop.clone());
    let mut ready = Some(ready);
    let mut started = false;
    let mut deadline = Some(tokio::time::Instant::now() + init_timeout);
    let mut wished = Wish::Live;
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut ended_rx => break Some(ended.unwrap_or_else(|_| {
                Ended::StartFailed(StartFailure::Panicked("the actor's thread ended without a word".to_owned()))
            })),
            Ok(()) = &mut ready_rx, if !started => {
                started = true;
                deadline = None;
                node.with(|router| router.attach_local(entry));
                if let Some(ready) = ready.take() {
                    ready(pid);
                }
            }
            changed = wish.changed(), if wished != Wish::Kill => {
                wished = if changed.is_err() { Wish::Kill } else { *wish.borrow_and_update() };
                stop.ask(StopReason::Shutdown);
                end.wake.notify_one();
                let grace = match wished {
                    Wish::Stop { grace } if started => grace,
                    _ => Duration::ZERO,
                };
                // A thread that is about to end gets the moment it needs.
                deadline = Some(tokio::time::Instant::now() + grace.max(Duration::from_millis(20)));
            }
            () = until(deadline) => break None,
        }
    };
    end.close();
    node.remove_local(entry);
    let failed = |failure: StartFailure| failure.of(&name);
    let (cause, failed) = match ended {
        Some(Ended::StartFailed(failure)) => (ExitCause::StartFailed(failure.to_string()), Some(failed(failure))),
        Some(Ended::Stopped(StopReason::Normal)) => (ExitCause::Normal, None),
        Some(Ended::Stopped(StopReason::Shutdown)) => (ExitCause::Shutdown, None),
        Some(Ended::Panicked(panic)) => (ExitCause::Panicked(panic.to_string()), None),
        None if !started && wished == Wish::Live => {
            let error = StartError::TimedOut { child: name.clone(), after: init_timeout, stderr: String::new() };
            (ExitCause::StartFailed(error.to_string()), Some(error))
        }
        None => {
            event::publish(owner, Event::Killed { child: name.clone() });
            (ExitCause::Killed, (!started).then(|| StartError::Stopped(name.clone())))
        }
    };
    End { exit: exit(cause), failed, link: None }
}

struct AskAtDrop(Stop);

impl Drop for AskAtDrop {
    fn drop(&mut self) {
        self.0.ask(StopReason::Shutdown);
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
