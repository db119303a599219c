//! This process as its threads see it: the router behind a lock, and who waits for what it decides.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::event::{self, Event};
use crate::router::{Action, Arena, CallKey, EntryKey, LinkKey, Message, Outcome, Router, Token};
use crate::wire::frame::Frame;
use crate::wire::ids::{Destination, NodeId, RunId};

static NODE: OnceLock<Node> = OnceLock::new();

/// The one router of this process and those who wait for its decisions.
pub(crate) struct Node {
    inner: Mutex<Inner>,
}

struct Inner {
    router: Router,
    waiters: Arena<Waiter>,
    peers: HashMap<LinkKey, Arc<dyn Peer>>,
    locals: HashMap<EntryKey, Arc<LocalEnd>>,
    effects: Vec<Effect>,
}

/// The process at the other end of a link, as the router speaks to it. Nothing here may block.
pub(crate) trait Peer: Send + Sync {
    /// There are bytes to write.
    fn flush(&self);
    /// A frame that is about the process and not about a request.
    fn frame(&self, frame: Frame);
    /// It broke the protocol.
    fn refuse(&self, why: String);
}

/// Whoever takes outcomes without being a future.
pub(crate) trait Sink: Send + Sync {
    /// The request with this number has ended.
    fn ended(&self, number: u64, outcome: Outcome);
}

/// A call to submit whose outcome goes to a sink.
#[derive(Debug)]
pub(crate) struct Numbered {
    /// The sink's own name for it.
    pub(crate) number: u64,
    pub(crate) to: Destination,
    pub(crate) deadline: Option<Instant>,
    /// The message whose handler makes the call.
    pub(crate) caused_by: Option<CallKey>,
    pub(crate) message: Message,
}

/// The thread that serves an actor of this process.
#[derive(Debug, Default)]
pub(crate) struct LocalEnd {
    /// The actor's name.
    name: String,
    /// The supervisor of this process that has the actor; none where the actor's supervisor is the process above.
    owner: Option<u64>,
    /// There may be something to take.
    pub(crate) wake: Notify,
    closed: AtomicBool,
    running: Mutex<HashMap<CallKey, CancellationToken>>,
}

enum Waiter {
    Future { waker: Option<Waker>, state: State },
    Sink { sink: Arc<dyn Sink>, number: u64 },
}

enum State {
    Pending,
    Admitted,
    Ended(Outcome),
}

enum Effect {
    Wake(Waker),
    Flush(Arc<dyn Peer>),
    Frame(Arc<dyn Peer>, Frame),
    Refuse(Arc<dyn Peer>, String),
    Local(Arc<LocalEnd>),
    Cancel(Arc<LocalEnd>, CallKey),
    Sink(Arc<dyn Sink>, u64, Outcome),
    DeadLetters(u64, Arc<str>, u64),
}

/// What a waiting future finds.
pub(crate) enum Waited {
    Admitted,
    Ended(Outcome),
}

