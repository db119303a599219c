//! A message on its way into a handler, and the answer on its way out.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::node::{LocalEnd, Node};
use super::parcel::Parcel;
use super::traits::{Method, Payload};
use crate::error::call::{CallError, CodecError, NoError};
use crate::router::{CallKey, Handles, Outcome, Router};
use crate::wire::codec::{self, EncodeError};
use crate::wire::frame::{PAYLOAD_LIMIT, Status};

/// A message that a handler is about to handle. Used by the code that `#[handlers]` makes.
///
/// Dropped without an answer to its call, it answers [`NoReply`](crate::CallError::NoReply).
#[derive(Debug)]
pub struct Incoming {
    pub(crate) method: u16,
    pub(crate) name: &'static str,
    pub(crate) payload: Parcel,
    /// The call, until it has its answer, or somebody has the duty to give it one.
    call: Option<CallKey>,
    slot: Rc<AnswerSlot>,
}

/// Where an actor's handlers leave their answers until they have ended, one after the other.
#[derive(Debug)]
pub(crate) struct AnswerSlot {
    end: Arc<LocalEnd>,
    /// Of the answer in `bytes`, if it is there.
    encoded: Cell<Option<Status>>,
    /// The memory in which answers are encoded.
    bytes: RefCell<Vec<u8>>,
    /// The answer that is not there.
    outcome: RefCell<Option<Outcome>>,
}

/// Answers up to this length are copied out of the slot's memory, longer ones take it along.
const SHORT: usize = 1 << 10;

/// The right, and the duty, to answer one call.
#[derive(Debug)]
pub(crate) struct Answer {
    call: CallKey,
    name: &'static str,
    end: Arc<LocalEnd>,
    given: bool,
}

/// The answer to a call that its handler gives later.
///
/// Take it as a parameter of a `#[call]` method, keep it, and [`send`](Self::send) from wherever the answer is known:
/// the handler, a task of `ctx.spawn`, another thread. A `Reply` that is dropped answers
/// [`NoReply`](crate::CallError::NoReply) at once.
#[must_use = "a dropped Reply answers NoReply"]
pub struct Reply<T, E = NoError> {
    answer: Answer,
    types: PhantomData<fn(T, E)>,
}

/// What a cast's handler may return: nothing, or a `Result` whose error becomes an event.
pub trait CastOutput {
    /// The error's text.
    fn into_error(self) -> Option<String>;
}

