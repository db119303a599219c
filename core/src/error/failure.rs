//! An error as a chain of texts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::call::CallError;

/// An error that crossed a process boundary: its message and those of its sources, outermost first.
///
/// Any `std::error::Error` turns into one, so a handler that returns `Result<T, Failure>` can use `?`. It does not
/// implement `std::error::Error` itself, which is what makes that conversion possible; [`Display`](fmt::Display)
/// writes the whole chain.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    texts: Vec<String>,
}

impl Failure {
    /// A failure with this message and no source.
    pub fn new(message: impl Into<String>) -> Self {
        Self { texts: vec![message.into()] }
    }

    /// The same failure with a message in front that says what was being done.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        self.texts.insert(0, message.into());
        self
    }

    /// The messages, outermost first; at least one.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut texts = vec![error.to_string()];
        let mut source = error.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Many errors repeat their source in their own text.
            if !texts.last().is_some_and(|last| last.contains(&text)) {
                texts.push(text);
            }
            source = error.source();
        }
        Self { texts }
    }
}

/// A call that failed, in a handler or a main that returns a [`Failure`]: that of the actor that was called goes on as it is.
impl From<CallError<Failure>> for Failure {
    fn from(error: CallError<Failure>) -> Self {
        match error {
            CallError::Handler(failure) => failure,
            other => Self::new(other.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts.join(": "))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_of_a_handler_that_fails_likewise_turns_into_a_failure() {
        fn asks(answer: Result<(), CallError<Failure>>) -> Result<(), Failure> {
            Ok(answer?)
        }
        let told = Failure::new("no room").context("in the cellar");
        assert_eq!(asks(Err(CallError::Handler(told.clone()))), Err(told));
        let lost = asks(Err(CallError::NoReply)).unwrap_err();
        assert_eq!(lost.to_string(), CallError::<Failure>::NoReply.to_string());
    }

    #[test]
    fn a_chain_of_sources_is_kept_and_not_repeated() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open the book")]
        struct Outer(#[source] std::num::ParseIntError);
        let inner = "x".parse::<i32>().unwrap_err();
        let failure = Failure::from(Outer(inner.clone())).context("in the library");
        assert_eq!(failure.to_string(), format!("in the library: cannot open the book: {inner}"));
    }
}
