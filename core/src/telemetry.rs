//! What happened, as events, counters and lines of log.

/// Casts ended in no handler.
pub(crate) fn dead_letters(actor: &str, count: u64) {
    tracing::warn!(actor, count, "dead letters");
}

/// A cast's handler returned an error.
pub(crate) fn cast_failed(actor: &str, method: &str, error: &str) {
    tracing::warn!(actor, method, error, "a cast failed");
}

/// A timer's handler returned an error.
pub(crate) fn tick_failed(actor: &str, tick: &str, error: &str) {
    tracing::warn!(actor, tick, error, "a tick failed");
}
