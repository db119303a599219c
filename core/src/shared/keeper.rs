//! The service that keeps one shared object.

use std::collections::HashMap;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::Store;
use super::store::cell::Cell;
use super::store::dict::Dict;
use super::store::frozen::Frozen;
use super::store::item::Item;
use super::store::list::List;
use super::store::log::Log;
use super::store::refusal::Refusal;
use super::store::reply::{Reply, Version};
use crate::actor::fence::{FencingToken, LockKey, Standing};
use crate::actor::held::{Held, SHARED};
use crate::actor::node::Node;
use crate::actor::parcel::Parcel;
use crate::actor::party::Party;
use crate::actor::service::{Asked, Desk, Service};
use crate::error::exit::Down;
use crate::router::CallKey;

/// What is done to the object: a token or none, and the store's own operation.
pub(super) const OPERATE: u16 = 0;
/// A new watcher.
pub(super) const WATCH: u16 = 1;
/// What a watcher has not read.
pub(super) const CHANGES: u16 = 2;
/// A watcher has gone.
pub(super) const UNWATCH: u16 = 3;
/// More of a snapshot.
pub(super) const REST: u16 = 4;
/// Nobody wants more of a snapshot.
pub(super) const FORGET: u16 = 5;

/// A store that a service keeps.
pub(super) trait Kept:
    Store<Item = Parcel, Operation: DeserializeOwned, Change: Serialize + Send> + Send + 'static
{
    /// What tells its protocol from others.
    const PROTOCOL: &'static str;
}

impl Kept for List<Parcel> {
    const PROTOCOL: &'static str = "shared list";
}

impl Kept for Dict<Parcel> {
    const PROTOCOL: &'static str = "shared dict";
}

impl Kept for Cell<Parcel> {
    const PROTOCOL: &'static str = "shared value";
}

impl Item for Parcel {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn handles(&self) -> usize {
        self.handles.list().len()
    }

    fn of(bytes: bytes::Bytes, parts: &[&Self]) -> Self {
        let handles: Vec<_> = parts.iter().flat_map(|part| part.handles.list()).copied().collect();
        Self { bytes: bytes.into(), handles: Node::here().hold(handles) }
    }
}

/// A new watcher, as it is told.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Watching {
    pub(super) watcher: u64,
    /// The number of the first operation that it will be told of.
    pub(super) next: u64,
    /// The version before that.
    pub(super) version: Version,
}

/// Keeps one object: executes what it is asked one at a time, tells watchers, and ends an unnamed object that nobody holds.
pub(super) struct Keeper<S: Kept> {
    store: S,
    log: Log<S::Change>,
    frozen: Frozen<Parcel>,
    /// Who watches.
    watchers: HashMap<u64, Party>,
    /// Watchers that wait for a change, and for which one.
    waiting: HashMap<CallKey, (u64, u64)>,
    /// The lock without which nothing is written.
    guard: Option<LockKey>,
    named: bool,
}

impl<S: Kept> Keeper<S> {
    pub(super) fn new(store: S, lag: usize, guard: Option<LockKey>, named: bool) -> Self {
        let (log, frozen) = (Log::new(lag), Frozen::new());
        Self { store, log, frozen, watchers: HashMap::new(), waiting: HashMap::new(), guard, named }
    }

    /// Whether an operation under this grant, or under none, may be executed.
    fn admit(&self, token: Option<FencingToken>, operation: &S::Operation) -> Result<(), Refusal> {
        let token = match (self.guard, token) {
            (None, None) => return Ok(()),
            (Some(_), None) if S::only_reads(operation) => return Ok(()),
            (Some(_), None) => return Err(Refusal::NotGuarded),
            (_, Some(token)) => token,
        };
        match token.standing(self.guard.unwrap_or(token.lock)) {
            Standing::Valid => Ok(()),
            Standing::Stale => Err(Refusal::StaleGrant { token: token.number() }),
            Standing::Elsewhere => Err(Refusal::ForeignGrant { token: token.number() }),
        }
    }

