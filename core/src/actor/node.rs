//! This process as its threads see it: the router behind a lock, and who waits for what it decides.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Instant;

use super::running::{Cancellation, Running};
use super::wheel::Wheel;
use crate::connection::signal::Signal;
use crate::event::{self, Event};
use crate::router::{
    Action, Arena, CallKey, EntryKey, Handles, LinkKey, Message, Outcome, OwnMap, Router, Taken, Token,
};
use crate::shm::journal::Journal;
use crate::shm::memories;
use crate::wire::codec::Handle;
use crate::wire::frame::Frame;
use crate::wire::ids::{Destination, NodeId, RunId};

mod requests;

pub(crate) use requests::{Asked, Requested};

static NODE: OnceLock<Node> = OnceLock::new();

/// The one router of this process and those who wait for its decisions.
pub(crate) struct Node {
    id: NodeId,
    inner: Mutex<Inner>,
    above: OnceLock<Arc<dyn Above>>,
}

struct Inner {
    router: Router,
    /// Those that take outcomes without being futures, by their tokens.
    sinks: Arena<(Arc<dyn Sink>, u64)>,
    peers: OwnMap<LinkKey, Arc<dyn Peer>>,
    locals: OwnMap<EntryKey, Arc<LocalEnd>>,
    effects: Vec<Effect>,
    /// The deadlines of requests that futures wait for.
    deadlines: Wheel<CallKey>,
    /// When the clock looks at them next, if it will.
    clock_at: Option<Instant>,
    /// Connections downward with bytes for which nobody waits.
    calm: OwnMap<LinkKey, ()>,
    /// Whether the clock will look at them.
    is_calm_seen: bool,
}

/// The process at the other end of a link, as the router speaks to it. Nothing here may block.
pub(crate) trait Peer: Send + Sync {
    /// There are bytes to write.
    fn flush(&self);
    /// The same, and nothing is gained if others come: they are written now, if nobody else is writing.
    fn hurry(&self);
    /// A frame that is about the process and not about a request.
    fn frame(&self, frame: Frame);
    /// It broke the protocol.
    fn refuse(&self, why: String);
}

/// The process above, as what has left this one when it is told.
pub(crate) trait Above: Send + Sync {
    /// Does something to the router and writes what that comes to, and what else there is, as far as the stream takes it now.
    fn write(&self, act: &mut dyn FnMut(&mut Router));
}

/// Whoever takes outcomes without being a future.
pub(crate) trait Sink: Send + Sync {
    /// The request with this number has ended.
    fn ended(&self, number: u64, outcome: Outcome);
    /// Its own deadline for that has passed, where it [has set one](Node::submit_until).
    fn due(&self, _number: u64) {}
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
    /// Whether it is a service, which hears of what happens to its messages.
    is_service: bool,
    /// There may be something to take.
    pub(crate) wake: Signal,
    closed: AtomicBool,
    running: Running,
    /// What a service is told beside its messages.
    news: Mutex<Vec<News>>,
}

/// What a service is told beside its messages.
#[derive(Debug)]
pub(crate) enum News {
    /// The caller of a message that it has taken is gone.
    Cancelled(CallKey),
    /// Nobody holds a handle of this kind to it any more.
    Unheld(u8),
    /// What it has asked the router for under this number has ended.
    Ended(u64, Outcome),
}

enum Effect {
    Flush(Arc<dyn Peer>),
    Hurry(Arc<dyn Peer>),
    LookLater,
    Frame(Arc<dyn Peer>, Box<Frame>),
    Refuse(Arc<dyn Peer>, String),
    Local(Arc<LocalEnd>),
    Cancel(Arc<LocalEnd>, CallKey),
    Unheld(Arc<LocalEnd>, u8),
    Forget(u64),
    Sink(Arc<dyn Sink>, u64, Outcome),
    Due(Arc<dyn Sink>, u64),
    DeadLetters(u64, Arc<str>, u64),
}

