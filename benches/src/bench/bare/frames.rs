//! Frames with a length in front, many to a read and many to a write.

use std::io::{Error, ErrorKind, Read, Result};

/// What a read takes at most.
const READ: usize = 64 << 10;

/// The reading side of a stream of frames.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    /// What is read and not taken lies in between.
    taken: usize,
    filled: usize,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; 2 * READ], taken: 0, filled: 0 }
    }

    /// Reads once; the end of the stream is an error.
    pub(crate) fn fill(&mut self, stream: &mut impl Read) -> Result<()> {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        match stream.read(&mut self.buffer[self.filled..])? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }

    /// Takes the next whole frame.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>> {
        let rest = &self.buffer[self.taken..self.filled];
        let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > READ {
            return Err(Error::new(ErrorKind::InvalidData, "the frame is too long"));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let begin = self.taken + 4;
        self.taken = begin + length;
        Ok(Some(&self.buffer[begin..self.taken]))
    }
}

/// Adds a frame with this value in postcard.
pub(crate) fn push<T: serde::Serialize>(value: &T, to: &mut Vec<u8>) -> Result<()> {
    let begin = to.len();
    to.extend_from_slice(&[0; 4]);
    let whole = postcard::to_extend(value, std::mem::take(to)).map_err(invalid)?;
    *to = whole;
    let length = u32::try_from(to.len() - begin - 4).map_err(invalid)?;
    to[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The value of a frame.
pub(crate) fn value<T: serde::de::DeserializeOwned>(frame: &[u8]) -> Result<T> {
    postcard::from_bytes(frame).map_err(invalid)
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}
