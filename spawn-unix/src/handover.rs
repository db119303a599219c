//! How sealed memory goes to a child.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::{Child, Endpoint, SealedMemory};

/// On the wire: the number of bytes as a little-endian `u64`, whose first byte carries the descriptor.
impl Endpoint {
    /// Parent: hands over memory, of which both sides have the same bytes from then on.
    ///
    /// It may be done any number of times, after the greeting, each of which the child takes by
    /// [`receive_memory`](Self::receive_memory) in the same order. A few fit into the empty buffer of the stream, so this does
    /// not wait for the child.
    ///
    /// # Errors
    /// `BrokenPipe` if the child is gone; `TimedOut` after 5 s if the buffer is full and the child does not read.
    ///
    /// # Platform-specific behavior
    /// On Linux the handle travels on the stream and `child` is not looked at; on Windows it is duplicated into it.
    pub fn send_memory(&self, child: &Child, memory: &SealedMemory) -> io::Result<()> {
        let _ = child;
        self.send_exact(&(memory.len() as u64).to_le_bytes(), &[], &[memory.as_fd()])
    }

    /// Child: waits for memory, at most `timeout`, and reads exactly that.
    ///
    /// # Errors
    /// `UnexpectedEof` if the parent is gone, `TimedOut`, and `InvalidData` for whatever is not memory that nobody can change,
    /// or of another size than is announced. It is told so before a byte of it is mapped. What came with it is closed.
    pub fn receive_memory(&self, timeout: Duration) -> io::Result<SealedMemory> {
        let now = Instant::now();
        // What is too far away to be told is as good as never.
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(1 << 31));
        let mut len = [0; 8];
        let mut descriptors = Vec::new();
        self.receive_exact(&mut len, &mut descriptors, deadline)?;
        let Ok([file]) = <[OwnedFd; 1]>::try_from(descriptors) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "memory comes with exactly one descriptor"));
        };
        SealedMemory::adopt(file, u64::from_le_bytes(len))
    }
}
