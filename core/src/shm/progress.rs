//! What a supervisor sees of its worker's progress, and what it can do about it.

/// How far a worker has come, as its supervisor sees it in the memory they share, and which of its messages go no further.
pub(crate) trait Progress: Send + Sync {
    /// The number of the last message whose handler was started; messages count from 1.
    fn started(&self) -> u64;
    /// The number of the last message whose handler has ended.
    fn finished(&self) -> u64;
    /// Takes a message back; false where its handler may have been started. Otherwise it never will be.
    fn take_back(&self, seq: u64) -> bool;
    /// Lets the handler of a message that cannot be taken back see that nobody wants it any more.
    fn tell(&self, seq: u64);
}
