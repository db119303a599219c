//! What a parent hands to its child over the data stream, before anything else.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::{Child, Endpoint, Segment};

/// A greeting fits into a new socket's buffer as a whole, so that sending it does not wait for the child.
const MAX_BYTES: usize = 64 * 1024;

/// Only a socket buffer that somebody has made tiny makes the sender wait at all.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// What a child got from its parent at its start.
#[derive(Debug)]
pub struct Greeting {
    /// The parent's bytes, uninterpreted.
    pub bytes: Vec<u8>,
    /// The memory that the child shares with its parent.
    pub journal: Segment,
}

/// On the wire: the length of the bytes as a little-endian `u32`, then the bytes. The first byte of the length carries
/// the descriptor of `journal`.
impl Endpoint {
    /// Parent: hands over the greeting, which must be the first thing that is sent on this stream.
    ///
    /// It fits into the empty buffer of the stream, so this does not wait for the child. Afterwards this process keeps of the
    /// journal only the memory.
    ///
    /// # Errors
    /// `InvalidInput` for more than 64 KiB and for a journal that was handed over before; `BrokenPipe` if the child is gone;
    /// `TimedOut` after 5 s if the system's socket buffers are too small and the child does not read. The greeting may have
    /// left in part then: such a child is of no use.
    ///
    /// # Platform-specific behavior
    /// On Linux the journal's handle travels on the stream and `child` is not looked at; on Windows it is duplicated into it.
    pub fn send_greeting(&self, child: &Child, bytes: &[u8], journal: &Segment) -> io::Result<()> {
        let _ = child;
        if bytes.len() > MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a greeting has at most {MAX_BYTES} bytes, not {}", bytes.len()),
            ));
        }
        let journal = journal.take_file()?;
        self.send_exact(&(bytes.len() as u32).to_le_bytes(), bytes, &[journal.as_fd()])
    }

    /// Child: waits for the greeting, at most `timeout`, and reads exactly that.
    ///
    /// # Errors
    /// `UnexpectedEof` if the parent is gone, `TimedOut`, and `InvalidData` for whatever is not a greeting: too long,
    /// without exactly one descriptor, or with one that is not a segment's. What came with it is closed.
    pub fn receive_greeting(&self, timeout: Duration) -> io::Result<Greeting> {
        let deadline = Instant::now() + timeout;
        let mut length = [0; 4];
        let mut descriptors = Vec::new();
        self.receive_exact(&mut length, &mut descriptors, deadline)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_BYTES {
            return Err(malformed("it is too long"));
        }
        let mut bytes = vec![0; length];
        self.receive_exact(&mut bytes, &mut descriptors, deadline)?;
        let Ok([journal]) = <[OwnedFd; 1]>::try_from(descriptors) else {
            return Err(malformed("it does not bring exactly one descriptor"));
        };
        Ok(Greeting { bytes, journal: Segment::adopt(journal)? })
    }

    /// Sends both pieces, the descriptors with the first byte.
    pub(crate) fn send_exact(&self, head: &[u8], body: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let deadline = Instant::now() + SEND_TIMEOUT;
        let mut descriptors = descriptors;
        let mut sent = 0;
        while sent < head.len() + body.len() {
            let rest =
                [IoSlice::new(&head[sent.min(head.len())..]), IoSlice::new(&body[sent.saturating_sub(head.len())..])];
            match send_with(self.as_fd(), &rest, descriptors) {
                Ok(n) => {
                    sent += n;
                    descriptors = &[];
                }
                Err(Errno::AGAIN) => wait(self.as_fd(), PollFlags::OUT, deadline)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Fills `buf`, and takes the descriptors that come with its bytes.
    pub(crate) fn receive_exact(
        &self,
        buf: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
        deadline: Instant,
    ) -> io::Result<()> {
        let mut filled = 0;
        while filled < buf.len() {
            match receive_with(self.as_fd(), &mut buf[filled..], descriptors) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((_, flags)) if flags.contains(ReturnFlags::CTRUNC) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors at once"));
                }
                Ok((n, _)) => filled += n,
                Err(Errno::AGAIN) => wait(self.as_fd(), PollFlags::IN, deadline)?,
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed greeting: {why}"))
}

/// Sends some bytes, the first of them with at most one descriptor.
pub(crate) fn send_with(
    socket: BorrowedFd<'_>,
    bytes: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits);
    }
    sendmsg(socket, bytes, &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

/// Receives some bytes and takes the descriptors that came with them, whatever they are.
pub(crate) fn receive_with(
    socket: BorrowedFd<'_>,
    buf: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> Result<(usize, ReturnFlags), Errno> {
    // Room for more than are welcome, so that the others are taken and closed; the kernel closes those beyond.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(buf)], &mut control, RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((received.bytes, received.flags))
}

fn wait(socket: BorrowedFd<'_>, interest: PollFlags, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    // Too far away to be told in seconds is as good as never.
    let timeout = Timespec::try_from(left).ok();
    match poll(&mut [PollFd::from_borrowed_fd(socket, interest)], timeout.as_ref()) {
        // The caller tries again, and comes back here to find that its time is over.
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