impl Node {
    /// This process's node: the root of a new run, unless [`Node::enter`] came first.
    #[inline]
    pub(crate) fn here() -> &'static Node {
        NODE.get_or_init(|| Node::new(RunId(random())))
    }

    /// Makes this process a part of an existing run. Must come before the first [`Node::here`].
    pub(crate) fn enter(run: RunId) -> &'static Node {
        NODE.get_or_init(|| Node::new(run))
    }

    fn new(run: RunId) -> Self {
        let id = NodeId(random());
        Self {
            id,
            above: OnceLock::new(),
            inner: Mutex::new(Inner {
                router: Router::new(run, id, Instant::now()),
                sinks: Arena::new(),
                peers: OwnMap::default(),
                locals: OwnMap::default(),
                effects: Vec::new(),
                deadlines: Wheel::new(Instant::now()),
                clock_at: None,
                calm: OwnMap::default(),
                is_calm_seen: false,
            }),
        }
    }

    /// Does something to the router, and then what it asked for.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Router) -> R) -> R {
        self.at(Instant::now(), act)
    }

    /// The same, for whoever has looked at the clock.
    pub(crate) fn at<R>(&self, now: Instant, act: impl FnOnce(&mut Router) -> R) -> R {
        let mut inner = self.lock();
        inner.router.advance(now);
        let result = act(&mut inner.router);
        self.react(inner);
        result
    }

    /// Fetches something from the router, for which it matters not what time it is.
    pub(crate) fn fetch<R>(&self, act: impl FnOnce(&mut Router) -> R) -> R {
        let mut inner = self.lock();
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

    /// Takes the next message of an entry that this process serves. What it refers to is held until the message's handles
    /// are dropped.
    pub(crate) fn take(&self, entry: EntryKey) -> Option<Taken> {
        self.with(|router| router.take(entry)).map(taken_held)
    }

    /// Answers a taken call; whether its caller still awaits that.
    pub(crate) fn answer(&self, call: CallKey, outcome: Outcome) -> bool {
        // What holds its handles until the router does must not be dropped in there.
        let bare = outcome.bare();
        self.with(|router| router.answer(call, bare))
    }

    /// Holds these handles, which something in this process has, until the result is dropped.
    pub(crate) fn hold(&self, handles: Vec<Handle>) -> Handles {
        if handles.is_empty() {
            return Handles::default();
        }
        self.with(|router| router.hold(&handles));
        held(handles.into())
    }

    /// Makes known the thread that serves the entry.
    pub(crate) fn add_local(&self, entry: EntryKey, end: &Arc<LocalEnd>) {
        self.lock().locals.insert(entry, end.clone());
    }

    pub(crate) fn remove_local(&self, entry: EntryKey) {
        self.lock().locals.remove(&entry);
    }

    /// Submits a request whose outcome goes to a sink.
    pub(crate) fn submit_to(
        &self,
        sink: Arc<dyn Sink>,
        number: u64,
        submit: impl FnOnce(&mut Router, Token) -> CallKey,
    ) -> CallKey {
        let mut inner = self.lock();
        inner.router.advance(Instant::now());
        let token = inner.sinks.insert((sink, number));
        let call = submit(&mut inner.router, token);
        self.react(inner);
        call
    }

    /// Submits calls whose outcomes go to one sink, each under its number, and says what they are called in the router.
    pub(crate) fn submit_all(&self, sink: &Arc<dyn Sink>, calls: impl IntoIterator<Item = Numbered>) -> Vec<CallKey> {
        let mut inner = self.lock();
        inner.router.advance(Instant::now());
        let mut keys = Vec::new();
        // What holds the messages' handles until the router does; not dropped in here.
        let mut keepers = Vec::new();
        for Numbered { number, to, deadline, caused_by, mut message } in calls {
            let token = inner.sinks.insert((sink.clone(), number));
            if !message.handles.is_empty() {
                keepers.push(message.make_bare());
            }
            keys.push(inner.router.submit(token, to, true, deadline, caused_by, message));
        }
        self.react(inner);
        keys
    }

    /// Sends a cast whose end nobody hears of. What goes to another process is written at once if it can be, since this one
    /// may end before its connection has its turn.
    pub(crate) fn tell(&self, to: Destination, mut message: Message) {
        let _keeper = (!message.handles.is_empty()).then(|| message.make_bare());
        let mut message = Some(message);
        let mut tell = |router: &mut Router| {
            if let Some(mut message) = message.take()
                && !router.cast_now(&to, &mut message, Instant::now)
            {
                router.advance(Instant::now());
                // A token of nobody.
                router.submit(Token::default(), to, false, None, None, message);
            }
        };
        match self.above.get().filter(|_| to.node != self.id) {
            Some(above) => above.write(&mut tell),
            None => self.fetch(tell),
        }
    }

    /// Makes known who writes to the process above.
    pub(crate) fn set_above(&self, above: Arc<dyn Above>) {
        let _ = self.above.set(above);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The router's own code does not panic half way through a change; a poisoned lock tells of a panic in a test.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn react(&self, mut inner: MutexGuard<'_, Inner>) {
        inner.react();
        self.perform(inner);
    }

    fn perform(&self, mut inner: MutexGuard<'_, Inner>) {
        if inner.effects.is_empty() && !inner.router.has_woken() {
            return;
        }
        // What is performed may come back here: then it has lists of its own.
        let Spare { mut effects, mut woken } = SPARE.try_with(Cell::take).unwrap_or_default();
        mem::swap(&mut inner.effects, &mut effects);
        inner.router.swap_woken(&mut woken);
        drop(inner);
        for waker in woken.drain(..) {
            waker.wake();
        }
        for effect in effects.drain(..) {
            effect.perform();
        }
        let _ = SPARE.try_with(|spare| spare.set(Spare { effects, woken }));
    }
}

