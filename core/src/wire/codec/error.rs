use std::fmt::{self, Display, Write};

use serde::{Deserialize, Serialize, de, ser};

/// Why a value did not become a message.
///
/// Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EncodeError {
    /// The encoding would be longer than a frame may be.
    #[error("the value takes more than {limit} bytes")]
    TooLarge {
        /// The bytes that there was room for.
        limit: usize,
    },
    /// The value is nested deeper than its receiver would decode.
    #[error("the value is nested more than {limit} levels deep")]
    TooDeep {
        /// The levels that a receiver decodes.
        limit: u32,
    },
    /// The value holds more addresses, queues, locks and blobs than a frame can name.
    #[error("the value holds more than {limit} handles")]
    TooManyHandles {
        /// The handles that there was room for.
        limit: usize,
    },
    /// The value's own `Serialize` refused, or asks for what the format does not have.
    #[error("the value cannot be serialised: {0}")]
    Serialize(String),
}

/// Why the bytes of a message did not become a value.
///
/// No limit depends on what the sender claims about the bytes, only on how many there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DecodeError {
    /// The value is nested too deep.
    #[error("the value is nested more than {limit} levels deep")]
    Depth {
        /// The levels that the budget allows.
        limit: u32,
    },
    /// The value's nesting would use too much of the thread's stack.
    ///
    /// Comes before [`Depth`](DecodeError::Depth) where each level holds a large value of its own: box it.
    #[error("the value needs more than {limit} bytes of stack to decode")]
    Stack {
        /// The bytes that the budget allows.
        limit: usize,
    },
    /// The value has too many elements for the length of its encoding.
    #[error("the value has more than {limit} elements")]
    Nodes {
        /// The elements that the budget allows for this many bytes.
        limit: usize,
    },
    /// The value takes too much memory for the length of its encoding.
    #[error("the value takes more than {limit} bytes of memory")]
    Memory {
        /// The bytes of memory that the budget allows for this many bytes.
        limit: usize,
    },
    /// The value ended before its bytes did.
    #[error("{left} bytes are left over after the value")]
    Trailing {
        /// The bytes after the value.
        left: usize,
    },
    /// The bytes ended before the value did.
    #[error("the bytes end in the middle of the value")]
    Truncated,
    /// The bytes are not an encoding of this type.
    #[error("the bytes are not a value of this type: {0}")]
    Malformed(String),
}

/// An [`EncodeError`] on its way out of a `Serialize`: one word, so that it costs the good path no stack.
#[derive(Debug)]
pub(super) struct EncodeFault(Box<EncodeError>);

/// A [`DecodeError`] on its way out of a `Deserialize`: one word, so that it costs the good path no stack.
#[derive(Debug)]
pub(in crate::wire) struct DecodeFault(Box<DecodeError>);

impl EncodeFault {
    #[cold]
    pub(super) fn refused(message: &str) -> Self {
        EncodeError::Serialize(message.to_owned()).into()
    }
}

impl DecodeFault {
    #[cold]
    pub(super) fn malformed(message: &str) -> Self {
        DecodeError::Malformed(message.to_owned()).into()
    }
}

impl From<EncodeError> for EncodeFault {
    #[cold]
    fn from(error: EncodeError) -> Self {
        Self(Box::new(error))
    }
}

impl From<EncodeFault> for EncodeError {
    fn from(fault: EncodeFault) -> Self {
        *fault.0
    }
}

impl From<DecodeError> for DecodeFault {
    #[cold]
    fn from(error: DecodeError) -> Self {
        Self(Box::new(error))
    }
}

impl From<DecodeFault> for DecodeError {
    fn from(fault: DecodeFault) -> Self {
        *fault.0
    }
}

impl From<postcard::Error> for DecodeFault {
    #[cold]
    fn from(error: postcard::Error) -> Self {
        use postcard::Error::{
            DeserializeBadBool, DeserializeBadChar, DeserializeBadUtf8, DeserializeBadVarint, DeserializeUnexpectedEnd,
        };
        match error {
            DeserializeUnexpectedEnd => DecodeError::Truncated.into(),
            DeserializeBadVarint => Self::malformed("a number is too long for its type"),
            DeserializeBadBool => Self::malformed("a bool is neither 0 nor 1"),
            DeserializeBadChar => Self::malformed("a char is not a Unicode scalar value"),
            DeserializeBadUtf8 => Self::malformed("a string is not UTF-8"),
            other => Self::malformed(&bounded_text(other)),
        }
    }
}

impl Display for EncodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Display for DecodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for EncodeFault {}
impl std::error::Error for DecodeFault {}

impl ser::Error for EncodeFault {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        EncodeError::Serialize(bounded_text(message)).into()
    }
}

impl de::Error for DecodeFault {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        DecodeError::Malformed(bounded_text(message)).into()
    }
}

/// The most bytes of a foreign message that an error keeps.
pub(super) const MAX_TEXT: usize = 1024;

/// A foreign message, cut where it gets long: serde quotes the offending string, which may be as long as the frame.
fn bounded_text(message: impl Display) -> String {
    struct Bounded(String);
    impl Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = text.floor_char_boundary(MAX_TEXT - self.0.len());
            self.0.push_str(&text[..end]);
            if end == text.len() { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut text = Bounded(String::new());
    if write!(text, "{message}").is_err() {
        text.0.push_str(" ..");
    }
    text.0
}
