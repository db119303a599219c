//! A service: an actor of this process that is a task of its runtime, and that hears what becomes of those who ask it.
//!
//! Locks, queues and shared values are services of a supervisor's process. A service decides and never waits: it is handed
//! one event at a time and collects what it wants done on its [`Desk`]; the task around it performs that in one go.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Sleep;

use super::call::down;
use super::node::{LocalEnd, News, Node, taken_held};
use super::parcel::Parcel;
use super::party::Party;
use crate::error::call::{CallError, CodecError, NoError, NotDelivered};
use crate::error::exit::{Down, DownReason};
use crate::router::{CallBetween, CallKey, EntryKey, NewEntry, Outcome, Presence, Router, Taken};
use crate::wire::codec::Handle;
use crate::wire::frame::Status;
use crate::wire::ids::{Destination, TypeHash};

/// Messages that wait at a service.
const WAITING: u32 = 4096;
/// Messages handled in a row before other tasks have a turn.
const BATCH: usize = 64;
/// Messages taken in one event, and answered in one.
const TOGETHER: usize = 16;
/// Answers up to this length are copied to where they are written from.
const SHORT: usize = 1 << 10;

/// What a service decides. Nothing here may block.
pub(crate) trait Service: Send + 'static {
    /// The names of its methods, by number.
    const METHODS: &'static [&'static str];
    /// What tells its protocol from others.
    const PROTOCOL: &'static str;

    /// Handles one request: answers it, or keeps its [`call`](Asked::call) and answers later.
    fn handle(&mut self, now: Instant, asked: Asked, desk: &mut Desk);

    /// The caller of a call that is not answered has gone: it dropped the future, its time is over, or it died. The call is
    /// answered by the task around this; an answer given here would be one too many.
    fn cancelled(&mut self, now: Instant, call: CallKey, desk: &mut Desk);

    /// An answer found nobody: its caller had gone before it was given. What it gave is taken back here.
    fn undelivered(&mut self, now: Instant, call: CallKey, answer: &Parcel, desk: &mut Desk);

    /// A party that the desk was asked to watch has ended; all strands of its incarnation have.
    fn down(&mut self, now: Instant, party: Party, down: &Down, desk: &mut Desk);

    /// Nobody holds a handle of this kind to the service any more: no value and no message, in any process.
    ///
    /// Only told after the first one existed; there may be another later, out of this process.
    fn unheld(&mut self, now: Instant, kind: u8, desk: &mut Desk);

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// That time has come.
    fn handle_timeout(&mut self, now: Instant, desk: &mut Desk) {
        let _ = (now, desk);
    }
}

/// A request to a service.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What an answer is given to; none for a cast.
    pub(crate) call: Option<CallKey>,
    pub(crate) method: u16,
    /// Who asks, vouched for by the connection it came over.
    pub(crate) party: Party,
    /// The arguments, behind who asks.
    payload: Parcel,
}

impl Asked {
    /// Decodes the arguments; where they are none, the call is refused, or the cast is said to have failed.
    pub(crate) fn arguments<T: DeserializeOwned + 'static>(&mut self, desk: &mut Desk) -> Option<T> {
        match Parcel::open_slice(&self.payload.bytes[Party::SIZE..], &self.payload.handles) {
            Ok(arguments) => {
                self.payload = Parcel::default();
                Some(arguments)
            }
            Err(error) => {
                let method = desk.methods.get(usize::from(self.method)).copied().unwrap_or("an unknown method");
                let error = CallError::Codec(CodecError::Request { method: method.to_owned(), error });
                match self.call {
                    Some(call) => desk.refuse(call, error),
                    None => desk.end.cast_failed(method, error.to_string()),
                }
                None
            }
        }
    }
}

/// What a service wants done; performed when its turn is over.
pub(crate) struct Desk {
    methods: &'static [&'static str],
    to: Destination,
    end: Arc<LocalEnd>,
    effects: Vec<Effect>,
    /// Whether the service has ended.
    ended: bool,
}

enum Effect {
    /// A value, or an error of the method.
    Answer(CallKey, Status, Parcel),
    /// An end without either.
    Refuse(CallKey, CallError<NoError>),
    Watch(Party),
    Unwatch(Party),
}

impl Effect {
    /// Whether the router alone does it.
    fn is_simple(&self) -> bool {
        matches!(self, Self::Answer(..) | Self::Refuse(..))
    }