/// Lists of what is done after an event, outside the lock.
#[derive(Default)]
struct Spare {
    effects: Vec<Effect>,
    woken: Vec<Waker>,
}

thread_local! {
    /// Empty lists, so that no event has to make its own.
    static SPARE: Cell<Spare> = const { Cell::new(Spare { effects: Vec::new(), woken: Vec::new() }) };
}

impl Inner {
    fn react(&mut self) {
        let mut woken = None;
        while let Some(action) = self.router.poll_action() {
            let effect = match action {
                // Nothing is to be written any more where the event has fetched it.
                Action::Flush(link) if !self.router.has_output(link) => continue,
                Action::Flush(link) => {
                    // Nobody waits for them: they may go with others that come, within a time.
                    if self.router.calm_until(link).is_some() && self.router.uplink() != Some(link) {
                        self.calm.insert(link, ());
                        if !mem::replace(&mut self.is_calm_seen, true) {
                            self.effects.push(Effect::LookLater);
                        }
                        continue;
                    }
                    let effect = if self.router.is_urgent(link) { Effect::Hurry } else { Effect::Flush };
                    self.peers.get(&link).map(|peer| effect(peer.clone()))
                }
                Action::Wake(entry) if woken == Some(entry) => continue,
                Action::Ended(token, outcome) => match self.sinks.remove(token) {
                    Some((sink, number)) => Some(Effect::Sink(sink, number, outcome_held(outcome))),
                    None => {
                        self.router.let_go(outcome.handles());
                        None
                    }
                },
                Action::Unheld(handle) if handle.kind == Handle::MEMORY => Some(Effect::Forget(handle.actor.0)),
                Action::Unheld(handle) => {
                    let end = self.router.entry_of(handle.actor).and_then(|entry| self.locals.get(&entry));
                    end.map(|end| Effect::Unheld(end.clone(), handle.kind))
                }
                Action::Wake(entry) => {
                    woken = Some(entry);
                    self.locals.get(&entry).map(|end| Effect::Local(end.clone()))
                }
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
            Self::Flush(peer) => peer.flush(),
            Self::Hurry(peer) => peer.hurry(),
            Self::LookLater => Node::here().look_later(),
            Self::Frame(peer, frame) => peer.frame(*frame),
            Self::Refuse(peer, why) => peer.refuse(why),
            Self::Local(end) => end.wake.notify_one(),
            Self::Cancel(end, call) => end.cancel(call),
            Self::Unheld(end, kind) => end.tell(News::Unheld(kind)),
            Self::Forget(memory) => memories::forget(memory),
            Self::Sink(sink, number, outcome) => sink.ended(number, outcome),
            Self::Due(sink, number) => sink.due(number),
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

    /// That of the actor that this process, a worker, hosts.
    pub(crate) fn of_worker(name: String, journal: Arc<Journal>) -> Self {
        Self { name, running: Running::of_worker(journal), ..Self::default() }
    }

    /// That of a service.
    pub(crate) fn of_service(name: String, owner: u64) -> Self {
        Self { name, owner: Some(owner), is_service: true, ..Self::default() }
    }

    /// Makes known that a handler without a caller has failed.
    pub(crate) fn cast_failed(&self, method: &str, error: String) {
        let event = Event::CastFailed { actor: self.name.clone(), method: method.to_owned(), error };
        match self.owner {
            Some(owner) => event::publish(owner, event),
            None => report(event),
        }
    }

    /// The handler of a message starts: a call, or a cast that nobody can cancel.
    #[inline]
    pub(crate) fn enter(&self, call: Option<CallKey>) {
        self.running.enter(call);
    }

    /// The call has its answer.
    pub(crate) fn leave(&self, call: CallKey) {
        self.running.leave(call);
    }

    /// The call that is handled will have its answer when its handler has ended.
    #[inline]
    pub(crate) fn ends(&self, call: CallKey) {
        self.running.ends(call);
    }

    /// Whether the caller of the message that is handled has gone.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.running.is_cancelled()
    }

    /// Tells when that caller goes.
    pub(crate) fn cancellation(&self) -> Cancellation {
        self.running.cancellation()
    }

    /// The actor has ended: what it still had to answer is told by its death.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn cancel(&self, call: CallKey) {
        if self.is_service {
            return self.tell(News::Cancelled(call));
        }
        self.running.cancel(call);
    }

    /// Tells a service something.
    pub(crate) fn tell(&self, news: News) {
        if self.is_service && !self.is_closed() {
            self.news().push(news);
            self.wake.notify_one();
        }
    }

    /// What a service was told since.
    pub(crate) fn take_news(&self) -> Vec<News> {
        mem::take(&mut *self.news())
    }

    fn news(&self) -> MutexGuard<'_, Vec<News>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for LocalEnd {
    fn ended(&self, number: u64, outcome: Outcome) {
        self.tell(News::Ended(number, outcome));
    }
}

/// Lets go of handles that the router has counted for whoever has this.
struct Hold(Vec<Handle>);

impl Drop for Hold {
    fn drop(&mut self) {
        Node::here().with(|router| router.let_go(&self.0));
    }
}

/// The same handles, let go when they are dropped: the router has counted them already.
pub(crate) fn held(handles: Handles) -> Handles {
    if handles.is_empty() {
        return handles;
    }
    let list = handles.list().to_vec();
    Handles::kept(list.clone(), Box::new(Hold(list)))
}

/// A message that was taken out of its mailbox, which holds what it refers to.
#[inline]
pub(crate) fn taken_held(mut taken: Taken) -> Taken {
    hold_taken(&mut taken);
    taken
}

/// The same where it lies.
#[inline]
pub(crate) fn hold_taken(taken: &mut Taken) {
    if !taken.message.handles.is_empty() {
        taken.message.handles = held(std::mem::take(&mut taken.message.handles));
    }
}

fn outcome_held(mut outcome: Outcome) -> Outcome {
    hold_outcome(&mut outcome);
    outcome
}

/// The same where it lies.
#[inline]
fn hold_outcome(outcome: &mut Outcome) {
    if let Outcome::Value(_, handles) | Outcome::HandlerError(_, handles) = outcome
        && !handles.is_empty()
    {
        *handles = held(mem::take(handles));
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