    fn operate(&mut self, now: Instant, mut asked: Asked, desk: &mut Desk) {
        let Some((token, operation)) = asked.arguments::<(Option<FencingToken>, S::Operation)>(desk) else { return };
        let before = self.store.version();
        let admitted = self.admit(token, &operation);
        let done = admitted.and_then(|()| self.store.apply(operation, &mut self.log));
        match (asked.call, done) {
            (Some(call), Ok(Reply::Snapshot { rows, version, .. })) => {
                desk.answer(call, &self.frozen.begin(now, rows, version));
            }
            (Some(call), Ok(reply)) => desk.answer(call, &reply),
            (Some(call), Err(refusal)) => desk.fail(call, &refusal),
            (None, Ok(_)) => {}
            (None, Err(refusal)) => desk.cast_failed("a forgotten write", refusal.to_string()),
        }
        if self.store.version() != before {
            self.tell(desk);
        }
    }

    /// Answers those who waited for a change.
    fn tell(&mut self, desk: &mut Desk) {
        let log = &mut self.log;
        self.waiting.retain(|call, (watcher, from)| match log.read(*watcher, *from) {
            Ok(None) => true,
            Ok(Some(read)) => {
                desk.answer(*call, &read);
                false
            }
            Err(refusal) => {
                desk.fail(*call, &refusal);
                false
            }
        });
    }

    fn watch(&mut self, asked: &Asked, desk: &mut Desk) {
        let Some(call) = asked.call else { return };
        match self.log.watch() {
            Ok((watcher, next)) => {
                self.watchers.insert(watcher, asked.party);
                desk.watch(asked.party);
                desk.answer(call, &Watching { watcher, next, version: self.store.version() });
            }
            Err(refusal) => desk.fail(call, &refusal),
        }
    }

    fn unwatch(&mut self, watcher: u64, desk: &mut Desk) {
        self.log.unwatch(watcher);
        if let Some(party) = self.watchers.remove(&watcher)
            && !self.watchers.values().any(|other| other.is_of(&party))
        {
            desk.unwatch(party);
        }
    }

    fn changes(&mut self, mut asked: Asked, desk: &mut Desk) {
        let Some((watcher, from)) = asked.arguments::<(u64, u64)>(desk) else { return };
        let Some(call) = asked.call else { return };
        match self.log.read(watcher, from) {
            Ok(Some(read)) => desk.answer(call, &read),
            Ok(None) => drop(self.waiting.insert(call, (watcher, from))),
            Err(refusal) => desk.fail(call, &refusal),
        }
    }
}

impl<S: Kept> Service for Keeper<S> {
    const METHODS: &'static [&'static str] = &["operate", "watch", "changes", "unwatch", "rest", "forget"];
    const PROTOCOL: &'static str = S::PROTOCOL;

    fn handle(&mut self, now: Instant, mut asked: Asked, desk: &mut Desk) {
        match asked.method {
            OPERATE => self.operate(now, asked, desk),
            WATCH => self.watch(&asked, desk),
            CHANGES => self.changes(asked, desk),
            UNWATCH => {
                if let Some((watcher, _)) = asked.arguments::<(u64, Held<SHARED>)>(desk) {
                    self.unwatch(watcher, desk);
                }
            }
            REST => {
                let (Some(number), Some(call)) = (asked.arguments(desk), asked.call) else { return };
                match self.frozen.go_on(now, number) {
                    Ok(part) => desk.answer(call, &part),
                    Err(refusal) => desk.fail(call, &refusal),
                }
            }
            FORGET => {
                if let Some((number, _)) = asked.arguments::<(u64, Held<SHARED>)>(desk) {
                    self.frozen.forget(number);
                }
            }
            _ => {
                if let Some(call) = asked.call {
                    desk.refuse(call, super::object::unexpected());
                }
            }
        }
    }

    fn cancelled(&mut self, _: Instant, call: CallKey, _: &mut Desk) {
        self.waiting.remove(&call);
    }

    fn undelivered(&mut self, _: Instant, _: CallKey, _: &Parcel, _: &mut Desk) {
        // Whoever reads asks again for the same; a snapshot that nobody fetches is forgotten in time.
    }

    fn down(&mut self, _: Instant, party: Party, _: &Down, desk: &mut Desk) {
        let of_it = |(watcher, other): (&u64, &Party)| other.is_of(&party).then_some(*watcher);
        let gone: Vec<u64> = self.watchers.iter().filter_map(of_it).collect();
        for watcher in gone {
            self.watchers.remove(&watcher);
            self.log.unwatch(watcher);
        }
        self.tell(desk);
    }

    fn unheld(&mut self, _: Instant, kind: u8, desk: &mut Desk) {
        if kind == SHARED && !self.named && !desk.is_held(kind) {
            desk.end();
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.frozen.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant, _: &mut Desk) {
        self.frozen.handle_timeout(now);
    }
}