    /// Ends the call that it is about; what gave something and found nobody is the answer.
    fn give(&self, router: &mut Router) -> Option<(CallKey, &Parcel)> {
        match self {
            Self::Answer(call, status, answer) => {
                let is_plain = answer.handles.is_empty() && answer.len() <= SHORT;
                let found = if is_plain {
                    router.answer_encoded(*call, *status, &answer.bytes)
                } else {
                    // What holds its handles until the router does must not be dropped in there.
                    let (bytes, handles) = (answer.bytes.clone(), answer.handles.bare());
                    router.answer(*call, Outcome::from_reply(*status, bytes, handles))
                };
                (!found && *status == Status::Value).then_some((*call, answer))
            }
            Self::Refuse(call, error) => {
                router.answer(*call, Outcome::Failed(error.clone()));
                None
            }
            Self::Watch(_) | Self::Unwatch(_) => None,
        }
    }
}

impl Desk {
    /// Answers a call with a value.
    pub(crate) fn answer<T: Serialize>(&mut self, call: CallKey, value: &T) {
        self.encoded(call, value, Status::Value);
    }

    /// Answers a call with an error of its method.
    pub(crate) fn fail<E: Serialize>(&mut self, call: CallKey, error: &E) {
        self.encoded(call, error, Status::HandlerError);
    }

    /// Ends a call without an answer of its method.
    pub(crate) fn refuse(&mut self, call: CallKey, error: CallError<NoError>) {
        self.effects.push(Effect::Refuse(call, error));
    }

    /// Wants to be [told](Service::down), once, of the end of a party, all its strands included. A party that belongs to no
    /// actor ends with this process.
    pub(crate) fn watch(&mut self, party: Party) {
        self.effects.push(Effect::Watch(party));
    }

    /// Is not interested any more.
    pub(crate) fn unwatch(&mut self, party: Party) {
        self.effects.push(Effect::Unwatch(party));
    }

    /// The address of the service itself.
    pub(crate) fn destination(&self) -> Destination {
        self.to
    }

    /// Which actors wait for which, as far as this process knows.
    pub(crate) fn calls_between(&self) -> Vec<CallBetween> {
        Node::here().with(|router| router.calls_between())
    }

    /// What an actor is called.
    pub(crate) fn name_of(&self, party: &Party) -> String {
        if party.is_free() {
            return "the main program".to_owned();
        }
        Node::here().with(|router| router.name_of(&party.actor))
    }

    /// Whether anybody holds a handle of this kind to the service now.
    pub(crate) fn is_held(&self, kind: u8) -> bool {
        let Destination { node, actor, .. } = self.to;
        Node::here().with(|router| router.is_held(Handle { kind, node, actor }))
    }

    /// Where the service is.
    pub(crate) fn own(&self) -> Destination {
        self.to
    }

    /// Makes known that a request failed whose caller does not hear of it.
    pub(crate) fn cast_failed(&self, method: &str, error: String) {
        self.end.cast_failed(method, error);
    }

    /// The service ends after this turn: nothing needs it any more.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    fn encoded<T: Serialize>(&mut self, call: CallKey, value: &T, status: Status) {
        match Parcel::new(value) {
            Ok(parcel) => self.effects.push(Effect::Answer(call, status, parcel)),
            Err(error) => {
                let error = CodecError::Answer { method: "a service".to_owned(), error };
                self.refuse(call, CallError::Codec(error));
            }
        }
    }
}

/// Ends a service from outside.
pub(crate) struct Serving {
    entry: EntryKey,
    to: Destination,
    end: Arc<LocalEnd>,
}

impl Serving {
    pub(crate) fn destination(&self) -> Destination {
        self.to
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_closed()
    }

    /// Ends it: what it has not answered, and what comes from now on, is not delivered.
    pub(crate) fn close(&self) {
        self.end.close();
        let node = Node::here();
        node.with(|router| router.retire(self.entry, &NotDelivered::Stopped, None));
        node.remove_local(self.entry);
        self.end.wake.notify_one();
    }
}

/// What identifies the protocol of a service, in its address.
pub(crate) fn protocol<S: Service>() -> TypeHash {
    TypeHash::of(&["procession service", S::PROTOCOL, env!("CARGO_PKG_VERSION")])
}

