//! A message on its way into a handler, and the answer on its way out.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::node::{LocalEnd, Node};
use super::parcel::Parcel;
use super::traits::{Method, Payload};
use crate::error::call::{CallError, CodecError, NoError};
use crate::router::{CallKey, Handles, Outcome};
use crate::wire::codec;
use crate::wire::frame::PAYLOAD_LIMIT;

/// A message that a handler is about to handle. Used by the code that `#[handlers]` makes.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) method: u16,
    pub(crate) name: &'static str,
    pub(crate) payload: Parcel,
    pub(crate) answer: Option<Answer>,
    end: Arc<LocalEnd>,
}

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

impl Incoming {
    pub(crate) fn new(
        methods: &'static [Method],
        method: u16,
        payload: Parcel,
        call: Option<CallKey>,
        end: &Arc<LocalEnd>,
    ) -> Self {
        let name = methods.get(usize::from(method)).map_or("an unknown method", |method| method.name);
        let answer = call.map(|call| Answer { call, name, end: end.clone(), given: false });
        Self { method, name, payload, answer, end: end.clone() }
    }

    /// The number of the method.
    #[must_use]
    pub fn method(&self) -> u16 {
        self.method
    }

    /// Decodes the arguments; where they are none of this method's, answers so and returns `None`.
    pub fn arguments<T: DeserializeOwned>(&mut self) -> Option<T> {
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
    pub fn answer<T: Payload>(mut self, value: T) {
        if let Some(answer) = self.answer.take() {
            answer.encode(&value, Outcome::Value).at_end();
        }
    }

    /// Answers with a value or the handler's own error.
    pub fn answer_result<T: Payload, E: Payload>(mut self, result: Result<T, E>) {
        if let Some(answer) = self.answer.take() {
            match result {
                Ok(value) => answer.encode(&value, Outcome::Value).at_end(),
                Err(error) => answer.encode(&error, Outcome::HandlerError).at_end(),
            }
        }
    }

    /// Ends a cast; its error becomes an event.
    pub fn cast_done<R: CastOutput>(self, result: R) {
        if let Some(error) = result.into_error() {
            self.end.cast_failed(self.name, error);
        }
    }

    /// Ends a call in an outcome that is encoded already.
    pub(crate) fn end(mut self, outcome: Outcome) {
        if let Some(answer) = self.answer.take() {
            Answered(answer, outcome).at_end();
        }
    }

    /// Leaves the answer to whoever holds the [`Reply`].
    pub fn defer<T: Payload, E: Payload>(&mut self) -> Reply<T, E> {
        let answer =
            self.answer.take().unwrap_or_else(|| Answer { call: 0, name: self.name, end: Arc::default(), given: true });
        Reply { answer, types: PhantomData }
    }

    /// Answers that there is no such method.
    pub fn unknown_method(mut self) {
        let method = self.method;
        self.fail(CallError::Version(format!("the actor has no method number {method}")));
    }

    fn fail(&mut self, error: CallError<NoError>) {
        match self.answer.take() {
            Some(answer) => Answered(answer, Outcome::Failed(error)).at_end(),
            None => self.end.cast_failed(self.name, error.to_string()),
        }
    }
}

impl<T: Payload, E: Payload> Reply<T, E> {
    /// Answers with a value.
    pub fn send(self, value: T) {
        self.answer.encode(&value, Outcome::Value).now();
    }

    /// Answers with the method's own error.
    pub fn fail(self, error: E) {
        self.answer.encode(&error, Outcome::HandlerError).now();
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
    fn encode<T: Serialize>(self, value: &T, outcome: impl FnOnce(Bytes, Handles) -> Outcome) -> Answered {
        // The value is there until the answer is given, and holds what is in it.
        let outcome = match codec::encode_message(value, PAYLOAD_LIMIT) {
            Ok((bytes, handles)) => outcome(bytes, handles.into()),
            Err(error) => {
                let method = self.name.to_owned();
                Outcome::Failed(CallError::Codec(CodecError::Answer { method, error }))
            }
        };
        Answered(self, outcome)
    }
}

/// An answer that is known.
struct Answered(Answer, Outcome);

impl Answered {
    /// Gives it when the handler has ended, together with that.
    fn at_end(self) {
        let Self(mut answer, outcome) = self;
        answer.given = true;
        let call = answer.call;
        if outcome.handles().is_empty() {
            if let Err(outcome) = answer.end.answer(call, outcome) {
                Node::here().answer(call, outcome);
            }
        } else {
            // What holds them is the value, which goes when the handler ends.
            answer.end.leave(call);
            Node::here().answer(call, outcome);
        }
    }

    /// Gives it from anywhere.
    fn now(self) {
        let Self(mut answer, outcome) = self;
        answer.given = true;
        answer.end.leave(answer.call);
        Node::here().answer(answer.call, outcome);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // While the handler unwinds the answer is that it panicked; after the actor's end, that it died.
        if self.given || std::thread::panicking() || self.end.is_closed() {
            return;
        }
        self.end.leave(self.call);
        Node::here().with(|router| router.answer(self.call, Outcome::Failed(CallError::NoReply)));
    }
}
