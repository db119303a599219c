//! What a worker tells of its progress.

/// How far a worker has come, as its supervisor sees it in the page they share.
pub(crate) trait Progress: Send + Sync {
    /// The number of the last message whose handler was started; messages count from 1.
    fn started(&self) -> u64;
    /// The number of the last message whose handler has ended.
    fn finished(&self) -> u64;
}
