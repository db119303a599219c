//! How sealed memory goes to a child.

use std::io;
use std::time::{Duration, Instant};

use crate::greeting::{give, kept, received};
use crate::memory::RIGHTS;
use crate::{Child, Endpoint, SealedMemory};

/// On the wire, little-endian: the number of bytes and a handle of the child, as `u64` each.
const SIZE: usize = 16;

impl Endpoint {
    /// Parent: hands over memory, of which both sides have the same bytes from then on.
    ///
    /// It may be done any number of times, after the greeting, each of which the child takes by
    /// [`receive_memory`](Self::receive_memory) in the same order. A few fit into the empty room of the stream, so this does
    /// not wait for the child.
    ///
    /// # Errors
    /// `BrokenPipe` if the child is gone; `TimedOut` after 5 s if the room is full and the child does not read.
    ///
    /// # Platform-specific behavior
    /// On Linux the handle travels on the stream and `child` is not looked at; on Windows it is duplicated into it.
    pub fn send_memory(&self, child: &Child, memory: &SealedMemory) -> io::Result<()> {
        let mut message = (memory.len() as u64).to_le_bytes().to_vec();
        message.extend(give(child, memory.section(), RIGHTS, 0)?.to_le_bytes());
        self.send_exact(&message)
    }

    /// Child: waits for memory, at most `timeout`, and reads exactly that.
    ///
    /// # Errors
    /// `UnexpectedEof` if the parent is gone, `TimedOut`, and `InvalidData` for whatever is not memory, or of another size than
    /// is announced. It is told so before a byte of it is mapped.
    ///
    /// # Platform-specific behavior
    /// On Linux the size is exact, and what came with memory that is refused is closed. On Windows sizes are those of whole
    /// pages, and what is refused is not closed: the number may be that of a handle that others in this process rely on.
    pub fn receive_memory(&self, timeout: Duration) -> io::Result<SealedMemory> {
        let now = Instant::now();
        // What is too far away to be told is as good as never.
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(1 << 31));
        let mut message = [0; SIZE];
        self.receive_exact(&mut message, deadline)?;
        let message = u128::from_le_bytes(message);
        let (len, handle) = (message as u64, (message >> 64) as u64);
        let adopted = received(handle).map(|section| SealedMemory::adopt(section, len));
        kept(adopted).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("what came is not shared memory of {len} bytes"))
        })
    }
}