impl Node {
    /// This process's node: the root of a new run, unless [`Node::enter`] came first.
    pub(crate) fn here() -> &'static Node {
        NODE.get_or_init(|| Node::new(RunId(random())))
    }

    /// Makes this process a part of an existing run. Must come before the first [`Node::here`].
    pub(crate) fn enter(run: RunId) -> &'static Node {
        NODE.get_or_init(|| Node::new(run))
    }

    fn new(run: RunId) -> Self {
        Self {
            inner: Mutex::new(Inner {
                router: Router::new(run, NodeId(random()), Instant::now()),
                waiters: Arena::new(),
                peers: HashMap::new(),
                locals: HashMap::new(),
                effects: Vec::new(),
            }),
        }
    }

    /// Does something to the router, and then what it asked for.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Router) -> R) -> R {
        let mut inner = self.lock();
        inner.router.advance(Instant::now());
        let result = act(&mut inner.router);
        self.react(inner);
        result
    }

    /// Adds a link and who speaks for it.
    pub(crate) fn add_link(&self, peer: impl FnOnce(LinkKey) -> Arc<dyn Peer>) -> LinkKey {
        let mut inner = self.lock();
        let link = inner.router.add_link();
        let peer = peer(link);
        inner.peers.insert(link, peer);
        link
    }

    pub(crate) fn close_link(&self, link: LinkKey) {
        self.with(|router| router.handle_closed(link));
        self.lock().peers.remove(&link);
    }

    /// Makes known the thread that serves the entry.
    pub(crate) fn add_local(&self, entry: EntryKey, end: &Arc<LocalEnd>) {
        self.lock().locals.insert(entry, end.clone());
    }

    pub(crate) fn remove_local(&self, entry: EntryKey) {
        self.lock().locals.remove(&entry);
    }

    /// Submits a request for a future to wait on; the token names it in [`poll`](Self::poll) and
    /// [`abandon`](Self::abandon).
    pub(crate) fn submit(&self, submit: impl FnOnce(&mut Router, Token) -> CallKey) -> (Token, CallKey) {
        let mut inner = self.lock();
        inner.router.advance(Instant::now());
        let token = inner.waiters.insert(Waiter::Future { waker: None, state: State::Pending });
        let call = submit(&mut inner.router, token);
        self.react(inner);
        (token, call)
    }

    /// Submits calls whose outcomes go to one sink, each under its number, and says what they are called in the router.
    pub(crate) fn submit_all(&self, sink: &Arc<dyn Sink>, calls: impl IntoIterator<Item = Numbered>) -> Vec<CallKey> {
        let mut inner = self.lock();
        inner.router.advance(Instant::now());
        let mut keys = Vec::new();
        for Numbered { number, to, deadline, caused_by, message } in calls {
            let token = inner.waiters.insert(Waiter::Sink { sink: sink.clone(), number });
            keys.push(inner.router.submit(token, to, true, deadline, caused_by, message));
        }
        self.react(inner);
        keys
    }

    /// What became of a submitted request; a call is not interested in its admission.
    pub(crate) fn poll(&self, token: Token, admission: bool, cx: &mut Context<'_>) -> Poll<Waited> {
        let mut inner = self.lock();
        let Some(Waiter::Future { waker, state }) = inner.waiters.get_mut(token) else { return Poll::Pending };
        match state {
            State::Admitted if admission => {
                inner.waiters.remove(token);
                Poll::Ready(Waited::Admitted)
            }
            State::Ended(_) => match inner.waiters.remove(token) {
                Some(Waiter::Future { state: State::Ended(outcome), .. }) => Poll::Ready(Waited::Ended(outcome)),
                _ => Poll::Pending,
            },
            State::Pending | State::Admitted => {
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// The waiting future is gone; the request is taken back.
    pub(crate) fn abandon(&self, token: Token, call: CallKey) {
        self.lock().waiters.remove(token);
        self.with(|router| router.cancel(call));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The router's own code does not panic half way through a change; a poisoned lock tells of a panic in a test.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn react(&self, mut inner: MutexGuard<'_, Inner>) {
        inner.react();
        if inner.effects.is_empty() {
            return;
        }
        let mut effects = std::mem::take(&mut inner.effects);
        drop(inner);
        for effect in effects.drain(..) {
            effect.perform();
        }
        let mut inner = self.lock();
        if inner.effects.capacity() < effects.capacity() && inner.effects.is_empty() {
            inner.effects = effects;
        }
    }
}

impl Inner {
    fn react(&mut self) {
        let mut flushed = None;
        while let Some(action) = self.router.poll_action() {
            let effect = match action {
                Action::Flush(link) => {
                    if flushed == Some(link) {
                        continue;
                    }
                    flushed = Some(link);
                    self.peers.get(&link).map(|peer| Effect::Flush(peer.clone()))
                }
                Action::Admitted(token) => match self.waiters.get_mut(token) {
                    Some(Waiter::Future { waker, state }) => {
                        *state = State::Admitted;
                        waker.take().map(Effect::Wake)
                    }
                    _ => None,
                },
                Action::Ended(token, outcome) => match self.waiters.get_mut(token) {
                    Some(Waiter::Future { waker, state }) => {
                        *state = State::Ended(outcome);
                        waker.take().map(Effect::Wake)
                    }
                    Some(Waiter::Sink { .. }) => match self.waiters.remove(token) {
                        Some(Waiter::Sink { sink, number }) => Some(Effect::Sink(sink, number, outcome)),
                        _ => None,
                    },
                    None => None,
                },
                Action::Wake(entry) => self.locals.get(&entry).map(|end| Effect::Local(end.clone())),
                Action::Cancel(entry, call) => self.locals.get(&entry).map(|end| Effect::Cancel(end.clone(), call)),
                Action::Refuse(link, why) => self.peers.get(&link).map(|peer| Effect::Refuse(peer.clone(), why)),
                Action::Peer(link, frame) => self.peers.get(&link).map(|peer| Effect::Frame(peer.clone(), frame)),
                Action::DeadLetters { owner, actor, count } => Some(Effect::DeadLetters(owner, actor, count)),
            };
            self.effects.extend(effect);
        }
    }
}

impl Effect {
    fn perform(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Flush(peer) => peer.flush(),
            Self::Frame(peer, frame) => peer.frame(frame),
            Self::Refuse(peer, why) => peer.refuse(why),
            Self::Local(end) => end.wake.notify_one(),
            Self::Cancel(end, call) => end.cancel(call),
            Self::Sink(sink, number, outcome) => sink.ended(number, outcome),
            Self::DeadLetters(owner, actor, count) => {
                event::publish(owner, Event::DeadLetters { actor: actor.to_string(), count });
            }
        }
    }
}

impl LocalEnd {
    pub(crate) fn new(name: String, owner: Option<u64>) -> Self {
        Self { name, owner, ..Self::default() }
    }

    /// Makes known that a handler without a caller has failed.
    pub(crate) fn cast_failed(&self, method: &str, error: String) {
        let event = Event::CastFailed { actor: self.name.clone(), method: method.to_owned(), error };
        match self.owner {
            Some(owner) => event::publish(owner, event),
            None => report(event),
        }
    }

    /// Registers a call whose handler starts; the token fires when its caller has gone.
    pub(crate) fn enter(&self, call: CallKey) -> CancellationToken {
        let token = CancellationToken::new();
        self.lock().insert(call, token.clone());
        token
    }

    /// The call has its answer.
    pub(crate) fn leave(&self, call: CallKey) {
        self.lock().remove(&call);
    }

    /// The actor has ended: what it still had to answer is told by its death.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn cancel(&self, call: CallKey) {
        if let Some(token) = self.lock().get(&call) {
            token.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallKey, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

/// A number that no other process has, from the system's source of randomness.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Makes something known to the supervisor in the process above.
fn report(event: Event) {
    let sent = match crate::wire::codec::encode(&event, 4 << 10) {
        Ok(payload) => Node::here().with(|router| router.report(payload)),
        Err(_) => false,
    };
    if !sent {
        event::publish(0, event);
    }
}
