//! When an actor that ended is started again.

use serde::{Deserialize, Serialize};

/// When an actor that ended is started again, by its supervisor, from its typed init arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// After an abnormal end only.
    Transient,
    /// Never.
    Temporary,
}