/// Opens a service; it works while the future is polled, which ends with it.
pub(crate) fn open<S: Service>(
    owner: u64,
    name: &str,
    service: S,
) -> (Serving, impl Future<Output = ()> + Send + 'static) {
    let node = Node::here();
    let about = NewEntry {
        owner,
        name: name.into(),
        type_hash: protocol::<S>(),
        capacity: WAITING,
        methods: S::METHODS.to_vec(),
    };
    let (entry, to) = node.with(|router| router.own(about));
    let end = Arc::new(LocalEnd::of_service(name.to_owned(), owner));
    node.add_local(entry, &end);
    node.with(|router| router.attach_local(entry));
    let desk = Desk { methods: S::METHODS, to, end: end.clone(), effects: Vec::new(), ended: false };
    let shell = Shell {
        service,
        desk,
        entry,
        end: end.clone(),
        watched: HashMap::new(),
        numbers: 0,
        due: VecDeque::new(),
        done: Vec::new(),
        answers: Vec::new(),
    };
    let serving = Serving { entry, to, end };
    let closing = Serving { entry, to, end: serving.end.clone() };
    (serving, async move {
        shell.run().await;
        closing.close();
    })
}

/// The task around a service.
struct Shell<S> {
    service: S,
    desk: Desk,
    entry: EntryKey,
    end: Arc<LocalEnd>,
    /// Incarnations that are watched, by the number of their monitor.
    watched: HashMap<u64, Watched>,
    numbers: u64,
    /// Messages to handle now; this and the next are empty between turns.
    due: VecDeque<Due>,
    /// Messages that were handled, which the router is still to hear.
    done: Vec<Taken>,
    /// Answers that are being given.
    answers: Vec<Effect>,
}

struct Watched {
    party: Party,
    monitor: CallKey,
}

impl<S: Service> Shell<S> {
    async fn run(mut self) {
        let mut in_a_row = 0;
        let mut alarm = None;
        loop {
            in_a_row += self.turn();
            if self.end.is_closed() || self.desk.ended {
                return;
            }
            if in_a_row >= BATCH {
                in_a_row = 0;
                tokio::task::yield_now().await;
                continue;
            }
            // What has come since has woken it.
            let (end, due) = (&self.end, self.service.poll_timeout());
            poll_fn(|cx| match end.wake.poll(cx) {
                Poll::Pending => due.map_or(Poll::Pending, |at| poll_alarm(&mut alarm, at, cx)),
                ready @ Poll::Ready(()) => ready,
            })
            .await;
        }
    }

    /// Handles what there is, up to a batch; how many messages that were.
    fn turn(&mut self) -> usize {
        // What somebody sent before their end counts before the end does, a lock that was released, an item that was
        // acknowledged: so with an end everything is handled that has come by now. Other news goes first.
        let (ends, others): (Vec<_>, Vec<_>) =
            self.end.take_news().into_iter().partition(|news| matches!(news, News::Ended(..)));
        for news in others {
            self.hear(news);
        }
        let most = if ends.is_empty() { BATCH } else { WAITING as usize };
        let handled = self.messages(most);
        for news in ends {
            self.hear(news);
        }
        if let Some(at) = self.service.poll_timeout() {
            let now = Instant::now();
            if at <= now {
                self.service.handle_timeout(now, &mut self.desk);
                self.perform();
            }
        }
        handled
    }

    /// Handles so many messages at most. Those that have come together are taken in one event. Where they bring answers and
    /// nothing else, these are given in the same event in which the next ones are taken.
    fn messages(&mut self, most: usize) -> usize {
        let (node, entry) = (Node::here(), self.entry);
        let mut handled = 0;
        let mut now = Instant::now();
        node.at(now, |router| take_due(router, entry, most, &mut self.due));
        while let Some(Due { taken, party }) = self.due.pop_front() {
            let mut taken = taken_held(taken);
            let before = self.desk.effects.len();
            self.handle(now, &mut taken, party);
            self.done.push(taken);
            handled += 1;
            let is_simple = self.desk.effects[before..].iter().all(Effect::is_simple);
            if is_simple && !self.due.is_empty() {
                continue;
            }
            if is_simple {
                std::mem::swap(&mut self.desk.effects, &mut self.answers);
            }
            let goes_on = is_simple && handled < most;
            let mut missed = Vec::new();
            now = Instant::now();
            node.at(now, |router| {
                self.done.iter().for_each(|taken| router.finish(entry, taken));
                missed.extend(self.answers.iter().filter_map(|answer| answer.give(router)));
                if goes_on && missed.is_empty() {
                    take_due(router, entry, most - handled, &mut self.due);
                }
            });
            let is_done = is_simple && missed.is_empty();
            for (call, answer) in missed {
                self.service.undelivered(now, call, answer, &mut self.desk);
            }
            self.answers.clear();
            self.done.clear();
            if !is_done {
                self.perform();
                if self.due.is_empty() && handled < most {
                    node.at(now, |router| take_due(router, entry, most - handled, &mut self.due));
                }
            }
        }
        handled
    }

