//! What a parent hands to its child over the data stream, before anything else.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, IntoRawHandle, OwnedHandle};
use std::ptr;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{DuplicateHandle, GetHandleInformation, HANDLE};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use crate::operation::{self, Until};
use crate::{Child, Endpoint, Segment, pipe, segment};

/// A greeting fits into a new pipe's room as a whole, so that sending it does not wait for the child.
const MAX_BYTES: usize = 64 * 1024;

/// Only a pipe with less room than was asked for makes the sender wait at all.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// What a child got from its parent at its start.
#[derive(Debug)]
pub struct Greeting {
    /// The parent's bytes, uninterpreted.
    pub bytes: Vec<u8>,
    /// The memory that the child shares with its parent.
    pub journal: Segment,
}

/// On the wire, little-endian: the length of the bytes as a `u32`; the child's handle of `journal` as a `u64`; the number of
/// its words as a `u32`; then the bytes.
struct Head {
    length: u32,
    journal: u64,
    words: u32,
}

impl Head {
    const SIZE: usize = 16;

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::SIZE);
        bytes.extend(self.length.to_le_bytes());
        bytes.extend(self.journal.to_le_bytes());
        bytes.extend(self.words.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let mut number = [0; 8];
        let mut at = |from: usize, to: usize| {
            number = [0; 8];
            number[..to - from].copy_from_slice(&bytes[from..to]);
            u64::from_le_bytes(number)
        };
        Self { length: at(0, 4) as u32, journal: at(4, 12), words: at(12, 16) as u32 }
    }
}

