//! When an actor that ended is started again.

use serde::{Deserialize, Serialize};

/// Whether a child that has ended is started again.
///
/// | ended | `Permanent` | `Transient` | `Temporary` |
/// |---|---|---|---|
/// | normally, or because it was told to shut down | restarted | not | not |
/// | by an error, a panic, a signal, an exit code | restarted | restarted | not |
///
/// A child that somebody terminates through its supervisor stays down, whatever its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// Only after a failure. After a normal end its spec is kept and it can be restarted on request.
    Transient,
    /// Never. Its spec goes with it, and its failures do not count against the supervisor's intensity.
    Temporary,
}