impl CastOutput for () {
    fn into_error(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> CastOutput for Result<(), E> {
    fn into_error(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

impl AnswerSlot {
    pub(crate) fn new(end: Arc<LocalEnd>) -> Rc<Self> {
        Rc::new(Self { end, encoded: Cell::default(), bytes: RefCell::default(), outcome: RefCell::default() })
    }

    /// Gives the call what its handler, which has ended, has answered.
    #[inline]
    pub(crate) fn deliver(&self, router: &mut Router, call: CallKey) {
        if let Some(status) = self.encoded.take() {
            let mut bytes = self.bytes.borrow_mut();
            if bytes.len() <= SHORT {
                router.answer_encoded(call, status, &bytes);
            } else {
                let bytes = mem::take(&mut *bytes).into();
                router.answer(call, Outcome::from_reply(status, bytes, Handles::none()));
            }
        } else if let Some(outcome) = self.outcome.take() {
            router.answer(call, outcome);
        }
    }

    /// Keeps the answer that is in the slot's memory until the handler has ended.
    #[inline]
    fn give_encoded(&self, call: CallKey, status: Status) {
        self.end.ends(call);
        self.encoded.set(Some(status));
    }

    /// Keeps another answer until then.
    fn give(&self, call: CallKey, outcome: Outcome) {
        self.end.ends(call);
        self.outcome.replace(Some(outcome));
    }
}

impl Incoming {
    #[inline]
    pub(crate) fn new(
        method: u16,
        about: Option<&'static Method>,
        payload: Parcel,
        call: Option<CallKey>,
        slot: &Rc<AnswerSlot>,
    ) -> Self {
        let name = about.map_or("an unknown method", |method| method.name);
        Self { method, name, payload, call, slot: slot.clone() }
    }

    /// Its handler has panicked, which is the answer.
    pub(crate) fn give_up(&mut self) {
        self.call = None;
    }

    /// The number of the method.
    #[must_use]
    #[inline]
    pub fn method(&self) -> u16 {
        self.method
    }

    /// Decodes the arguments; where they are none of this method's, answers so and returns `None`.
    pub fn arguments<T: DeserializeOwned + 'static>(&mut self) -> Option<T> {
        // As opening it below does, with fewer moves.
        if let Some(arguments) = codec::from_octets(&self.payload.bytes) {
            self.payload = Parcel::default();
            return Some(arguments);
        }
        match self.payload.open() {
            Ok(arguments) => {
                self.payload = Parcel::default();
                Some(arguments)
            }
            Err(error) => {
                let error = CodecError::Request { method: self.name.to_owned(), error };
                self.fail(CallError::Codec(error));
                None
            }
        }
    }

    /// Answers with a value.
    pub fn answer<T: Payload>(&mut self, value: T) {
        self.encode(&value, Status::Value);
    }

    /// Answers with a value or the handler's own error.
    pub fn answer_result<T: Payload, E: Payload>(&mut self, result: Result<T, E>) {
        match result {
            Ok(value) => self.encode(&value, Status::Value),
            Err(error) => self.encode(&error, Status::HandlerError),
        }
    }

    /// Ends a cast; its error becomes an event.
    pub fn cast_done<R: CastOutput>(&mut self, result: R) {
        if let Some(error) = result.into_error() {
            self.slot.end.cast_failed(self.name, error);
        }
    }

    /// Ends a call in an outcome that is encoded already.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        let Some(call) = self.call.take() else { return };
        if outcome.handles().is_empty() {
            self.slot.give(call, outcome);
        } else {
            // What holds them is the value, which goes when the handler ends.
            self.slot.end.leave(call);
            Node::here().answer(call, outcome);
        }
    }

    /// Leaves the answer to whoever holds the [`Reply`].
    pub fn defer<T: Payload, E: Payload>(&mut self) -> Reply<T, E> {
        let answer = match self.call.take() {
            Some(call) => Answer { call, name: self.name, end: self.slot.end.clone(), given: false },
            None => Answer { call: 0, name: self.name, end: Arc::default(), given: true },
        };
        Reply { answer, types: PhantomData }
    }

    /// Answers that there is no such method.
    pub fn unknown_method(&mut self) {
        let method = self.method;
        self.fail(CallError::Version(format!("the actor has no method number {method}")));
    }

    /// Answers with what it encodes here. The value is there until that is given, and holds what is in it.
    fn encode<T: Payload>(&mut self, value: &T, status: Status) {
        let Some(call) = self.call else { return };
        if let Some(octets) = codec::octets(value) {
            self.call = None;
            let mut bytes = self.slot.bytes.borrow_mut();
            bytes.clear();
            bytes.extend_from_slice(octets);
            return self.slot.give_encoded(call, status);
        }
        // A `Serialize` may do anything, so nothing is borrowed meanwhile.
        let mut bytes = self.slot.bytes.take();
        bytes.clear();
        let encoded = codec::encode_message_into(value, PAYLOAD_LIMIT, &mut bytes);
        self.call = None;
        match encoded {
            Ok(handles) if handles.is_empty() => {
                self.slot.bytes.replace(bytes);
                self.slot.give_encoded(call, status);
            }
            Ok(handles) => {
                self.slot.end.leave(call);
                Node::here().answer(call, Outcome::from_reply(status, bytes.into(), handles.into()));
            }
            Err(error) => self.slot.give(call, unencoded(self.name, error)),
        }
    }

    fn fail(&mut self, error: CallError<NoError>) {
        match self.call.take() {
            Some(call) => self.slot.give(call, Outcome::Failed(error)),
            None => self.slot.end.cast_failed(self.name, error.to_string()),
        }
    }
}

impl Drop for Incoming {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            unanswered(call, &self.slot.end);
        }
    }
}

/// That an answer could not be encoded.
fn unencoded(method: &str, error: EncodeError) -> Outcome {
    Outcome::Failed(CallError::Codec(CodecError::Answer { method: method.to_owned(), error }))
}

/// Nobody is left who would answer the call.
fn unanswered(call: CallKey, end: &LocalEnd) {
    // While the handler unwinds the answer is that it panicked; after the actor's end, that it died.
    if std::thread::panicking() || end.is_closed() {
        return;
    }
    end.leave(call);
    Node::here().with(|router| router.answer(call, Outcome::Failed(CallError::NoReply)));
}

impl<T: Payload, E: Payload> Reply<T, E> {
    /// Answers with a value.
    pub fn send(self, value: T) {
        self.answer.encode(&value, Status::Value);
    }

    /// Answers with the method's own error.
    pub fn fail(self, error: E) {
        self.answer.encode(&error, Status::HandlerError);
    }

    /// Answers with a value or the method's own error.
    pub fn send_result(self, result: Result<T, E>) {
        match result {
            Ok(value) => self.send(value),
            Err(error) => self.fail(error),
        }
    }
}

impl<T, E> fmt::Debug for Reply<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply(to {})", self.answer.name)
    }
}

impl Answer {
    /// Gives it, from anywhere.
    fn encode<T: Serialize>(mut self, value: &T, status: Status) {
        // The value is there until the answer is given, and holds what is in it.
        let outcome = match codec::encode_message(value, PAYLOAD_LIMIT) {
            Ok((bytes, handles)) => Outcome::from_reply(status, bytes, handles.into()),
            Err(error) => unencoded(self.name, error),
        };
        self.given = true;
        self.end.leave(self.call);
        Node::here().answer(self.call, outcome);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.given {
            unanswered(self.call, &self.end);
        }
    }
}