    fn handle(&mut self, now: Instant, taken: &mut Taken, party: Option<(Party, bool)>) {
        let call = taken.reply.then_some(taken.call);
        let payload =
            Parcel { bytes: taken.message.take_payload(), handles: std::mem::take(&mut taken.message.handles) };
        match party {
            Some((party, true)) => {
                let asked = Asked { call, method: taken.message.method, party, payload };
                self.service.handle(now, asked, &mut self.desk);
            }
            Some((party, false)) => {
                let why = format!("it asked in the name of {:?}, which is not its own", party.actor);
                Node::here().with(|router| router.refuse_source(taken, why));
            }
            None => {
                let method = S::METHODS.get(usize::from(taken.message.method)).copied().unwrap_or_default();
                let error = CallError::<NoError>::Version("the request does not say who asks".to_owned());
                match call {
                    Some(call) => self.desk.refuse(call, error),
                    None => self.end.cast_failed(method, error.to_string()),
                }
            }
        }
    }

    fn hear(&mut self, news: News) {
        let now = Instant::now();
        match news {
            News::Cancelled(call) => {
                self.service.cancelled(now, call, &mut self.desk);
                // Whoever handed it on still has to be told that it is over.
                self.desk.refuse(call, CallError::Cancelled);
            }
            News::Unheld(kind) => self.service.unheld(now, kind, &mut self.desk),
            News::Ended(number, outcome) => {
                if let Some(Watched { party, .. }) = self.watched.remove(&number) {
                    self.service.down(now, party, &down(outcome), &mut self.desk);
                }
            }
        }
        self.perform();
    }

    /// Does what the service wants, and what it wants because of that.
    fn perform(&mut self) {
        while !self.desk.effects.is_empty() {
            for effect in std::mem::take(&mut self.desk.effects) {
                match effect {
                    Effect::Answer(..) | Effect::Refuse(..) => {
                        if let Some((call, answer)) = Node::here().with(|router| effect.give(router)) {
                            self.service.undelivered(Instant::now(), call, answer, &mut self.desk);
                        }
                    }
                    Effect::Watch(party) => self.watch(party),
                    Effect::Unwatch(party) => {
                        let number = self.number_of(&party);
                        if let Some(Watched { monitor, .. }) = number.and_then(|number| self.watched.remove(&number)) {
                            Node::here().with(|router| router.cancel(monitor));
                        }
                    }
                }
            }
        }
    }

    fn number_of(&self, party: &Party) -> Option<u64> {
        self.watched.iter().find(|(_, watched)| watched.party.is_of(party)).map(|(number, _)| *number)
    }

    fn watch(&mut self, party: Party) {
        if party.is_free() || self.number_of(&party).is_some() {
            return;
        }
        let node = Node::here();
        match node.with(|router| router.presence(&party.actor, party.incarnation)) {
            Presence::Ended(down) => {
                let down = down.unwrap_or_else(|| Down {
                    name: self.desk.name_of(&party),
                    incarnation: party.incarnation,
                    reason: DownReason::NotDelivered(NotDelivered::Stopped),
                });
                self.service.down(Instant::now(), party, &down, &mut self.desk);
            }
            Presence::Alive => {
                self.numbers += 1;
                let number = self.numbers;
                let monitor =
                    node.submit_to(self.end.clone(), number, |router, token| router.monitor(token, &party.actor));
                self.watched.insert(number, Watched { party, monitor });
            }
        }
    }
}

/// A message to handle now.
struct Due {
    taken: Taken,
    /// Who asks, and whether the connection that it came over vouches for that. Stands in front of the arguments.
    party: Option<(Party, bool)>,
}

/// Takes what is due, up to so many and to what is taken together.
fn take_due(router: &mut Router, entry: EntryKey, most: usize, due: &mut VecDeque<Due>) {
    for _ in 0..most.min(TOGETHER) {
        let Some(taken) = router.take(entry) else { return };
        let party = Party::from_bytes(&taken.message.payload);
        let party = party.map(|party| (party, router.vouches(&taken, &party.actor)));
        due.push_back(Due { taken, party });
    }
}

/// Ready at this time, or earlier by one that was asked for before: to wake up once for nothing is less than to set the alarm anew
/// each time that there is nothing else to do.
fn poll_alarm(alarm: &mut Option<Pin<Box<Sleep>>>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at.into())));
    if alarm.is_elapsed() || alarm.deadline().into_std() > at {
        alarm.as_mut().reset(at.into());
    }
    alarm.as_mut().poll(cx)
}

impl<S> Drop for Shell<S> {
    fn drop(&mut self) {
        for watched in self.watched.values() {
            Node::here().with(|router| router.cancel(watched.monitor));
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("effects", &self.effects.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("to", &self.to).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