impl Endpoint {
    /// Parent: hands over the greeting, which must be the first thing that is sent on this stream.
    ///
    /// It fits into the empty room of the stream, so this does not wait for the child. Afterwards this process keeps of the
    /// journal only the memory.
    ///
    /// # Errors
    /// `InvalidInput` for more than 64 KiB and for a journal that was handed over before; `BrokenPipe` if the child is gone;
    /// `TimedOut` after 5 s if the pipe has too little room and the child does not read. The greeting may have left in part
    /// then: such a child is of no use.
    ///
    /// # Platform-specific behavior
    /// On Linux the journal's handle travels on the stream and `child` is not looked at; on Windows it is duplicated into it.
    pub fn send_greeting(&self, child: &Child, bytes: &[u8], journal: &Segment) -> io::Result<()> {
        if bytes.len() > MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a greeting has at most {MAX_BYTES} bytes, not {}", bytes.len()),
            ));
        }
        let words = journal.words().len() as u32;
        let section = journal.take_section()?;
        let journal = give(child, &section, segment::RIGHTS)?;
        let head = Head { length: bytes.len() as u32, journal, words };
        let mut message = head.encode();
        message.extend_from_slice(bytes);
        self.send_exact(&message)
    }

    /// Child: waits for the greeting, at most `timeout`, and reads exactly that.
    ///
    /// # Errors
    /// `UnexpectedEof` if the parent is gone, `TimedOut`, and `InvalidData` for whatever is not a greeting: too long, or with
    /// a handle that is not a segment's.
    ///
    /// # Platform-specific behavior
    /// On Linux what came with a greeting that is refused is closed. On Windows it is not: the number may be that of a handle
    /// that others in this process rely on.
    pub fn receive_greeting(&self, timeout: Duration) -> io::Result<Greeting> {
        let now = Instant::now();
        // What is too far away to be told is as good as never.
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(1 << 31));
        let mut head = [0; Head::SIZE];
        self.receive_exact(&mut head, deadline)?;
        let head = Head::decode(&head);
        let length = head.length as usize;
        if length > MAX_BYTES {
            return Err(malformed("it is too long"));
        }
        let mut bytes = vec![0; length];
        self.receive_exact(&mut bytes, deadline)?;
        let journal = received(head.journal).map(|section| Segment::adopt(section, head.words as usize));
        let journal = kept(journal).ok_or_else(|| malformed("it brings no journal"))?;
        Ok(Greeting { bytes, journal })
    }

    /// Sends all the bytes.
    pub(crate) fn send_exact(&self, bytes: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + SEND_TIMEOUT;
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = operation::write(self.as_handle(), rest, Until::Deadline(deadline));
            let Some(written) = pipe::broken_pipe(written.map(|written| written.unwrap_or(usize::MAX)))
                .map(|written| (written != usize::MAX).then_some(written))?
            else {
                return Err(io::ErrorKind::TimedOut.into());
            };
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Fills `buf`.
    pub(crate) fn receive_exact(&self, buf: &mut [u8], deadline: Instant) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match operation::read(self.as_handle(), &mut buf[filled..], Until::Deadline(deadline)) {
                Ok(None) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(Some(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Some(read)) => filled += read,
                Err(error) if pipe::is_gone(&error) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed greeting: {why}"))
}

/// Duplicates a handle into the child with these rights, where it is not inherited, and says what its number is there.
pub(crate) fn give(child: &Child, handle: &OwnedHandle, rights: u32) -> io::Result<u64> {
    let mut given: HANDLE = ptr::null_mut();
    // SAFETY: the handles are those of this process, of something of ours and of a process that we have all rights on; the
    // number is written to where it may be.
    let done = unsafe {
        DuplicateHandle(
            GetCurrentProcess(),
            handle.as_raw_handle(),
            child.as_handle().as_raw_handle(),
            &mut given,
            rights,
            0,
            0,
        )
    };
    if done == 0 { Err(child.failed(io::Error::last_os_error())) } else { Ok(given.addr() as u64) }
}

/// Duplicates a handle of this number out of the child, with no more rights than these.
pub(crate) fn fetched(child: &Child, number: u64, rights: u32) -> io::Result<OwnedHandle> {
    let number = usize::try_from(number).unwrap_or(0);
    let mut fetched: HANDLE = ptr::null_mut();
    // SAFETY: the child is a process that we have all rights on, and a number that is no handle's there is answered so; ours
    // is written to where it may be.
    let done = unsafe {
        DuplicateHandle(
            child.as_handle().as_raw_handle(),
            ptr::with_exposed_provenance_mut(number),
            GetCurrentProcess(),
            &mut fetched,
            rights,
            0,
            0,
        )
    };
    if done == 0 {
        // With the child its handles are gone.
        return Err(match child.failed(io::Error::last_os_error()) {
            gone if gone.kind() == io::ErrorKind::BrokenPipe => io::ErrorKind::NotFound.into(),
            refused => io::Error::new(io::ErrorKind::InvalidData, refused),
        });
    }
    // SAFETY: a handle that was just made and that nobody else has.
    Ok(unsafe { OwnedHandle::from_raw_handle(fetched) })
}

/// The handle of this number, if there is one.
pub(crate) fn received(number: u64) -> Option<OwnedHandle> {
    let number = usize::try_from(number).ok()?;
    let handle: HANDLE = ptr::with_exposed_provenance_mut(number);
    let mut flags = 0;
    // SAFETY: asks; a number that is no handle's is answered so. The pseudo-handles, which are no one's to own, are negative.
    let known = number.cast_signed() > 0 && unsafe { GetHandleInformation(handle, &mut flags) } != 0;
    // SAFETY: the parent has put it there for us. Were it another's, it would be given back below unless it is just what the
    // greeting promises.
    known.then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// What was adopted. What was refused is left alone, for it may be another's.
pub(crate) fn kept<T>(adopted: Option<Result<T, OwnedHandle>>) -> Option<T> {
    match adopted? {
        Ok(adopted) => Some(adopted),
        Err(refused) => {
            let _ = refused.into_raw_handle();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_head_survives_its_encoding() {
        let head = Head { length: 0x0102_0304, journal: 6 << 33 | 7, words: 0x0807_0605 };
        let bytes: [u8; Head::SIZE] = head.encode().try_into().expect("its size");
        let again = Head::decode(&bytes);
        assert_eq!((again.length, again.journal, again.words), (head.length, head.journal, head.words));
    }
}
